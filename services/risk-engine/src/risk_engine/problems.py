"""What is wrong with a request, as problem+json (RFC 9457) that names the field and the fix."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute

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
    """Every error of a route added from now on becomes problem+json; bodies over 64 KiB are refused.

    The application may be serving already (health is told before a service is built), when it takes neither
    middleware nor handlers any more; routes it takes.
    """
    app.router.route_class = ProblemRoute


class ProblemRoute(APIRoute):
    """A route whose errors are told as problem+json."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The route's own handler, with its body read up to the limit and its errors caught."""
        answer = super().get_route_handler()

        async def handle(request: Request) -> Response:
            limited = _Limited(request.scope, request.receive)
            try:
                await limited.body()
                return await answer(limited)
            except ProblemError as error:
                return _problem(error.status, error.detail, field=error.field, fix=error.fix)
            except RequestValidationError as error:
                return _invalid(error)
            except HTTPException as error:
                return _problem(error.status_code, str(error.detail))
            except TransientError as error:  # the database does not answer; so says readiness too
                return _problem(503, str(error), fix="try again in a moment")

        return handle


class _Limited(Request):
    """Reads no more than a body may have, whether or not it tells its length."""

    async def body(self) -> bytes:
        if not hasattr(self, "_body"):
            read = bytearray()
            async for chunk in self.stream():
                read += chunk
                if len(read) > LONGEST_BODY:
                    kib = LONGEST_BODY // 1024
                    raise ProblemError(
                        f"the body is larger than {kib} KiB", fix="ask about fewer issues", status=413
                    )
            self._body = bytes(read)
        return self._body


def _invalid(error: RequestValidationError) -> JSONResponse:
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"] if part not in ("body", "query", "path"))
    return _problem(422, str(first["msg"]), field=field, fix=_fix(first))


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
