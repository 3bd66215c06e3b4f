"""Who may ask: a bearer token's role, or, where no tokens are configured, whoever sits at this machine."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.requests import Request

from risk_engine.problems import ProblemError
from risk_engine.serve.tokens import Caller, Role, TokenFile

LOCAL = Caller("local", "admin")
_LEAST: tuple[Role, ...] = ("viewer",)
_ARTICLE: Mapping[Role, str] = {"viewer": "a viewer", "planner": "a planner", "admin": "an admin"}
_READING = ("GET", "HEAD")
_HERE = ("localhost", "ip6-localhost")
_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip")


@dataclass(frozen=True, slots=True)
class Sight:
    """Which roles see neither amounts nor names."""

    without_amounts: Collection[Role] = _LEAST
    without_names: Collection[Role] = _LEAST


class Gate:
    """Lets a request in or says why not. Viewers read, planners also declare, admins may do everything."""

    def __init__(self, tokens: TokenFile | None, sight: Sight) -> None:
        self.tokens = tokens
        self.sight = sight

    def admit(self, request: Request, needs: Role | None = None) -> Caller:
        """The caller. Raises ProblemError 401 or 403; ``needs``: the role the route asks for, else by the method."""
        caller = self._caller(request)
        wanted = needs or ("viewer" if request.method in _READING else "planner")
        if not caller.may(wanted):
            raise ProblemError(
                f"{caller.name} is {_ARTICLE[caller.role]}",
                field="Authorization",
                fix=f"use the token of {_ARTICLE[wanted]}",
                status=403,
            )
        return caller

    def _caller(self, request: Request) -> Caller:
        if self.tokens is None:
            if _is_local(request):
                return LOCAL
            raise ProblemError(
                "no tokens are configured, so only this machine is answered",
                fix="ask from the machine itself, or set TROTH_RISK_TOKENS_PATH",
                status=401,
            )
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        caller = self.tokens.caller(token.strip()) if scheme.lower() == "bearer" else None
        if caller is None:
            raise ProblemError(
                "there is no token, or it is not known (any more)",
                field="Authorization",
                fix="send Authorization: Bearer and a token that risk-engine token made",
                status=401,
            )
        return caller


def _is_local(request: Request) -> bool:
    """From this machine, addressed as this machine (a page from elsewhere may not ask through a browser here)."""
    if any(name in request.headers for name in _FORWARDED):
        return False
    pages = [_host(origin) for origin in request.headers.getlist("origin")]
    asked = (request.client.host if request.client else "", _host(str(request.url)), *pages)
    return all(map(_is_here, asked))


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _is_here(host: str) -> bool:
    if host in _HERE:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
