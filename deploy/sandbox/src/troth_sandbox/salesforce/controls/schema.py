"""Controls for fields, permissions and sharing."""

from typing import Any

from fastapi import APIRouter, HTTPException

from troth_sandbox.salesforce.access import Denial
from troth_sandbox.salesforce.alteration import drop_field, put_field
from troth_sandbox.salesforce.controls.arguments import Document, Held, ObjectName
from troth_sandbox.salesforce.ids import long_id


def schema_controls() -> APIRouter:
    """Routes of this area."""
    router = APIRouter(prefix="/admin")
    router.add_api_route("/fields/{name}", put, methods=["POST"])
    router.add_api_route("/fields/{name}/{field}", drop, methods=["DELETE"])
    router.add_api_route("/permissions", denied, methods=["GET"])
    router.add_api_route("/permissions", permit, methods=["POST"])
    router.add_api_route("/sharing/{name}", share, methods=["POST"])
    return router


async def put(name: ObjectName, document: Document, site: Held) -> dict[str, str]:
    """Add a custom field (`name`, `type`, `label`, `target`, `formula`, `master_detail`), or change one."""
    try:
        field = put_field(site.org, name, document)
    except ValueError as error:
        raise HTTPException(422, str(error)) from error
    return {"object": name, "field": field.name, "type": field.type}


async def drop(name: ObjectName, field: str, site: Held) -> dict[str, str]:
    """Remove a field and its values."""
    try:
        drop_field(site.org, name, field)
    except ValueError as error:
        raise HTTPException(422, str(error)) from error
    return {"object": name, "field": field}


async def denied(site: Held) -> list[dict[str, str | None]]:
    """What may not be read, and by whom (null: by nobody)."""
    return [{"user": each.user, "object": each.object, "field": each.field} for each in site.access]


async def permit(document: Document, site: Held) -> dict[str, Any]:
    """`readable` false hides `object`, or one `field` of it, from `user` (absent: from all); true gives it back."""
    user = document.get("user")
    denial = Denial(long_id(user) if user else None, str(document.get("object")), document.get("field"))
    try:
        site.access.permit(denial, readable=bool(document["readable"]))
    except (KeyError, ValueError) as error:
        raise HTTPException(422, f"no such permission: {error}") from error
    return {"denials": len(list(site.access))}


async def share(name: ObjectName, document: Document, site: Held) -> dict[str, Any]:
    """`visible` false hides the records `ids` from `user` (absent: from all) without a trace; true shows them again."""
    user = document.get("user")
    try:
        ids = [long_id(str(each)) for each in document["ids"]]
        visible = bool(document["visible"])
    except (KeyError, TypeError) as error:
        raise HTTPException(422, f"sharing needs ids and visible: {error}") from error
    return {"hidden": site.access.share(long_id(user) if user else None, name, ids, visible=visible)}
