"""The file of bearer tokens: names, roles and digests, never a token itself; read again whenever it changes.

A token has 256 random bits, so its plain SHA-256 cannot be guessed from the file. To rotate: add a line, hand the new
token out, remove the old line. Nothing is restarted.
"""

from __future__ import annotations

import hmac
import os
import secrets
from dataclasses import dataclass
from datetime import UTC, date, datetime
from hashlib import sha256
from pathlib import Path
from typing import Literal, get_args

import structlog

from troth_chassis.clock import Clock
from troth_chassis.errors import ConfigurationError

log = structlog.stdlib.get_logger(__name__)
Role = Literal["viewer", "planner", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
_PREFIX = "troth_"
_OTHERS_MAY_WRITE = 0o022


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks."""

    name: str
    role: Role

    def may(self, role: Role) -> bool:
        """Whether the caller's role is this one or a higher one."""
        return ROLES.index(self.role) >= ROLES.index(role)


@dataclass(frozen=True, slots=True)
class TokenLine:
    """One line of the file; ``until`` is the last day (UTC) the token is good for, None: for ever."""

    name: str
    role: Role
    digest: str
    until: date | None = None


class TokenFile:
    """Knows whose a token is. Raises ConfigurationError when the file cannot be used at the start.

    Later a file that cannot be used leaves the last good lines in force until it is mended.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._stamp = self._stamp_now()
        self._lines = read_lines(path)
        self.fault = ""
        """Why the present file cannot be used; empty when it can."""

    def caller(self, token: str) -> Caller | None:
        """Whose token it is; every line is compared, each in constant time."""
        self._reread()
        digest, today = digest_of(token), self._clock.now().astimezone(UTC).date()
        found = None
        for line in self._lines:
            if hmac.compare_digest(line.digest, digest) and (line.until is None or today <= line.until):
                found = Caller(line.name, line.role)
        return found

    def lines(self) -> tuple[TokenLine, ...]:
        """What the file says now."""
        self._reread()
        return self._lines

    def _reread(self) -> None:
        stamp = self._stamp_now()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._lines, self.fault = read_lines(self._path, may_be_empty=True), ""
        except ConfigurationError as error:
            self.fault = str(error)
            log.warning("the token file cannot be used, its last good lines stay in force", reason=self.fault)

    def _stamp_now(self) -> tuple[int, int, int]:
        try:
            found = self._path.stat()
        except OSError:
            return (0, 0, 0)
        return (found.st_mtime_ns, found.st_size, found.st_ino)


def read_lines(path: Path, *, may_be_empty: bool = False) -> tuple[TokenLine, ...]:
    """``name role sha256 [YYYY-MM-DD]`` per line; # begins a comment. Raises ConfigurationError that names the line.

    A running engine takes a file whose last line was taken out: nobody gets in any more.
    """
    try:
        if path.stat().st_mode & _OTHERS_MAY_WRITE:
            raise ConfigurationError(f"{path.name}: others may write it; chmod 600 it")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"TROTH_RISK_TOKENS_PATH: cannot read the file ({type(error).__name__})"
        ) from error
    lines = [_line(path, number, line) for number, line in enumerate(text.splitlines(), 1) if _said(line)]
    if not lines and not may_be_empty:
        raise ConfigurationError(f"{path.name}: holds no token; make one with risk-engine token NAME ROLE")
    return tuple(lines)


def new_token(name: str, role: str, until: str | None = None) -> tuple[str, str]:
    """A new token, and the line that lets it in. Raises ConfigurationError where that is no line."""
    token = _PREFIX + secrets.token_urlsafe(32)
    line = f"{name} {role} {digest_of(token)}" + (f" {until}" if until else "")
    _line(Path("token"), 1, line)
    return token, line


def add_line(path: Path, line: str) -> None:
    """Appends the line to the file, which only its owner may read; makes the file where there is none."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a+b") as file:
        text = b"" if path.stat().st_size == 0 or path.read_bytes().endswith(b"\n") else b"\n"
        file.write(text + line.encode() + b"\n")


def digest_of(token: str) -> str:
    """What the file holds of a token."""
    return sha256(token.encode()).hexdigest()


def _said(line: str) -> str:
    return line.partition("#")[0].strip()


def _line(path: Path, number: int, text: str) -> TokenLine:
    parts = _said(text).split()
    where = f"{path.name} line {number}"
    if len(parts) not in (3, 4):
        raise ConfigurationError(f"{where}: write name, role, digest and, if you like, its last day")
    name, role, digest = parts[:3]
    known = next((one for one in ROLES if one == role), None)
    if known is None:
        raise ConfigurationError(f"{where}: {role} is no role; take one of {', '.join(ROLES)}")
    if len(digest) != 64 or set(digest) - set("0123456789abcdef"):
        raise ConfigurationError(f"{where}: the digest must be SHA-256 in 64 hexadecimal digits")
    return TokenLine(name, known, digest, _day(where, parts[3]) if len(parts) == 4 else None)


def _day(where: str, text: str) -> date:
    try:
        return datetime.strptime(text, "%Y-%m-%d").date()  # noqa: DTZ007  (a day has no zone)
    except ValueError as error:
        raise ConfigurationError(f"{where}: {text} is no day; write YYYY-MM-DD") from error
