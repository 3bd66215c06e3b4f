"""jira-sync dies at every step between a request and its acknowledgement; its successor leaves the topics exact."""

from __future__ import annotations

import os
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.integration.jira_crash import Killed, MortalReader, MortalWriter, Steps
from tests.integration.jira_play import Life, Play, opened

from jira_sync.publication import SERVICE
from jira_sync.reader import JiraReader
from troth_sandbox.jira import sample

PAGES = 7
"""Of five issues: 23 and 7 of them in two projects."""
IN_FLIGHT = 3
"""Read ahead: one with its changelogs, one without, one being published."""
FULL = os.environ.get("TROTH_FULL") == "1"


def mortal(play: Play, reader: JiraReader, steps: Steps) -> Life:
    return play.start(MortalReader(reader, steps), MortalWriter(play.kafka, SERVICE, play.site_id, steps))


async def survives(play: Play, life: Life, seconds: float) -> bool:
    """False when it was killed before it rested."""
    try:
        await play.until(play.clock.monotonic() + seconds, life)
    except Killed:
        return False
    return True


def small(kafka: str) -> Play:
    play = Play(kafka, sample.seed(30))
    play.site.switches.search_page_cap = 5
    return play


def project_pages(play: Play) -> list[str]:
    """The token of every page of a backfill that was asked for; empty for a first page."""
    asked = [parse_qs(urlsplit(entry["path"]).query) for entry in play.asked("search/jql")]
    return [query.get("nextPageToken", [""])[0] for query in asked if "created DESC" in query["jql"][0]]


async def test_a_life_that_ends_one_step_later_each_time_leaves_nothing_wrong(kafka: str) -> None:
    """People work between any two lives, so each of them has something to lose."""
    play, fatal = small(kafka), 0
    async with opened(play) as reader:
        while True:
            play.edit(10_001 + fatal % 30, summary=f"before life {fatal}", status={"id": "123"[fatal % 3]})
            steps = Steps(fatal)
            if await survives(play, mortal(play, reader, steps), 100):
                break
            fatal += 1
        assert {"search", "changelogs", "sprints", "commit is half sent", "commit is acknowledged"} <= {
            *steps.taken
        }
        assert fatal > 40, "every step of a life was the last one of another"
        await play.exact()


@pytest.mark.parametrize("fatal", range(18, 60) if FULL else range(19, 55, 5))
async def test_a_first_backfill_killed_at_a_step_goes_on_where_it_was(kafka: str, fatal: int) -> None:
    """The steps before are those of the start: nothing is published yet."""
    play = small(kafka)
    async with opened(play) as reader:
        killed = not await survives(play, mortal(play, reader, Steps(fatal)), 10)
        play.edit(10_007, status={"id": "3"})
        mortal(play, reader, Steps())
        await play.passes(100)
        await play.exact()
        pages = project_pages(play)
        assert len(pages) <= PAGES + (IN_FLIGHT if killed else 0), pages
