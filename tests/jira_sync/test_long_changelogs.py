"""A changelog is told from its first entry to its last, however long it is and wherever Jira cuts it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.jira_sync.conftest import SITE, Stage
from tests.jira_sync.fakes import NOW
from tests.jira_sync.small_site import history, status_item

from jira_sync.parse import Json
from jira_sync.reader import TokenPage
from troth_contracts.topics import ISSUE_EVENTS

LONG, CUT = 250, 100
ISSUE = "10005"


def write_many(stage: Stage) -> list[Json]:
    """There and back again, ending where it began."""
    stage.site.issue(ISSUE)["histories"] = [
        history(
            1_000 + number,
            (NOW - timedelta(days=9) + timedelta(minutes=number)).isoformat(),
            status_item(*("13" if number % 2 == 0 else "31")),
        )
        for number in range(LONG)
    ]
    found: list[Json] = stage.site.issue(ISSUE)["histories"]
    return found


def told(stage: Stage) -> list[str]:
    return [record.id for record in stage.kafka.told(ISSUE_EVENTS) if record.key == f"{SITE}:{ISSUE}"]


@pytest.mark.parametrize("inline", [False, True])
async def test_mutation_a_changelog_cut_at_100_would_lose_the_oldest(stage: Stage, inline: bool) -> None:
    """``expand=changelog`` gives the newest hundred and says how many there are (DevLake 4915)."""
    histories = write_many(stage)
    search = stage.site.search

    async def expanded(*asked: object, **more: object) -> TokenPage:
        page = await search(*asked, **more)  # type: ignore[arg-type]
        cut = {"total": LONG, "histories": histories[:-CUT:-1]}
        items = tuple({**item, "changelog": cut} if item["id"] == ISSUE else item for item in page.items)
        return TokenPage(items, page.token, page.is_last)

    if inline:
        stage.site.search = expanded  # type: ignore[method-assign]
    await stage.scan(2)
    assert sorted(told(stage)) == sorted(f"{SITE}:{ISSUE}:{1_000 + number}:0" for number in range(LONG))
