"""What Jira says about its limits, read from the headers of its answers: reasons, waits, and what is left.

Cloud: https://developer.atlassian.com/cloud/jira/platform/rate-limiting. Data Center tells a bucket per user, and often
``Retry-After: 0`` in a refusal:
https://confluence.atlassian.com/adminjiraserver/improving-instance-stability-with-rate-limiting-983794911.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Reach = Literal["endpoint", "site"]
BURST_REASON = "jira-burst-based"
SHORTEST_WAIT = 0.5
"""Seconds; ``Retry-After: 0`` occurs, and without a floor a client spins."""
LONGEST_SILENT_WAIT = 300.0
_IDS = re.compile(r"/(\d+|[A-Za-z][A-Za-z0-9_]*-\d+)(?=/|$)")
_PROJECT = re.compile(r"/project/(?!search)[^/]+")
_API = re.compile(r"/rest/api/(?:2|3|latest)/")
_QUOTA = re.compile(r'"(jira-quota-[^"]*)"((?:;\w+=\d+)*)')
_PART = re.compile(r";(\w+)=(\d+)")


@dataclass(frozen=True, slots=True)
class QuotaState:
    """The hourly points as the server counts them; ``left`` is told only when little is."""

    points: int
    left: int


def endpoint_of(request: str) -> str:
    """``GET /issue/{}``: method and path without address, version and ids, as a burst bucket is shared by them."""
    method, _, path = request.partition(" ")
    short = _API.sub("/", path[max(path.find("/rest/"), 0) :])
    return f"{method} {_PROJECT.sub('/project/{}', _IDS.sub('/{}', short))}"


def reach_of(headers: Mapping[str, str]) -> Reach:
    """Whom a 429 concerns: a burst one endpoint and method; a quota, a user's bucket or an unnamed limit everybody."""
    return "endpoint" if headers.get("ratelimit-reason") == BURST_REASON else "site"


def refill_seconds(headers: Mapping[str, str]) -> float:
    """Data Center: how long its bucket takes for one more request; 0 where it does not say."""
    interval, fill = (_number(headers, f"x-ratelimit-{name}") for name in ("interval-seconds", "fillrate"))
    return interval / fill if interval and fill else 0.0


def user_left(headers: Mapping[str, str]) -> int | None:
    """Data Center: the requests left in the account's bucket; None where the answer tells of none."""
    left = _number(headers, "x-ratelimit-remaining")
    return None if left is None or "x-ratelimit-fillrate" not in headers else int(left)


def share_left(headers: Mapping[str, str]) -> float | None:
    """The part of the limit that is left, 0 to 1; None where the answer does not say."""
    limit, left = (_number(headers, f"x-ratelimit-{name}") for name in ("limit", "remaining"))
    return None if left is None or not limit else min(1.0, max(0.0, left / limit))


def quota_of(headers: Mapping[str, str]) -> QuotaState | None:
    """What the server tells of an enforced hourly quota; headers with ``Beta-`` before their names enforce nothing."""
    policy = _QUOTA.search(headers.get("ratelimit-policy", ""))
    state = _QUOTA.search(headers.get("ratelimit", ""))
    if policy is None or state is None:
        return None
    points, left = _parts(policy).get("q"), _parts(state).get("r")
    return None if points is None or left is None else QuotaState(points, left)


def _parts(found: re.Match[str]) -> dict[str, int]:
    return {name: int(value) for name, value in _PART.findall(found.group(2))}


def _number(headers: Mapping[str, str], name: str) -> float | None:
    value = headers.get(name, "").strip()
    return float(value) if value.isdigit() else None
