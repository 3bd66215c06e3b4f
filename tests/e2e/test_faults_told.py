"""What is wrongly set up is told: one clear sentence and exit 78, or not ready with a named check; no bare stack trace."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from tests.e2e.play import Play

from troth_sandbox.demo.stage import SERVICES
from troth_sandbox.ports import free_ports
from troth_sandbox.postgres import LocalPostgres
from troth_sandbox.processes import ChildProcess

EXIT_CONFIGURATION = 78
DEADLINE = 180.0
"""Seconds. Generous: a loaded machine takes its time to start a process."""
pytestmark = pytest.mark.timeout(600)


@dataclass(frozen=True)
class Outcome:
    """How a service took a fault: it ended with a code, or it lives and says what it waits for."""

    code: int | None
    checks: Mapping[str, str]
    """Detail of every readiness check that fails."""
    alive: bool
    lines: tuple[str, ...]

    def tells(self, phrase: str) -> bool:
        """Exit 78 with the phrase in one line, or alive, not ready, with the phrase in a check."""
        if self.code is None:
            return self.alive and any(phrase in detail for detail in self.checks.values())
        return self.code == EXIT_CONFIGURATION and any(phrase in line for line in self.lines)

    @property
    def shows_a_stack(self) -> bool:
        """Lines of Python where a sentence was due."""
        return any("Traceback" in line for line in self.lines)


def end_of(play: Play, service: str, **changes: str) -> Outcome:
    """Starts a second instance with some settings changed, until it ends."""
    return outcome_of(play, service, None, **changes)


def outcome_of(play: Play, service: str, told: str | None, **changes: str) -> Outcome:
    """The same, until it ends or a readiness check tells ``told``: what is about to end may tell it before."""
    (port,) = free_ports(1)
    environ = {**play.stage.environment(service), "TROTH_HTTP_PORT": str(port), **changes}
    lines: list[str] = []
    process = ChildProcess(
        service,
        service.replace("-", "_"),
        ["run"],
        environ=environ,
        listener=lambda _name, line: lines.append(line),
    )
    outcome = Outcome(None, {}, alive=False, lines=())
    with process, httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=5, trust_env=False) as http:
        until = time.monotonic() + DEADLINE
        while process.running and not (told and outcome.tells(told)) and time.monotonic() < until:
            time.sleep(0.1)
            outcome = replace(outcome, **_asked(http))
        ended = process.exit_code
        process.stop()
    return replace(outcome, code=ended, lines=tuple(lines))


def _asked(http: httpx.Client) -> dict[str, Any]:
    """The readiness checks that fail, and whether the service is alive."""
    try:
        ready: dict[str, Any] = http.get("/readyz").json()
        alive = http.get("/healthz").status_code == 200
    except httpx.HTTPError:
        return {}
    failing = {name: check["detail"] for name, check in ready["checks"].items() if not check["ok"]}
    return {"checks": failing, "alive": alive}


@pytest.fixture
def play(servers: Play) -> Play:
    return servers


@pytest.fixture
def nowhere() -> str:
    return f"127.0.0.1:{free_ports(1)[0]}"


def expect_exit(outcome: Outcome, told: str) -> None:
    """Exit 78, told in a sentence, without a stack trace."""
    assert outcome.code == EXIT_CONFIGURATION, outcome
    assert outcome.tells(told), outcome
    assert not outcome.shows_a_stack, outcome


@pytest.mark.parametrize("service", SERVICES)
def test_an_unknown_variable_is_named(play: Play, service: str) -> None:
    told = "TROTH_POLL_SECOND is not a setting of this service"
    expect_exit(end_of(play, service, TROTH_POLL_SECOND="5"), told)


@pytest.mark.parametrize("service", SERVICES)
def test_all_problems_of_the_settings_are_listed_at_once(play: Play, service: str) -> None:
    wrong = {"TROTH_TIMEZONE": "Mars/North", "TROTH_LOG_LEVEL": "loud", "TROTH_SPRINT": "1"}
    outcome = end_of(play, service, **wrong)
    assert len(outcome.lines) == 1, outcome
    for name in wrong:
        expect_exit(outcome, name)


@pytest.mark.parametrize(
    ("service", "name"),
    [("crm-sync", "TROTH_CRM_CLIENT_SECRET"), ("jira-sync", "TROTH_JIRA_API_TOKEN")],
)
def test_a_secret_the_vendor_refuses_is_named_and_not_shown(play: Play, service: str, name: str) -> None:
    outcome = end_of(play, service, **{name: "not-what-it-should-be"})
    expect_exit(outcome, name)
    assert not any("not-what-it-should-be" in line for line in outcome.lines)


def test_a_wrong_webhook_secret_is_told(play: Play, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("whsec_!")
    outcome = end_of(play, "risk-engine", TROTH_RISK_WEBHOOK_SECRET_FILE=str(secret))
    expect_exit(outcome, "TROTH_RISK_WEBHOOK_SECRET")


@pytest.mark.parametrize("service", SERVICES)
def test_an_unreachable_broker_is_named(play: Play, service: str, nowhere: str) -> None:
    outcome = outcome_of(play, service, nowhere, KAFKA_BOOTSTRAP_SERVERS=nowhere)
    assert outcome.tells(nowhere), outcome
    assert not outcome.shows_a_stack, outcome


def test_an_unreachable_database_is_named(play: Play, nowhere: str) -> None:
    url = f"postgresql://troth@{nowhere}/postgres"
    outcome = outcome_of(play, "risk-engine", "PostgreSQL", DATABASE_URL=url)
    assert outcome.tells("PostgreSQL"), outcome
    assert not outcome.shows_a_stack, outcome


def test_a_database_that_does_not_exist_is_named(play: Play) -> None:
    url = play.stage.database.url.rsplit("/", 1)[0] + "/elsewhere"
    expect_exit(end_of(play, "risk-engine", DATABASE_URL=url), "elsewhere")


@pytest.fixture
def locked_database(tmp_path: Path) -> Iterator[str]:
    """URL, with a wrong password, of a server that asks for one."""
    with LocalPostgres(tmp_path) as server:
        with psycopg.connect(server.url, autocommit=True) as superuser:
            superuser.execute("CREATE ROLE locked LOGIN PASSWORD 'right'")
            (place,) = superuser.execute("SHOW hba_file").fetchone() or ("",)
            rules = "host all locked 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n"
            Path(place).write_text(rules)
            superuser.execute("SELECT pg_reload_conf()")
        yield server.url.replace("troth@", "locked:not-the-password@")


def test_a_wrong_database_password_is_told_and_not_shown(play: Play, locked_database: str) -> None:
    outcome = end_of(play, "risk-engine", DATABASE_URL=locked_database)
    expect_exit(outcome, "password authentication failed")
    assert not any("not-the-password" in line for line in outcome.lines)
