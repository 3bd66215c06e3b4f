"""Refusals while people work: 429 in every form (T9), a login and boards taken away, a search removed (T18)."""

from __future__ import annotations

import threading
import time
from typing import Any

import msgspec
import pytest
from tests.integration.jira_play import HOUR, Play, Topics, opened
from tests.integration.test_jira_faults_site import FIRST, MINUTE, busy, site

from jira_sync.errors import AccessLostError, CredentialsError, JiraUnavailableError, NotSupportedError
from troth_chassis.errors import ConfigurationError
from troth_contracts.jira import Sprint
from troth_contracts.sync import Watermark
from troth_contracts.topics import ISSUES, JIRA_STATE, SPRINTS, dead_letter_topic
from troth_sandbox.jira import catalogue_writes, sample
from troth_sandbox.jira.limits import Burst, LimitPlan, Quota

OTHER_POINTS = "customfield_10036"
LETTERS = dead_letter_topic("jira-sync")


@pytest.fixture
def no_wait_in_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits in a step of the event loop stalls everybody else (T22)."""
    sleep, loops_thread = time.sleep, threading.get_ident()

    def refused(seconds: float) -> None:
        assert threading.get_ident() != loops_thread, f"the event loop sleeps for {seconds} s"
        sleep(seconds)

    monkeypatch.setattr(time, "sleep", refused)


TOO_LONG = {"missing": {JiraUnavailableError}}
"""Six tries of 1, 2, 4 ... seconds do not last for fifty minutes that nobody named."""
REFUSED_WITH_ZERO: dict[str, Any] = {
    "status": 429,
    "headers": {"Retry-After": "0", "RateLimit-Reason": "jira-burst-based"},
}


@pytest.mark.usefixtures("no_wait_in_the_loop")
@pytest.mark.parametrize("header", ["seconds", "date", "reset_without_seconds", "missing", "zero"])
async def test_t9_t22_refusals_in_every_form_cost_time_only(kafka: str, header: str) -> None:
    """A tenth refused as bursts; then fifty minutes without a quota. One request at a time knows every refusal."""
    play = site(kafka, 40, page=10)
    told: Any = "seconds" if header == "zero" else header
    async with opened(play, jira_poll_seconds=120.0, jira_max_in_flight=1) as reader:
        if header == "zero":
            play.fault("/rest/", times=None, share=0.1, seed=3, **REFUSED_WITH_ZERO)
        else:
            bursts = Burst(refuse_share=0.1, refuse_seconds=4.2)
            play.site.limiter.set(LimitPlan(burst=bursts, header=told, seed=3))
        busy(play, every=40, until=80 * MINUTE)
        spent = LimitPlan(quota=Quota(points=10_000, used=10_000), header=told)
        play.clock.at(11 * MINUTE, lambda: play.site.limiter.set(spent))
        life = play.start(reader)
        await play.until(90 * MINUTE)
        await play.exact()
        assert {type(failure) for failure in life.failures} <= TOO_LONG.get(header, set())
        refused = [entry for entry in play.site.journal if entry["status"] == 429]
        assert len(refused) > 5
        assert any(entry["limit"] == "jira-quota-global-based" for entry in refused)
        assert [entry["path"] for entry in play.site.journal if entry.get("early_ms")] == []
        assert len(refused) < 100, "nobody spins"


def watermark(play: Play) -> Watermark:
    """The site's, as it was last committed."""
    records = play.topics._kept[JIRA_STATE.name]
    values = [record.value for record in records if record.key == play.site_id.encode()]
    return msgspec.json.decode(values[-1], type=Watermark)


@pytest.mark.parametrize("returns", [True, False])
async def test_t18_a_401_in_the_middle_leaves_the_watermark_where_it_was(kafka: str, returns: bool) -> None:
    """Pages were published as they came; what was not is found from the old watermark. A login that stays refused
    ends the service with one sentence.
    """
    play = site(kafka, 60, page=10)
    async with opened(play) as reader:
        life = play.start(reader)
        await play.until(3 * MINUTE)
        for issue in range(FIRST, FIRST + 60):
            play.edit(issue, summary="changed by all", status={"id": "3"})
        await play.topics.refresh()
        before, published = watermark(play), len(play.topics.kept(ISSUES, play.site_id))
        play.fault("changelog/bulkfetch", nth=3, status=401)
        while not life.failures:
            await play.passes(5, resting=False)
        assert {type(failure) for failure in life.failures} == {AccessLostError}
        await play.topics.refresh()
        assert published < len(play.topics.kept(ISSUES, play.site_id)) < published + 60, "in the middle"
        assert watermark(play) == before
        if not returns:
            play.fault("/rest/", times=None, status=401)
            with pytest.raises(CredentialsError, match="does not accept"):
                await play.passes(2 * MINUTE)
            assert sum(entry["status"] == 401 for entry in play.site.journal) <= 3, "it does not try on"
            assert watermark(play) == before
            play.site.faults.clear()
            play.start(reader)
        await play.passes(3 * MINUTE)
        await play.exact()
        assert watermark(play).position > before.position


def with_two_fields() -> dict[str, Any]:
    """The second board counts its own project in a field of its own, named like the first."""
    seed = sample.seed(40)
    field = next(entry for entry in seed["fields"] if entry["id"] == sample.POINTS_FIELD)
    seed["fields"].append(field | {"id": OTHER_POINTS, "schema": field["schema"] | {"customId": 10036}})
    seed["boards"][1] |= {"estimation_field_id": OTHER_POINTS, "project_ids": ["10001"]}
    for issue in seed["issues"]:
        if issue["fields"]["project"]["key"] == "PEA":
            issue["fields"] |= {OTHER_POINTS: 0.5 + int(issue["id"]) % 3, sample.SPRINT_FIELD: [90]}
    return seed


async def test_t18_three_forbidden_boards_are_named_and_the_rest_flows(kafka: str) -> None:
    """What they were last known to count by still holds: no estimate and no sprint changes because of it."""
    play = Play(kafka, with_two_fields())
    play.estimates = {"10001": OTHER_POINTS}
    async with opened(play, jira_structure_seconds=5 * MINUTE) as reader:
        life = play.start(reader)
        busy(play, every=60, until=15 * MINUTE)
        await play.until(20 * MINUTE)
        await play.exact()
        before = await sprints(play)
        boards = [board.id for board in play.site.store.catalogue.boards.values()]
        assert len(boards) == 3
        for board, status in zip(boards, (403, 404, 403), strict=True):
            _forbid(play, board, status)
        asked = len(play.asked())
        await play.passes(10 * MINUTE)
        pages = [entry for entry in list(play.site.journal)[asked:] if "created+DESC" in entry["path"]]
        assert not pages, "no project is read again"
        detail = life.health.checks["jira"].detail
        assert all(f"board {board}" in detail for board in boards), detail
        assert life.health.checks["jira"].ok
        assert life.value("jira_sync_quarantined", kind="board") == 3
        assert await sprints(play) == before
        change: dict[str, Any] = {"status": {"id": "3"}, OTHER_POINTS: 5.5}
        play.edit(10_004, **change)
        await play.passes(5 * MINUTE)
        await play.exact()
        await life.stop()
        life = play.start(reader)  # whoever starts now knows the boards from Kafka only
        play.edit(10_008, **change)
        await play.passes(5 * MINUTE)
        await play.exact()
        for board in boards:
            _forbid(play, board, None)
        await play.passes(HOUR)
        await play.exact()
        assert not life.failures
        assert "set aside" not in life.health.checks["jira"].detail


async def sprints(play: Play) -> dict[str, Sprint]:
    await play.topics.refresh()
    kept = play.topics.kept(SPRINTS, play.site_id)
    return {record.key: record.body for record in kept if isinstance(record.body, Sprint)}


def _forbid(play: Play, board: int, status: int | None) -> None:
    found = msgspec.structs.replace(play.site.store.board(board), denied=status)
    catalogue_writes.keep_board(play.site, found, play.now_ms())


async def test_t18_a_broken_issue_is_kept_apart_and_shown_and_the_rest_flows(kafka: str) -> None:
    """Its original goes to the dead letters, once; it is told as soon as it can be read."""
    play = site(kafka, 40)
    async with opened(play, jira_poll_seconds=120.0) as reader:
        life = play.start(reader)
        await play.until(5 * MINUTE)
        search, broken = reader.search, str(FIRST + 4)

        async def spoilt(*given: Any, **named: Any) -> Any:
            found = await search(*given, **named)
            for item in found.items:
                if item["id"] == broken and "fields" in item:
                    item["fields"]["status"] = None
            return found

        reader.search = spoilt  # type: ignore[method-assign]
        busy(play, every=20, until=play.clock.monotonic() + 20 * MINUTE)
        play.edit(broken, summary="cannot be read")
        await play.passes(30 * MINUTE)
        found = await play.difference()
        assert {entry.split(":")[0].split()[1] for entry in found.stale} == {broken}
        assert not found.extra
        assert not found.doubled
        assert all(f":{broken}:" in entry for entry in found.missing)
        assert life.value("jira_sync_quarantined", kind="issue") == 1
        assert life.value("jira_sync_dead_letters_total") == 1
        letters = await letters_of(play)
        assert len(letters) == 1
        assert b'"cannot be read"' in letters[0]
        assert not life.failures
        reader.search = search  # type: ignore[method-assign]
        await play.passes(90 * MINUTE)
        await play.exact()
        assert life.value("jira_sync_quarantined", kind="issue") == 0


async def letters_of(play: Play) -> list[bytes]:
    """The originals among this site's dead letters."""
    topics = Topics(play.kafka, [LETTERS])
    await topics.start()
    await topics.refresh()
    await topics.stop()
    return [r.value for r in topics._kept[LETTERS.name] if r.key.startswith(f"{play.site_id}:".encode())]


async def test_t18_a_search_that_is_removed_ends_the_service_within_thirty_seconds(kafka: str) -> None:
    """Of its own poll at the latest, while it runs as at its start."""
    play = site(kafka, 20)
    async with opened(play) as reader:
        life = play.start(reader)
        await play.until(3 * MINUTE)
        play.fault("search/jql", times=None, status=410)
        with pytest.raises(NotSupportedError, match="search/jql: Jira answered 410"):
            await play.passes(2 * MINUTE)
        assert life.task.done()
        told = next(entry["at"] for entry in play.site.journal if entry["status"] == 410)
        assert play.now_ms() - told < 30_000
        again = play.start(reader)
        began = play.clock.monotonic()
        with pytest.raises(ConfigurationError, match="search/jql: Jira answered 410"):
            await play.passes(2 * MINUTE)
        assert again.task.done()
        assert play.clock.monotonic() - began < 30
