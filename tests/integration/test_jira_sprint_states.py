"""Fault T14: a sprint's life with webhooks for all, half or none of it. Every state that was seen is told once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from datetime import UTC, datetime

import pytest
from tests.integration.jira_site import LiveSite, Play, playing
from tests.jira_sync import small_site

from troth_contracts.jira import PlanChange, SprintEvent
from troth_contracts.topics import PLAN_CHANGES, SPRINT_EVENTS
from troth_sandbox.jira.records import Sprint

Told = tuple[str, str | None]
START = "2026-11-25T10:00:00.250Z"
BOARD, TWICE = 1, 2


def life(live: LiveSite) -> list[Callable[[], object]]:
    """What people do, one step per sweep; ``TWICE`` re-dates twice between two sweeps."""
    number = live.create_sprint(name="Fjord", origin_board_id=BOARD).id

    def edit(**changes: object) -> Callable[[], object]:
        return lambda: live.edit_sprint(number, **changes)

    def redate_twice() -> None:
        live.edit_sprint(number, start_date="2026-11-25T10:20:00Z", end_date="2026-12-02T10:00:00Z")
        live.later(1)
        live.edit_sprint(number, end_date="2026-12-09T10:00:00Z")

    return [
        edit(name="Fjell"),
        edit(state="active", start_date="2026-11-25T10:15:00Z", end_date="2026-11-30T10:00:00Z"),
        redate_twice,
        edit(goal="Sign in once"),
        edit(state="closed"),
        edit(state="active"),
        edit(name="Fjord"),
        edit(name="Fjell"),
        edit(state="closed"),
        lambda: live.delete_sprint(number),
    ]


def truth(live: LiveSite, *, announced: set[int]) -> tuple[Counter[Told], Counter[tuple[str, int]]]:
    """From the write log: changes with what they came to, and starts and closes with their time.

    Of two new dates between two sweeps the first is seen only when the second was announced. A sprint shows its dates
    from its start on.
    """
    changes: Counter[Told] = Counter()
    lives: Counter[tuple[str, int]] = Counter()
    before: Sprint | None = None
    dates = 0
    for entry in live.site.write_log.entries:
        if not entry["kind"].startswith("sprint_"):
            continue
        sprint: Sprint = entry["sprint"]
        if before is None:
            changes["created", None] += 1
        elif entry["kind"] == "sprint_deleted":
            changes["deleted", None] += 1
        else:
            changes["renamed", sprint.name] += sprint.name != before.name
            changes["goal_changed", sprint.goal] += sprint.goal != before.goal
            changes["reopened", "open"] += entry["kind"] == "sprint_reopened"
            if (sprint.start, sprint.end) != (before.start, before.end):
                dates += 1
                visible = dates != 2 or TWICE in announced
                changes["redated", f"{stamp(sprint.start)}/{stamp(sprint.end)}"] += visible
            for kind in ("started", "closed"):
                lives[kind, entry["at"]] += entry["kind"] == f"sprint_{kind}"
        before = sprint
    return +changes, +lives


def stamp(milliseconds: int | None) -> str:
    moment = datetime.fromtimestamp((milliseconds or 0) / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def changes_of(play: Play) -> list[PlanChange]:
    return [record.body for record in play.kafka.told(PLAN_CHANGES) if isinstance(record.body, PlanChange)]


async def played(announced: set[int], restarts: Collection[int] = ()) -> tuple[LiveSite, Play]:
    seed = small_site.seed()
    live = LiveSite(seed | {"sprints": [], "issues": [], "versions": [], "boards": seed["boards"][:1]}, START)
    live.listen()
    async with playing(live) as play:
        steps = life(live)
        await play.sweep(0)
        for number, step in enumerate(steps):
            live.heard()
            step()
            if number not in announced:
                live.heard()
            if number in restarts:
                play.start()
            await play.sweep()
        await play.sweep()
        await play.sweep()
    return live, play


STEPS = range(10)


@pytest.mark.parametrize(
    ("announced", "restarts"),
    [
        (set(STEPS), set()),
        (set(STEPS[::2]), set()),
        (set(STEPS[1::2]), set()),
        (set(), set()),
        (set(STEPS[1::2]), set(STEPS)),
        (set(), set(STEPS)),
    ],
    ids=["all", "even", "odd", "none", "odd, restarted", "none, restarted"],
)
async def test_t14_every_state_is_told_once_with_or_without_webhooks(
    announced: set[int], restarts: set[int]
) -> None:
    live, play = await played(announced, restarts)
    changes, lives = truth(live, announced=announced)
    told = changes_of(play)
    assert Counter((c.change, c.to_value) for c in told) == changes
    assert len({change.event_id for change in told}) == len(told)
    events = [r.body for r in play.kafka.told(SPRINT_EVENTS) if isinstance(r.body, SprintEvent)]
    assert Counter((e.effect, int(e.at.timestamp() * 1000)) for e in events) == lives


async def test_both_feeds_give_a_change_the_same_name() -> None:
    _, heard = await played(set(STEPS))
    _, read = await played(set())
    by_webhook = {change.event_id: change for change in changes_of(heard)}
    by_reading = {change.event_id: change for change in changes_of(read)}
    assert by_reading.keys() < by_webhook.keys()
    assert len(by_webhook) - len(by_reading) == 1, "only the dates between two sweeps"
    for name, change in by_reading.items():
        exact = by_webhook[name].at
        assert change.not_before is None or change.not_before <= exact <= change.at, change
