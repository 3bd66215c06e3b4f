"""Clients of a Jira site that lives in the test's own process. A test file brings its ``site``."""

from collections.abc import AsyncIterator

import httpx
import pytest

from troth_sandbox.jira import sample
from troth_sandbox.jira.app import admin_api, api
from troth_sandbox.jira.site import Site


@pytest.fixture
async def jira(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=api(site))
    auth = (sample.EMAIL, sample.TOKEN)
    async with httpx.AsyncClient(transport=transport, base_url="http://jira.test", auth=auth) as client:
        yield client


@pytest.fixture
async def admin(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=admin_api(site))
    async with httpx.AsyncClient(transport=transport, base_url="http://admin.test/admin") as client:
        yield client
