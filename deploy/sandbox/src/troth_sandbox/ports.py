"""Free loopback ports for the servers the sandbox starts."""

import contextlib
import random
import socket

# Below the range from which Linux takes the ports of outgoing connections: one of those could take the port of a
# server that needs seconds to start.
RANGE = range(15_000, 32_000)
_random = random.SystemRandom()


def free_ports(count: int) -> list[int]:
    """Return distinct ports of 127.0.0.1 that nobody listened on a moment ago."""
    with contextlib.ExitStack() as held:
        # All are held open together, so no port is given twice.
        return [_hold_one(held) for _ in range(count)]


def _hold_one(held: contextlib.ExitStack) -> int:
    while True:
        port = _random.choice(RANGE)
        probe = held.enter_context(socket.socket())
        with contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def is_open(address: str, patience: float = 1.0) -> bool:
    """True when something accepts a TCP connection at `host:port`."""
    host, port = address.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), timeout=patience).close()
    except OSError:
        return False
    return True
