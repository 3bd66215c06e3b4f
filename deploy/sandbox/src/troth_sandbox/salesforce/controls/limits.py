"""Controls for what the org allows and how long its bulk jobs take."""

from typing import Any

from fastapi import APIRouter, HTTPException

from troth_sandbox.salesforce.controls.arguments import Document, Held


def limit_controls() -> APIRouter:
    """Routes of this area."""
    router = APIRouter()
    router.add_api_route("/admin/bulk", bulk, methods=["POST"])
    return router


async def bulk(document: Document, site: Held) -> dict[str, Any]:
    """`seconds` that new jobs take, `page_rows` of a page for which the client names no number."""
    try:
        site.jobs.seconds = float(document.get("seconds", site.jobs.seconds))
        site.jobs.page_rows = max(1, int(document.get("page_rows", site.jobs.page_rows)))
    except (ValueError, TypeError) as error:
        raise HTTPException(422, f"bulk jobs cannot be so: {error}") from error
    return {"seconds": site.jobs.seconds, "page_rows": site.jobs.page_rows}
