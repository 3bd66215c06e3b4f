"""Carrying webhook deliveries to their addresses, as soon as the simulated clock has reached them."""

import asyncio

import httpx

from troth_sandbox.jira.hooks import on_loopback
from troth_sandbox.jira.outbox import Delivery
from troth_sandbox.jira.site import Site

AT_ONCE = 20
TIMEOUT_S = 10.0
_LOOK_EVERY_S = 0.05


class Courier:
    """Sends what the outbox of a site has due; `client` must not follow redirects."""

    def __init__(self, site: Site, client: httpx.AsyncClient) -> None:
        self._site = site
        self._client = client
        self._places = asyncio.Semaphore(AT_ONCE)
        self._turn = asyncio.Lock()

    async def deliver_due(self) -> int:
        """Send everything that is due now and wait for the answers; how many were sent."""
        async with self._turn:
            due = self._site.outbox.due(self._site.settle())
            await asyncio.gather(*map(self._deliver, due))
            return len(due)

    async def run(self) -> None:
        """Deliver until cancelled."""
        while True:
            await self.deliver_due()
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _deliver(self, delivery: Delivery) -> None:
        async with self._places:
            status, error = await self._send(delivery)
        self._site.outbox.answered(delivery, self._site.clock.now(), status, error)

    async def _send(self, delivery: Delivery) -> tuple[int | None, str]:
        if not on_loopback(delivery.hook.url):
            return None, "not an address of this machine"
        headers = delivery.headers(signed=not self._site.store.data_center)
        try:
            answer = await self._client.post(delivery.hook.url, content=delivery.body, headers=headers)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            return None, type(error).__name__
        return answer.status_code, ""
