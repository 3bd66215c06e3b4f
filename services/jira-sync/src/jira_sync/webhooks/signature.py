"""Says whether a body was signed with our secret. The method is chosen by us, never by the sender."""

from __future__ import annotations

import hmac
from collections.abc import Sequence

_METHODS = ("sha256",)


def is_signed(body: bytes, header: str | None, secrets: Sequence[bytes]) -> bool:
    """True when ``header`` (``sha256=<hex>``) is the HMAC of the raw body under one of the secrets.

    Every secret is tried in constant time, so that two may be valid while one replaces the other.
    """
    method, _, given = (header or "").partition("=")
    digest = method.strip().lower()
    if digest not in _METHODS or not given.isascii():
        return False
    signature = given.strip().lower().encode()
    matches = [
        hmac.compare_digest(hmac.digest(secret, body, digest).hex().encode(), signature) for secret in secrets
    ]
    return any(matches)
