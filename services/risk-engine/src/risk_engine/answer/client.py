"""Asks a running risk-engine over HTTP, so that the command line gives the answer the API gives."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import quote

import httpx

from risk_engine.settings import HTTP_PORT

HERE = f"http://127.0.0.1:{HTTP_PORT}"
SECONDS = 30.0
FILE_SECONDS = 300.0
TOKEN = "TROTH_RISK_TOKEN"  # noqa: S105  (the name of a variable, not a token)
"""Environment variable with the bearer token that the command line shows."""


class UnansweredError(Exception):
    """The engine cannot be reached, or cannot answer what it was asked; the text names the field and the fix."""


def ask(question: dict[str, Any], url: str, transport: httpx.BaseTransport | None = None) -> dict[str, Any]:
    """The answer to a promise check. Raises UnansweredError."""
    return _answer("POST", "/promise-check", question, url, transport)


def ask_why(deal: str, url: str, transport: httpx.BaseTransport | None = None) -> dict[str, Any]:
    """Why the deal's promise slips. Raises UnansweredError."""
    return _answer("GET", f"/deals/{quote(deal, safe=':')}/slip", None, url, transport)


def send_file(
    content: bytes, url: str, *, dry_run: bool = False, transport: httpx.BaseTransport | None = None
) -> dict[str, Any]:
    """The report of an import of promises. Raises UnansweredError."""
    path = "/commitments/import" + ("?dry_run=true" if dry_run else "")
    return _answer("POST", path, content, url, transport)


def _answer(
    method: str,
    path: str,
    question: dict[str, Any] | bytes | None,
    url: str,
    transport: httpx.BaseTransport | None,
) -> dict[str, Any]:
    token = os.environ.get(TOKEN)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    body: dict[str, Any] = {"content": question} if isinstance(question, bytes) else {"json": question}
    seconds = FILE_SECONDS if isinstance(question, bytes) else SECONDS
    try:
        with httpx.Client(base_url=url, timeout=seconds, transport=transport, headers=headers) as client:
            answer = client.request(method, path, **body)
            told: dict[str, Any] = answer.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise UnansweredError(
            f"no risk-engine answers at {url}: {error}; say where it is with --url"
        ) from error
    if answer.status_code != httpx.codes.OK:
        parts = (told.get("field"), told.get("detail"), told.get("fix"))
        raise UnansweredError(": ".join(str(part) for part in parts if part))
    return told
