"""Size, signature, storage, answer. Each vendor rule by its name."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from jira_sync.metrics import WebhookMetrics
from jira_sync.webhooks.inbox import LARGEST_KEPT, Inbox
from jira_sync.webhooks.receiver import LARGEST_BODY, WebhookReceiver
from jira_sync.webhooks.signature import is_signed
from troth_chassis.errors import TransientError
from troth_chassis.web import Front
from troth_contracts.codec import OutRecord

PLACE = "a-place-nobody-can-guess"
NEW, OLD = b"the-new-secret-of-ours", b"the-old-secret-of-ours"
EVENT = {"webhookEvent": "jira:issue_updated", "timestamp": 1, "issue": {"id": "10001", "key": "APA-1"}}


class MemoryWriter:
    def __init__(self) -> None:
        self.records: list[OutRecord] = []
        self.down = False

    async def publish(self, records: Sequence[OutRecord]) -> None:
        if self.down:
            raise TransientError("Kafka is down")
        self.records += records


class Door:
    """The route over ASGI, without a socket."""

    def __init__(self) -> None:
        self.writer = MemoryWriter()
        self.registry = CollectorRegistry()
        app = FastAPI()
        receiver = WebhookReceiver(Inbox("site", self.writer), (NEW, OLD), WebhookMetrics(self.registry))
        receiver.add_unsigned_to(app, "/webhooks/jira", PLACE)
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(Front(app, {"/webhooks/jira": receiver})), base_url="http://service"
        )

    async def post(self, event: Any, secret: bytes = NEW, headers: Mapping[str, str] | None = None) -> int:
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        given = {"x-hub-signature": sign(body, secret), **(headers or {})}
        return (await self.client.post("/webhooks/jira", content=body, headers=given)).status_code

    def rejected(self, reason: str) -> float:
        found = self.registry.get_sample_value("jira_sync_webhooks_rejected_total", {"reason": reason})
        return found or 0.0


def sign(body: bytes, secret: bytes) -> str:
    return f"sha256={hmac.new(secret, body, hashlib.sha256).hexdigest()}"


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    found = Door()
    yield found
    await found.client.aclose()


def test_the_official_signature_vector() -> None:
    """https://developer.atlassian.com/cloud/jira/platform/webhooks/"""
    digest = "a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9"
    assert is_signed(b"Hello World!", f"sha256={digest}", [b"It's a Secret to Everybody"])


@pytest.mark.parametrize(
    "header", [None, "", "sha256=", "sha256", "sha256=\N{LATIN SMALL LETTER U WITH DIAERESIS}"]
)
def test_what_is_no_signature(header: str | None) -> None:
    assert not is_signed(b"Hello World!", header, [NEW])


@pytest.mark.parametrize("method", ["sha1", "md5", "sha512", "none", ""])
def test_the_sender_does_not_choose_the_method(method: str) -> None:
    body = b"Hello World!"
    digest = hmac.new(NEW, body, method if method in ("sha1", "md5", "sha512") else "sha256").hexdigest()
    assert not is_signed(body, f"{method}={digest}", [NEW])


async def test_a_signed_event_is_stored_as_it_came(door: Door) -> None:
    body = b'{ "webhookEvent":"jira:issue_updated",  "issue":{"id":"10001"}}'
    assert await door.post(body, headers={"x-atlassian-webhook-identifier": "abc"}) == 200
    (record,) = door.writer.records
    assert (record.key, record.value) == ("site:issue:10001", body)
    assert dict(record.headers)["identifier"] == b"abc"


@pytest.mark.parametrize("secret", [NEW, OLD])
async def test_two_secrets_are_valid_while_one_replaces_the_other(door: Door, secret: bytes) -> None:
    assert await door.post(EVENT, secret) == 200


async def test_a_forged_event_is_401_counted_and_not_stored(
    door: Door, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await door.post({**EVENT, "canary": "canary-4711"}, b"somebody-elses-secret") == 401
    assert not door.writer.records
    assert door.rejected("signature") == 1
    assert "canary-4711" not in "".join(capsys.readouterr())


async def test_a_body_written_anew_is_401(door: Door) -> None:
    signature = sign(json.dumps(EVENT).encode(), NEW)
    assert (
        await door.post(json.dumps(EVENT, indent=1).encode(), headers={"x-hub-signature": signature}) == 401
    )


async def test_the_body_is_not_parsed_before_it_is_verified(door: Door) -> None:
    assert await door.post(b"{not json", b"somebody-elses-secret") == 401
    assert await door.post(b"{not json") == 200
    assert door.rejected("unknown event") == 1


async def test_more_than_five_mebibytes_is_413(door: Door) -> None:
    assert await door.post(b" " * (LARGEST_BODY + 1)) == 413
    assert door.rejected("too large") == 1


async def test_a_large_event_is_kept_as_what_it_points_at(door: Door) -> None:
    assert await door.post({**EVENT, "text": "x" * LARGEST_KEPT}) == 200
    (record,) = door.writer.records
    kept = json.loads(record.value or b"")
    assert (kept["issue"], kept["reduced"]) == ({"id": "10001", "key": "APA-1"}, True)


async def test_kafka_down_is_503_because_jira_tries_that_again(door: Door) -> None:
    door.writer.down = True
    assert await door.post(EVENT) == 503
    door.writer.down = False
    assert await door.post(EVENT) == 200
    assert len(door.writer.records) == 1


@pytest.mark.parametrize("name", ["something_new", "", "troth:backfill"])
async def test_an_unknown_event_is_200_and_counted(door: Door, name: str) -> None:
    assert await door.post({"webhookEvent": name}) == 200
    assert not door.writer.records
    assert door.rejected("unknown event") == 1


@pytest.mark.parametrize("name", ["comment_created", "worklog_updated"])
async def test_an_event_planning_does_not_need_is_200_and_not_stored(door: Door, name: str) -> None:
    assert await door.post({"webhookEvent": name, "issue": {"id": "10001"}}) == 200
    assert not door.writer.records


@pytest.mark.parametrize(
    ("place", "status"), [(PLACE, 200), ("another-place-altogether", 401), (PLACE[:-1], 401)]
)
async def test_who_cannot_sign_must_know_the_place(door: Door, place: str, status: int) -> None:
    """Data Center and OAuth apps: unsigned unless proven (reference 3.10, 4.1)."""
    answer = await door.client.post(f"/webhooks/jira/{place}", json=EVENT)
    assert answer.status_code == status
    assert len(door.writer.records) == (status == 200)
    assert PLACE.encode() not in b"".join(record.value or b"" for record in door.writer.records)


async def test_the_signed_route_takes_nothing_unsigned_although_there_is_another(door: Door) -> None:
    assert (await door.client.post("/webhooks/jira", json=EVENT)).status_code == 401


async def test_only_post_is_answered(door: Door) -> None:
    assert (await door.client.get("/webhooks/jira")).status_code == 405
