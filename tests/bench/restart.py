"""How soon a risk-engine that was killed tells what changed meanwhile: from its start until the notice is accepted."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.bench.latency import POLL_SECONDS, link_switch
from tests.e2e.play import Play

SERVICE = "risk-engine"
PATIENCE = 90.0


def measure(play: Play, count: int, advance: Callable[[], None]) -> list[float]:
    """Seconds, for ``count`` kills one after the other; the store stays as it is."""
    switch = link_switch(play)
    found = []
    for _ in range(count):
        on = play.fires(switch.kind, switch.deal) is None
        play.until(play.idle, "nothing is half delivered: the alert's next notice would wait for the lease")
        play.stage.services[SERVICE].kill()
        switch.turn(on)
        time.sleep(3 * POLL_SECONDS)  # for the record to be in Kafka
        began = time.monotonic()
        play.stage.services[SERVICE].start()
        play.until(
            lambda on=on: (play.fires(switch.kind, switch.deal) is not None) == on,  # type: ignore[misc]
            f"{switch.kind} after a restart: {on}",
            seconds=PATIENCE,
        )
        found.append(time.monotonic() - began)
        advance()
    return found
