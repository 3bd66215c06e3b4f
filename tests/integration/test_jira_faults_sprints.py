"""Fault T14 with the whole service on Kafka: a sprint's life of which webhooks tell all, half or nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from tests.integration.jira_door import Door, door_of
from tests.integration.jira_play import Play, opened
from tests.integration.jira_site import LiveSite
from tests.integration.test_jira_faults_site import MINUTE
from tests.integration.test_jira_sprint_states import STEPS, life, truth
from tests.jira_sync import small_site

from troth_contracts.jira import PlanChange, SprintEvent
from troth_contracts.topics import PLAN_CHANGES, SPRINT_EVENTS
from troth_sandbox.jira import writes
from troth_sandbox.jira.records import Sprint
from troth_sandbox.jira.writes import SprintEdit

SWEEP = 15 * MINUTE
START = datetime(2026, 11, 25, 10, 0, 0, 250_000, tzinfo=UTC)


class People:
    """What a play's people do to sprints; what comes ``later`` in a step is done when its time comes."""

    def __init__(self, play: Play) -> None:
        self.play = play
        self.site = play.site
        self.delay = 0.0

    def create_sprint(self, **edit: Any) -> Sprint:
        return writes.create_sprint(self.site, SprintEdit(**edit), self.play.now_ms())

    def edit_sprint(self, number: int, **edit: Any) -> None:
        def act() -> None:
            writes.edit_sprint(self.site, number, SprintEdit(**edit), self.play.now_ms())

        self.play.clock.at(self.play.clock.monotonic() + self.delay, act) if self.delay else act()

    def delete_sprint(self, number: int) -> None:
        writes.delete_sprint(self.site, number, self.play.now_ms())

    def later(self, minutes: float) -> None:
        self.delay = minutes * MINUTE


def plan(play: Play, door: Door, announced: Collection[int]) -> People:
    """One step in the middle of every quarter of an hour; the webhook is registered for those announced."""
    people = People(play)
    for number, step in enumerate(life(cast("LiveSite", people))):

        def act(number: int = number, step: Any = step) -> None:
            people.delay = 0.0
            play.site.hooks.admin.clear()
            if number in announced:
                door.register()
            step()

        play.clock.at((number + 1.5) * SWEEP, act)
    return people


@pytest.mark.parametrize(
    ("announced", "restarted"),
    [(set(STEPS), False), (set(STEPS[1::2]), True), (set(), True)],
    ids=["all", "odd, restarted", "none, restarted"],
)
async def test_t14_every_state_a_sweep_could_see_is_told_once(
    kafka: str, announced: set[int], restarted: bool
) -> None:
    """Restarted with every step; only that something is missing is looked at twice by one process."""
    seed = small_site.seed() | {"sprints": [], "issues": [], "versions": []}
    play = Play(kafka, seed | {"boards": seed["boards"][:1]}, start=START)
    rarely = {"jira_poll_seconds": SWEEP, "jira_structure_seconds": SWEEP, "jira_overlap_seconds": 1_200}
    async with opened(play, **rarely) as reader, door_of(play) as door:
        people = plan(play, door, announced)
        door.pump((len(STEPS) + 4) * SWEEP)
        service = play.start(reader)
        door.follow(service)
        for number in range(len(STEPS) + 4):
            if restarted and 0 < number <= len(STEPS):
                await door.leave()
                await play.lives[-1].stop()
                door.follow(play.start(reader))
            await play.until((number + 1) * SWEEP)
            await door.until(lambda: not play.lives[-1].hints.take())
        await play.topics.refresh()
        told = [
            r.body for r in play.topics.kept(PLAN_CHANGES, play.site_id) if isinstance(r.body, PlanChange)
        ]
        events = [r.body for r in play.topics.kept(SPRINT_EVENTS, play.site_id)]
        changes, lives = truth(cast("LiveSite", people), announced=announced)
        assert Counter((c.change, c.to_value) for c in told) == changes
        assert len({change.event_id for change in told}) == len(told)
        moments = ((e.effect, int(e.at.timestamp() * 1000)) for e in events if isinstance(e, SprintEvent))
        assert Counter(moments) == lives
        assert not any(one.failures for one in play.lives)
