"""What is wrong with a request, as problem+json (RFC 9457) that names the field and the fix."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse


class ProblemError(Exception):
    """A request that cannot be answered as it is; ``field`` is empty where no single one is to blame."""

    def __init__(self, detail: str, *, field: str = "", fix: str, status: int = 422) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field
        self.fix = fix
        self.status = status


def invalid(error: RequestValidationError) -> JSONResponse:
    """What a request's form lacks, told by its first fault."""
    field, detail, fix = fault(error.errors()[0])
    return problem(422, detail, field=field, fix=fix)


def fault(error: Mapping[str, Any]) -> tuple[str, str, str]:
    """Field, detail and fix of what pydantic found."""
    field = ".".join(str(part) for part in error["loc"] if part not in ("body", "query", "path", "header"))
    return field, str(error["msg"]), _fix(error)


def problem(status: int, detail: str, *, field: str = "", fix: str = "") -> JSONResponse:
    """The problem as RFC 9457 writes it."""
    content: dict[str, Any] = {"type": "about:blank", "title": _TITLES.get(status, "Error"), "status": status}
    told = {"detail": detail} | ({"field": field} if field else {}) | ({"fix": fix} if fix else {})
    content |= {name: _sayable(text) for name, text in told.items()}
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    return JSONResponse(content, status, headers, media_type="application/problem+json")


def _sayable(text: str) -> str:
    """What a request holds and UTF-8 cannot, half of a surrogate pair, becomes a question mark."""
    return text.encode("utf-8", "replace").decode()


_TITLES = {
    401: "Who asks?",
    403: "Not allowed",
    404: "Not found",
    409: "Exists already",
    413: "Body too large",
    422: "Cannot be answered as asked",
    503: "Temporarily unavailable",
}


def _fix(error: Mapping[str, Any]) -> str:
    kind = str(error.get("type"))
    return next(
        (fix for start, fix in _FIXES.items() if kind.startswith(start)), "see /openapi.json for its form"
    )


_FIXES = {
    "missing": "add the field",
    "extra_forbidden": "leave the field out or correct its name",
    "date": "write the day as YYYY-MM-DD",
    "greater_than": "give a positive number",
    "less_than": "give a smaller number",
    "string_too_long": "shorten it",
    "too_long": "shorten the list",
    "literal_error": "take one of the values named",
    "enum": "take one of the values named",
    "datetime": "write the moment as YYYY-MM-DDTHH:MM:SSZ",
    "timezone": "end the moment with Z or its offset",
    "int_parsing": "give a whole number",
    "float_parsing": "give a number",
    "decimal": 'write the number as text, such as "1200.50"',
    "json_invalid": "send valid JSON",
    "string_pattern_mismatch": "write the three letters of an ISO 4217 code, such as EUR",
}
