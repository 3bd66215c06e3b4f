"""A small but complete company as records: every topic, every kind of join, several versions, deletions.

Its promises are clear-cut: no probability lies in the band where an alert stays only because it fired before.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import msgspec

from troth_contracts import topics
from troth_contracts.codec import OutRecord, encode_event, encode_state, encode_tombstone
from troth_contracts.crm import CrmUser, CurrencyRate, Deal, DealStep, Product, Stage, reference_key
from troth_contracts.jira import (
    Board,
    BoardColumn,
    Issue,
    IssueEvent,
    IssueLink,
    Sprint,
    SprintEvent,
    SprintFigures,
    Version,
)
from troth_contracts.sync import SyncStatus
from troth_contracts.values import Contract, Money

NOW = datetime(2026, 9, 1, 8, tzinfo=UTC)
SOON = date(2026, 9, 14)
LATER = date(2026, 11, 30)
EPOCH_MS = int(NOW.timestamp() * 1000)


@dataclass(frozen=True)
class Company:
    """Builds records of one org and one site; ``minutes`` is when the source was read, counted back from NOW."""

    org: str = "00Dtest"
    site: str = "acme.test"

    def deal_key(self, number: str) -> str:
        return f"{self.org}:{number}"

    def deal(self, number: str, *, minutes: int = 60, **fields: object) -> OutRecord:
        body = Deal(
            org_id=self.org,
            id=number,
            name=f"Deal {number}",
            owner_id="owner-1",
            probability=Decimal(100),
            amount=Money(amount=Decimal("1000.50"), currency="EUR"),
            is_closed=True,
            is_won=True,
            close_date=date(2026, 8, 20),
            history=(won("2026-08-20"),),
        )
        return self.state(topics.OPPORTUNITIES, msgspec.structs.replace(body, **fields), minutes)

    def issue(self, number: int, key: str, *, minutes: int = 60, **fields: object) -> OutRecord:
        body = Issue(
            site_id=self.site,
            id=str(number),
            issue_key=key,
            project_id=PROJECTS[key.partition("-")[0]],
            project_key=key.partition("-")[0],
            type_name="Story",
            status_id="1",
            status_category="new",
            summary=f"Issue {number}",
        )
        return self.state(topics.ISSUES, msgspec.structs.replace(body, **fields), minutes)

    def board(
        self, number: int, name: str, *projects: str, minutes: int = 60, kind: str = "scrum"
    ) -> OutRecord:
        columns = (
            BoardColumn(name="To do", status_ids=("1", "2")),
            BoardColumn(name="Done", status_ids=("3",)),
        )
        body = Board(
            site_id=self.site,
            id=str(number),
            name=name,
            type=kind,
            project_ids=tuple(PROJECTS[project] for project in projects),
            project_keys=projects,
            columns=columns,
        )
        return self.state(topics.BOARDS, body, minutes)

    def sprint(self, number: int, board: int, *, minutes: int = 60, **fields: object) -> OutRecord:
        body = Sprint(
            site_id=self.site,
            id=str(number),
            name=f"Sprint {number}",
            state="future",
            origin_board_id=str(board),
            board_ids=(str(board),),
        )
        return self.state(topics.SPRINTS, msgspec.structs.replace(body, **fields), minutes)

    def closed_sprints(
        self, first: int, board: int, points: list[int], *, minutes: int = 60
    ) -> Iterator[OutRecord]:
        """Two weeks each, the last one ended the day before NOW."""
        for place, done in enumerate(points):
            end = NOW - timedelta(days=1 + 14 * (len(points) - 1 - place))
            yield self.sprint(
                first + place,
                board,
                minutes=minutes,
                state="closed",
                planned_start_at=end - timedelta(days=14),
                planned_end_at=end,
                activated_at=end - timedelta(days=14),
                completed_at=end,
                result=SprintFigures(points=Decimal(done), issue_count=done),
                provisional=False,
            )

    def active_sprint(self, number: int, board: int, *, minutes: int = 60, **fields: object) -> OutRecord:
        times: dict[str, object] = {
            "planned_start_at": NOW - timedelta(days=1),
            "activated_at": NOW - timedelta(days=1),
            "planned_end_at": NOW + timedelta(days=13),
        }
        return self.sprint(number, board, minutes=minutes, **({"state": "active"} | times | fields))

    def user(self, number: str, name: str, *, minutes: int = 60) -> OutRecord:
        return self.reference(
            CrmUser(org_id=self.org, id=number, name=name, email=f"{number}@acme.test"), minutes
        )

    def reference(self, body: CrmUser | Stage | CurrencyRate | Product, minutes: int = 60) -> OutRecord:
        key = reference_key(body)
        return encode_state(topics.REFERENCE, key, body, version=_version(minutes), source="crm-sync")

    def status(self, service: str, state: str, minutes: int) -> OutRecord:
        scope = f"{self.org}/{self.site}"
        body = msgspec.convert(
            {"service": service, "scope": scope, "state": state, "at": _at(minutes).isoformat()}, SyncStatus
        )
        return self.state(topics.SYNC_STATUS, body, minutes)

    def state(self, topic: topics.Topic, body: Contract, minutes: int) -> OutRecord:
        key: str = body.key  # type: ignore[attr-defined]  # every state has one, their base has not
        return encode_state(topic, key, body, version=_version(minutes), source="test")

    def gone(self, topic: topics.Topic, key: str, minutes: int) -> OutRecord:
        return encode_tombstone(topic, key, version=_version(minutes), source="test")

    def issue_event(self, number: int) -> OutRecord:
        body = IssueEvent(
            site_id=self.site,
            issue_id="101",
            issue_key="ATL-1",
            history_id=str(number),
            item_index=0,
            field="status",
            at=_at(90),
        )
        return encode_event(
            topics.ISSUE_EVENTS, body.key, body, event_id=body.event_id, at=body.at, source="jira-sync"
        )

    def sprint_event(self, sprint: int) -> OutRecord:
        body = SprintEvent(site_id=self.site, sprint_id=str(sprint), effect="closed", at=_at(90))
        return encode_event(
            topics.SPRINT_EVENTS, body.key, body, event_id=body.event_id, at=body.at, source="jira-sync"
        )


PROJECTS = {"ATL": "1", "BOR": "2", "CLD": "3", "DEN": "4", "ELK": "5", "FOX": "6"}
ODDS = [20, 20, 5, 20, 20, 20, 20, 5, 20, 20, 20, 20]
"""Two of twelve sprints went badly: 15 points by the end of the next sprint are about 0.83."""


def records(company: Company) -> list[OutRecord]:
    """Everything, oldest version of a key first: the order in which a calm day would bring it."""
    return [*_people(company), *_teams(company), *_work(company), *_deals(company), *_syncs(company)]


def _people(it: Company) -> Iterator[OutRecord]:
    yield it.user("owner-1", "Ada")
    yield it.user("owner-1", "Ada L.", minutes=30)
    yield it.reference(
        Stage(org_id=it.org, id="s1", api_name="Won", label="Won", is_closed=True, is_won=True)
    )
    yield it.reference(CurrencyRate(org_id=it.org, id="c1", code="EUR", rate=Decimal(1), is_corporate=True))


def _teams(it: Company) -> Iterator[OutRecord]:
    yield it.board(1, "Atlas", minutes=80)
    yield it.board(1, "Atlas", "ATL", minutes=40)
    yield it.board(2, "Borealis", "BOR")
    yield it.board(3, "Cold", "CLD")
    yield it.board(9, "Deleted", "BOR", minutes=70)
    yield it.gone(topics.BOARDS, f"{it.site}:9", 30)
    for number, name, project in ((4, "Denali", "DEN"), (5, "Elk", "ELK"), (6, "Fox", "FOX")):
        yield it.board(number, name, project)
        yield from it.closed_sprints(number * 100, number, ODDS)
        yield it.active_sprint(number * 100 + 50, number)
    yield from it.closed_sprints(100, 1, [20] * 12)
    yield it.active_sprint(150, 1)
    yield from it.closed_sprints(200, 2, [30] * 12)
    yield it.active_sprint(250, 2)
    yield it.active_sprint(260, 2, minutes=70)  # deleted below: its issue goes back to its project's board
    yield it.gone(topics.SPRINTS, f"{it.site}:260", 30)
    yield it.active_sprint(270, 2, board_ids=())  # made on Borealis, holds an issue of Atlas
    yield from it.closed_sprints(300, 3, [10])
    yield it.sprint_event(111)
    yield it.state(
        topics.VERSIONS, Version(site_id=it.site, id="1", project_id="1", name="1.0", release_date=LATER), 60
    )


def _work(it: Company) -> Iterator[OutRecord]:
    yield it.issue(101, "ATL-1", type_name="Epic", due_date=LATER)
    for number in range(102, 108):
        yield it.issue(number, f"ATL-{number - 100}", parent_id="101", estimate=Decimal(20), minutes=70)
    yield it.issue(107, "ATL-7", parent_id="101", estimate=Decimal(20), status_id="3", minutes=30)
    yield it.issue(130, "ATL-30", estimate=Decimal(3), sprint_ids=("270",))
    yield it.issue(131, "ATL-31", type_name="Sub-task", is_subtask=True, parent_id="130")
    yield it.issue(140, "ATL-40", estimate=Decimal(2), sprint_ids=("260",))
    yield it.issue(201, "BOR-1", type_name="Epic", minutes=70)
    yield it.issue(210, "BOR-10", parent_id="201", estimate=Decimal(5))
    yield it.issue(211, "ATL-11", parent_id="101", estimate=Decimal(20), minutes=70)
    yield it.issue(211, "BOR-11", parent_id="201", estimate=Decimal(4), former_keys=("ATL-11",), minutes=30)
    yield it.issue(212, "BOR-12", parent_id="201", estimate=Decimal(400), minutes=70)
    yield it.gone(topics.ISSUES, f"{it.site}:212", 30)
    yield it.issue(
        301,
        "CLD-1",
        estimate=Decimal(8),
        links=(IssueLink(type="Blocks", direction="inward", issue_id="302"),),
    )
    yield it.issue(302, "BOR-20")
    yield it.issue(303, "CLD-3", rank="0|c")
    for number, key in ((401, "DEN-1"), (501, "ELK-1"), (601, "FOX-1")):
        yield it.issue(number, key, estimate=Decimal(15))
    yield it.issue_event(1)
    yield it.issue_event(2)


def _deals(it: Company) -> Iterator[OutRecord]:
    yield it.deal("oversold", custom=promise(SOON, "ATL-1"))
    yield it.deal("late", custom=promise(SOON, "DEN-1, ELK-1, FOX-1"))
    yield it.deal("unlinked", custom=promise(LATER, "ATL-999"))
    yield it.deal("linked-later", custom=promise(LATER), minutes=60)
    yield it.deal("linked-later", custom=promise(LATER, "BOR-10"), minutes=30)
    yield it.deal("deleted", custom=promise(LATER), minutes=60)
    yield it.gone(topics.OPPORTUNITIES, it.deal_key("deleted"), 30)
    yield it.deal("lost", custom=promise(LATER), minutes=60)
    yield it.deal("lost", custom=promise(LATER), is_won=False, probability=Decimal(0), minutes=30)
    yield it.deal("subtask", custom=promise(LATER, "ATL-31"))
    yield it.deal("renamed", next_step="see ATL-11.", custom=promise(LATER))
    yield it.deal("back-in-force", custom=promise(LATER), minutes=60)
    steps = (won("2026-08-20"), DealStep(at=_day("2026-08-25"), probability=Decimal(10)), won("2026-08-31"))
    yield it.deal("back-in-force", custom=promise(LATER), history=steps, minutes=30)
    yield it.deal("cold", custom=promise(SOON, "CLD-1"))
    yield it.deal("stray", custom=promise(LATER, "ATL-40"))
    yield it.deal(
        "likely", custom=promise(LATER, "BOR-1"), is_won=False, is_closed=False, probability=Decimal(80)
    )
    yield it.deal("idle", is_won=False, is_closed=False, probability=Decimal(20), history=())


def _syncs(it: Company) -> Iterator[OutRecord]:
    for service in ("crm-sync", "jira-sync"):
        yield it.status(service, "backfilling", 90)
        yield it.status(service, "complete", 1)


def promise(day: date, keys: str = "") -> dict[str, str]:
    """The custom fields of a deal that promises ``day``."""
    return {"Promised_Date__c": day.isoformat()} | ({"Jira_Key__c": keys} if keys else {})


def won(day: str) -> DealStep:
    return DealStep(at=_day(day), stage="Won", probability=Decimal(100), forecast_category="Closed")


def version_of(record: OutRecord) -> int:
    return int(dict(record.headers).get("ce_version", b"0"))


def broken(record: OutRecord, **changes: object) -> OutRecord:
    """The record as somebody else might have written it."""
    return replace(record, **changes)  # type: ignore[arg-type]


def _at(minutes: int) -> datetime:
    return NOW - timedelta(minutes=minutes)


def _version(minutes: int) -> int:
    return EPOCH_MS - minutes * 60_000


def _day(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}T12:00:00+00:00")
