"""What a scan publishes, what the next one adds, and what a fault leaves untouched."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TypeVar

import pytest
from tests.jira_sync.conftest import SITE, Stage
from tests.jira_sync.fakes import NOW, unauthorised
from tests.jira_sync.small_site import POINTS_FIELD, SPRINT_FIELD, item, points_item, sprint_item, status_item

from jira_sync.errors import (
    AccessLostError,
    CredentialsError,
    JiraUnavailableError,
    NotSupportedError,
    StateLostError,
)
from jira_sync.scan import issue_query
from jira_sync.scope import Scope
from troth_chassis.errors import ConfigurationError, TransientError
from troth_contracts.codec import OutRecord
from troth_contracts.jira import Board, Issue, IssueEvent, Sprint, SprintEvent, SprintFigures, Version
from troth_contracts.sync import SyncStatus, Watermark
from troth_contracts.topics import (
    BOARDS,
    BY_NAME,
    ISSUE_EVENTS,
    ISSUES,
    JIRA_STATE,
    SPRINT_EVENTS,
    SPRINTS,
    SYNC_STATUS,
    VERSIONS,
    Topic,
)
from troth_contracts.values import Contract

LETTERS = BY_NAME["jira-sync.dead-letters"]
C = TypeVar("C", bound=Contract)


def one(stage: Stage, topic: Topic, key: str, kind: type[C]) -> C:
    body = stage.kafka.latest(topic)[f"{SITE}:{key}"]
    assert isinstance(body, kind)
    return body


def sprint(stage: Stage, sprint_id: str) -> Sprint:
    return one(stage, SPRINTS, sprint_id, Sprint)


def points(figures: SprintFigures | None) -> Decimal | None:
    return None if figures is None else figures.points


def mark(stage: Stage) -> Watermark:
    found = stage.kafka.latest(JIRA_STATE)[SITE]
    assert isinstance(found, Watermark)
    return found


def effects(stage: Stage, sprint_id: str) -> list[str]:
    bodies = [record.body for record in stage.kafka.told(SPRINT_EVENTS)]
    return [body.effect for body in bodies if isinstance(body, SprintEvent) and body.sprint_id == sprint_id]


def _is_mark(record: OutRecord) -> bool:
    return record.topic == JIRA_STATE.name and record.key == SITE


async def test_the_first_scan_publishes_the_whole_site(stage: Stage) -> None:
    await stage.scan()
    assert len(stage.kafka.latest(ISSUES)) == 7
    assert one(stage, BOARDS, "1", Board).done_status_ids == ("9",)
    assert one(stage, VERSIONS, "501", Version).name == "1.0"
    story = one(stage, ISSUES, "10002", Issue)
    assert (story.estimate, story.sprint_ids, story.estimate_field) == (Decimal(5), ("1", "2"), POINTS_FIELD)
    closed = sprint(stage, "1")
    assert (points(closed.commitment), points(closed.added), points(closed.result)) == (
        Decimal(8),
        Decimal(2),
        Decimal(5),
    )
    assert not closed.provisional
    running = sprint(stage, "2")
    assert (points(running.commitment), points(running.added), running.result) == (
        Decimal(5),
        Decimal(8),
        None,
    )
    assert sprint(stage, "3").commitment is None


async def test_sprint_events_of_the_closed_sprint(stage: Stage) -> None:
    await stage.scan()
    assert Counter(effects(stage, "1")) == Counter(started=1, closed=1, scope_added=1, issue_done=2)
    assert Counter(effects(stage, "2")) == Counter(started=1, scope_added=1)
    assert not effects(stage, "3")


async def test_the_watermark_goes_last_with_the_last_data(stage: Stage) -> None:
    await stage.scan()
    batches = stage.kafka.transactions
    marked = [number for number, batch in enumerate(batches) if any(_is_mark(record) for record in batch)]
    assert [record.topic for record in batches[0]] == [JIRA_STATE.name, SYNC_STATUS.name]
    assert marked[0] == 0
    assert len(marked) == 2
    assert _is_mark(batches[marked[1]][-1])
    assert all(r.topic == JIRA_STATE.name for batch in batches[marked[1] + 1 :] for r in batch), "census only"


async def test_mutation_watermark_from_max_updated_would_skip_issues_indexed_late(stage: Stage) -> None:
    """It is the server's time at the start of the scan minus the overlap, whatever the issues say."""
    stage.site.change("10005", NOW + timedelta(days=2), status_item("1", "3"), status={"id": "3"})
    await stage.scan()
    assert mark(stage).position == NOW - timedelta(minutes=5)


async def test_the_next_query_has_a_lower_bound_only_in_epoch_milliseconds_floored_to_the_minute(
    stage: Stage,
) -> None:
    await stage.scan(3)
    bound = int(datetime(2026, 11, 25, 9, 55, tzinfo=UTC).timestamp() * 1000)
    assert (
        stage.site.queries[-1]
        == f'project in ("APA", "BET") AND updated >= {bound} ORDER BY updated ASC, id ASC'
    )


def test_mutation_quoted_time_or_upper_bound_never_appears_in_a_query() -> None:
    query = issue_query((), NOW)
    assert "<" not in query
    assert '"' not in query
    assert query.startswith("updated >= 1")


async def test_a_quiet_scan_publishes_nothing_but_status_and_watermark(stage: Stage) -> None:
    await stage.scan()
    before = len(stage.kafka.records)
    await stage.later(60)
    await stage.scan()
    assert {record.topic for record in stage.kafka.records[before:]} == {SYNC_STATUS.name, JIRA_STATE.name}


async def test_changes_of_status_estimate_and_sprint_are_told_once(stage: Stage) -> None:
    await stage.scan()
    at = NOW + timedelta(seconds=10)
    stage.site.change(
        "10004", at, status_item("1", "9"), points_item("8", "5"), status={"id": "9"}, **{POINTS_FIELD: 5}
    )
    stage.site.change("10005", at, sprint_item("", "2"), **{SPRINT_FIELD: [2]})
    await stage.later(60)
    await stage.scan(3)
    assert Counter(effects(stage, "2")) == Counter(started=1, scope_added=2, issue_done=1, estimate_changed=1)
    assert points(sprint(stage, "2").added) == Decimal(8)
    ids = Counter(record.id for topic in (ISSUE_EVENTS, SPRINT_EVENTS) for record in stage.kafka.told(topic))
    assert set(ids.values()) == {1}


async def test_a_sprint_that_closes_gets_its_result_and_carry_over_is_undone(stage: Stage) -> None:
    await stage.scan()
    close = NOW + timedelta(seconds=20)
    stage.site.change("10004", close, status_item("1", "9"), status={"id": "9"})
    stage.site.sprint(2).update(state="closed", completeDate=close.isoformat())
    stage.site.change(
        "10002", close + timedelta(seconds=4), sprint_item("1, 2", "1, 2, 3"), **{SPRINT_FIELD: [1, 2, 3]}
    )
    await stage.later(60)
    await stage.scan()
    closed = sprint(stage, "2")
    assert (points(closed.commitment), points(closed.result), points(closed.removed)) == (
        Decimal(5),
        Decimal(8),
        Decimal(0),
    )
    assert closed.provisional
    await stage.later(3_600)
    await stage.scan()
    assert not sprint(stage, "2").provisional
    assert effects(stage, "2").count("closed") == 1


async def test_a_start_that_was_told_is_not_told_again_when_it_is_re_dated(stage: Stage) -> None:
    await stage.scan()
    stage.site.sprint(2)["activatedDate"] = "2026-10-20T08:00:00.000Z"
    await stage.scan()
    assert effects(stage, "2").count("started") == 1


async def test_a_sprint_that_runs_again_is_seen_by_the_next_poll() -> None:
    """An administrator may reopen a closed one; closed sprints are listed every quarter of an hour only."""
    stage = Stage(structure_seconds=10_000)
    stage.site.agile_cap = 2  # a board with more than one page of sprints
    await stage.scan()
    reopened = stage.site.sprint(1)
    reopened["state"] = "active"
    del reopened["completeDate"]
    await stage.later(60)
    await stage.scan()
    assert sprint(stage, "1").state == "active"


async def test_a_restart_needs_no_backfill_and_repeats_no_event(stage: Stage) -> None:
    await stage.scan()
    told = (
        len(stage.kafka.told(ISSUE_EVENTS)),
        len(stage.kafka.told(SPRINT_EVENTS)),
        len(stage.kafka.told(SPRINTS)),
    )
    stage.start()
    await stage.scan()
    assert "updated >=" in stage.site.queries[-1]
    assert (
        len(stage.kafka.told(ISSUE_EVENTS)),
        len(stage.kafka.told(SPRINT_EVENTS)),
        len(stage.kafka.told(SPRINTS)),
    ) == told


async def test_figures_after_a_restart_come_from_the_published_topics(stage: Stage) -> None:
    await stage.scan()
    stage.start()
    stage.site.change("10004", NOW, status_item("1", "9"), status={"id": "9"})
    stage.site.sprint(2).update(state="closed", completeDate=(NOW + timedelta(seconds=9)).isoformat())
    await stage.later(60)
    await stage.scan()
    closed = sprint(stage, "2")
    assert (points(closed.commitment), points(closed.added), points(closed.result)) == (
        Decimal(5),
        Decimal(8),
        Decimal(8),
    )


@pytest.mark.parametrize("failing", range(6))
async def test_a_commit_that_fails_at_any_step_leads_to_the_same_topics(failing: int) -> None:
    calm, shaken = Stage(), Stage()
    await calm.scan()
    shaken.site.page_cap = calm.site.page_cap = 3
    original, calls = shaken.kafka.publish, 0

    async def publish(records: list[object]) -> None:
        nonlocal calls
        calls += 1
        if calls == failing + 1:
            raise TransientError("Kafka is down")
        await original(records)  # type: ignore[arg-type]

    shaken.kafka.publish = publish  # type: ignore[method-assign, assignment]
    with pytest.raises(TransientError):
        await shaken.scan(2)
    shaken.kafka.publish = original  # type: ignore[method-assign]
    await shaken.scan()
    for topic in (ISSUES, SPRINTS, BOARDS, VERSIONS):
        assert shaken.kafka.latest(topic) == calm.kafka.latest(topic)
    for topic in (ISSUE_EVENTS, SPRINT_EVENTS):
        assert Counter(r.id for r in shaken.kafka.told(topic)) == Counter(
            r.id for r in calm.kafka.told(topic)
        )


async def test_401_in_a_scan_stops_it_with_the_watermark_unmoved(stage: Stage) -> None:
    await stage.scan()
    before = mark(stage)
    await stage.later(60)
    stage.site.before = unauthorised("changelog/bulkfetch")
    stage.site.change("10005", NOW, status_item("1", "3"), status={"id": "3"})
    with pytest.raises(AccessLostError):
        await stage.scan()
    assert mark(stage) == before
    status = stage.kafka.latest(SYNC_STATUS)[f"jira-sync:{SITE}"]
    assert isinstance(status, SyncStatus)
    assert status.state == "paused"
    assert not stage.health.ready


async def test_a_wrong_token_is_one_sentence_at_the_start(stage: Stage) -> None:
    stage.site.before = unauthorised("myself")
    with pytest.raises(CredentialsError, match="TROTH_JIRA_API_TOKEN"):
        await stage.scan()


async def test_data_center_is_named_and_refused(stage: Stage) -> None:
    stage.site.deployment = "Server"
    with pytest.raises(NotSupportedError, match="Server"):
        await stage.scan()


async def test_an_unreachable_site_is_transient_and_shown(stage: Stage) -> None:
    def down(name: str) -> None:
        raise JiraUnavailableError(f"{name}: ConnectTimeout after 6 tries")

    stage.site.before = down
    with pytest.raises(JiraUnavailableError):
        await stage.scan()
    assert "ConnectTimeout" in stage.health.checks["jira"].detail


async def test_a_forbidden_board_is_set_aside_and_named_its_neighbours_flow(stage: Stage) -> None:
    stage.site.forbidden_boards = {"2"}
    await stage.scan()
    assert set(stage.kafka.latest(BOARDS)) == {f"{SITE}:1", f"{SITE}:3"}
    assert points(sprint(stage, "1").result) == Decimal(5)
    assert "board 2" in stage.health.checks["jira"].detail
    assert stage.health.ready
    assert stage.registry.get_sample_value("jira_sync_quarantined", {"kind": "board"}) == 1


async def test_a_broken_issue_goes_to_the_dead_letters_once_its_neighbours_flow(stage: Stage) -> None:
    del stage.site.issue("10004")["fields"]["status"]
    await stage.scan(3)
    letters = [record for record in stage.kafka.records if record.topic == LETTERS.name]
    assert len(letters) == 1
    assert b"'status'" in dict(letters[0].headers)["reason"]
    assert b'"10004"' in (letters[0].value or b"")
    assert len(stage.kafka.latest(ISSUES)) == 6


async def test_a_lost_state_topic_is_refused_unless_told_to_rebuild(stage: Stage) -> None:
    await stage.scan()
    stage.kafka.records = [record for record in stage.kafka.records if record.topic != JIRA_STATE.name]
    stage.start()
    with pytest.raises(StateLostError, match="--rebuild") as caught:
        await stage.scan()
    assert isinstance(caught.value, ConfigurationError)
    stage.rebuild = True
    stage.start()
    await stage.scan()
    assert mark(stage).backfill_complete


async def test_an_interrupted_backfill_is_read_again_from_the_beginning(stage: Stage) -> None:
    stage.site.page_cap = 2
    stage.site.before = unauthorised("versions of APA")
    with pytest.raises(AccessLostError):
        await stage.scan()
    assert not mark(stage).backfill_complete
    stage.site.before = lambda _name: None
    stage.start()
    await stage.scan()
    assert "updated >=" not in stage.site.queries[-1]
    assert set(Counter(r.id for r in stage.kafka.told(ISSUE_EVENTS)).values()) == {1}


async def test_g10_a_moved_issue_keeps_its_id_and_its_former_key(stage: Stage) -> None:
    """https://github.com/getsentry/sentry/issues/44454"""
    await stage.scan()
    moved = item("Key", None, (None, "APA-5"), (None, "BET-9"))
    stage.site.change("10005", NOW, moved, project={"id": "10100", "key": "BET"})
    stage.site.issue("10005")["key"] = "BET-9"
    await stage.later(60)
    await stage.scan()
    found = one(stage, ISSUES, "10005", Issue)
    assert (found.issue_key, found.former_keys) == ("BET-9", ("APA-5",))


async def test_g10_a_renamed_project_is_read_again_and_its_old_keys_stay_known(stage: Stage) -> None:
    stage.scope = Scope()
    stage.start()
    await stage.scan()
    for number in (10101, 10102):
        found = stage.site.issue(str(number))
        found["key"] = f"NXT-{number % 100}"
        found["fields"]["project"]["key"] = "NXT"
    stage.site.seed["projects"][1]["key"] = "NXT"
    await stage.scan(2)
    story = one(stage, ISSUES, "10101", Issue)
    assert (story.issue_key, story.former_keys) == ("NXT-1", ("BET-1",))
    assert "updated >= 9466848" not in stage.site.queries[-1]


async def test_events_of_one_issue_are_ordered_and_named_after_the_history(stage: Stage) -> None:
    await stage.scan()
    events = [record.body for record in stage.kafka.told(ISSUE_EVENTS) if record.key == f"{SITE}:10101"]
    assert [(e.history_id, e.item_index, e.field) for e in events if isinstance(e, IssueEvent)] == [
        ("7", 0, "sprint"),
        ("7", 1, "estimate"),
        ("8", 0, "status"),
    ]
