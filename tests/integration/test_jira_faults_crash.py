"""jira-sync dies at every step between a request and its acknowledgement; its successor leaves the topics exact.

Every step of a backfill, with the pages each death costs: ``tests/jira_sync/test_backfill_killed.py``. Here some of them
(all with ``make faults FULL=1``) on a real Kafka, where a dead process leaves half a transaction behind.
"""

from __future__ import annotations

import os
from collections import Counter
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.integration.jira_crash import Killed, MortalReader, MortalWriter, Steps
from tests.integration.jira_play import Life, Play, opened

from jira_sync.backfill import PAGES_TOGETHER
from jira_sync.publication import SERVICE
from jira_sync.reader import JiraReader
from troth_contracts.jira import Issue
from troth_contracts.topics import ISSUES
from troth_sandbox.jira import sample

FULL = os.environ.get("TROTH_FULL") == "1"
SIZES = {"APA": 31, "PEA": 12, "QUI": 8, "RYE": 22, "SOY": 5, "TEA": 3}
"""More projects than are read at once, two of them in several transactions."""
CAP = 2
IN_FLIGHT = PAGES_TOGETHER + 1
"""Pages of one project: those that go together, and the one read ahead."""


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


def wide(kafka: str) -> Play:
    """The sample's issues over six projects."""
    seed = sample.seed(sum(SIZES.values()))
    numbers = {key: str(10_000 + number) for number, key in enumerate(SIZES)}
    seed["projects"] += [
        {"id": numbers[key], "key": key, "name": key} for key in SIZES if key not in ("APA", "PEA")
    ]
    keys = [key for key, size in SIZES.items() for _ in range(size)]
    for issue, key in zip(seed["issues"], keys, strict=True):
        issue["key"] = f"{key}-{issue['id']}"
        issue["fields"]["project"] = {"id": numbers[key], "key": key}
    play = Play(kafka, seed)
    play.site.switches.search_page_cap = CAP
    return play


def pages(play: Play) -> Counter[str]:
    """How many pages of each project the backfills asked for until now."""
    asked = [parse_qs(urlsplit(entry["path"]).query) for entry in play.asked("search/jql")]
    return Counter(q["jql"][0].split('"')[1] for q in asked if "created DESC" in q["jql"][0])


async def published(play: Play) -> Counter[str]:
    await play.topics.refresh()
    records: list[Any] = [record.body for record in play.topics.kept(ISSUES, play.site_id)]
    keys = {body.id: body.issue_key for body in records if isinstance(body, Issue)}
    return Counter(key.partition("-")[0] for key in keys.values())


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


@pytest.mark.parametrize("fatal", range(12, 100) if FULL else (35, 52, 69))
async def test_a_first_backfill_killed_at_a_step_goes_on_where_it_was(kafka: str, fatal: int) -> None:
    """The steps before are those of the start: nothing is published yet. Later ones are those of the end."""
    play = wide(kafka)
    async with opened(play) as reader:
        await survives(play, mortal(play, reader, Steps(fatal)), 60)
        asked = pages(play)
        play.edit(10_007, status={"id": "3"})
        mortal(play, reader, Steps())
        await play.passes(120)
        await play.exact()
        again, told = pages(play) - asked, await published(play)
        assert told == SIZES
        for key, size in SIZES.items():
            # What the first life asked for and the second again: in flight, none of it acknowledged.
            assert asked[key] + again[key] - -(-size // CAP) <= IN_FLIGHT, (key, asked, again)
