"""What is wrong with a request, as problem+json (RFC 9457) that names the field and the fix."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from troth_chassis.errors import TransientError

LONGEST_BODY = 64 * 1024


class ProblemError(Exception):
    """A request that cannot be answered as it is; ``field`` is empty where no single one is to blame."""

    def __init__(self, detail: str, *, field: str = "", fix: str, status: int = 422) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field
        self.fix = fix
        self.status = status


def add_problems(app: FastAPI) -> None:
    """Every error of the application becomes problem+json; bodies over 64 KiB are refused."""

    @app.exception_handler(ProblemError)
    async def told(_request: Request, error: ProblemError) -> JSONResponse:
        return _problem(error.status, error.detail, field=error.field, fix=error.fix)

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"] if part not in ("body", "query", "path"))
        return _problem(422, str(first["msg"]), field=field, fix=_fix(first))

    @app.exception_handler(HTTPException)
    async def refused(_request: Request, error: HTTPException) -> JSONResponse:
        return _problem(error.status_code, str(error.detail))

    @app.exception_handler(TransientError)
    async def unavailable(_request: Request, error: TransientError) -> JSONResponse:
        """The database does not answer; so says the service's readiness too."""
        return _problem(503, str(error), fix="try again in a moment")

    app.add_middleware(BodyLimit)


class BodyLimit:
    """Refuses a body larger than 64 KiB before anything reads it, whether or not it tells its length."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD"):
            await self._app(scope, receive, send)
            return
        body, more = b"", True
        while more and len(body) <= LONGEST_BODY:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        if len(body) > LONGEST_BODY:
            answer = _problem(
                413, f"the body is larger than {LONGEST_BODY // 1024} KiB", fix="ask about fewer issues"
            )
            await answer(scope, receive, send)
            return
        await self._app(scope, _replay(body, receive), send)


def _replay(body: bytes, receive: Receive) -> Receive:
    told = False

    async def again() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _problem(status: int, detail: str, *, field: str = "", fix: str = "") -> JSONResponse:
    content: dict[str, Any] = {"type": "about:blank", "title": _TITLES.get(status, "Error"), "status": status}
    content |= {"detail": detail} | ({"field": field} if field else {}) | ({"fix": fix} if fix else {})
    return JSONResponse(content, status_code=status, media_type="application/problem+json")


_TITLES = {
    404: "Not found",
    413: "Body too large",
    422: "Cannot be answered as asked",
    503: "Temporarily unavailable",
}


def _fix(error: dict[str, Any]) -> str:
    kind = str(error.get("type"))
    return next(
        (fix for start, fix in _FIXES.items() if kind.startswith(start)), "see /openapi.json for its form"
    )


_FIXES = {
    "missing": "add the field",
    "extra_forbidden": "leave the field out or correct its name",
    "date": "write the day as YYYY-MM-DD",
    "greater_than": "give a positive number",
    "decimal": 'write the number as text, such as "1200.50"',
    "json_invalid": "send valid JSON",
    "string_pattern_mismatch": "write the three letters of an ISO 4217 code, such as EUR",
}
