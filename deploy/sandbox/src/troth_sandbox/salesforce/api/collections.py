"""Many records of one object in one call; a missing one is null at its place [coll-ret]."""

import json
from typing import Any

from fastapi import APIRouter, Request, Response

from troth_sandbox.salesforce.access import Source
from troth_sandbox.salesforce.api.calls import Prefix, Seen, answer, both, object_type
from troth_sandbox.salesforce.errors import api_error
from troth_sandbox.salesforce.ids import long_id
from troth_sandbox.salesforce.schema import ObjectType

MAX_BY_BODY = 2_000
MAX_BY_URL = 800
"""More ids than this do not fit into a URL."""


def collection_routes() -> APIRouter:
    """Routes of this area."""
    router = APIRouter()
    for path in both("/services/data/{version}/composite/sobjects/{name}"):
        router.add_api_route(path, by_url, methods=["GET"])
        router.add_api_route(path, by_body, methods=["POST"])
    return router


async def by_url(name: str, request: Request, source: Seen, prefix: Prefix) -> Response:
    """Records by `ids` and `fields`, both lists with commas."""
    kind = object_type(source, name)
    ids, fields = (request.query_params.get(each, "") for each in ("ids", "fields"))
    return answer(_found(source, kind, prefix, _words(ids), _words(fields), MAX_BY_URL))


async def by_body(name: str, request: Request, source: Seen, prefix: Prefix) -> Response:
    """Records by `ids` and `fields` of the body."""
    kind = object_type(source, name)
    try:
        document: dict[str, Any] = json.loads(await request.body())
        ids, fields = list(map(str, document["ids"])), list(map(str, document["fields"]))
    except (ValueError, KeyError, TypeError) as error:
        raise api_error("bad_json", reason=f"the body needs ids and fields: {error}") from error
    return answer(_found(source, kind, prefix, ids, fields, MAX_BY_BODY))


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _found(
    source: Source, kind: ObjectType, prefix: str, ids: list[str], names: list[str], limit: int
) -> list[dict[str, Any] | None]:
    if not ids or not names:
        raise api_error("missing_argument", name="fields" if ids else "ids")
    if len(ids) > limit:
        raise api_error("too_many_records", limit=limit)
    columns = dict.fromkeys([column(kind, name) for name in names])
    return [_record(source, kind, prefix, long_id(row_id), list(columns)) for row_id in ids]


def _record(
    source: Source, kind: ObjectType, prefix: str, row_id: str, columns: list[str]
) -> dict[str, Any] | None:
    """A deleted record is null like a missing one (U)."""
    row = source.table(kind.name).get(row_id)
    if row is None or row.get("IsDeleted"):
        return None
    url = f"{prefix}/sobjects/{kind.name}/{row_id}"
    # The id comes whether it was asked for or not.
    shown = {each: row[each] for each in dict.fromkeys(["Id", *columns])}
    return {"attributes": {"type": kind.name, "url": url}} | shown


def column(kind: ObjectType, name: str) -> str:
    """The exact name of a field. Raises ApiError INVALID_FIELD."""
    field = kind.field(name)
    if field is None:
        raise api_error("unknown_column", name=name, object=kind.name)
    return field.name
