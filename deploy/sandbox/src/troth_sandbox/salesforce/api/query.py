"""query, queryAll and the pages that follow."""

import re
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request, Response

from troth_sandbox.salesforce.access import Source
from troth_sandbox.salesforce.api.calls import Prefix, Seen, Simulated, Token, answer, both
from troth_sandbox.salesforce.errors import api_error
from troth_sandbox.salesforce.sessions import Cursor
from troth_sandbox.salesforce.simulation import Site
from troth_sandbox.salesforce.soql import parse, run

DEFAULT_BATCH = MAX_BATCH = 2_000
MIN_BATCH = 200
_BATCH_SIZE = re.compile(r"batchSize\s*=\s*(\d+)", re.IGNORECASE)
_LOCATOR = re.compile(r"(\w{15,18})-(\d+)")


def query_routes() -> APIRouter:
    """Routes of this area; `query/` answers itself, because simple-salesforce asks it and follows no redirect."""
    router = APIRouter()
    for resource, endpoint in (("query", query), ("queryAll", query_all)):
        for path in both(f"/services/data/{{version}}/{resource}"):
            router.add_api_route(path, endpoint)
        for path in both(f"/services/data/{{version}}/{resource}/{{locator}}"):
            router.add_api_route(path, more)
    return router


async def query(request: Request, site: Simulated, source: Seen, prefix: Prefix, token: Token) -> Response:
    """Rows that are not deleted."""
    return answer(_first_page(request, site, source, prefix, token, include_deleted=False))


async def query_all(
    request: Request, site: Simulated, source: Seen, prefix: Prefix, token: Token
) -> Response:
    """Rows including those in the recycle bin."""
    return answer(_first_page(request, site, source, prefix, token, include_deleted=True))


async def more(locator: str, site: Simulated, source: Seen, prefix: Prefix, token: Token) -> Response:
    """The next page. Both spellings of the resource work for both kinds of query [qam]."""
    match = _LOCATOR.fullmatch(locator)
    cursor = site.cursors.find(match.group(1), token) if match else None
    if match is None or cursor is None:
        raise api_error("unknown_locator")
    return answer(_page(source, cursor, match.group(1), int(match.group(2)), prefix))


def _first_page(
    request: Request, site: Site, source: Source, prefix: str, token: str, *, include_deleted: bool
) -> dict[str, Any]:
    text = request.query_params.get("q", "")
    if not text.strip():
        raise api_error("no_query")
    query = parse(text)
    result = run(source, query, include_deleted=include_deleted, prefix=prefix)
    site.slow_queries.check(query, result.rows)
    if not result.ids:
        return {"totalSize": result.total, "done": True, "records": list(result.records)}
    size = _batch_size(request.headers.get("sforce-query-options", ""))
    # The pages show the values of their time, so the rows of now need not be kept.
    locator, cursor = site.cursors.open(
        token, replace(result, rows=()), size, include_deleted=include_deleted
    )
    return _page(source, cursor, locator, 0, prefix)


def _page(source: Source, cursor: Cursor, locator: str, start: int, prefix: str) -> dict[str, Any]:
    """One page: the ids of query time with the values of now; rows that went away meanwhile are left out (U)."""
    table = source.table(cursor.result.object)
    end = start + cursor.batch_size
    rows = (table.get(row_id) for row_id in cursor.result.ids[start:end])
    records = [
        cursor.result.render(row)
        for row in rows
        if row is not None and (cursor.include_deleted or not row.get("IsDeleted"))
    ]
    done = end >= len(cursor.result.ids)
    page: dict[str, Any] = {"totalSize": cursor.result.total, "done": done}
    if not done:
        # After queryAll the URL says `query` too [qam].
        page["nextRecordsUrl"] = f"{prefix}/query/{locator}-{end}"
    return page | {"records": records}


def _batch_size(header: str) -> int:
    """The size asked for in `Sforce-Query-Options`, within the vendor's bounds [q-opts]."""
    match = _BATCH_SIZE.search(header)
    return max(MIN_BATCH, min(MAX_BATCH, int(match.group(1)))) if match else DEFAULT_BATCH
