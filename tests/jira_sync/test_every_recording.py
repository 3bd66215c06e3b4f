"""Every recorded file is read, a new one too: by what reads it in the service, and as an answer nobody expected."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from prometheus_client import CollectorRegistry
from tests.jira_sync.fakes import NOW
from tests.jira_sync.recorded import NEVER_ASKED, READERS, content, matching

from jira_sync.budget import Pace, PriorityBudget
from jira_sync.cloud import CloudReader
from jira_sync.domain.changelog import issue_events
from jira_sync.domain.fields import SiteFields
from jira_sync.domain.issue import read_issue
from jira_sync.hints import Hint
from jira_sync.login import bearer
from jira_sync.metrics import WebhookMetrics
from jira_sync.site import SiteHttp
from jira_sync.webhooks.follower import InboxFollower
from jira_sync.webhooks.inbox import Inbox
from jira_sync.webhooks.receiver import WebhookReceiver
from troth_chassis.clock import AutoClock
from troth_chassis.errors import TrothError
from troth_chassis.http import HttpClient
from troth_contracts.codec import OutRecord

PLACE = Path(__file__).resolve().parents[3] / "shared" / "fixtures" / "jira"
SECRET = b"secret-of-the-recordings"
FEWEST = 100
"""Files in the recordings when this was written."""


def found(pattern: str = "*") -> list[str]:
    return sorted(path.relative_to(PLACE).as_posix() for path in PLACE.rglob(pattern) if path.is_file())


WEBHOOKS = found("webhook-*.json")
READ = [name for name in found() if matching(name, READERS)]
BODIES = [name for name in found("*.json") if not name.startswith("openapi/")]


def test_the_recordings_are_here_and_each_is_read_or_named(fixtures_dir: Path) -> None:
    """A new file is read by the pattern of its kind; a file of no kind fails until somebody says what it is."""
    assert fixtures_dir / "jira" == PLACE
    assert len(found()) >= FEWEST
    assert len(WEBHOOKS) >= 27
    claims = {
        name: [
            *matching(name, READERS),
            *matching(name, NEVER_ASKED),
            *matching(name, {"*/webhook-*.json": 1}),
        ]
        for name in found()
    }
    assert {name: claimed for name, claimed in claims.items() if len(claimed) != 1} == {}
    assert [p for p in (*READERS, *NEVER_ASKED) if not any(matching(name, {p: 1}) for name in found())] == []


@pytest.mark.parametrize("name", READ)
def test_a_recorded_answer_is_read(name: str) -> None:
    (pattern,) = matching(name, READERS)
    assert READERS[pattern](content(PLACE / name)) > 0


class MemoryWriter:
    def __init__(self) -> None:
        self.records: list[OutRecord] = []

    async def publish(self, records: Any) -> None:
        self.records += records


@pytest.mark.parametrize("name", WEBHOOKS)
async def test_a_recorded_webhook_goes_the_services_way(name: str) -> None:
    """Signed, taken in, stored as it came, followed; whatever its issue says can be read as an issue too."""
    writer, metrics = MemoryWriter(), WebhookMetrics(CollectorRegistry())
    body = (PLACE / name).read_bytes()
    receiver = WebhookReceiver(Inbox("site", writer), (SECRET,), metrics)
    headers = {"x-hub-signature": f"sha256={hmac.new(SECRET, body, hashlib.sha256).hexdigest()}"}
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(receiver), base_url="http://service"
    ) as client:
        assert (await client.post("/hook", content=body, headers=headers)).status_code == 200

    event = json.loads(body)
    kept = [record.value for record in writer.records]
    is_about_an_issue = event["webhookEvent"].startswith("jira:issue_")
    assert kept == ([body] if is_about_an_issue else [])
    follower = InboxFollower("nowhere", "site", cast("Any", None), metrics)
    hints = list(follower.hints_in([_as_read(record) for record in writer.records]))
    kind = "issue_deleted" if event["webhookEvent"].endswith("deleted") else "issue"
    assert hints == ([Hint(cast("Any", kind), event["issue"]["id"])] if is_about_an_issue else [])
    if {"project", "status", "issuetype"} <= event.get("issue", {}).get("fields", {}).keys():
        issue = read_issue("site", event["issue"], SiteFields())
        changes = [{"created": "2020-01-01T00:00:00Z", **event["changelog"]}] if "changelog" in event else []
        issue_events(issue, [{"id": "1", **change} for change in changes], SiteFields())


def _as_read(record: OutRecord) -> Any:
    class Read:
        key, value, headers = record.key.encode(), record.value, record.headers

    return Read


@pytest.mark.parametrize("name", BODIES)
async def test_a_recorded_body_where_another_was_expected_is_a_named_error(name: str) -> None:
    """A proxy, an old version, an empty body: the reader says what is wrong, it never trips."""
    body = (PLACE / name).read_bytes()
    clock = AutoClock(NOW)
    transport = httpx.MockTransport(lambda _request: httpx.Response(200, content=body))
    budget = PriorityBudget(Pace(1_000, 1_000, 4), clock)
    http = HttpClient(base_url="http://jira.test", budget=budget, clock=clock, transport=transport)
    reader = CloudReader(cast("Any", None), SiteHttp(http, bearer("a-token")), budget)
    asked = (
        lambda: reader.find("issue", "1"),
        lambda: reader.board_configuration("1"),
        lambda: reader.board_projects("1", 0),
        lambda: reader.changelogs(["1"], None),
    )
    for ask in asked:
        with contextlib.suppress(TrothError):
            await ask()
    await http.close()
