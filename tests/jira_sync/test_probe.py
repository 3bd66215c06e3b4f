"""What access there must be: named at the start and by ``jira-sync check``, in words that say what to do."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from tests.jira_sync.conftest import SITE, Stage
from tests.jira_sync.fakes import MemorySite
from tests.jira_sync.test_settings import ENVIRON
from typer.testing import CliRunner

from jira_sync import cli
from jira_sync.errors import AccessMissingError, ScanFailedError
from jira_sync.login_choice import LoginKind
from jira_sync.probe import Finding, probe
from jira_sync.reader import OffsetPage
from jira_sync.scope import Scope
from troth_contracts.topics import ISSUES


async def test_a_project_that_is_gone_is_done_without_at_the_next_start(stage: Stage) -> None:
    """The search refuses all projects because of one; a restart after somebody trashed it must not end there."""
    await stage.scan()
    stage.site.seed["projects"][1]["state"] = "deleted"
    stage.start()
    await stage.later(60)
    await stage.scan()
    assert "project BET (is not there or hidden" in stage.health.checks["jira"].detail
    assert stage.health.ready
    assert f"{SITE}:10101" in stage.kafka.latest(ISSUES), "trashed is not deleted"


async def test_projects_of_which_none_is_there_end_the_start_and_are_named(stage: Stage) -> None:
    stage.scope = Scope(projects=("APE", "BETA"))
    stage.start()
    with pytest.raises(
        AccessMissingError, match=r"APE is not there .* TROTH_JIRA_PROJECTS.*; BETA is not there"
    ):
        await stage.scan()


async def test_check_names_a_project_that_is_not_there_and_checks_the_others(stage: Stage) -> None:
    findings = await probe(stage.site, LoginKind.API_TOKEN, ("APA", "NOPE"))
    assert [finding.name for finding in findings if not finding.ok] == ["project NOPE"]
    assert {"search", "changelog", "versions of APA"} <= {finding.name for finding in findings}


async def test_check_says_that_a_kanban_board_needs_no_sprints_and_asks_the_others(stage: Stage) -> None:
    """A team-managed board without sprints answers 400; that is no missing access."""
    stage.site.seed["boards"].append(
        stage.site.seed["boards"][0] | {"id": 9, "name": "Team", "type": "simple"}
    )

    class Site(MemorySite):
        async def sprints(self, board_id: str, states: Sequence[str], start: int) -> OffsetPage:
            if board_id == "9":
                raise ScanFailedError("board/9/sprint: Jira answered 400")
            return await super().sprints(board_id, states, start)

    found = {f.name: (f.ok, f.detail) for f in await probe(Site(stage.site.seed), LoginKind.API_TOKEN, ())}
    assert found["board 1 'Apollo'"] == (True, "configuration, projects, sprints")
    assert (
        found["board 3 'Support'"][1] == "configuration, projects, no sprints needed: a kanban board has none"
    )
    assert found["board 9 'Team'"] == (True, "configuration, projects, no sprints: they are not switched on")


@pytest.mark.parametrize("missing", [True, False])
def test_check_ends_with_what_it_means(monkeypatch: pytest.MonkeyPatch, missing: bool) -> None:
    findings = [Finding("myself", ok=True, detail="Ann [red]"), Finding("search", ok=not missing)]

    async def found(_settings: object) -> list[Finding]:
        return findings

    monkeypatch.setattr(cli, "_check", found)
    told = CliRunner().invoke(cli.app, ["check"], env=dict(ENVIRON))
    lines = told.stdout.splitlines()
    assert lines[0] == "ok      myself: Ann [red]", "a name is no markup"
    assert lines[-1].startswith("1 missing." if missing else "Everything")
    assert told.exit_code == (78 if missing else 0)
