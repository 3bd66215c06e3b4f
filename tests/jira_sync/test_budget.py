"""The gates of the budget, held alone: whoever asks after a refusal comes no earlier than it allowed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest
from tests.jira_sync.fakes import NOW

from jira_sync.budget import JITTER, Pace, PriorityBudget
from jira_sync.limits import endpoint_of
from troth_chassis.clock import ManualClock

SEARCH, BOARD = "GET /rest/api/2/search/jql", "GET /rest/agile/1.0/board/7/configuration"
BURST = {"ratelimit-reason": "jira-burst-based"}
QUOTA = {"ratelimit-reason": "jira-quota-global-based"}


async def entered(budget: PriorityBudget, request: str) -> bool:
    """True when the request may be sent now."""

    async def enter() -> None:
        async with budget.slot(request):
            pass

    task = asyncio.create_task(enter())
    for _ in range(10):
        await asyncio.sleep(0)
    done = task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return done


def budget_on(clock: ManualClock) -> PriorityBudget:
    return PriorityBudget(Pace(1_000.0, 1_000, 4), clock)


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ({"retry-after": "10"}, 10.0),
        ({"retry-after": "Wed, 25 Nov 2026 10:00:40 GMT"}, 10.0),
        ({"x-ratelimit-reset": "2026-11-25T10:01Z"}, 30.0),
        ({"retry-after": "5", "x-ratelimit-reset": "2026-11-25T10:01Z"}, 30.0),
        ({"retry-after": "0"}, 1.0),
        ({}, 1.0),
    ],
)
async def test_a_refusal_is_waited_for_by_everybody_and_a_fifth_longer_at_most(
    told: Mapping[str, str], seconds: float
) -> None:
    clock = ManualClock(NOW)
    budget = budget_on(clock)
    budget.refused(SEARCH, 429, {**told, **BURST})
    await clock.advance(seconds - 0.01)
    assert not await entered(budget, SEARCH)
    await clock.advance(seconds * JITTER + 0.02)
    assert await entered(budget, SEARCH)


async def test_a_burst_closes_one_endpoint_and_a_quota_all() -> None:
    clock = ManualClock(NOW)
    budget = budget_on(clock)
    budget.refused(SEARCH, 429, {"retry-after": "60", **BURST})
    assert not await entered(budget, SEARCH)
    assert await entered(budget, BOARD)
    budget.refused(SEARCH, 429, {"retry-after": "60", **QUOTA})
    assert not await entered(budget, BOARD)


async def test_the_servers_clock_counts_where_ours_is_ahead() -> None:
    clock = ManualClock(NOW)
    budget = budget_on(clock)
    told = {"date": "Wed, 25 Nov 2026 09:59:00 GMT", "retry-after": "Wed, 25 Nov 2026 10:00:40 GMT"}
    assert budget.refused(SEARCH, 429, {**told, **BURST}).seconds == 100


async def test_an_unavailable_server_does_not_close_until_its_limits_begin_anew() -> None:
    budget = budget_on(ManualClock(NOW))
    budget.refused(SEARCH, 503, {"x-ratelimit-reset": "2026-11-25T11:00:00Z"})
    assert await entered(budget, SEARCH)


async def test_refusals_without_a_time_are_waited_for_twice_as_long_each_time() -> None:
    clock = ManualClock(NOW)
    budget = budget_on(clock)
    waits = []
    for _ in range(11):
        waits.append(budget.refused(SEARCH, 429, BURST).seconds)
        await clock.advance(400)
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    budget.answered(SEARCH, {})
    assert budget.refused(SEARCH, 429, BURST).seconds == 1


@pytest.mark.parametrize(
    ("request_line", "endpoint"),
    [
        ("GET /ex/jira/cloud-1/rest/api/3/issue/APA-1", "GET /issue/{}"),
        ("GET /rest/api/2/issue/10001/changelog", "GET /issue/{}/changelog"),
        ("GET /rest/api/2/project/APA/versions", "GET /project/{}/versions"),
        ("GET /rest/api/2/project/search", "GET /project/search"),
        (BOARD, "GET /rest/agile/1.0/board/{}/configuration"),
    ],
)
def test_an_endpoint_is_method_and_path_without_ids(request_line: str, endpoint: str) -> None:
    assert endpoint_of(request_line) == endpoint
