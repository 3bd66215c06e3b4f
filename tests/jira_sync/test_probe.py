"""What access there must be: named at the start and by ``jira-sync check``, in words that say what to do."""

from __future__ import annotations

import pytest
from tests.jira_sync.conftest import SITE, Stage
from tests.jira_sync.test_settings import ENVIRON
from typer.testing import CliRunner

from jira_sync import cli
from jira_sync.errors import AccessMissingError
from jira_sync.login_choice import LoginKind
from jira_sync.probe import Finding, probe
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
