"""Deliveries on their way: when each is due on the simulated clock, what planned loss does to it, its outcome.

Vendor rules: retried on 408, 409, 425, 429, 5xx, connection failure and timeout, five attempts in all; other answers
are final; the identifier stays the same over retries; no order is promised. The delays between attempts are
unverified; they grow to the documented 30 minutes.
"""

import hashlib
import heapq
import hmac
import random
import uuid

import msgspec

from troth_sandbox.jira.clock import SECOND_MS
from troth_sandbox.jira.hooks import Event, Registration
from troth_sandbox.jira.records import Json

ATTEMPTS = 5
RETRIED = frozenset({408, 409, 425, 429})
BACKOFF_MS = (30 * SECOND_MS, 120 * SECOND_MS, 600 * SECOND_MS, 1_800 * SECOND_MS)


class DeliveryPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Planned misbehaviour of deliveries: shares between 0 and 1, times in simulated seconds, drawn with `seed`.

    `shuffle_seconds` holds every delivery back by a random time up to it, `delay` that share by up to `delay_seconds`.
    """

    drop: float = 0.0
    duplicate: float = 0.0
    delay: float = 0.0
    delay_seconds: float = 1_800.0
    shuffle_seconds: float = 0.0
    secondary_seconds: float = 0.0
    seed: int = 0


class Delivery(msgspec.Struct):
    """One event for one webhook; `attempt` counts the tries already made."""

    identifier: str
    hook: Registration
    event: Event
    body: bytes
    entry: Json
    attempt: int = 0

    def headers(self, *, signed: bool) -> dict[str, str]:
        """What Jira sends beside the body; the retry number is absent at first."""
        headers = {
            "Content-Type": "application/json; charset=UTF-8",
            "User-Agent": "Atlassian Webhook HTTP Client",
            "X-Atlassian-Webhook-Identifier": self.identifier,
            "X-Atlassian-Webhook-Flow": "Secondary" if self.event.bulk else "Primary",
        }
        if self.attempt:
            headers["X-Atlassian-Webhook-Retry"] = str(self.attempt)
        if signed and self.hook.secret is not None:
            headers["X-Hub-Signature"] = signature(self.hook.secret, self.body)
        return headers


def signature(secret: str, body: bytes) -> str:
    """`X-Hub-Signature` over the raw body."""
    return f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"


class Outbox:
    """The queue of deliveries and its log; without `retries` one attempt is all there is."""

    def __init__(self, *, retries: bool = True) -> None:
        self.log: list[Json] = []
        self.retries = retries
        self._queue: list[tuple[int, int, Delivery]] = []
        self._sequence = 0
        self.plan(DeliveryPlan())

    def plan(self, plan: DeliveryPlan) -> None:
        """Misbehave like this from now on."""
        self.current = plan
        self._random = random.Random(plan.seed)

    def post(self, hook: Registration, event: Event) -> None:
        """Queue an event for a webhook, as the plan lets it."""
        identifier = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
        body = msgspec.json.encode({"timestamp": event.at, "webhookEvent": event.name} | event.body)
        delivery = Delivery(identifier, hook, event, b"" if hook.exclude_body else body, {})
        if self._random.random() < self.current.drop:
            self._note(delivery, event.at, "dropped")
            return
        copies = 2 if self._random.random() < self.current.duplicate else 1
        for _ in range(copies):
            copy = msgspec.structs.replace(delivery)
            due = event.at + self._held_back(event)
            self._note(copy, due, "pending")
            self._push(due, copy)

    def due(self, now: int) -> list[Delivery]:
        """Take what is to be sent by now, in the order it became due."""
        taken = []
        while self._queue and self._queue[0][0] <= now:
            taken.append(heapq.heappop(self._queue)[2])
        return taken

    def answered(self, delivery: Delivery, now: int, status: int | None, error: str = "") -> None:
        """Note an attempt and plan the next one; `status` None is a failed connection or a timeout."""
        delivery.attempt += 1
        delivery.entry["attempts"].append({"at": now, "status": status, "error": error})
        again = status is None or status in RETRIED or status >= 500
        if status is not None and 200 <= status < 300:
            delivery.entry["outcome"] = "delivered"
        elif not again:
            delivery.entry["outcome"] = "refused"
        elif delivery.attempt >= ATTEMPTS or not self.retries:
            delivery.entry |= {"outcome": "failed", "failedAt": now}
        else:
            due = now + BACKOFF_MS[delivery.attempt - 1]
            delivery.entry["dueAt"] = due
            self._push(due, delivery)

    def _held_back(self, event: Event) -> int:
        plan, seconds = self.current, self._random.uniform(0, self.current.shuffle_seconds)
        if self._random.random() < plan.delay:
            seconds += self._random.uniform(0, plan.delay_seconds)
        if event.bulk:
            seconds += self._random.uniform(0, plan.secondary_seconds)
        return int(seconds * SECOND_MS)

    def _push(self, due: int, delivery: Delivery) -> None:
        self._sequence += 1
        heapq.heappush(self._queue, (due, self._sequence, delivery))

    def _note(self, delivery: Delivery, due: int, outcome: str) -> None:
        event = delivery.event
        delivery.entry = {
            "seq": len(self.log) + 1,
            "identifier": delivery.identifier,
            "webhookId": delivery.hook.id,
            "url": delivery.hook.url,
            "event": event.name,
            "issueId": event.issue.id if event.issue else None,
            "createdAt": event.at,
            "dueAt": due,
            "outcome": outcome,
            "attempts": [],
        }
        self.log.append(delivery.entry)
