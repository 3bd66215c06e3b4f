"""Pages: offsets with `startAt`, and opaque tokens that expire after seven days.

A token carries where to go on, the request it belongs to, and when it was issued; nothing is kept on the server, so a
token survives a restart. Vendor rule: `nextPageToken` of the enhanced search (platform OpenAPI, `search/jql`).
"""

import base64
import hashlib
import zlib
from typing import Any

import msgspec

from troth_sandbox.jira.clock import DAY_MS
from troth_sandbox.jira.errors import BadRequestError
from troth_sandbox.jira.faults import PageFault
from troth_sandbox.jira.records import Json

TOKEN_LIFE_MS = 7 * DAY_MS
BAD_TOKEN = "The provided next page token is invalid or expired."


class Token(msgspec.Struct, frozen=True, array_like=True):
    """Where a paged answer goes on."""

    request: str
    issued: int
    started: int
    position: list[int | str]

    def text(self) -> str:
        """The opaque form."""
        return base64.urlsafe_b64encode(zlib.compress(msgspec.json.encode(self))).decode()


def fingerprint(*parts: Any) -> str:
    """A short name of a request, so that a token of another request is refused."""
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:16]


def read_token(text: str | None, request: str, now: int, fault: PageFault | None = None) -> Token | None:
    """The token of a follow-up request, None on the first; BadRequestError when forged, foreign or expired."""
    if not text:
        return None
    if fault == "expired_token":
        raise BadRequestError(BAD_TOKEN)
    try:
        token = msgspec.json.decode(zlib.decompress(base64.urlsafe_b64decode(text)), type=Token)
    except (ValueError, zlib.error, msgspec.MsgspecError) as error:
        raise BadRequestError(BAD_TOKEN) from error
    if token.request != request or now - token.issued > TOKEN_LIFE_MS:
        raise BadRequestError(BAD_TOKEN)
    return token


def spoiled(page: Json, fault: PageFault | None, asked: str | None) -> Json:
    """A page of a token loop with its ending spoilt; `asked` is the token it was asked for with."""
    match fault:
        case "repeated_token" if asked:
            return page | {"nextPageToken": asked} | ({"isLast": False} if "isLast" in page else {})
        case "token_and_last" if page.get("nextPageToken"):
            return page | {"isLast": True}
        case "no_is_last":
            return {name: value for name, value in page.items() if name != "isLast"}
        case _:
            return page


def offset_page(address: str, rows: list[Any], start: int, size: int) -> Json:
    """A platform page with `total`, `isLast` and, when there is one, `nextPage`; `rows` are all rows."""
    last = start + size >= len(rows)
    following = {} if last else {"nextPage": f"{address}?startAt={start + size}&maxResults={size}"}
    return {
        "self": f"{address}?startAt={start}&maxResults={size}",
        **following,
        "maxResults": size,
        "startAt": start,
        "total": len(rows),
        "isLast": last,
        "values": rows[start : start + size],
    }
