"""One attempt at a receiver, whatever it does."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from tests.risk_engine.company import NOW
from tests.risk_engine.engine import SECRET, URL

from risk_engine.deliver import webhook
from risk_engine.deliver.webhook import Answer, WebhookSender
from troth_chassis.clock import ManualClock
from troth_chassis.guard import guarded_transport


class Drip(httpx.AsyncByteStream):
    """An answer that never ends."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            yield b"drop "
            await asyncio.sleep(0)


async def send(transport: httpx.AsyncBaseTransport, url: str = URL) -> Answer:
    sender = WebhookSender(url, SECRET, ManualClock(NOW), transport)
    try:
        return await sender.send("alert-1", {"type": "alert.firing"})
    finally:
        await sender.close()


async def test_an_endless_answer_is_read_only_so_far() -> None:
    answer = await send(httpx.MockTransport(lambda _request: httpx.Response(500, stream=Drip())))
    assert not answer.delivered
    assert len(answer.text) <= webhook.LONGEST_ANSWER + len("500 ")


async def test_a_receiver_that_answers_by_the_drop_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(_request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    monkeypatch.setattr(webhook, "TIMEOUT_SECONDS", 0.01)
    answer = await send(httpx.MockTransport(never))
    assert answer == Answer(delivered=False, text="no whole answer within 0.01 s")


async def test_redirects_are_not_followed() -> None:
    asked: list[str] = []

    def redirect(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(302, headers={"location": "https://inside.test/"})

    answer = await send(httpx.MockTransport(redirect))
    assert (answer.delivered, asked) == (False, [URL])


async def test_a_receiver_inside_the_network_is_never_reached() -> None:
    answer = await send(guarded_transport(), "https://127.0.0.1:9/")
    assert not answer.delivered
    assert "127.0.0.1" in answer.text
