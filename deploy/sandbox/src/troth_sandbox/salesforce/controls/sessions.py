"""Controls for sessions: end them, how long they live, and refresh tokens without a browser."""

from datetime import timedelta
from typing import Any

from fastapi import APIRouter, HTTPException

from troth_sandbox.salesforce.controls.arguments import Document, Held
from troth_sandbox.salesforce.ids import long_id


def session_controls() -> APIRouter:
    """Routes of this area."""
    router = APIRouter()
    router.add_api_route("/admin/sessions", settings, methods=["POST"])
    router.add_api_route("/admin/sessions/expire", expire, methods=["POST"])
    router.add_api_route("/admin/refresh-tokens", refresh_token, methods=["POST"])
    return router


async def expire(site: Held, user: str | None = None) -> dict[str, int]:
    """End every session, or those of one user, as an administrator could."""
    if user is None:
        return {"expired": site.sessions.expire_all()}
    return {"expired": site.sessions.end_user(long_id(user))}


async def settings(document: Document, site: Held) -> dict[str, Any]:
    """`timeout_seconds` of rest end a session; `max_age_seconds` (null: none) end it even while it is used."""
    try:
        if "timeout_seconds" in document:
            site.sessions.rest = timedelta(seconds=float(document["timeout_seconds"]))
        if "max_age_seconds" in document:
            age = document["max_age_seconds"]
            site.sessions.longest = None if age is None else timedelta(seconds=float(age))
    except (ValueError, TypeError) as error:
        raise HTTPException(422, f"sessions cannot live so: {error}") from error
    longest = site.sessions.longest
    return {
        "timeout_seconds": site.sessions.rest.total_seconds(),
        "max_age_seconds": longest.total_seconds() if longest else None,
    }


async def refresh_token(document: Document, site: Held) -> dict[str, str]:
    """A refresh token for `user` (absent: the run-as user), as a web login would have given; `rotating` for one use."""
    user_id = long_id(str(document.get("user") or site.org.user_id))
    token = site.logins.issue_refresh(user_id, rotating=bool(document.get("rotating", False)))
    return {"refresh_token": token}
