"""Asks a running risk-engine over HTTP, so that the command line gives the answer the API gives."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import httpx

from risk_engine.settings import HTTP_PORT

HERE = f"http://127.0.0.1:{HTTP_PORT}"
SECONDS = 30.0


class UnansweredError(Exception):
    """The engine cannot be reached, or cannot answer what it was asked; the text names the field and the fix."""


def ask(question: dict[str, Any], url: str, transport: httpx.BaseTransport | None = None) -> dict[str, Any]:
    """The answer to a promise check. Raises UnansweredError."""
    return _answer("POST", "/promise-check", question, url, transport)


def ask_why(deal: str, url: str, transport: httpx.BaseTransport | None = None) -> dict[str, Any]:
    """Why the deal's promise slips. Raises UnansweredError."""
    return _answer("GET", f"/deals/{quote(deal, safe=':')}/slip", None, url, transport)


def _answer(
    method: str, path: str, question: dict[str, Any] | None, url: str, transport: httpx.BaseTransport | None
) -> dict[str, Any]:
    try:
        with httpx.Client(base_url=url, timeout=SECONDS, transport=transport) as client:
            answer = client.request(method, path, json=question)
            told: dict[str, Any] = answer.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise UnansweredError(
            f"no risk-engine answers at {url}: {error}; say where it is with --url"
        ) from error
    if answer.status_code != httpx.codes.OK:
        parts = (told.get("field"), told.get("detail"), told.get("fix"))
        raise UnansweredError(": ".join(str(part) for part in parts if part))
    return told
