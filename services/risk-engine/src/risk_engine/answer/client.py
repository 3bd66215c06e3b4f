"""Asks a running risk-engine over HTTP, so that the command line gives the answer the API gives."""

from __future__ import annotations

from typing import Any

import httpx

HERE = "http://127.0.0.1:8080"
SECONDS = 30.0


class UnansweredError(Exception):
    """The engine cannot be reached, or cannot answer what it was asked; the text names the field and the fix."""


def ask(question: dict[str, Any], url: str, transport: httpx.BaseTransport | None = None) -> dict[str, Any]:
    """The answer. Raises UnansweredError."""
    try:
        with httpx.Client(base_url=url, timeout=SECONDS, transport=transport) as client:
            answer = client.post("/promise-check", json=question)
            told: dict[str, Any] = answer.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise UnansweredError(
            f"no risk-engine answers at {url}: {error}; say where it is with --url"
        ) from error
    if answer.status_code != httpx.codes.OK:
        parts = (told.get("field"), told.get("detail"), told.get("fix"))
        raise UnansweredError(": ".join(str(part) for part in parts if part))
    return told
