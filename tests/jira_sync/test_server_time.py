"""The time a watermark rests on: Jira's own, and of two that differ the earlier one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

import httpx
import pytest
from tests.jira_sync.fakes import NOW

from jira_sync.budget import Pace, PriorityBudget
from jira_sync.cloud import CloudReader
from jira_sync.errors import JiraUnavailableError
from jira_sync.login import bearer
from jira_sync.site import SiteHttp
from troth_chassis.clock import AutoClock
from troth_chassis.http import HttpClient

AHEAD = "Wed, 25 Nov 2026 11:00:00 GMT"


async def server_time(date: str | None, **body: str) -> datetime:
    clock = AutoClock(NOW)
    headers = {} if date is None else {"Date": date}
    transport = httpx.MockTransport(lambda _request: httpx.Response(200, headers=headers, json=body))
    budget = PriorityBudget(Pace(1_000, 1_000, 4), clock)
    http = HttpClient(base_url="http://jira.test", budget=budget, clock=clock, transport=transport)
    try:
        return (
            await CloudReader(cast("Any", None), SiteHttp(http, bearer("a-token")), budget).server_info()
        ).now
    finally:
        await http.close()


@pytest.mark.parametrize(
    ("date", "body"),
    [
        (AHEAD, {"serverTime": "2026-11-25T12:00:30.000+0200"}),
        (None, {"serverTime": "2026-11-25T12:00:30.000+0200"}),
        ("Wed, 25 Nov 2026 10:00:30 GMT", {}),
        ("Wed, 25 Nov 2026 10:00:30 GMT", {"serverTime": "2026-11-25T10:00:30.900Z"}),
    ],
)
async def test_a_proxys_clock_that_is_ahead_moves_no_watermark(
    date: str | None, body: dict[str, str]
) -> None:
    assert await server_time(date, **body) == datetime(2026, 11, 25, 10, 0, 30, tzinfo=UTC)


async def test_an_answer_without_any_time_is_none() -> None:
    with pytest.raises(JiraUnavailableError, match="tells no time"):
        await server_time(None)
