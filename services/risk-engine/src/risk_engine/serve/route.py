"""The way every request takes: who asks, how much is read, what went wrong, what the caller may see, in which form."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Mapping
from typing import Annotated, Any, get_args

import psycopg
from fastapi import Depends, FastAPI, Request, Response, Security
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from risk_engine.problems import ProblemError, invalid, problem
from risk_engine.serve.gate import LOCAL, Gate
from risk_engine.serve.redact import hidden_from, redacted
from risk_engine.serve.tables import as_csv, wants_csv
from risk_engine.serve.tokens import Caller
from troth_chassis.errors import TransientError

LONGEST_BODY = 64 * 1024
ROLE = "x-role"
"""In a route's description: the least role that may ask, where the method does not tell."""
BODY = "x-longest-body"
"""In a route's description: how many bytes its body may have, where 64 KiB are not enough."""


PROBLEM: Mapping[str, Any] = {
    "description": "A problem (RFC 9457) that names the field and the fix",
    "content": {"application/problem+json": {}},
}
PROBLEMS: Mapping[int | str, Mapping[str, Any]] = dict.fromkeys((401, 403, 404, 413, 422, 503), PROBLEM)
"""What any route may answer instead."""


_BEARER = HTTPBearer(auto_error=False, description="A token that risk-engine token made")
"""Only described here: the gate decides."""


def add_problems(app: FastAPI, gate: Gate | None = None) -> None:
    """Every route added from now on is asked through ``gate`` and tells its errors as problem+json.

    The application may be serving already (health is told before a service is built), when it takes neither
    middleware nor handlers any more; routes it takes. Without a gate nobody is asked who they are.
    """
    app.router.route_class = ProblemRoute
    app.router.dependencies.append(Security(_BEARER))
    app.state.gate = gate


def caller_of(request: Request) -> Caller:
    """Who asks, for a route that wants to know."""
    caller: Caller = getattr(request.state, "caller", LOCAL)
    return caller


def hidden_of(request: Request) -> frozenset[str]:
    """Names of the fields the answer will not show, for a route whose order would tell them."""
    hidden: frozenset[str] = getattr(request.state, "hidden", frozenset())
    return hidden


Asking = Annotated[Caller, Depends(caller_of)]


class ProblemRoute(APIRoute):
    """A route whose errors are told as problem+json, and whose rows may be asked for as CSV."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The route's own handler, between the gate and the form of its answer."""
        answer = super().get_route_handler()
        described = self.openapi_extra or {}
        longest = int(described.get(BODY, LONGEST_BODY))

        async def handle(request: Request) -> Response:
            limited = _Limited(request.scope, request.receive)
            limited.longest = longest
            try:
                gate: Gate | None = request.app.state.gate
                caller = gate.admit(request, described.get(ROLE)) if gate else LOCAL
                hidden = hidden_from(caller, gate.sight) if gate else frozenset()
                request.state.caller, request.state.hidden = caller, hidden
                await limited.body()
                told = await answer(limited)
                return self._formed(request, told, hidden)
            except ProblemError as error:
                return problem(error.status, error.detail, field=error.field, fix=error.fix)
            except RequestValidationError as error:
                return invalid(error)
            except HTTPException as error:  # the framework's own, of a body that is no text
                return problem(422, str(error.detail), field="body", fix="send valid JSON in UTF-8")
            except (psycopg.DataError, UnicodeEncodeError) as error:
                return problem(
                    422, f"it holds what no database keeps: {error}", fix="leave such characters out"
                )
            except TransientError as error:  # the database does not answer; so says readiness too
                return problem(503, str(error), fix="try again in a moment")

        return handle

    def _formed(self, request: Request, told: Response, hidden: frozenset[str]) -> Response:
        """The answer without what is hidden, as CSV where that is asked of a table."""
        to_csv = wants_csv(request) and told.status_code < 300
        if not (hidden or to_csv):
            return told
        if not told.headers.get("content-type", "").startswith("application/json"):
            raise TypeError(f"{self.path} answers in a form that nothing can be hidden in")
        content = redacted(json.loads(bytes(told.body)), hidden)
        headers = {
            name: value
            for name, value in told.headers.items()
            if name not in ("content-length", "content-type")
        }
        if to_csv and isinstance(content, list):
            return Response(as_csv(content, self._columns()), 200, headers, "text/csv; charset=utf-8")
        return JSONResponse(content, told.status_code, headers)

    def _columns(self) -> list[str]:
        row = next(iter(get_args(self.response_model)), None)
        fields: Mapping[str, object] = (
            row.model_fields if isinstance(row, type) and issubclass(row, BaseModel) else {}
        )
        return list(fields)


class _Limited(Request):
    """Reads no more than a body may have, whether or not it tells its length."""

    longest = LONGEST_BODY

    async def body(self) -> bytes:
        if not hasattr(self, "_body"):
            read = bytearray()
            async for chunk in self.stream():
                read += chunk
                if len(read) > self.longest:
                    raise ProblemError(
                        f"the body is larger than {self.longest // 1024} KiB",
                        fix="send less at once",
                        status=413,
                    )
            self._body = bytes(read)
        return self._body
