"""Webhooks that are lost, doubled, late, out of order, forged or refused: nothing is lost, nothing is told twice."""

from __future__ import annotations

import json
import os

import pytest
from tests.integration.jira_door import SECRET, door_of, signed
from tests.integration.jira_play import HOUR, Life, Play, opened
from tests.integration.test_jira_faults_site import MINUTE, busy, site

from jira_sync.webhooks.receiver import LARGEST_BODY
from troth_chassis.errors import FencedError, TransientError
from troth_chassis.writer import ScopeWriter
from troth_contracts.codec import OutRecord
from troth_sandbox.jira.outbox import DeliveryPlan

FULL = os.environ.get("TROTH_FULL") == "1"


def never_announced(play: Play) -> int:
    """Changes that planning needs and whose every delivery failed, by the simulator's own books."""
    told = {
        (entry["issueId"], entry["createdAt"])
        for entry in play.site.outbox.log
        if entry["outcome"] == "delivered" and entry["issueId"] is not None
    }
    truth = play.truth()
    made = [(entry["issueId"], entry["history"]) for entry in play.log() if entry.get("history")]
    return sum(
        1
        for issue, history in made
        if (issue, history["created"]) not in told and list(truth.relevant(history))
    )


async def test_t5_deliveries_lost_doubled_late_and_shuffled(kafka: str) -> None:
    """30 % dropped, 20 % doubled, 10 % up to half an hour late, all shuffled; what nobody announced is counted."""
    play = site(kafka, 400 if FULL else 60, page=50)
    play.site.outbox.plan(
        DeliveryPlan(drop=0.3, duplicate=0.2, delay=0.1, delay_seconds=1_800, shuffle_seconds=60, seed=11)
    )
    working = (60 if FULL else 20) * MINUTE
    async with opened(play, jira_poll_seconds=120.0) as reader, door_of(play) as door:
        door.register()
        life = play.start(reader)
        door.follow(life)
        await play.until(3 * MINUTE)
        busy(play, every=6 if FULL else 8, until=play.clock.monotonic() + working)
        end = play.clock.monotonic() + working + 35 * MINUTE
        door.pump(end)
        await play.until(end + 45 * MINUTE)
        await play.exact()
        truth = never_announced(play)
        gap = life.value("jira_sync_webhook_gap_total")
        assert truth > 20
        assert abs(gap - truth) <= max(1, 0.02 * truth), (gap, truth)
        assert door.value("jira_sync_webhooks_repeated_total") > 0


class Unreachable(ScopeWriter):
    """While ``down``: every other transaction is lost, every other one is written and not acknowledged."""

    down = False
    refused = 0

    async def publish(self, records: list[OutRecord]) -> None:  # type: ignore[override]
        if not self.down:
            await super().publish(records)
            return
        self.refused += 1
        if self.refused % 2:
            await super().publish(records)
        raise TransientError("Kafka did not acknowledge")


async def test_t16_kafka_away_for_ten_minutes(kafka: str) -> None:
    """The receiver answers 503 and Jira sends again; an outcome nobody knows is read back."""
    play = site(kafka, 60)
    async with opened(play, jira_poll_seconds=120.0) as reader, door_of(play) as door:
        door.register()
        writer = Unreachable(kafka, "jira-sync", play.site_id, "transactional")
        life = play.start(reader, writer)
        door.follow(life)
        await play.until(3 * MINUTE)
        busy(play, every=20, until=play.clock.monotonic() + 15 * MINUTE)
        door.pump(play.clock.monotonic() + HOUR)

        def turn(*, down: bool) -> None:
            door.writer.down = writer.down = down

        play.clock.at(play.clock.monotonic() + 2 * MINUTE, lambda: turn(down=True))
        play.clock.at(play.clock.monotonic() + 12 * MINUTE, lambda: turn(down=False))
        await play.passes(HOUR)
        await play.exact()
        assert life.failures
        assert door.value("jira_sync_webhooks_rejected_total", reason="kafka") > 0
        outcomes = {entry["outcome"] for entry in play.site.outbox.log}
        assert outcomes == {"delivered"}, "each was sent again until it was stored"


async def test_t16_of_two_instances_one_ends_and_nothing_is_doubled(kafka: str) -> None:
    """Both read the same changes; whatever the first commits while the second reads back, is told once."""
    play = site(kafka, 60)
    async with opened(play) as reader:
        busy(play, every=15, until=20 * MINUTE)
        first = play.start(reader)
        await play.until(5 * MINUTE)
        second = play.start(reader)
        ended = await _fenced(play, first, second)
        with pytest.raises(FencedError):
            await ended.task
        await play.exact()


async def _fenced(play: Play, first: Life, second: Life) -> Life:
    """The one that had to stop: the first, unless its outcome was unclear and it came back before it knew."""
    try:
        await play.until(25 * MINUTE, second)
    except FencedError:
        await play.until(25 * MINUTE, first)
        return second
    return first


async def test_t17_what_is_not_jiras_own_word_is_refused_or_changes_nothing(kafka: str) -> None:
    play = site(kafka, 40)
    async with opened(play, jira_poll_seconds=HOUR) as reader, door_of(play) as door:
        life = play.start(reader)
        door.follow(life)
        await play.until(2 * HOUR)
        play.edit(10_005, status={"id": "3"}, summary="told by webhook")
        issue = {"id": "10005", "key": "APA-5", "fields": {"status": {"id": "1"}, "summary": "forged"}}
        event = {"webhookEvent": "jira:issue_updated", "timestamp": 1, "issue": issue}
        raw = json.dumps(event).encode()
        refused = [
            await door.send(event, X_Hub_Signature=signed(raw, "a secret of somebody else")),
            await door.send(event, X_Hub_Signature=""),
            await door.send(event, X_Hub_Signature=signed(raw).replace("sha256", "sha1")),
            await door.send(json.dumps(event, indent=1).encode(), X_Hub_Signature=signed(raw)),
        ]
        assert refused == [401] * 4
        assert await door.send(event, method="GET") == 405
        assert await door.send(b"{" + b" " * (LARGEST_BODY + 2**20)) == 413
        asked = len(play.asked("issue/10005"))
        for _ in range(5):
            assert await door.send(event, X_Atlassian_Webhook_Identifier="the-same") == 200
        await door.until(
            lambda: door.value("jira_sync_webhooks_repeated_total") == 4 and not life.hints.take()
        )
        await play.exact()
        assert len(play.asked("issue/10005")) == asked + 1, "replayed events are read once"
        assert door.value("jira_sync_webhooks_rejected_total", reason="signature") == 4
        assert SECRET not in json.dumps(life.health.checks, default=str)
