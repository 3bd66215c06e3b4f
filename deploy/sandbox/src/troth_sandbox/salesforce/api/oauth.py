"""Tokens by client credentials, signed assertion or refresh token; their end, and who their user is."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote_plus

from fastapi import APIRouter, Request, Response

from troth_sandbox.salesforce.api.calls import Called, Simulated, answer, both, own_url
from troth_sandbox.salesforce.clock import EPOCH
from troth_sandbox.salesforce.errors import api_error, oauth_error
from troth_sandbox.salesforce.simulation import Site

Form = dict[str, str]


def oauth_routes() -> APIRouter:
    """Routes of this area."""
    router = APIRouter()
    for path in both("/services/oauth2/token"):
        router.add_api_route(path, token, methods=["POST"])
    for path in both("/services/oauth2/userinfo"):
        router.add_api_route(path, userinfo, methods=["GET", "POST"])
    for path in both("/services/oauth2/revoke"):
        router.add_api_route(path, revoke, methods=["GET", "POST"])
    for path in both("/id/{org_id}/{user_id}"):
        router.add_api_route(path, identity)
    return router


async def token(request: Request, site: Simulated) -> Response:
    """A new session; the answer carries no `expires_in` [sess-exp]."""
    form = await _form(request)
    grant = GRANTS.get(form.get("grant_type", ""))
    if grant is None:
        raise oauth_error("unsupported_grant")
    granted = grant(request, site, form)
    site.logins.count(granted.user_id)
    identity = f"{own_url(request)}/id/{site.org.org_id}/{granted.user_id}"
    issued_at = str(int((site.clock.now() - EPOCH).total_seconds() * 1000))
    rotated = {"refresh_token": granted.refresh_token} if granted.refresh_token else {}
    return answer(
        {
            "access_token": site.sessions.open(granted.user_id),
            "signature": _signature(identity + issued_at, site.app.client_secret),
            "scope": "api",
            "instance_url": own_url(request),
            "id": identity,
            "token_type": "Bearer",
            "issued_at": issued_at,
        }
        | rotated
    )


async def revoke(request: Request, site: Simulated) -> Response:
    """End a session, or a refresh token and every session of its user (U)."""
    text = request.query_params.get("token") or (await _form(request)).get("token", "")
    if site.sessions.end(text):
        return Response()
    user_id = site.logins.revoke(text)
    if user_id is None:
        raise oauth_error("unknown_token")
    site.sessions.end_user(user_id)
    return Response()


@dataclass(frozen=True, slots=True)
class Granted:
    """Whose session it will be, and the refresh token that replaces the one shown."""

    user_id: str
    refresh_token: str | None = None


def _by_client_credentials(request: Request, site: Site, form: Form) -> Granted:
    """Needs a run-as user [cc-flow]."""
    _check_client(request, site, form)
    if not site.app.run_as_user:
        raise oauth_error("no_run_as_user")
    return Granted(site.org.user_id)


def _by_assertion(request: Request, site: Site, form: Form) -> Granted:
    """JWT bearer: signed by the app for one user; no refresh token is issued [jwt-flow]."""
    username = site.logins.username(form.get("assertion", ""), own_url(request))
    for user in site.org.table("User"):
        if str(user["Username"]).casefold() == username.casefold():
            return Granted(str(user["Id"]))
    raise oauth_error("unknown_user")


def _by_refresh_token(request: Request, site: Site, form: Form) -> Granted:
    """A refresh token may be good for one use only [ab-80783]."""
    _check_client(request, site, form)
    return Granted(*site.logins.redeem(form.get("refresh_token", "")))


GRANTS: Mapping[str, Callable[[Request, Site, Form], Granted]] = {
    "client_credentials": _by_client_credentials,
    "urn:ietf:params:oauth:grant-type:jwt-bearer": _by_assertion,
    "refresh_token": _by_refresh_token,
}


def _check_client(request: Request, site: Site, form: Form) -> None:
    client_id, secret = _credentials(request, form)
    if client_id != site.app.client_id:
        raise oauth_error("unknown_client")
    if not hmac.compare_digest(secret.encode(), site.app.client_secret.encode()):
        raise oauth_error("wrong_secret")


async def _form(request: Request) -> Form:
    return {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}


async def identity(org_id: str, user_id: str, site: Simulated, called: Called) -> Response:
    """Whose session it is, at the address that token answers carry as `id`."""
    if (org_id, user_id) != (site.org.org_id, called.user_id):
        raise api_error("not_found")
    user = site.org.table("User").get(user_id) or {}
    return answer(
        {
            "asserted_user": True,
            "user_id": user_id,
            "organization_id": org_id,
            "username": user.get("Username"),
            "display_name": user.get("Name"),
            "email": user.get("Email"),
            "active": True,
        }
    )


async def userinfo(request: Request, site: Simulated, called: Called) -> Response:
    """The session's user in OpenID Connect form."""
    user = site.org.table("User").get(called.user_id) or {}
    return answer(
        {
            "sub": f"{own_url(request)}/id/{site.org.org_id}/{called.user_id}",
            "user_id": called.user_id,
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


def _credentials(request: Request, form: Form) -> tuple[str, str]:
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
