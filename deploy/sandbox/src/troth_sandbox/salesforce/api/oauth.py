"""Tokens by client credentials, and who the token's user is [cc-flow]."""

import base64
import binascii
import hashlib
import hmac
from urllib.parse import parse_qs, unquote_plus

from fastapi import APIRouter, Request, Response

from troth_sandbox.salesforce.api.calls import Simulated, Token, answer, both, own_url
from troth_sandbox.salesforce.clock import EPOCH
from troth_sandbox.salesforce.errors import OAuthError, oauth_error


def oauth_routes() -> APIRouter:
    """Routes of this area."""
    router = APIRouter()
    for path in both("/services/oauth2/token"):
        router.add_api_route(path, token, methods=["POST"])
    for path in both("/services/oauth2/userinfo"):
        router.add_api_route(path, userinfo, methods=["GET", "POST"])
    return router


async def token(request: Request, site: Simulated) -> Response:
    """A new session; the answer carries no `expires_in` [sess-exp]."""
    form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
    if form.get("grant_type") != "client_credentials":
        return _refuse("unsupported_grant")
    client_id, secret = _credentials(request, form)
    if client_id != site.app.client_id:
        return _refuse("unknown_client")
    if not hmac.compare_digest(secret.encode(), site.app.client_secret.encode()):
        return _refuse("wrong_secret")
    if not site.app.run_as_user:
        return _refuse("no_run_as_user")
    identity = f"{own_url(request)}/id/{site.org.org_id}/{site.org.user_id}"
    issued_at = str(int((site.clock.now() - EPOCH).total_seconds() * 1000))
    return answer(
        {
            "access_token": site.sessions.open(),
            "signature": _signature(identity + issued_at, secret),
            "scope": "api",
            "instance_url": own_url(request),
            "id": identity,
            "token_type": "Bearer",
            "issued_at": issued_at,
        }
    )


async def userinfo(request: Request, site: Simulated, _token: Token) -> Response:
    """The run-as user in OpenID Connect form."""
    user = site.org.table("User").get(site.org.user_id) or {}
    return answer(
        {
            "sub": f"{own_url(request)}/id/{site.org.org_id}/{site.org.user_id}",
            "user_id": site.org.user_id,
            "organization_id": site.org.org_id,
            "preferred_username": user.get("Username"),
            "name": user.get("Name"),
            "email": user.get("Email"),
            "active": True,
            "user_type": "STANDARD",
            "zoneinfo": user.get("TimeZoneSidKey"),
            "urls": {"rest": f"{own_url(request)}/services/data/v{{version}}/"},
        }
    )


def _credentials(request: Request, form: dict[str, str]) -> tuple[str, str]:
    """Client id and secret from the Authorization header, else from the body."""
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            client_id, _, secret = base64.b64decode(encoded).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return "", ""
        return unquote_plus(client_id), unquote_plus(secret)
    return form.get("client_id", ""), form.get("client_secret", "")


def _signature(text: str, secret: str) -> str:
    return base64.b64encode(hmac.digest(secret.encode(), text.encode(), hashlib.sha256)).decode()


def _refuse(name: str) -> Response:
    error: OAuthError = oauth_error(name)
    return answer(error.body, error.status)
