"""Several requests for the price of one call [composite]; a batch is several for the price of several [batch]."""

import json
import re
from collections.abc import Mapping
from typing import Any

import httpx
from fastapi import APIRouter, Request, Response

from troth_sandbox.salesforce.api.calls import Prefix, Token, answer, both
from troth_sandbox.salesforce.api.inner import body_of, inner_client
from troth_sandbox.salesforce.errors import ApiError, api_error

MAX_SUBREQUESTS = 25
MAX_QUERIES = 5
"""Queries and collections together."""
_HEAVY = re.compile(r"/services/data/v\d+\.0/(query(All)?/?\?|composite/sobjects)")
_REFERENCE = re.compile(r"@\{([^{}]+)\}")
_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


def composite_routes() -> APIRouter:
    """Routes of this area."""
    router = APIRouter()
    for path in both("/services/data/{version}/composite"):
        router.add_api_route(path, composite, methods=["POST"])
    for path in both("/services/data/{version}/composite/batch"):
        router.add_api_route(path, batch, methods=["POST"])
    return router


async def composite(request: Request, _prefix: Prefix, _token: Token) -> Response:
    """Answer each subrequest in order; that `queryAll` is among the accepted ones is not documented (U).

    `allOrNone` stops after the first refusal; what was written before it stays, which a real org would undo.
    """
    document = await _document(request, "compositeRequest")
    subrequests = document["compositeRequest"]
    if sum(bool(_HEAVY.match(each["url"])) for each in subrequests) > MAX_QUERIES:
        raise api_error("too_many_subrequests", limit=MAX_QUERIES, what="query subrequests")
    bodies: dict[str, Any] = {}
    responses: list[dict[str, Any]] = []
    halted = False
    async with inner_client(request, counted=False) as client:
        for each in subrequests:
            response = _halted(each) if halted else await _subresponse(client, each, bodies)
            responses.append(response)
            halted = halted or (bool(document.get("allOrNone")) and response["httpStatusCode"] >= 400)
    return answer({"compositeResponse": responses})


async def batch(request: Request, _prefix: Prefix, _token: Token) -> Response:
    """Independent subrequests, each counted as a call of its own; the envelope costs nothing more (U)."""
    document = await _document(request, "batchRequests")
    results: list[dict[str, Any]] = []
    failed = False
    async with inner_client(request, counted=True) as client:
        for place, each in enumerate(document["batchRequests"]):
            if failed and document.get("haltOnError"):
                results.append({"statusCode": 412, "result": api_error("batch_halted").body})
                continue
            response = await _counted(client, request, each, first=place == 0)
            results.append({"statusCode": response.status_code, "result": body_of(response)})
            failed = failed or response.status_code >= 400
    return answer({"hasErrors": failed, "results": results})


async def _counted(
    client: httpx.AsyncClient, request: Request, subrequest: Mapping[str, Any], *, first: bool
) -> httpx.Response:
    """The envelope was counted already, so the first subrequest goes free."""
    url = "/services/data/" + str(subrequest["url"]).removeprefix("/services/data/").lstrip("/")
    method = str(subrequest.get("method", "GET"))
    if first:
        async with inner_client(request, counted=False) as free:
            return await free.request(method, url, json=subrequest.get("richInput"))
    return await client.request(method, url, json=subrequest.get("richInput"))


async def _document(request: Request, key: str) -> dict[str, Any]:
    """The body, its subrequests checked for form and number."""
    try:
        document: dict[str, Any] = json.loads(await request.body())
        subrequests = document[key]
        well_formed = all(isinstance(each["url"], str) for each in subrequests)
    except (ValueError, KeyError, TypeError) as error:
        raise api_error("bad_json", reason=f"{key} is misspelt: {error}") from error
    if not well_formed:
        raise api_error("bad_json", reason=f"{key} has a url that is no text")
    if len(subrequests) > MAX_SUBREQUESTS:
        raise api_error("too_many_subrequests", limit=MAX_SUBREQUESTS, what="subrequests")
    return document


async def _subresponse(
    client: httpx.AsyncClient, subrequest: Mapping[str, Any], bodies: dict[str, Any]
) -> dict[str, Any]:
    """One answer; `bodies` are those of the subrequests before it, by reference id."""
    try:
        url, body = _filled(subrequest["url"], bodies), _filled(subrequest.get("body"), bodies)
    except ApiError as error:
        return _shown(subrequest, error.status, error.body)
    headers = subrequest.get("httpHeaders")
    response = await client.request(subrequest.get("method", "GET"), url, json=body, headers=headers)
    shown = _shown(subrequest, response.status_code, body_of(response))
    if location := response.headers.get("location"):
        shown["httpHeaders"] = {"Location": location}
    if response.status_code < 400:
        bodies[str(subrequest.get("referenceId"))] = shown["body"]
    return shown


def _shown(subrequest: Mapping[str, Any], status: int, body: object) -> dict[str, Any]:
    return {
        "body": body,
        "httpHeaders": {},
        "httpStatusCode": status,
        "referenceId": subrequest.get("referenceId"),
    }


def _halted(subrequest: Mapping[str, Any]) -> dict[str, Any]:
    error = api_error("rolled_back")
    return _shown(subrequest, error.status, error.body)


def _filled(value: Any, bodies: Mapping[str, Any]) -> Any:
    """`value` with each `@{reference.path}` replaced from an earlier answer. Raises ApiError without such a value."""
    if isinstance(value, dict):
        return {key: _filled(each, bodies) for key, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, bodies) for each in value]
    if not isinstance(value, str):
        return value
    whole = _REFERENCE.fullmatch(value)
    if whole:
        return _referenced(whole.group(1), bodies)
    return _REFERENCE.sub(lambda match: str(_referenced(match.group(1), bodies)), value)


def _referenced(path: str, bodies: Mapping[str, Any]) -> Any:
    found: Any = bodies
    try:
        for name, index in _STEP.findall(path):
            found = found[int(index)] if index else found[name]
    except (KeyError, IndexError, TypeError):
        raise api_error("no_reference", path=path) from None
    return found
