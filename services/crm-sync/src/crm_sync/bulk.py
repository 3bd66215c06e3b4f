"""Bulk API 2.0 query jobs: made, watched, and read page by page.

https://developer.salesforce.com/docs/atlas.en-us.254.0.api_asynch.meta/api_asynch/query_get_job_results.htm
A job's results are not tied to the session that made it, so a renewed token goes on where the old one stopped.
"""

from __future__ import annotations

import tempfile
from typing import IO

import httpx

from crm_sync.direct import Call, DirectClient
from crm_sync.errors import JobLost, LocatorLost, QueryRefused, SalesforceUnavailable, SchemaChanged
from crm_sync.patience import Patience
from crm_sync.salesforce import JobPage, JobState
from crm_sync.soql import Query
from crm_sync.tokens import Token

IN_MEMORY = 8 * 1024 * 1024
"""Bytes of a page that stay in memory; the rest goes to a temporary file."""
_GONE = (SchemaChanged, LocatorLost, QueryRefused)
"""What a forgotten job, a wrong locator and another API version (409) are answered with."""


class BulkJobs:
    """The resource /jobs/query."""

    def __init__(self, direct: DirectClient, patience: Patience) -> None:
        self._direct = direct
        self._patience = patience
        self._path = f"{direct.connection.prefix}/jobs/query"

    async def start(self, query: Query) -> str:
        """Id of a new job; deleted rows included."""
        body = {"operation": "queryAll", "query": str(query), "contentType": "CSV", "lineEnding": "LF"}
        call = Call("bulk-job", "POST", self._path, body)

        async def once(token: Token) -> str:
            told, _ = await self._direct.json(token, call)
            return _text(told, "id")

        return await self._patience.refreshing(once)

    async def state(self, job_id: str) -> JobState:
        """How far a job is."""
        call = Call("bulk-state", "GET", f"{self._path}/{job_id}")

        async def once(token: Token) -> JobState:
            told, _ = await self._direct.json(token, call)
            return read_state(told)

        try:
            return await self._patience.refreshing(once)
        except _GONE as error:
            raise JobLost(f"bulk job {job_id}: {error}") from error

    async def page(self, job_id: str, locator: str | None, rows: int) -> JobPage:
        """A page of the result, which is complete when it is returned."""
        params = {"maxRecords": str(rows)} | ({"locator": locator} if locator else {})
        call = Call("bulk-page", "GET", f"{self._path}/{job_id}/results", params=params)

        async def once(token: Token) -> JobPage:
            async with self._direct.stream(token, call) as response:
                return await _page(response)

        try:
            return await self._patience.refreshing(once)
        except _GONE as error:
            raise JobLost(f"bulk job {job_id}: {error}") from error


def read_state(told: object) -> JobState:
    """The state of a job document."""
    state = _text(told, "state")
    if state in {"Failed", "Aborted"}:
        why = told.get("errorMessage") if isinstance(told, dict) else None
        return JobState(done=False, failed=f"{state}: {why or 'no reason given'}")
    rows = told.get("numberRecordsProcessed") if isinstance(told, dict) else None
    return JobState(done=state == "JobComplete", rows=rows if isinstance(rows, int) else None)


async def _page(response: httpx.Response) -> JobPage:
    """Kept as it arrives; SalesforceUnavailable for a page of something else, such as a maintenance notice."""
    locator, rows = response.headers.get("Sforce-Locator"), response.headers.get("Sforce-NumberOfRecords", "")
    if not response.headers.get("Content-Type", "").startswith("text/csv") or not rows.isdigit():
        raise SalesforceUnavailable("the answer is not a page of a bulk job")
    file: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115  (its reader closes it)
    try:
        async for chunk in response.aiter_bytes():
            file.write(chunk)
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return JobPage(file, int(rows), None if locator in {None, "", "null"} else locator)


def _text(told: object, name: str) -> str:
    value = told.get(name) if isinstance(told, dict) else None
    if not isinstance(value, str):
        raise SalesforceUnavailable(f"the answer is not a bulk job: it has no {name}")
    return value
