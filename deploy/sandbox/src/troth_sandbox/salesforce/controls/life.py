"""Controls for the life of an org: moving to another instance, emptying the recycle bin, pruning the deleted log."""

from typing import Any, Literal

from fastapi import APIRouter, HTTPException

from troth_sandbox.salesforce.clock import parse_moment, stamp
from troth_sandbox.salesforce.controls.arguments import Document, Held


def life_controls() -> APIRouter:
    """Routes of this area."""
    router = APIRouter(prefix="/admin")
    router.add_api_route("/migrate", migrate, methods=["POST"])
    router.add_api_route("/recycle-bin/empty", empty_recycle_bin, methods=["POST"])
    router.add_api_route("/deleted-log/prune", prune, methods=["POST"])
    return router


async def migrate(document: Document, site: Held) -> dict[str, Any]:
    """Live at `host` (`localhost:8443`); the old host answers `old_host` (301, 404); sessions and cursors end."""
    old_host: Literal[301, 404] = 404 if document.get("old_host") == 404 else 301
    if not isinstance(document.get("host"), str):
        raise HTTPException(422, "a migration needs the new host")
    site.location.move(document["host"], old_host)
    site.sessions.expire_all()
    name = str(document.get("instance_name", "SIM2"))
    organization = next(iter(site.org.table("Organization")), None)
    if organization is not None:
        site.org.write("Organization", {"Id": organization["Id"], "InstanceName": name})
    return {"host": document["host"], "old_host": old_host, "instance_name": name}


async def empty_recycle_bin(site: Held, name: str | None = None) -> dict[str, int]:
    """Make soft deletes of the object `name` (absent: of all) hard; only the deleted log knows them then."""
    kinds = [kind.name for kind in site.org.schema if name is None or kind.name == name]
    return {"purged": sum(site.org.empty_recycle_bin(each) for each in kinds)}


async def prune(document: Document, site: Held) -> dict[str, Any]:
    """Forget deletions older than `before`, as a busy org does every two hours [poll]."""
    try:
        before = parse_moment(document["before"])
    except (KeyError, ValueError, AttributeError) as error:
        raise HTTPException(422, f"pruning needs before: {error}") from error
    return {"pruned": site.org.prune_deletions(before), "earliest": stamp(before)}
