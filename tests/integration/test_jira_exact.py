"""Every change once, whatever Jira does: judged by the simulator's write log."""

from __future__ import annotations

from tests.integration.jira_play import Play, opened

from troth_sandbox.jira import sample


async def test_backfill_and_polls_are_exact(kafka: str) -> None:
    play = Play(kafka, sample.seed(120))
    play.site.switches.search_page_cap = 20
    async with opened(play) as reader:
        play.start(reader)
        await play.until(60)
        await play.exact()
        play.edit(10_005, status={"id": "3"})
        await play.passes(120)
        await play.exact()
