"""getUpdated and getDeleted: which ids changed or went away in a window of time [getupd] [getdel]."""

from datetime import datetime, timedelta

from fastapi import APIRouter, Request, Response

from troth_sandbox.salesforce.access import Source
from troth_sandbox.salesforce.api.calls import Prefix, Seen, Simulated, answer, both, object_type
from troth_sandbox.salesforce.clock import minute, parse_moment, stamp
from troth_sandbox.salesforce.errors import ApiError, api_error
from troth_sandbox.salesforce.schema import ObjectType
from troth_sandbox.salesforce.simulation import Site
from troth_sandbox.salesforce.time_index import SECOND

UPDATED_DAYS = timedelta(days=30)
DELETED_DAYS = timedelta(days=15)
SHORTEST = timedelta(minutes=1)


def replication_routes() -> APIRouter:
    """Routes of this area."""
    router = APIRouter()
    for path in both("/services/data/{version}/sobjects/{name}/updated"):
        router.add_api_route(path, updated)
    for path in both("/services/data/{version}/sobjects/{name}/deleted"):
        router.add_api_route(path, deleted)
    return router


async def updated(name: str, request: Request, site: Simulated, source: Seen, _prefix: Prefix) -> Response:
    """Ids of rows created or changed in the window."""
    kind = _replicateable(source, name)
    start, end = _window(request, site, UPDATED_DAYS)
    # The end is a whole minute; a second too many is left out below.
    rows = source.table(kind.name).dated("SystemModstamp", start[:SECOND], end[:SECOND]) or ()
    ids = [
        row["Id"] for row in rows if start <= str(row["SystemModstamp"]) < end and not row.get("IsDeleted")
    ]
    return answer({"ids": ids, "latestDateCovered": _covered(site, end)})


async def deleted(name: str, request: Request, site: Simulated, source: Seen, _prefix: Prefix) -> Response:
    """Ids of rows deleted in the window, hard deletes included; how far back the log goes."""
    kind = _replicateable(source, name)
    start, end = _window(request, site, DELETED_DAYS)
    horizon = max(stamp(minute(site.clock.now() - DELETED_DAYS)), site.org.pruned or "")
    if start < horizon:
        raise _refuse(f"startDate before {horizon} is not available")
    log = source.deletions(kind.name)
    gone = [{"deletedDate": at, "id": row_id} for row_id, at in log.items() if start <= at < end]
    covered = _covered(site, end)
    return answer({"deletedRecords": gone, "earliestDateAvailable": horizon, "latestDateCovered": covered})


def _covered(site: Site, end: str) -> str:
    """The end of the window, but nothing after the stamp of the oldest open transaction [ldc]."""
    oldest = site.transactions.oldest()
    return end if oldest is None else min(end, stamp(oldest))


def _replicateable(source: Source, name: str) -> ObjectType:
    kind = object_type(source, name)
    if "replicateable" not in kind.traits:
        raise api_error("not_replicateable", object=kind.name)
    return kind


def _window(request: Request, site: Site, reach: timedelta) -> tuple[str, str]:
    """Start and end in whole minutes, because seconds are ignored [poll]; no window ends in the future."""
    now = site.clock.now()
    start, asked = _moment(request, "start"), _moment(request, "end")
    if minute(asked) - minute(start) < SHORTEST:
        raise _refuse("startDate must be at least one minute before endDate")
    if start < now - reach:
        raise _refuse(f"startDate before {stamp(minute(now - reach))} is not available")
    return stamp(minute(start)), stamp(minute(min(asked, now)))


def _moment(request: Request, name: str) -> datetime:
    text = request.query_params.get(name)
    if not text:
        raise api_error("missing_argument", name=name)
    try:
        return parse_moment(text)
    except ValueError:
        raise _refuse(f"{name} is not a date: {text}") from None


def _refuse(reason: str) -> ApiError:
    return api_error("replication_window", reason=reason)
