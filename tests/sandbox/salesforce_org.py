"""A small org in process for the specifications of the Salesforce simulator: its API and its controls."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx

from troth_sandbox.salesforce.admin import build_admin
from troth_sandbox.salesforce.api import build_api
from troth_sandbox.salesforce.clock import SettableClock
from troth_sandbox.salesforce.gateway import Gateway
from troth_sandbox.salesforce.seed import parse_seed
from troth_sandbox.salesforce.simulation import Site, open_site

DATA = "/services/data/v66.0"
HOST = "https://org.example:8443"
ROBOT = "005000000000001AAA"
EXPIRED = [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]
NOT_FOUND = [{"message": "The requested resource does not exist", "errorCode": "NOT_FOUND"}]


def deal_id(number: int) -> str:
    return f"006000000{number:06d}AAA"


def a_site(deals: int = 3, objects: dict[str, list[dict[str, Any]]] | None = None, **settings: Any) -> Site:
    """An org at noon of 2026-11-25, its clock frozen."""
    records = [
        {"Id": deal_id(number), "Name": f"Deal {number}", "StageName": "Prospecting"}
        for number in range(deals)
    ]
    users = [{"Id": ROBOT, "LastName": "Robot", "Username": "robot@example.com"}]
    document = {
        "org_id": "00D000000000001EAA",
        "objects": {"Opportunity": records, "User": users} | (objects or {}),
        "auth": {"client_id": "id", "client_secret": "secret"},
    }
    clock = SettableClock()
    clock.set(datetime(2026, 11, 25, 12, tzinfo=UTC), frozen=True)
    return open_site(parse_seed(document | settings), clock)


@dataclass(frozen=True)
class ControlledOrg:
    """A site with a client that has a session, and one for the controls."""

    site: Site
    client: httpx.AsyncClient
    admin: httpx.AsyncClient

    async def rows(self, text: str, resource: str = "query") -> list[dict[str, Any]]:
        """The records of one page."""
        response = await self.client.get(f"{DATA}/{resource}", params={"q": text})
        assert response.status_code == 200, response.text
        return list(response.json()["records"])

    async def refusal(self, text: str) -> tuple[int, str]:
        """Status and error code of a query that is refused."""
        response = await self.client.get(f"{DATA}/query", params={"q": text})
        return response.status_code, response.json()[0]["errorCode"]


@asynccontextmanager
async def controlled(site: Site) -> AsyncIterator[ControlledOrg]:
    api = httpx.ASGITransport(Gateway(build_api(site), site))
    admin = httpx.ASGITransport(build_admin(site))
    async with (
        httpx.AsyncClient(transport=api, base_url=HOST) as client,
        httpx.AsyncClient(transport=admin, base_url="http://admin.example") as controls,
    ):
        client.headers["Authorization"] = f"Bearer {site.sessions.open()}"
        yield ControlledOrg(site, client, controls)
