"""One document that makes no sense costs itself and is named; everything beside it is told."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.jira_sync.conftest import SITE, Stage

from jira_sync.errors import ScanFailedError
from jira_sync.parse import Json
from troth_contracts.jira import Sprint
from troth_contracts.sync import SyncStatus
from troth_contracts.topics import BOARDS, ISSUES, SPRINTS, SYNC_STATUS, VERSIONS, Topic

EXAMPLES = 100
NONSENSE: tuple[object, ...] = (
    None,
    "",
    "none of it",
    -1,
    10**20,
    1.5,
    True,
    [],
    {},
    ["x"],
    "0026-11-30T10:00:00.000Z",
    "\ud800",
)


def ids(stage: Stage, topic: Topic) -> set[str]:
    return {key.removeprefix(f"{SITE}:") for key in stage.kafka.latest(topic)}


def named(stage: Stage, name: str) -> bool:
    return name in stage.health.checks["jira"].detail


async def test_a_year_somebody_mistyped_costs_that_date_only(stage: Stage) -> None:
    """People plan sprints by hand; Jira takes any year (singer 87, DevLake 5244)."""
    stage.site.sprint(1)["endDate"] = "0026-10-16T16:00:00.000Z"
    await stage.scan()
    told = stage.kafka.latest(SPRINTS)[f"{SITE}:1"]
    assert isinstance(told, Sprint)
    assert told.planned_end_at is None
    assert told.result is not None
    assert named(stage, "sprint 1 (endDate '0026-10-16T16:00:00.000Z' cannot be: mend it in Jira)")
    assert ids(stage, SPRINTS) == {"1", "2", "3", "4"}
    stage.site.sprint(1)["endDate"] = "2026-10-16T16:00:00.000Z"
    await stage.scan()
    assert not named(stage, "sprint 1")


async def test_a_sprint_that_makes_no_sense_is_set_aside_and_stays_as_it_was_told(stage: Stage) -> None:
    stage.site.agile_cap = 1
    await stage.scan()
    stage.site.sprint(2)["activatedDate"] = "yesterday"
    await stage.later(60)
    await stage.scan(2)
    assert named(stage, "sprint 2 (time 'yesterday' is not ISO 8601)")
    assert ids(stage, SPRINTS) == {"1", "2", "3", "4"}, "what was told of it before stays"


@pytest.mark.parametrize(
    ("kind", "number", "field", "topic", "name"),
    [("boards", 1, "name", BOARDS, "board 2"), ("versions", 0, "id", VERSIONS, "version None")],
)
async def test_a_board_or_version_without_what_makes_one_is_set_aside(
    stage: Stage, kind: str, number: int, field: str, topic: Topic, name: str
) -> None:
    before = len(stage.site.seed[kind])
    stage.site.seed[kind][number][field] = None
    await stage.scan()
    assert len(ids(stage, topic)) == before - 1
    assert named(stage, f"{name} (field {field!r} is missing)")
    assert len(ids(stage, ISSUES)) == 7


async def test_an_answer_nothing_can_be_set_aside_of_fails_the_scan_and_not_the_service(stage: Stage) -> None:
    await stage.scan()
    stage.site.seed["projects"][0]["key"] = None
    await stage.later(60)
    with pytest.raises(ScanFailedError, match="'key' is missing"):
        await stage.scan()
    status = stage.kafka.latest(SYNC_STATUS)[f"jira-sync:{SITE}"]
    assert isinstance(status, SyncStatus)
    assert (status.state, status.reason) == ("paused", "field 'key' is missing")


def leaves(document: object, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The place of everything in a document, the containers too."""
    if at:
        yield at
    inner = (
        document.items()
        if isinstance(document, dict)
        else enumerate(document if isinstance(document, list) else ())
    )
    for name, value in inner:
        yield from leaves(value, (*at, name))


def broken(document: Json, at: tuple[Any, ...], value: object) -> Json:
    found: Any = copy.deepcopy(document)
    inner = found
    for name in at[:-1]:
        inner = inner[name]
    inner[at[-1]] = value
    return found  # type: ignore[no-any-return]


class Spoilt:
    """The site's answers, one document of them broken at one place. Its id stays: it says which one it is."""

    def __init__(self, stage: Stage, data: st.DataObject) -> None:
        self._data = data
        self._broken: Json | None = None
        self._wanted = data.draw(st.sampled_from(sorted(VICTIMS)))
        for name in VICTIMS:
            setattr(stage.site, name, self._around(name, getattr(stage.site, name)))

    def _around(self, name: str, ask: Any) -> Any:
        async def spoilt(*given: Any, **more: Any) -> Any:
            found = await ask(*given, **more)
            if name != self._wanted:
                return found
            if isinstance(found, dict):
                return self._spoil(found) if VICTIMS[name](found) else found
            items = found if isinstance(found, list) else found.items
            kept = [self._spoil(item) if VICTIMS[name](item) else item for item in items]
            if isinstance(found, list):
                return kept
            return dataclasses.replace(found, items=tuple(kept))

        return spoilt

    def _spoil(self, document: Any) -> Any:
        if self._broken is None:
            places = [at for at in leaves(document) if at not in (("id",), ("issueId",))]
            place = self._data.draw(st.sampled_from(places))
            self._broken = broken(document, place, self._data.draw(st.sampled_from(NONSENSE)))
        return self._broken


VICTIMS: Mapping[str, Callable[[Json], bool]] = {
    "search": lambda item: item["id"] == "10002",
    "changelogs": lambda item: item["issueId"] == "10002",
    "sprints": lambda item: item["id"] == 2,
    "board_configuration": lambda item: item["id"] == 2,
    "boards": lambda item: item["id"] == 2,
    "board_projects": lambda item: item["id"] == "10100",
    "versions": lambda _: True,
}


@settings(max_examples=EXAMPLES, derandomize=True)
@given(data=st.data())
async def test_whatever_is_wrong_with_one_document_its_neighbours_are_told(data: st.DataObject) -> None:
    stage = Stage()
    Spoilt(stage, data)
    await stage.scan()
    assert ids(stage, ISSUES) >= {"10001", "10003", "10004", "10005", "10101", "10102"}
    assert ids(stage, SPRINTS) >= {"1", "3"}
    assert ids(stage, BOARDS) >= {"1"}
