"""Time as a port: the manual clock keeps the promises of the real one, and moves only when told."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from troth_chassis.clock import AutoClock, Clock, ManualClock, SystemClock

START = datetime(2026, 10, 1, 12, tzinfo=UTC)
PATIENCE = 5.0


@pytest.fixture(params=["system", "manual", "auto"])
def clock(request: pytest.FixtureRequest) -> Clock:
    clocks: dict[str, Clock] = {
        "system": SystemClock(),
        "manual": ManualClock(START),
        "auto": AutoClock(START),
    }
    return clocks[request.param]


@pytest.fixture(params=["system", "manual"])
def waiting_clock(request: pytest.FixtureRequest) -> Clock:
    """A clock on which a sleeper really waits."""
    return SystemClock() if request.param == "system" else ManualClock(START)


async def pass_time(clock: Clock, seconds: float) -> None:
    """Lets `seconds` pass on whichever clock it is."""
    if isinstance(clock, ManualClock):
        await clock.advance(seconds)
    else:
        await clock.sleep(seconds)


class TestEveryClock:
    def test_tells_utc(self, clock: Clock) -> None:
        assert clock.now().utcoffset() == timedelta(0)

    async def test_moves_both_its_hands_by_what_has_passed(self, clock: Clock) -> None:
        wall, steady = clock.now(), clock.monotonic()
        await pass_time(clock, 0.02)
        assert clock.monotonic() - steady >= 0.019
        assert clock.now() - wall >= timedelta(seconds=0.019)

    @pytest.mark.parametrize("seconds", [0.0, -1.0])
    async def test_does_not_wait_for_a_time_that_is_over(self, clock: Clock, seconds: float) -> None:
        async with asyncio.timeout(PATIENCE):
            await clock.sleep(seconds)

    async def test_lets_a_sleeper_be_cancelled(self, waiting_clock: Clock) -> None:
        sleeper = asyncio.create_task(waiting_clock.sleep(3_600))
        await asyncio.sleep(0)
        sleeper.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sleeper
        await pass_time(waiting_clock, 0.01)

    async def test_wakes_sleepers_in_the_order_of_their_time(self, waiting_clock: Clock) -> None:
        woken: list[str] = []

        async def sleeper(name: str, seconds: float) -> None:
            await waiting_clock.sleep(seconds)
            woken.append(name)

        sleepers = [asyncio.create_task(sleeper(*each)) for each in (("late", 0.05), ("early", 0.01))]
        await asyncio.sleep(0)
        await pass_time(waiting_clock, 0.1)
        await asyncio.gather(*sleepers)
        assert woken == ["early", "late"]


class TestManualClock:
    async def test_stands_still_until_told(self) -> None:
        clock = ManualClock(START)
        sleeper = asyncio.create_task(clock.sleep(10))
        await asyncio.sleep(0)
        await clock.advance(9.9)
        assert not sleeper.done()
        await clock.advance(0.1)
        await sleeper
        assert clock.now() == START + timedelta(seconds=10)

    async def test_a_sleeper_sees_its_own_time_when_woken_by_a_long_step(self) -> None:
        clock = ManualClock(START)
        seen: list[float] = []

        async def every_ten_seconds() -> None:
            for _ in range(3):
                await clock.sleep(10)
                seen.append(clock.monotonic())

        task = asyncio.create_task(every_ten_seconds())
        await asyncio.sleep(0)
        await clock.advance(60)
        await task
        assert seen == [10, 20, 30]

    async def test_remembers_what_was_asked_of_it(self) -> None:
        clock = AutoClock(START)
        await clock.sleep(3)
        await clock.sleep(5)
        assert (clock.slept, clock.monotonic()) == ([3, 5], 8)
