"""Calling out: patient with faults, and never back before the server said."""

import asyncio
import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from troth_chassis.clock import AutoClock, ManualClock
from troth_chassis.errors import TransientError
from troth_chassis.http import LONGEST_ASKED_WAIT, TRIES, HttpClient, RequestBudget, asked_wait

NOW = datetime(2026, 3, 26, 15, 50, tzinfo=UTC)
Answer = httpx.Response | Exception


class Server:
    """Answers from a list; the last answer stays. Notes when it was asked."""

    def __init__(self, clock: ManualClock, answers: Sequence[Answer]) -> None:
        self._clock = clock
        self._answers = list(answers)
        self.asked_at: list[float] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked_at.append(self._clock.monotonic())
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


class Desk:
    """A client, the server behind it and the clock they share."""

    def __init__(self, *answers: Answer, tries: int = TRIES, seed: int = 1, **more: Any) -> None:
        self.clock = AutoClock(NOW)
        self.server = Server(self.clock, answers)
        self.budget = RequestBudget(1_000, 1_000, 10, self.clock)
        self.client = HttpClient(
            base_url="https://vendor.example",
            budget=self.budget,
            clock=self.clock,
            transport=httpx.MockTransport(self.server),
            rng=random.Random(seed),
            tries=tries,
            **more,
        )

    async def ask(self) -> httpx.Response:
        try:
            return await self.client.request("GET", "/things", params={"page": 2})
        finally:
            await self.client.close()

    @property
    def waited(self) -> float:
        """Seconds between the first request and the second."""
        return self.server.asked_at[1] - self.server.asked_at[0]


def ok() -> httpx.Response:
    return httpx.Response(200, json={"done": True})


class TestRetries:
    @pytest.mark.parametrize(
        "fault",
        [
            *(lambda status=status: httpx.Response(status) for status in (408, 425, 429, 500, 502, 503, 504)),
            lambda: httpx.ConnectError("refused"),
            lambda: httpx.ReadTimeout("too slow"),
            lambda: httpx.RemoteProtocolError("cut off in the middle"),
            lambda: httpx.DecodingError("not gzip"),
        ],
    )
    async def test_a_passing_fault_is_tried_again(self, fault: Callable[[], Answer]) -> None:
        desk = Desk(fault(), fault(), ok())
        assert (await desk.ask()).json() == {"done": True}
        assert len(desk.server.asked_at) == 3

    async def test_an_answer_that_is_none_is_asked_for_again(self) -> None:
        page = httpx.Response(200, text="<html>Something went wrong</html>")
        desk = Desk(page, page, ok(), is_whole=lambda answer: answer.text.startswith("{"))
        assert (await desk.ask()).json() == {"done": True}
        lasting = Desk(page, is_whole=lambda answer: answer.text.startswith("{"))
        with pytest.raises(TransientError, match="an answer that is none after 6 tries"):
            await lasting.ask()

    @pytest.mark.parametrize("status", [200, 204, 301, 400, 401, 403, 404, 409, 410, 422])
    async def test_an_answer_that_another_try_would_not_change_goes_to_the_caller(self, status: int) -> None:
        desk = Desk(httpx.Response(status))
        assert (await desk.ask()).status_code == status
        assert len(desk.server.asked_at) == 1

    async def test_six_tries_and_no_more(self) -> None:
        desk = Desk(httpx.Response(503))
        with pytest.raises(TransientError, match=r"^GET /things: answered 503 after 6 tries$"):
            await desk.ask()
        assert len(desk.server.asked_at) == 6

    async def test_a_caller_may_ask_for_one_try_only(self) -> None:
        """A login is counted by the vendor."""
        desk = Desk(httpx.Response(503), tries=1)
        with pytest.raises(TransientError, match="after 1 tries"):
            await desk.ask()
        assert len(desk.server.asked_at) == 1

    @pytest.mark.parametrize("header", ["atl-traceid", "x-arequestid", "x-request-id", "x-sfdc-request-id"])
    async def test_the_error_carries_the_vendors_request_id(self, header: str) -> None:
        desk = Desk(httpx.Response(500, headers={header: "trace-77"}))
        with pytest.raises(TransientError, match="request id trace-77"):
            await desk.ask()

    async def test_the_error_names_the_fault_of_the_connection_and_not_the_query(self) -> None:
        desk = Desk(httpx.ConnectError("refused"))
        with pytest.raises(TransientError, match="ConnectError refused") as caught:
            await desk.ask()
        assert "page" not in str(caught.value)

    @settings(max_examples=20)
    @given(seed=st.integers(0, 1_000))
    async def test_waits_grow_and_stay_within_bounds(self, seed: int) -> None:
        desk = Desk(httpx.Response(500), seed=seed)
        with pytest.raises(TransientError):
            await desk.ask()
        assert len(desk.clock.slept) == TRIES - 1
        for attempt, wait in enumerate(desk.clock.slept, start=1):
            assert 0.5 <= wait <= 2.0**attempt


class TestServerDirectedWaits:
    """https://developer.atlassian.com/cloud/jira/platform/rate-limiting/: no request before the allowed time."""

    @pytest.mark.parametrize("status", [429, 503])
    @pytest.mark.parametrize(
        ("headers", "seconds"),
        [
            ({"Retry-After": "60"}, 60),
            ({"Retry-After": "1.5"}, 1.5),
            ({"Retry-After": format_datetime(NOW + timedelta(seconds=90), usegmt=True)}, 90),
            ({"Retry-After": "Thu Mar 26 15:51:30 2026"}, 90),
            ({"X-RateLimit-Reset": "2026-03-26T16:00Z"}, 600),
            ({"X-RateLimit-Reset": "2026-03-26T16:00:00.000Z"}, 600),
            ({"X-RateLimit-Reset": "2026-03-26T16:00"}, 600),
            ({"Retry-After": "5", "X-RateLimit-Reset": "2026-03-26T16:00Z"}, 600),
            ({"Retry-After": "700", "X-RateLimit-Reset": "2026-03-26T16:00Z"}, 700),
            ({"Retry-After": "3600"}, 3_600),
        ],
    )
    async def test_never_shorter_and_at_most_a_fifth_longer(
        self, status: int, headers: dict[str, str], seconds: float
    ) -> None:
        for seed in range(5):
            desk = Desk(httpx.Response(status, headers=headers), ok(), seed=seed)
            await desk.ask()
            assert seconds <= desk.waited <= seconds * 1.2 + 0.001

    @pytest.mark.parametrize("value", ["0", "-5", "Wed, 21 Oct 2015 07:28:00 GMT"])
    async def test_a_wait_of_nothing_has_a_floor_or_the_client_spins(self, value: str) -> None:
        """Data Center answers `Retry-After: 0`."""
        desk = Desk(httpx.Response(429, headers={"Retry-After": value}), ok())
        await desk.ask()
        assert desk.waited >= 0.5

    @pytest.mark.parametrize("value", ["", "soon", "nan", "12 monkeys", "99999999999999999999999"])
    async def test_an_unreadable_wait_counts_as_none(self, value: str) -> None:
        headers = httpx.Headers({"X-RateLimit-Reset": value})
        assert asked_wait(headers, NOW).seconds is None

    async def test_more_than_an_hourly_quota_is_not_waited_for_inside_a_call(self) -> None:
        """Coming back early would be worse: the call fails and the host stays closed as long as asked."""
        asked = LONGEST_ASKED_WAIT * 2
        desk = Desk(httpx.Response(429, headers={"Retry-After": str(asked), "x-request-id": "t-1"}), ok())
        with pytest.raises(TransientError, match=r"429 \(request id t-1\) and asks to wait 7,800 seconds"):
            await desk.client.request("GET", "/things")
        await desk.client.request("GET", "/things")
        await desk.client.close()
        assert desk.waited >= asked

    @given(st.text(max_size=20), st.text(max_size=20))
    def test_whatever_the_headers_say_they_are_read_or_ignored(self, after: str, reset: str) -> None:
        found = asked_wait({"retry-after": after, "x-ratelimit-reset": reset}, NOW).seconds
        assert found is None or found >= 0


class TestBudget:
    async def test_one_callers_429_closes_the_host_for_all(self) -> None:
        clock = ManualClock(NOW)
        budget = RequestBudget(1_000, 1_000, 10, clock)
        budget.close_for(60)
        entered: list[float] = []
        callers = [asyncio.create_task(enter(budget, clock, entered)) for _ in range(3)]
        await settle()
        await clock.advance(59.9)
        assert entered == []
        await clock.advance(0.2)
        await asyncio.gather(*callers)
        assert entered == [60, 60, 60]

    async def test_also_for_those_who_were_waiting_for_their_place(self) -> None:
        clock = ManualClock(NOW)
        budget = RequestBudget(1_000, 1_000, 1, clock)
        entered: list[float] = []
        async with budget.slot():
            caller = asyncio.create_task(enter(budget, clock, entered))
            await settle()
            budget.close_for(60)
        await settle()
        await clock.advance(59.9)
        assert entered == []
        await clock.advance(0.2)
        await caller
        assert entered == [60]

    async def test_a_shorter_wait_never_undoes_a_longer_one(self) -> None:
        clock = AutoClock(NOW)
        budget = RequestBudget(1_000, 1_000, 1, clock)
        budget.close_for(60)
        budget.close_for(1)
        async with budget.slot():
            assert clock.monotonic() == 60

    async def test_no_more_are_in_flight_than_allowed(self) -> None:
        budget = RequestBudget(1_000, 1_000, 2, AutoClock(NOW))
        inside = most = 0

        async def call() -> None:
            nonlocal inside, most
            async with budget.slot():
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(0)
                inside -= 1

        await asyncio.gather(*(call() for _ in range(10)))
        assert most == 2

    async def test_what_comes_after_the_burst_is_held_to_the_rate(self) -> None:
        budget = RequestBudget(50, 5, 100, AutoClock(NOW))
        loop = asyncio.get_running_loop()
        began = loop.time()
        for _ in range(10):
            async with budget.slot():
                pass
        assert loop.time() - began >= 5 / 50 * 0.9

    async def test_a_place_is_given_back_by_a_caller_that_fails(self) -> None:
        budget = RequestBudget(1_000, 1_000, 1, AutoClock(NOW))
        for _ in range(2):
            with pytest.raises(OSError, match="gone"):
                async with budget.slot():
                    raise OSError("gone")


async def enter(budget: RequestBudget, clock: ManualClock, entered: list[float]) -> None:
    async with budget.slot():
        entered.append(round(clock.monotonic(), 6))


async def settle() -> None:
    """Lets every task run until it waits."""
    for _ in range(10):
        await asyncio.sleep(0)
