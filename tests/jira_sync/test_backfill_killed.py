"""A backfill of several projects at once dies at every single step; only pages that were not published are read again."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any, cast

from tests.integration.jira_crash import Killed, MortalReader, Steps
from tests.jira_sync.conftest import SITE, Stage
from tests.jira_sync.fakes import MemorySite
from tests.jira_sync.test_backfill_side_by_side import Watched, of_sizes

from jira_sync.backfill import PAGES_TOGETHER, PROJECTS_AT_ONCE
from jira_sync.scope import Scope
from troth_contracts.codec import OutRecord
from troth_contracts.jira import Issue
from troth_contracts.topics import ISSUE_EVENTS, ISSUES

SIZES = (13, 7, 4, 12, 3, 2, 1, 1, 1, 1)
"""Issues; more projects than are read at once, two of them in several transactions."""
CAP = 2
"""Issues on a page."""
READ_AHEAD = 1


class Mortal(Stage):
    """The same site and topics, life after life; each has its own steps."""

    def live(self, steps: Steps) -> None:
        site, publish = self.site, type(self.kafka).publish

        async def mortal(records: Sequence[OutRecord]) -> None:
            steps.take("commit begins")
            await asyncio.sleep(0)
            steps.take("commit is half sent")
            await publish(self.kafka, records)
            await asyncio.sleep(0)
            steps.take("commit is acknowledged")

        self.kafka.publish = mortal  # type: ignore[method-assign]
        self.site = cast("MemorySite", MortalReader(cast("Any", site), steps))
        self.start()
        self.site = site

    async def survives(self, steps: Steps) -> bool:
        """False when it was killed before it rested."""
        self.live(steps)
        try:
            await self.scan()
        except Killed:
            return False
        return True

    def pages(self) -> Counter[str]:
        """How many pages of each project were asked for until now."""
        return Counter(query.split('"')[1] for query in self.site.queries if "created DESC" in query)

    def published(self) -> Counter[str]:
        """How many issues of each project are published."""
        issues = self.kafka.latest(ISSUES).values()
        return Counter(f"P{issue.project_id}" for issue in issues if isinstance(issue, Issue))


def stage() -> Mortal:
    site = Watched(of_sizes(SIZES))
    site.page_cap, site.changelog_cap = CAP, 1_000
    return Mortal(site=site, scope=Scope())


async def number_of_steps() -> int:
    steps = Steps()
    assert await stage().survives(steps)
    return len(steps.taken)


async def test_a_backfill_killed_at_any_step_reads_again_what_was_in_flight_only() -> None:
    last = await number_of_steps()
    assert last > 60
    most = 0
    for fatal in range(last):
        played = stage()
        assert not await played.survives(Steps(fatal)), fatal
        asked, published = played.pages(), played.published()
        assert await played.survives(Steps()), fatal
        again = played.pages() - asked
        for number, size in enumerate(SIZES, 1):
            key = f"P{number}"
            assert again[key] == -(-(size - published[key]) // CAP), (fatal, key)
            in_flight = asked[key] - -(-published[key] // CAP)
            assert 0 <= in_flight <= PAGES_TOGETHER + READ_AHEAD, (fatal, key)
            most = max(most, in_flight)
        events = [record.id for record in played.kafka.told(ISSUE_EVENTS)]
        assert len(events) == len(set(events)) == sum(SIZES), fatal
        assert set(played.kafka.latest(ISSUES)) == {
            f"{SITE}:{row['id']}" for row in played.site.seed["issues"]
        }
    assert most > PAGES_TOGETHER, "some died with as much in flight as there can be"
    assert len(SIZES) > PROJECTS_AT_ONCE
