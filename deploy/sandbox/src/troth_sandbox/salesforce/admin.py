"""The controls of the simulator, on a port of their own in plain HTTP."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Any

from fastapi import Body, Depends, FastAPI, HTTPException, Response
from fastapi.responses import StreamingResponse

from troth_sandbox.salesforce.clock import parse_moment, stamp
from troth_sandbox.salesforce.controls.arguments import Document, Held, ObjectName, settled
from troth_sandbox.salesforce.controls.life import life_controls
from troth_sandbox.salesforce.controls.limits import limit_controls
from troth_sandbox.salesforce.controls.schema import schema_controls
from troth_sandbox.salesforce.controls.sessions import session_controls
from troth_sandbox.salesforce.controls.transactions import transaction_controls
from troth_sandbox.salesforce.ids import long_id
from troth_sandbox.salesforce.simulation import Site
from troth_sandbox.salesforce.values import Row

RECYCLE_BIN = timedelta(days=15)
"""How long a deleted row can be brought back; looked at whenever the clock is set."""
PIECE = 500
"""Rows told at a time."""


def build_admin(site: Site) -> FastAPI:
    """The admin application over one site; its own pages are at /docs."""
    app = FastAPI(title="Salesforce simulator: controls", dependencies=[Depends(settled)])
    app.state.site = site
    for method, path, endpoint in (
        ("POST", "/admin/records/{name}", write),
        ("DELETE", "/admin/records/{name}/{row_id}", delete),
        ("POST", "/admin/undelete/{name}/{row_id}", undelete),
        ("POST", "/admin/faults", add_faults),
        ("DELETE", "/admin/faults", clear_faults),
        ("GET", "/admin/truth/{name}", truth),
        ("GET", "/admin/deleted/{name}", deleted),
        ("GET", "/admin/journal", journal),
        ("DELETE", "/admin/journal", clear_journal),
        ("GET", "/admin/clock", read_clock),
        ("POST", "/admin/clock", set_clock),
    ):
        app.add_api_route(path, endpoint, methods=[method])
    for controls in (transaction_controls, session_controls, limit_controls, life_controls, schema_controls):
        app.include_router(controls())
    return app


async def write(name: ObjectName, fields: Document, site: Held, stamp: str | None = None) -> dict[str, Any]:
    """Insert a record, or update it when its Id is known; `stamp` forces SystemModstamp, else the clock gives it."""
    _check_lock(site, str(fields.get("Id")))
    try:
        return dict(site.org.write(name, fields, at=_stamp(stamp)))
    except ValueError as error:
        raise HTTPException(422, str(error)) from error


async def delete(name: ObjectName, row_id: str, site: Held, *, hard: bool = False) -> dict[str, Any]:
    """Delete a record and what cascades from it; `hard` skips or empties the recycle bin."""
    _check_lock(site, row_id)
    if not site.org.delete(name, long_id(row_id), hard=hard):
        raise HTTPException(404, f"{name} {row_id} is not there")
    return {"deleted": long_id(row_id), "hard": hard}


async def undelete(name: ObjectName, row_id: str, site: Held) -> dict[str, Any]:
    """Take a record and what went with it out of the recycle bin."""
    _check_lock(site, row_id)
    if not site.org.undelete(name, long_id(row_id)):
        raise HTTPException(404, f"{name} {row_id} is not in the recycle bin")
    return dict(site.org.table(name).get(long_id(row_id)) or {})


async def add_faults(documents: Annotated[list[dict[str, Any]], Body()], site: Held) -> dict[str, int]:
    """Add faults; see faults.py for their meaning."""
    try:
        return {"faults": site.faults.add(documents)}
    except ValueError as error:
        raise HTTPException(422, str(error)) from error


async def clear_faults(site: Held) -> dict[str, int]:
    """Let everything work again."""
    site.faults.clear()
    return {"faults": 0}


async def truth(
    name: ObjectName, site: Held, *, visible: bool = False, user: str | None = None, fields: str | None = None
) -> Response:
    """Every row as it is, with the recycle bin; `visible` or a `user`: only rows and fields that user may see.

    `fields` (with commas) leaves the other ones out.
    """
    view = site.access.view(long_id(user or site.org.user_id)) if visible or user else site.org
    kind = view.schema.get(name)
    names = [each for each in kind.fields if fields is None or each in fields.split(",")] if kind else []
    # The rows are taken now, so that one moment is told however long it takes.
    rows = list(view.table(name)) if kind else []
    return StreamingResponse(_json_list(rows, names), media_type="application/json")


async def _json_list(rows: Sequence[Row], names: Sequence[str]) -> AsyncIterator[str]:
    yield "["
    for start in range(0, len(rows), PIECE):
        records = ({name: row[name] for name in names} for row in rows[start : start + PIECE])
        yield ("," if start else "") + ",".join(map(json.dumps, records))
        await asyncio.sleep(0)
    yield "]"


async def deleted(name: ObjectName, site: Held) -> Mapping[str, str]:
    """The deleted log: id to stamp."""
    return site.org.deletions(name)


async def journal(site: Held) -> list[dict[str, Any]]:
    """Every request the API port received, oldest first."""
    return [entry.as_json() for entry in site.journal]


async def clear_journal(site: Held) -> dict[str, int]:
    """Forget the requests so far."""
    site.journal.clear()
    return {"entries": 0}


async def read_clock(site: Held) -> dict[str, str]:
    """The simulated time."""
    return {"now": stamp(site.clock.now())}


async def set_clock(document: Document, site: Held) -> dict[str, str]:
    """Jump to `now` (kept there when `frozen`), or move by `advance_seconds`."""
    try:
        if "now" in document:
            site.clock.set(parse_moment(document["now"]), frozen=bool(document.get("frozen", False)))
        site.clock.advance(timedelta(seconds=float(document.get("advance_seconds", 0))))
    except (ValueError, TypeError, AttributeError) as error:
        raise HTTPException(422, f"the clock cannot be set: {error}") from error
    for kind in site.org.schema:
        site.org.empty_recycle_bin(kind.name, site.clock.now() - RECYCLE_BIN)
    return {"now": stamp(site.clock.now())}


def _check_lock(site: Site, row_id: str) -> None:
    if site.transactions.locked(long_id(row_id)):
        raise HTTPException(409, f"{row_id} is locked by an open transaction")


def _stamp(text: str | None) -> str | None:
    return stamp(parse_moment(text)) if text else None
