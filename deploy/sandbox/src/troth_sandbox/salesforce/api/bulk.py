"""Bulk API 2.0 query jobs over HTTP [bulk-res]."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from troth_sandbox.salesforce.api.calls import Called, Prefix, Seen, Simulated, Token, answer, both
from troth_sandbox.salesforce.bulk import DELIMITERS, LINE_ENDINGS, Job, locator, position
from troth_sandbox.salesforce.csv_page import csv_page
from troth_sandbox.salesforce.errors import api_error
from troth_sandbox.salesforce.simulation import Site
from troth_sandbox.salesforce.soql import parse, run

OPERATIONS = ("query", "queryAll")


def bulk_routes() -> APIRouter:
    """Routes of this area."""
    router = APIRouter()
    for path, endpoint, method in (
        ("", create, "POST"),
        ("", listing, "GET"),
        ("/{job_id}", info, "GET"),
        ("/{job_id}", change, "PATCH"),
        ("/{job_id}", delete, "DELETE"),
        ("/{job_id}/results", results, "GET"),
    ):
        for spelling in both(f"/services/data/{{version}}/jobs/query{path}"):
            router.add_api_route(spelling, endpoint, methods=[method])
    return router


async def create(request: Request, site: Simulated, source: Seen, prefix: Prefix, called: Called) -> Response:
    """A new job; what it reads is as of now."""
    options = await _document(request)
    if options.get("operation") not in OPERATIONS or options.get("contentType", "CSV") != "CSV":
        raise api_error(
            "bad_json", reason="a query job needs operation query or queryAll and contentType CSV"
        )
    query = parse(str(options.get("query", "")))
    if query.aggregates or query.group or query.count_only or query.offset:
        raise api_error("not_in_bulk")
    include_deleted = options["operation"] == "queryAll"
    result = run(source, query, include_deleted=include_deleted, prefix=prefix)
    version = prefix.rpartition("/v")[2]
    return answer(site.jobs.create(version, called.user_id, options, result).created_json())


async def listing(site: Simulated, _prefix: Prefix, _token: Token) -> Response:
    """All jobs, in one page."""
    now = site.clock.now()
    jobs = [job.as_json(now) for job in site.jobs]
    return answer({"done": True, "records": jobs, "nextRecordsUrl": None})


async def info(job_id: str, site: Simulated, _prefix: Prefix, _token: Token) -> Response:
    """One job."""
    return answer(site.jobs.find(job_id).as_json(site.clock.now()))


async def change(job_id: str, request: Request, site: Simulated, _prefix: Prefix, _token: Token) -> Response:
    """Abort a job."""
    job = site.jobs.find(job_id)
    if (await _document(request)).get("state") != "Aborted":
        raise api_error("bad_json", reason="state can only become Aborted")
    site.jobs.abort(job)
    return answer(job.as_json(site.clock.now()))


async def delete(job_id: str, site: Simulated, _prefix: Prefix, _token: Token) -> Response:
    """Forget a job and its results."""
    site.jobs.delete(site.jobs.find(job_id))
    return Response(status_code=204)


async def results(job_id: str, request: Request, site: Simulated, prefix: Prefix, _token: Token) -> Response:
    """A page of a finished job; a locator can be read again as long as the job is kept."""
    job = _finished(site, job_id, prefix)
    rows = job.result.rows
    start = position(request.query_params["locator"], len(rows)) if "locator" in request.query_params else 0
    end = min(start + _page_rows(site, request), len(rows))
    delimiter, line_ending = DELIMITERS[job.delimiter], LINE_ENDINGS[job.line_ending]
    page = csv_page(job.result.columns, rows[start:end], delimiter, line_ending)
    headers = {
        "Sforce-Locator": "null" if end >= len(rows) else locator(end),
        "Sforce-NumberOfRecords": str(end - start),
    }
    return StreamingResponse(_yielding(page), headers=headers, media_type="text/csv;charset=UTF-8")


async def _yielding(page: Iterator[str]) -> AsyncIterator[bytes]:
    """Piece by piece, with a turn for the other requests between two pieces."""
    for piece in page:
        yield piece.encode()
        await asyncio.sleep(0)


def _finished(site: Site, job_id: str, prefix: str) -> Job:
    job = site.jobs.find(job_id)
    if not prefix.endswith(f"/v{job.version}"):
        raise api_error("job_version", version=job.version)
    state = job.state(site.clock.now())
    if state != "JobComplete":
        raise api_error("job_state", state=state, wanted="read")
    return job


def _page_rows(site: Site, request: Request) -> int:
    asked = request.query_params.get("maxRecords", "")
    if asked and (not asked.isdigit() or int(asked) < 1):
        raise api_error("bad_json", reason=f"maxRecords cannot be {asked}")
    return min(int(asked), site.jobs.page_rows) if asked else site.jobs.page_rows


async def _document(request: Request) -> dict[str, Any]:
    try:
        document: Any = json.loads(await request.body())
    except ValueError as error:
        raise api_error("bad_json", reason=str(error)) from error
    if not isinstance(document, dict):
        raise api_error("bad_json", reason="a job is a JSON object")
    return document
