"""Requests inside a request: how composite resources ask the API itself."""

from typing import Any

import httpx
from fastapi import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from troth_sandbox.salesforce.api.calls import COMPOSITE

PASSED_ON = ("authorization", "host", "sforce-query-options")
"""Whether `Sforce-Query-Options` reaches subrequests is not documented (U); here it does."""


def inner_client(request: Request, *, counted: bool) -> httpx.AsyncClient:
    """A client with the caller's session; its requests cost nothing unless `counted`."""
    headers = {name: request.headers[name] for name in PASSED_ON if name in request.headers}
    app = request.app if counted else _free(request.app)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    base = f"{request.url.scheme}://{request.url.netloc}"
    return httpx.AsyncClient(transport=transport, base_url=base, headers=headers)


def body_of(response: httpx.Response) -> Any:
    """What a subresponse shows of a response."""
    return response.json() if response.content else None


def _free(app: ASGIApp) -> ASGIApp:
    async def marked(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, COMPOSITE: True}, receive, send)

    return marked
