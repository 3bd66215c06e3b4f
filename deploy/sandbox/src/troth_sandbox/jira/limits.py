"""Rate limiters: Cloud's burst buckets and hourly points, Data Center's bucket per user; which requests came too early.

Vendor rules (https://developer.atlassian.com/cloud/jira/platform/rate-limiting): a burst bucket per endpoint and method
that everybody on the tenant shares; points per UTC hour that start anew at the full hour; `X-RateLimit-*` and the
structured `RateLimit` headers, prefixed `Beta-` while nothing is enforced. Bucket sizes are unpublished.
"""

import math
import random
import re
from email.utils import format_datetime
from typing import Literal

import msgspec

from troth_sandbox.jira.clock import SECOND_MS, moment
from troth_sandbox.jira.records import Json

HOUR_MS = 3_600_000
MINUTE_MS = 60_000
EVERYTHING = "*"
_STEADY = {"GET": 100.0, "POST": 100.0, "PUT": 50.0, "DELETE": 50.0}
_SPECIAL = {"GET /issue/{}": 150.0, "GET /issue/{}/changelog": 200.0}
_ID = re.compile(r"/(\d+|[A-Za-z][A-Za-z0-9_]*-\d+)(?=/|$)")
_PROJECT = re.compile(r"/project/(?!search)[^/]+")
_ROWS = ("issues", "values", "issueChangeLogs", "histories")


class Burst(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Buckets of `capacity` filled by the published rate or `per_second`, less what a noisy neighbour takes.

    `refuse_share` refuses that share of the requests whatever the bucket holds, for `refuse_seconds`.
    """

    capacity: int = 100
    per_second: float | None = None
    noise_per_second: float = 0.0
    refuse_share: float = 0.0
    refuse_seconds: float = 5.0


class Quota(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Points of a UTC hour; `used` are already gone in the current one."""

    points: int = 65_000
    used: int = 0
    reason: Literal["jira-quota-global-based", "jira-quota-tenant-based"] = "jira-quota-global-based"


class PerUser(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Data Center: `fill` tokens per interval up to `capacity`; `zero` tells `Retry-After: 0` even when refused."""

    capacity: int = 10
    fill: int = 5
    interval_seconds: int = 1
    zero: bool = True


class LimitPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which limiters work, and how a refusal tells when to come back.

    `header`: `Retry-After` in seconds, as an HTTP date, `missing` altogether, or only a reset time without seconds.
    """

    burst: Burst | None = None
    quota: Quota | None = None
    per_user: PerUser | None = None
    header: Literal["seconds", "date", "missing", "reset_without_seconds"] = "seconds"
    beta: bool = False
    seed: int = 0


class Refusal(msgspec.Struct, frozen=True):
    """A 429: its reason, its headers, and the time (ms) it named; None when it named none."""

    reason: str
    headers: dict[str, str]
    allowed_at: int | None


class _Bucket(msgspec.Struct):
    """Tokens left at a time."""

    tokens: float
    at: int

    def refill(self, now: int, per_second: float, capacity: float) -> None:
        self.tokens = min(capacity, self.tokens + (now - self.at) / SECOND_MS * per_second)
        self.at = now

    def take(self) -> bool:
        """Take a token; a rounding error is no reason to refuse who came at the time told."""
        if self.tokens < 1 - 1e-6:
            return False
        self.tokens = max(0.0, self.tokens - 1)
        return True


class Limiter:
    """Judges each request; `early_by` tells how much too soon one came after a refusal."""

    def __init__(self) -> None:
        self.allowed: dict[str, int] = {}
        self.set(LimitPlan())

    def set(self, plan: LimitPlan) -> None:
        """Limit like this from now on, with full buckets."""
        self.plan = plan
        self._buckets: dict[str, _Bucket] = {}
        self._random = random.Random(plan.seed)
        self._hour = -1
        self._used = 0

    def refusal(self, name: str, now: int) -> Refusal | None:
        """The refusal of this request, None when it may pass; notes the time a refusal names."""
        found = self._burst(name, now) or self._quota(now) or self._per_user(now)
        if found:
            self.note(name, found)
        return found

    def note(self, name: str, refusal: Refusal) -> None:
        """Remember until when requests of this kind, or all of them for a quota, have to stay away."""
        if refusal.allowed_at is not None:
            self.allowed[name if "quota" not in refusal.reason else EVERYTHING] = refusal.allowed_at

    def early_by(self, name: str, now: int) -> int:
        """Milliseconds by which a request comes before the time the last refusal named; 0 when it does not."""
        return max(0, *(self.allowed.get(key, 0) - now for key in (name, EVERYTHING)))

    def charge(self, points: int, now: int) -> None:
        """Take points from this hour's quota."""
        self._turn_hour(now)
        self._used += points

    def headers(self, name: str, now: int) -> dict[str, str]:
        """What every answer says about the limits."""
        plan = self.plan
        if plan.per_user:
            return self._user_headers(plan.per_user, now)
        if plan.quota:
            return self._quota_headers(plan.quota, now)
        return self._burst_headers(plan.burst, name, now) if plan.burst else {}

    def _burst(self, name: str, now: int) -> Refusal | None:
        burst = self.plan.burst
        if burst is None or self.plan.beta:
            return None
        if self._random.random() < burst.refuse_share:
            return self._told("jira-burst-based", now + int(burst.refuse_seconds * SECOND_MS), now)
        bucket, rate = self._bucket(burst, name, now)
        if bucket.take():
            return None
        return self._told(
            "jira-burst-based", now + math.ceil(round((1 - bucket.tokens) / rate * SECOND_MS, 3)), now
        )

    def _bucket(self, burst: Burst, name: str, now: int) -> tuple[_Bucket, float]:
        steady = burst.per_second or _SPECIAL.get(name, _STEADY.get(name.partition(" ")[0], 50.0))
        rate = max(steady - burst.noise_per_second, 0.01)
        bucket = self._buckets.setdefault(name, _Bucket(burst.capacity, now))
        bucket.refill(now, rate, burst.capacity)
        return bucket, rate

    def _quota(self, now: int) -> Refusal | None:
        quota = self.plan.quota
        if quota is None or self.plan.beta:
            return None
        self._turn_hour(now)
        return None if self._used < quota.points else self._told(quota.reason, _next_hour(now), now)

    def _turn_hour(self, now: int) -> None:
        hour = now // HOUR_MS
        if hour != self._hour:
            self._used = self.plan.quota.used if self._hour < 0 and self.plan.quota else 0
            self._hour = hour

    def _per_user(self, now: int) -> Refusal | None:
        rule = self.plan.per_user
        if rule is None:
            return None
        bucket = self._user_bucket(rule, now)
        if bucket.take():
            return None
        wait = 0 if rule.zero else math.ceil((1 - bucket.tokens) * rule.interval_seconds / rule.fill)
        return Refusal("user", {"Retry-After": str(wait)}, now + wait * SECOND_MS)

    def _user_bucket(self, rule: PerUser, now: int) -> _Bucket:
        bucket = self._buckets.setdefault("user", _Bucket(rule.capacity, now))
        bucket.refill(now, rule.fill / rule.interval_seconds, rule.capacity)
        return bucket

    def _user_headers(self, rule: PerUser, now: int) -> dict[str, str]:
        return {
            "X-RateLimit-Limit": str(rule.capacity),
            "X-RateLimit-Remaining": str(int(self._user_bucket(rule, now).tokens)),
            "X-RateLimit-FillRate": str(rule.fill),
            "X-RateLimit-Interval-Seconds": str(rule.interval_seconds),
            "Retry-After": "0",
        }

    def _quota_headers(self, quota: Quota, now: int) -> dict[str, str]:
        self._turn_hour(now)
        left = max(0, quota.points - self._used)
        told = _usual(quota.points, left, _next_hour(now))
        rest = math.ceil((_next_hour(now) - now) / SECOND_MS)
        return told | self._structured(quota.reason, quota.points, 3_600, left, rest)

    def _burst_headers(self, burst: Burst, name: str, now: int) -> dict[str, str]:
        bucket, _ = self._bucket(burst, name, now)
        left = int(bucket.tokens)
        told = _usual(burst.capacity, left, now + SECOND_MS)
        return told | self._structured("jira-burst-based", burst.capacity, 1, left, 1)

    def _structured(self, policy: str, points: int, window: int, left: int, rest: int) -> dict[str, str]:
        """`r` is told only above 80 % use."""
        prefix = "Beta-" if self.plan.beta else ""
        remaining = f";r={left}" if left < points / 5 else ""
        return {
            f"{prefix}RateLimit-Policy": f'"{policy}";q={points};w={window}',
            f"{prefix}RateLimit": f'"{policy}"{remaining};t={rest}',
        }

    def _told(self, reason: str, at: int, now: int) -> Refusal:
        match self.plan.header:
            case "seconds":
                seconds = math.ceil((at - now) / SECOND_MS)
                at = now + seconds * SECOND_MS
                headers = {"Retry-After": str(seconds), "X-RateLimit-Reset": _iso(at)}
            case "date":
                at = -(-at // SECOND_MS) * SECOND_MS
                headers = {"Retry-After": format_datetime(moment(at), usegmt=True)}
            case "reset_without_seconds":
                at = -(-at // MINUTE_MS) * MINUTE_MS
                headers = {"X-RateLimit-Reset": f"{moment(at):%Y-%m-%dT%H:%MZ}"}
            case _:
                return Refusal(reason, {"RateLimit-Reason": reason}, None)
        return Refusal(reason, {"RateLimit-Reason": reason} | headers, at)


def endpoint(method: str, path: str) -> str:
    """Method and path with ids and keys left out: what a burst bucket belongs to."""
    short = re.sub(r"^/rest/api/(2|3|latest)", "", path)
    return f"{method} {_PROJECT.sub('/project/{}', _ID.sub('/{}', short))}"


def points_of(method: str, path: str, body: bytes) -> int:
    """One point, one per core object of a read and two per identity object; writes cost one."""
    if method not in {"GET", "POST"} or (method == "POST" and not re.search(r"/(search|bulkfetch)", path)):
        return 1
    try:
        content = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return 1
    each = 2 if re.search(r"/(user|users|myself)(/|$)", path) else 1
    return 1 + each * _objects(content)


def _objects(content: object) -> int:
    if isinstance(content, list):
        return len(content)
    if isinstance(content, dict):
        rows = next((content[name] for name in _ROWS if isinstance(content.get(name), list)), None)
        return 1 if rows is None else len(rows)
    return 0


def refusal_in(act_headers: Json, now: int) -> Refusal:
    """What a planned 429 with `Retry-After` in seconds tells."""
    told = {name.lower(): str(value) for name, value in act_headers.items()}
    after = told.get("retry-after", "")
    allowed = now + int(after) * SECOND_MS if after.isdigit() else None
    return Refusal(told.get("ratelimit-reason", "planned"), {}, allowed)


def _usual(limit: int, left: int, reset: int) -> dict[str, str]:
    return {
        "X-RateLimit-Limit": str(limit),
        "X-RateLimit-Remaining": str(left),
        "X-RateLimit-Reset": _iso(reset),
        "X-RateLimit-NearLimit": "true" if left < limit / 5 else "false",
    }


def _iso(at: int) -> str:
    return f"{moment(-(-at // SECOND_MS) * SECOND_MS):%Y-%m-%dT%H:%M:%SZ}"


def _next_hour(now: int) -> int:
    return (now // HOUR_MS + 1) * HOUR_MS
