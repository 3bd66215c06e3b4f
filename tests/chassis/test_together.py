"""Work side by side ends as one: nothing of it goes on behind the back of whoever deals with an error."""

from __future__ import annotations

import asyncio

import pytest

from troth_chassis.together import together


async def test_results_come_in_the_order_of_the_work() -> None:
    async def after(seconds: float, what: str) -> str:
        await asyncio.sleep(seconds)
        return what

    assert await together(after(0.01, "slow"), after(0, "fast")) == ["slow", "fast"]


async def test_the_first_error_ends_the_rest_before_it_is_raised() -> None:
    ended: list[str] = []

    async def going_on() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append("cleaned up")

    async def failing() -> None:
        await asyncio.sleep(0)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await together(going_on(), failing())
    assert ended == ["cleaned up"]
