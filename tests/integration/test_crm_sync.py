"""crm-sync as a process, on a real Kafka and the Salesforce simulator: the fold of the topic equals the org."""

from __future__ import annotations

import asyncio
import json
import os
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiokafka import ConsumerRecord
from tests.crm_sync.fakes import record_id
from tests.crm_sync.simulated import CLIENT, SimulatedOrg, seed, simulated_org

from troth_chassis.topic_reader import read_topic
from troth_contracts.codec import InRecord, decode
from troth_contracts.crm import Deal
from troth_contracts.sync import SyncStatus
from troth_contracts.topics import CRM_STATE, OPPORTUNITIES, REFERENCE, SYNC_STATUS, Topic, dead_letter_topic
from troth_sandbox.processes import ChildProcess

DEADLINE = 60.0
LONG_AGO = "2026-01-05T09:00:00.000+0000"


@dataclass
class Running:
    """One org, one broker and the service between them."""

    org: SimulatedOrg
    org_id: str
    kafka: str
    process: ChildProcess
    lines: list[str] = field(default_factory=list)

    def records(self, topic: Topic) -> list[InRecord]:
        """Everything of this org on a topic, oldest first per key."""
        return asyncio.run(_records(self.kafka, topic, self.org_id))

    def deals(self) -> dict[str, Deal]:
        live: dict[str, Deal] = {}
        for record in self.records(OPPORTUNITIES):
            live.pop(record.key, None)
            if isinstance(record.body, Deal):
                live[record.key] = record.body
        return {deal.id: deal for deal in live.values()}

    def status(self) -> SyncStatus | None:
        bodies = [record.body for record in self.records(SYNC_STATUS)]
        return bodies[-1] if bodies and isinstance(bodies[-1], SyncStatus) else None

    def complete(self) -> bool:
        status = self.status()
        return status is not None and status.state == "complete"

    def ready(self) -> tuple[int, dict[str, Any]]:
        told = (json.loads(line) for line in reversed(self.lines) if line.startswith("{"))
        port = next(entry["port"] for entry in told if "port" in entry)
        response = httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False)
        return response.status_code, response.json()

    def wait(self, condition: Callable[[], bool], *, seconds: float = DEADLINE) -> None:
        until = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < until, "\n".join(self.lines[-20:])
            assert self.process.running, "\n".join(self.lines[-20:])
            time.sleep(0.2)

    def wait_for_truth(self) -> None:
        self.wait(lambda: _shown(self.deals()) == _truth(self.org))

    def restart(self) -> None:
        self.process.restart()


async def _records(kafka: str, topic: Topic, org_id: str) -> list[InRecord]:
    raw = await _raw(kafka, topic, org_id)
    return [decode(topic.name, record.key, record.value, record.headers) for record in raw]


async def _raw(kafka: str, topic: Topic, org_id: str) -> list[ConsumerRecord]:
    pages = [page async for page in read_topic(kafka, topic)]
    return [record for page in pages for record in page if org_id.encode() in (record.key or b"")]


@contextmanager
def running(folder: Path, kafka: str, contents: dict[str, Any], **environ: str) -> Iterator[Running]:
    """The org id is the test's own, so that tests share a broker."""
    org_id = f"00D{uuid.uuid4().hex[:15]}"
    with simulated_org(folder, {**contents, "org_id": org_id}) as org:
        lines: list[str] = []
        environment = {
            **os.environ,
            "KAFKA_BOOTSTRAP_SERVERS": kafka,
            "TROTH_LOG_FORMAT": "json",
            "TROTH_CRM_SALESFORCE_URL": org.url,
            "TROTH_CRM_CLIENT_ID": CLIENT["client_id"],
            "TROTH_CRM_CLIENT_SECRET": CLIENT["client_secret"],
            "TROTH_CRM_CA_BUNDLE": str(org.ca),
            "TROTH_CRM_POLL_SECONDS": "0.3",
            "TROTH_CRM_DELETES_SECONDS": "0.5",
            "TROTH_CRM_REFERENCE_SECONDS": "1",
            **environ,
        }
        process = ChildProcess(
            "crm-sync",
            "crm_sync",
            ["run"],
            environ=environment,
            listener=lambda _name, line: lines.append(line),
        )
        with process:
            yield Running(org, org_id, kafka, process, lines)


def _truth(org: SimulatedOrg) -> dict[str, Any]:
    """What the org shows, in plain values."""
    children = {
        name: Counter[str]()
        for name in ("OpportunityLineItem", "OpportunityTeamMember", "OpportunityHistory")
    }
    for name, count in children.items():
        count.update(row["OpportunityId"] for row in org.truth(name) if not row["IsDeleted"])
    return {
        row["Id"]: (
            row["Name"],
            row["StageName"],
            None if row["Amount"] is None else Decimal(str(row["Amount"])),
            row["CloseDate"],
            datetime.fromisoformat(row["SystemModstamp"]),
            *(count[row["Id"]] for count in children.values()),
        )
        for row in org.truth("Opportunity")
        if not row["IsDeleted"]
    }


def _shown(deals: dict[str, Deal]) -> dict[str, Any]:
    return {
        deal.id: (
            deal.name,
            deal.stage_name,
            deal.amount.amount if deal.amount else None,
            deal.close_date.isoformat() if deal.close_date else None,
            deal.source_modified_at,
            len(deal.line_items),
            sum(role.user_id is not None for role in deal.roles),
            len(deal.history),
        )
        for deal in deals.values()
    }


@pytest.fixture
def service(tmp_path: Path, kafka: str) -> Iterator[Running]:
    with running(tmp_path, kafka, seed(60, items_each=2, stamp=LONG_AGO)) as started:
        started.wait(started.complete)
        yield started


def test_backfill_publishes_the_org_and_says_so(service: Running) -> None:
    service.wait_for_truth()
    assert len(service.deals()) == 60
    status = service.status()
    assert status is not None
    assert status.records == 60
    assert {record.key.split(":")[1] for record in service.records(REFERENCE)} == {
        "stage",
        "currency",
        "user",
        "product",
    }
    deal = service.deals()[record_id("Opportunity", 7)]
    assert deal.custom == {"Promised_Date__c": "2027-01-31", "Jira_Key__c": "APA-7"}
    assert deal.account_name == "Acme Ltd"
    assert service.ready()[0] == 200


def test_changes_deletions_and_undeletions_arrive(service: Running) -> None:
    changed, soft, hard, back = (record_id("Opportunity", number) for number in (1, 2, 3, 4))
    service.org.put("Opportunity", changed, Name="Renamed", Amount=77.25)
    service.org.put(
        "OpportunityLineItem", None, OpportunityId=changed, Quantity=1, TotalPrice=5, CurrencyIsoCode="EUR"
    )
    member = service.org.put(
        "OpportunityTeamMember", None, OpportunityId=changed, UserId=record_id("User", 1)
    )
    service.org.delete("Opportunity", soft)
    service.org.delete("Opportunity", hard, hard=True)
    service.org.delete("Opportunity", back)
    service.org.advance(120)
    service.wait_for_truth()
    assert service.deals()[changed].name == "Renamed"
    assert not {soft, hard, back} & set(service.deals())

    service.org.undelete("Opportunity", back)
    service.org.delete("OpportunityTeamMember", member, hard=True)
    service.org.advance(120)
    service.wait_for_truth()
    assert back in service.deals()
    assert service.deals()[changed].roles == ()


def test_a_bad_record_is_a_dead_letter_and_its_neighbours_flow(tmp_path: Path, kafka: str) -> None:
    contents = seed(3)
    contents["objects"]["Opportunity"][1]["Name"] = None
    with running(tmp_path, kafka, contents) as service:
        service.wait(service.complete)
        assert set(service.deals()) == {record_id("Opportunity", 1), record_id("Opportunity", 3)}
        (letter,) = asyncio.run(_raw(kafka, dead_letter_topic("crm-sync"), service.org_id))
        assert dict(letter.headers)["reason"] == b"Name is empty"
        assert b'"Name":null' in letter.value


def test_restart_publishes_nothing_twice(service: Running) -> None:
    service.wait_for_truth()
    before = service.records(OPPORTUNITIES)
    polls = len(service.records(CRM_STATE))

    service.restart()
    service.wait(lambda: len(service.records(CRM_STATE)) > polls + 3)

    after = service.records(OPPORTUNITIES)
    assert {record.id for record in after} == {record.id for record in before}
    assert len(after) == len(before)


def test_versions_never_go_back(service: Running) -> None:
    for number in range(5):
        service.org.put("Opportunity", record_id("Opportunity", 1), Name=f"Name {number}")
        service.wait_for_truth()
    versions = [
        record.version
        for record in service.records(OPPORTUNITIES)
        if record.key.endswith(record_id("Opportunity", 1))
    ]
    assert len(versions) == 6
    assert versions == sorted(set(versions))


def test_stop_is_clean_and_no_secret_is_told(service: Running) -> None:
    assert service.process.stop() == 0
    assert not [line for line in service.lines if CLIENT["client_secret"] in line or "Traceback" in line]


def test_unreachable_salesforce_makes_the_service_not_ready_and_it_recovers(service: Running) -> None:
    service.org.faults(
        {"match": {"path": "/services/data/", "times": None}, "act": {"status": 503, "html": True}}
    )

    def names_salesforce() -> bool:
        code, answer = service.ready()
        check = answer["checks"]["salesforce"]
        return code == 503 and not check["ok"] and "Salesforce" in check["detail"]

    service.wait(names_salesforce)
    service.org.no_faults()
    service.wait(lambda: service.ready()[0] == 200)


def test_thousands_of_rows_of_one_second_over_a_dying_session(tmp_path: Path, kafka: str) -> None:
    """Page two of every result answers 401 at first: the locator dies with the session that opened it."""
    contents = seed(4_500, stamp="2026-01-05T09:00:00.000+0000")
    with running(tmp_path, kafka, contents) as service:
        expired = [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]
        fault = {"match": {"path": r"/query(All)?/0r8", "times": 1}, "act": {"status": 401, "body": expired}}
        service.org.faults(fault)
        service.wait(service.complete, seconds=120)
        service.wait_for_truth()
        logins = [entry for entry in service.org.journal() if "oauth2/token" in str(entry)]
        assert len(logins) == 2
        counts = Counter(record.key for record in service.records(OPPORTUNITIES))
        assert set(counts.values()) == {1}
        assert len(counts) == 4_500


def test_kill_during_backfill_goes_on_and_publishes_each_deal_once(tmp_path: Path, kafka: str) -> None:
    start = datetime(2026, 1, 5, 9, tzinfo=UTC)
    contents = seed(3_000)
    for number, row in enumerate(contents["objects"]["Opportunity"]):
        row["SystemModstamp"] = (start + timedelta(hours=number)).strftime("%Y-%m-%dT%H:%M:%S.000+0000")
    with running(tmp_path, kafka, contents) as service:
        service.wait(lambda: len(service.records(OPPORTUNITIES)) >= 500)
        service.process.kill()
        service.process.start()
        service.wait(service.complete)
        service.wait_for_truth()
        counts = Counter(record.key for record in service.records(OPPORTUNITIES))
        assert set(counts.values()) == {1}


def test_a_second_instance_fences_the_first(service: Running) -> None:
    """The newer one goes on; the older one stops with code 75."""
    second = ChildProcess("crm-sync-2", "crm_sync", ["run"], environ=service.process._environ)
    with second:
        until = time.monotonic() + DEADLINE
        while service.process.running and time.monotonic() < until:
            time.sleep(0.1)
        assert service.process.exit_code == 75
        assert second.running


def test_wrong_secret_stops_with_78_and_one_sentence(tmp_path: Path, kafka: str) -> None:
    with running(tmp_path, kafka, seed(1), TROTH_CRM_CLIENT_SECRET="not-the-secret") as service:
        assert service.process.wait(DEADLINE) == 78
        assert any("TROTH_CRM_CLIENT_SECRET" in line for line in service.lines)
        assert not [line for line in service.lines if "Traceback" in line or "not-the-secret" in line]
