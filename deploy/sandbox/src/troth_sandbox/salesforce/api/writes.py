"""Writes of single records; the refusals are those a sync's own tests may meet."""

import json
from typing import Any

from fastapi import APIRouter, Request, Response

from troth_sandbox.salesforce.access import Source
from troth_sandbox.salesforce.api.calls import (
    Called,
    Caller,
    Prefix,
    Seen,
    Simulated,
    answer,
    both,
    object_type,
)
from troth_sandbox.salesforce.clock import stamp
from troth_sandbox.salesforce.errors import SalesforceError, api_error, field_error
from troth_sandbox.salesforce.ids import long_id
from troth_sandbox.salesforce.schema import Field, ObjectType
from troth_sandbox.salesforce.simulation import Site
from troth_sandbox.salesforce.values import Row, Scalar, normal


def write_routes() -> APIRouter:
    """Routes of this area."""
    router = APIRouter()
    for path in both("/services/data/{version}/sobjects/{name}"):
        router.add_api_route(path, create, methods=["POST"])
    for path in both("/services/data/{version}/sobjects/{name}/{row_id}"):
        router.add_api_route(path, update, methods=["PATCH"])
        router.add_api_route(path, delete, methods=["DELETE"])
    for path in both("/services/data/{version}/sobjects/{name}/{key}/{value}"):
        router.add_api_route(path, upsert, methods=["PATCH"])
        router.add_api_route(path, by_key, methods=["GET"])
    return router


async def create(
    name: str, request: Request, site: Simulated, source: Seen, prefix: Prefix, called: Called
) -> Response:
    """A new record: 201 with its id and where it is."""
    kind = _writable(source, name, "createable")
    changes = _checked(kind, await _document(request), "C")
    return _created(site, kind, changes, prefix, called)


async def update(
    name: str, row_id: str, request: Request, site: Simulated, source: Seen, called: Called, _prefix: Prefix
) -> Response:
    """Change a record: 204."""
    kind = _writable(source, name, "updateable")
    row = existing(source, kind, row_id)
    changes = _checked(kind, await _document(request), "U")
    _check_lock(site, str(row["Id"]))
    _write(site, kind, changes | {"Id": row["Id"]}, called)
    return Response(status_code=204)


async def delete(
    name: str, row_id: str, site: Simulated, source: Seen, _called: Called, _prefix: Prefix
) -> Response:
    """Put a record into the recycle bin: 204."""
    kind = _writable(source, name, "deletable")
    row = existing(source, kind, row_id)
    _check_lock(site, str(row["Id"]))
    site.org.delete(kind.name, str(row["Id"]))
    return Response(status_code=204)


async def upsert(
    name: str,
    key: str,
    value: str,
    request: Request,
    site: Simulated,
    source: Seen,
    prefix: Prefix,
    called: Called,
) -> Response:
    """Change the one record with that key, or create it: 200 or 201."""
    kind = _writable(source, name, "createable")
    field = _key_field(kind, key)
    document = await _document(request)
    found = _found(source, kind, field, value)
    if len(found) > 1:
        raise _ambiguous(kind, found, prefix)
    if not found:
        changes = _checked(kind, document, "C") | {field.name: normal(field, value)}
        return _created(site, kind, changes, prefix, called)
    _check_lock(site, str(found[0]["Id"]))
    _write(site, kind, _checked(kind, document, "U") | {"Id": found[0]["Id"]}, called)
    return answer({"id": found[0]["Id"], "success": True, "errors": [], "created": False})


async def by_key(name: str, key: str, value: str, source: Seen, prefix: Prefix) -> Response:
    """The one record with that key; 300 with their addresses when there are several."""
    kind = object_type(source, name)
    found = _found(source, kind, _key_field(kind, key), value)
    if not found:
        raise api_error("not_found")
    if len(found) > 1:
        raise _ambiguous(kind, found, prefix)
    url = f"{prefix}/sobjects/{kind.name}/{found[0]['Id']}"
    shown = {each: found[0][each] for each in kind.fields}
    return answer({"attributes": {"type": kind.name, "url": url}} | shown)


def existing(source: Source, kind: ObjectType, row_id: str) -> Row:
    """The record a path names. Raises ApiError for one that is not there or deleted."""
    row = source.table(kind.name).get(long_id(row_id))
    if row is None:
        raise api_error("not_found")
    if row.get("IsDeleted"):
        raise api_error("deleted")
    return row


def _created(
    site: Site, kind: ObjectType, changes: dict[str, Scalar], prefix: str, called: Caller
) -> Response:
    missing = [
        field.name for field in kind.fields.values() if _required(field) and changes.get(field.name) is None
    ]
    if missing:
        raise field_error("required_missing", missing, names=", ".join(missing))
    row = _write(site, kind, changes, called)
    location = {"Location": f"{prefix}/sobjects/{kind.name}/{row['Id']}"}
    return answer({"id": row["Id"], "success": True, "errors": [], "created": True}, 201, location)


def _required(field: Field) -> bool:
    return "C" in field.flags and not {"N", "D"} & set(field.flags)


def _write(site: Site, kind: ObjectType, changes: dict[str, Scalar], called: Caller) -> Row:
    if "LastModifiedById" in kind.fields:
        changes = changes | {"LastModifiedById": called.user_id}
    return site.org.write(kind.name, changes, at=stamp(site.clock.now()))


def _writable(source: Source, name: str, trait: str) -> ObjectType:
    kind = object_type(source, name)
    if trait not in kind.traits:
        raise api_error("method_not_allowed", method=trait, allowed="GET")
    return kind


def _checked(kind: ObjectType, document: dict[str, Any], flag: str) -> dict[str, Scalar]:
    changes: dict[str, Scalar] = {}
    for name, value in document.items():
        field = kind.field(name)
        if name == "attributes":
            continue
        if field is None:
            raise api_error("unknown_column", name=name, object=kind.name)
        if flag not in field.flags or field.formula:
            raise field_error("not_writable", [field.name], name=field.name)
        try:
            changes[field.name] = normal(field, value)
        except (ValueError, TypeError, AttributeError):
            raise field_error("bad_value", [field.name], reason=f"{field.name}: {value!r}") from None
    return changes


def _check_lock(site: Site, row_id: str) -> None:
    if site.transactions.locked(row_id):
        raise field_error("locked", [], id=row_id)


def _key_field(kind: ObjectType, key: str) -> Field:
    """A key is the id or any custom text field; a real org asks for the external-id mark (U)."""
    field = kind.field(key)
    if field is None or not (field.name == "Id" or (field.custom and field.filterable)):
        raise api_error("no_external_id", name=key)
    return field


def _found(source: Source, kind: ObjectType, field: Field, value: str) -> list[Row]:
    wanted = long_id(value) if field.name == "Id" else value
    rows = source.table(kind.name)
    return [row for row in rows if str(row[field.name]) == wanted and not row.get("IsDeleted")]


def _ambiguous(kind: ObjectType, rows: list[Row], prefix: str) -> SalesforceError:
    return SalesforceError(300, [f"{prefix}/sobjects/{kind.name}/{row['Id']}" for row in rows])


async def _document(request: Request) -> dict[str, Any]:
    try:
        document: Any = json.loads(await request.body())
    except ValueError as error:
        raise api_error("bad_json", reason=str(error)) from error
    if not isinstance(document, dict):
        raise api_error("bad_json", reason="a record is a JSON object")
    return document
