"""Several requests for the price of one call [composite]."""

import json
import re
from typing import Any

import httpx
from fastapi import APIRouter, Request, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from troth_sandbox.salesforce.api.calls import COMPOSITE, Prefix, Token, answer, both
from troth_sandbox.salesforce.errors import api_error

MAX_SUBREQUESTS = 25
MAX_QUERIES = 5
PASSED_ON = ("authorization", "host", "sforce-query-options")
"""Whether `Sforce-Query-Options` reaches subrequests is not documented (U); here it does."""
_QUERY = re.compile(r"/services/data/v\d+\.0/query(All)?/?\?")


def composite_routes() -> APIRouter:
    """Routes of this area."""
    router = APIRouter()
    for path in both("/services/data/{version}/composite"):
        router.add_api_route(path, composite, methods=["POST"])
    return router


async def composite(request: Request, _prefix: Prefix, _token: Token) -> Response:
    """Answer each subrequest in order; that `queryAll` is among the accepted ones is not documented (U)."""
    subrequests = _subrequests(await request.body())
    headers = {name: request.headers[name] for name in PASSED_ON if name in request.headers}
    transport = httpx.ASGITransport(_inside(request.app), raise_app_exceptions=False)
    base = f"{request.url.scheme}://{request.url.netloc}"
    async with httpx.AsyncClient(transport=transport, base_url=base, headers=headers) as client:
        return answer({"compositeResponse": [await _subresponse(client, each) for each in subrequests]})


def _inside(app: ASGIApp) -> ASGIApp:
    async def marked(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, COMPOSITE: True}, receive, send)

    return marked


def _subrequests(body: bytes) -> list[dict[str, Any]]:
    try:
        subrequests: list[dict[str, Any]] = json.loads(body)["compositeRequest"]
        queries = sum(bool(_QUERY.match(each["url"])) for each in subrequests)
    except (ValueError, KeyError, TypeError) as error:
        raise api_error("bad_json", reason=f"compositeRequest is misspelt: {error}") from error
    if len(subrequests) > MAX_SUBREQUESTS:
        raise api_error("too_many_subrequests", limit=MAX_SUBREQUESTS, what="subrequests")
    if queries > MAX_QUERIES:
        raise api_error("too_many_subrequests", limit=MAX_QUERIES, what="query subrequests")
    return subrequests


async def _subresponse(client: httpx.AsyncClient, subrequest: dict[str, Any]) -> dict[str, Any]:
    response = await client.request(subrequest.get("method", "GET"), subrequest["url"])
    return {
        "body": response.json() if response.content else None,
        "httpHeaders": {},
        "httpStatusCode": response.status_code,
        "referenceId": subrequest.get("referenceId"),
    }
