"""Controls for what the org allows and how long its bulk jobs take."""

from datetime import timedelta
from typing import Any

from fastapi import APIRouter, HTTPException

from troth_sandbox.salesforce.controls.arguments import Document, Held


def limit_controls() -> APIRouter:
    """Routes of this area."""
    router = APIRouter()
    router.add_api_route("/admin/bulk", bulk, methods=["POST"])
    router.add_api_route("/admin/limits", limits, methods=["POST"])
    return router


async def bulk(document: Document, site: Held) -> dict[str, Any]:
    """`seconds` that new jobs take, how many next ones are `failing`, the most `page_rows`."""
    try:
        site.jobs.seconds = float(document.get("seconds", site.jobs.seconds))
        site.jobs.failing = int(document.get("failing", site.jobs.failing))
        site.jobs.page_rows = max(1, int(document.get("page_rows", site.jobs.page_rows)))
    except (ValueError, TypeError) as error:
        raise HTTPException(422, f"bulk jobs cannot be so: {error}") from error
    jobs = site.jobs
    return {"seconds": jobs.seconds, "failing": jobs.failing, "page_rows": jobs.page_rows}


async def limits(document: Document, site: Held) -> dict[str, Any]:
    """Calls per day (`daily`, `used`), long calls at once (`concurrent_long`, `long_after_seconds`).

    `query_window_seconds` (null: none) makes a query that matches stamps further apart QUERY_TIMEOUT.
    `query_page_rows` (null: as asked) are the fewest and the most rows of a page, drawn for each result.
    """
    usage, long_calls = site.usage, site.long_calls
    try:
        usage.allowed = int(document.get("daily", usage.allowed))
        if "used" in document:
            usage.set_used(int(document["used"]))
        long_calls.allowed = int(document.get("concurrent_long", long_calls.allowed))
        after = document.get("long_after_seconds", long_calls.after.total_seconds())
        long_calls.after = timedelta(seconds=float(after))
        if "query_window_seconds" in document:
            window = document["query_window_seconds"]
            site.slow_queries.window = None if window is None else timedelta(seconds=float(window))
        if "query_page_rows" in document:
            rows = document["query_page_rows"]
            site.cursors.page_rows = None if rows is None else _range(*rows)
    except (ValueError, TypeError) as error:
        raise HTTPException(422, f"limits cannot be so: {error}") from error
    window = site.slow_queries.window
    return {
        "daily": usage.allowed,
        "used": usage.used,
        "concurrent_long": long_calls.allowed,
        "long_after_seconds": long_calls.after.total_seconds(),
        "query_window_seconds": window.total_seconds() if window else None,
        "query_page_rows": site.cursors.page_rows,
    }


def _range(fewest: int, most: int) -> tuple[int, int]:
    if not 0 < int(fewest) <= int(most):
        raise ValueError("a page holds at least one row, and at most no fewer than at least")
    return int(fewest), int(most)
