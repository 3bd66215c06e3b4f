"""A company of any size as records: teams that owe about what they can do, deals in force over several of them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from troth_contracts import topics
from troth_contracts.codec import OutRecord, encode_state
from troth_contracts.crm import CurrencyRate, Deal, DealStep, reference_key
from troth_contracts.jira import Board, BoardColumn, Issue, Sprint, SprintFigures
from troth_contracts.sync import SyncStatus
from troth_contracts.topics import Topic
from troth_contracts.values import Contract, Money

NOW = datetime(2026, 9, 1, 8, tzinfo=UTC)
ORG, SITE = "00Dsize", "size.example"
DELIVERABLES = 3
"""Epics per deal, each of another team: three commitments a deal."""
STORIES = 3
"""Per epic; the last one is done."""
SPRINTS = 12
_VERSION = int(NOW.timestamp() * 1000)
_CADENCE = timedelta(days=14)
_PROMISED_WITHIN = 300
_WORDS = ("search", "export", "billing", "driver", "report", "archive", "index", "tenant", "mobile", "audit")


@dataclass(frozen=True)
class Size:
    """How large the company is."""

    deals: int = 10_000
    teams: int = 500
    issues: int = 200_000

    def scaled(self, share: float) -> Size:
        """A part of it in every direction."""
        return Size(round(self.deals * share), round(self.teams * share), round(self.issues * share))


def company(size: Size, seed: int = 1) -> Iterator[OutRecord]:
    """Every record; the same arguments, the same records."""
    rng = random.Random(seed)
    yield _state(
        topics.REFERENCE, CurrencyRate(org_id=ORG, id="c", code="EUR", rate=Decimal(1), is_corporate=True)
    )
    for team in range(size.teams):
        yield from _team(team, rng)
    for deal in range(size.deals):
        yield from _work(deal, size, rng)
    yield from _history(size, rng)
    for deal in range(size.deals):
        yield _state(topics.OPPORTUNITIES, _deal(deal, size, rng))
    for service in ("crm-sync", "jira-sync"):
        yield _state(topics.SYNC_STATUS, SyncStatus(service=service, scope="size", state="complete", at=NOW))


def team_key(team: int) -> str:
    """The team's key in the store."""
    return f"{SITE}:{team + 1}"


def epic_key(deal: int, part: int, size: Size) -> str:
    """The issue key of a deal's deliverable."""
    return f"T{_team_of(deal, part, size)}-{_epic_id(deal, part)}"


def _team(team: int, rng: random.Random) -> Iterator[OutRecord]:
    columns = (BoardColumn(name="To do", status_ids=("1",)), BoardColumn(name="Done", status_ids=("3",)))
    number = str(team + 1)
    yield _state(
        topics.BOARDS,
        Board(
            site_id=SITE,
            id=number,
            name=f"Team {team}",
            type="scrum",
            project_ids=(number,),
            project_keys=(f"T{team}",),
            columns=columns,
            estimation_field="customfield_10016",
        ),
    )
    level = rng.uniform(25, 45)
    for place in range(SPRINTS):
        end = NOW - timedelta(days=1) - _CADENCE * (SPRINTS - 1 - place)
        points = Decimal(max(0, round(rng.gauss(level, level / 4))))
        result = SprintFigures(points=points, issue_count=max(0, round(rng.gauss(10, 4))))
        yield _state(topics.SPRINTS, _sprint(team, place, "closed", end, result))
    yield _state(topics.SPRINTS, _sprint(team, SPRINTS, "active", NOW + timedelta(days=13), None))


def _sprint(team: int, place: int, state: str, end: datetime, result: SprintFigures | None) -> Sprint:
    return Sprint(
        site_id=SITE,
        id=str(_sprint_id(team, place)),
        name=f"Sprint {place}",
        state=state,  # type: ignore[arg-type]
        origin_board_id=str(team + 1),
        board_ids=(str(team + 1),),
        planned_start_at=end - _CADENCE,
        planned_end_at=end,
        activated_at=end - _CADENCE,
        completed_at=end if result else None,
        commitment=result,
        result=result,
        provisional=False,
    )


def _work(deal: int, size: Size, rng: random.Random) -> Iterator[OutRecord]:
    for part in range(DELIVERABLES):
        team, epic = _team_of(deal, part, size), _epic_id(deal, part)
        yield _state(topics.ISSUES, _issue(epic, team, "Epic", rng))
        for story in range(1, STORIES + 1):
            done = story == STORIES
            yield _state(topics.ISSUES, _issue(epic + story, team, "Story", rng, parent=epic, done=done))


def _history(size: Size, rng: random.Random) -> Iterator[OutRecord]:
    """Issues no deal waits for: done, in closed sprints."""
    first = _epic_id(size.deals, 0)
    for number in range(max(0, size.issues - size.deals * DELIVERABLES * (STORIES + 1))):
        yield _state(topics.ISSUES, _issue(first + number, number % size.teams, "Story", rng, done=True))


def _issue(
    number: int, team: int, kind: str, rng: random.Random, *, parent: int | None = None, done: bool = False
) -> Issue:
    at = NOW - timedelta(days=rng.randrange(1, 300))
    place = rng.randrange(SPRINTS) if done else SPRINTS
    in_sprint = kind != "Epic" and (done or rng.random() < 0.1)
    return Issue(
        site_id=SITE,
        id=str(number),
        issue_key=f"T{team}-{number}",
        project_id=str(team + 1),
        project_key=f"T{team}",
        type_name=kind,
        status_id="3" if done else "1",
        status_category="done" if done else "new",
        summary=" ".join(rng.choices(_WORDS, k=5)),
        estimate=None if kind == "Epic" or rng.random() < 0.05 else Decimal(rng.choice((1, 2, 3, 5, 8))),
        estimate_field="customfield_10016",
        parent_id=None if parent is None else str(parent),
        sprint_ids=(str(_sprint_id(team, place)),) if in_sprint else (),
        rank=f"0|i{rng.randrange(1_000_000):06d}:",
        description=" ".join(rng.choices(_WORDS, k=40)),
        created_at=at,
        updated_at=at,
        resolved_at=at if done else None,
    )


def _deal(deal: int, size: Size, rng: random.Random) -> Deal:
    won = rng.random() < 0.5
    epics = [epic_key(deal, part, size) for part in range(DELIVERABLES)]
    if deal and rng.random() < 0.1:
        epics[-1] = epic_key(rng.randrange(deal), 0, size)
    promised = NOW.date() + timedelta(days=rng.randrange(10, _PROMISED_WITHIN))
    step = DealStep(at=NOW - timedelta(days=20), stage="Commit", probability=Decimal(80))
    return Deal(
        org_id=ORG,
        id=f"006{deal:015d}",
        name=f"Company {deal} - {' '.join(rng.choices(_WORDS, k=4))}",
        owner_id=f"005{deal % 200:015d}",
        account_name=f"Company {deal % 4000}",
        stage_name="Won" if won else "Commit",
        is_closed=won,
        is_won=won,
        probability=Decimal(100 if won else 80),
        forecast_category="Closed" if won else "Commit",
        amount=Money(amount=Decimal(rng.randrange(10_000, 300_000)), currency="EUR"),
        close_date=date(2026, 8, 20) if won else date(2026, 12, 1),
        history=(step,),
        custom={"Promised_Date__c": promised.isoformat(), "Jira_Key__c": ", ".join(epics)},
    )


def _team_of(deal: int, part: int, size: Size) -> int:
    """Spread so that a deal's parts fall to different teams and each team has its share."""
    return (deal * DELIVERABLES + part * 7) % size.teams


def _epic_id(deal: int, part: int) -> int:
    return 1 + (deal * DELIVERABLES + part) * (STORIES + 1)


def _sprint_id(team: int, place: int) -> int:
    return team * 100 + place + 1


def _state(topic: Topic, body: Contract) -> OutRecord:
    key = reference_key(body) if isinstance(body, CurrencyRate) else body.key  # type: ignore[attr-defined]
    return encode_state(topic, key, body, version=_VERSION, source="bench")
