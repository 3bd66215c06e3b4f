"""OAuth 2.0 of an app: access tokens that live one hour and refresh tokens that are good once.

The vendor's authorization server is another host; here it answers at `/oauth/token` of the API port. Error bodies are
unverified. Rule: the refresh token rotates, the old one is worth nothing after its use.
"""

from typing import cast

import msgspec
from fastapi import APIRouter, Request, Response

from troth_sandbox.jira.answers import answer, body_as
from troth_sandbox.jira.site import Site

router = APIRouter()


class TokenRequest(msgspec.Struct):
    """The body of `POST /oauth/token`."""

    grant_type: str
    client_id: str
    client_secret: str
    refresh_token: str = ""


@router.post("/oauth/token")
async def token(request: Request) -> Response:
    """A new pair of tokens for a refresh token that was not used yet."""
    site = cast("Site", request.app.state.site)
    asked = await body_as(request, TokenRequest)
    known = site.store.settings.app
    if known is None or (asked.client_id, asked.client_secret) != (known.client_id, known.client_secret):
        return answer({"error": "access_denied", "error_description": "Unauthorized"}, 401)
    if asked.grant_type != "refresh_token":
        return answer({"error": "unsupported_grant_type"}, 400)
    pair = site.tokens.rotate(asked.refresh_token, site.clock.now())
    if pair is None:
        return answer({"error": "unauthorized_client", "error_description": "refresh_token is invalid"}, 403)
    return answer(
        {
            "access_token": pair[0],
            "refresh_token": pair[1],
            "expires_in": 3_600,
            "token_type": "Bearer",
            "scope": "offline_access read:jira-work read:jira-user",
        }
    )
