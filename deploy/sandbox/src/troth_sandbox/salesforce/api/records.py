"""Objects, their descriptions, and single records."""

from datetime import datetime
from email.utils import parsedate_to_datetime

from fastapi import APIRouter, Request, Response

from troth_sandbox.salesforce.api.calls import Prefix, Seen, answer, both, object_type, own_url
from troth_sandbox.salesforce.clock import http_date
from troth_sandbox.salesforce.describe import description, summary
from troth_sandbox.salesforce.errors import api_error
from troth_sandbox.salesforce.ids import long_id
from troth_sandbox.salesforce.schema import ObjectType


def record_routes() -> APIRouter:
    """Routes of this area."""
    router = APIRouter()
    for path, endpoint in (
        ("", global_describe),
        ("/{name}", object_info),
        ("/{name}/describe", describe),
        ("/{name}/{row_id}", record),
    ):
        for spelling in both(f"/services/data/{{version}}/sobjects{path}"):
            router.add_api_route(spelling, endpoint)
    return router


async def global_describe(source: Seen, prefix: Prefix) -> Response:
    """All objects of the org."""
    kinds = [summary(kind, prefix) for kind in source.schema]
    return answer({"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": kinds})


async def object_info(name: str, source: Seen, prefix: Prefix) -> Response:
    """One object in short; recent items are always empty here."""
    return answer({"objectDescribe": summary(object_type(source, name), prefix), "recentItems": []})


async def describe(name: str, request: Request, source: Seen, prefix: Prefix) -> Response:
    """One object in full; 304 when nothing changed since `If-Modified-Since`."""
    kind = object_type(source, name)
    changed = source.changed(kind.name)
    headers = {"Last-Modified": http_date(changed)}
    since = _moment(request.headers.get("if-modified-since", ""))
    if since is not None and changed.replace(microsecond=0) <= since:
        return Response(status_code=304, headers=headers)
    return answer(description(source, kind, prefix, own_url(request)), headers=headers)


async def record(name: str, row_id: str, request: Request, source: Seen, prefix: Prefix) -> Response:
    """One record, whole or the `fields` asked for; a deleted one is not there any more."""
    kind = object_type(source, name)
    row = source.table(kind.name).get(long_id(row_id))
    if row is None:
        raise api_error("not_found")
    if row.get("IsDeleted"):
        raise api_error("deleted")
    asked = request.query_params.get("fields")
    names = _columns(kind, asked.split(",")) if asked else list(kind.fields)
    url = f"{prefix}/sobjects/{kind.name}/{row['Id']}"
    return answer({"attributes": {"type": kind.name, "url": url}} | {each: row[each] for each in names})


def _columns(kind: ObjectType, names: list[str]) -> list[str]:
    columns = []
    for name in names:
        field = kind.field(name.strip())
        if field is None:
            raise api_error("unknown_column", name=name.strip(), object=kind.name)
        columns.append(field.name)
    return columns


def _moment(text: str) -> datetime | None:
    try:
        return parsedate_to_datetime(text)
    except ValueError:
        return None
