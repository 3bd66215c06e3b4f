"""The commands of crm-sync as a person meets them: as processes, against the simulator and a real Kafka."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from tests.crm_sync.simulated import CLIENT, SimulatedOrg, seed, simulated_org

FIELDS_HIDDEN = (
    "Opportunity is readable without Amount, CloseDate: give the integration user read access to these fields "
    "(field-level security, best in a permission set)"
)
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def org_id() -> str:
    return f"00D{uuid.uuid4().hex[:15]}"


@pytest.fixture(scope="module")
def org(tmp_path_factory: pytest.TempPathFactory, org_id: str) -> Iterator[SimulatedOrg]:
    with simulated_org(tmp_path_factory.mktemp("org"), seed(3) | {"org_id": org_id}) as simulated:
        yield simulated


@pytest.fixture
def crm_sync(org: SimulatedOrg, kafka: str) -> Run:
    """Runs one command to its end; keyword arguments replace environment variables."""

    def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        settings = {
            "PATH": os.environ["PATH"],
            "KAFKA_BOOTSTRAP_SERVERS": kafka,
            "TROTH_CRM_SALESFORCE_URL": org.url,
            "TROTH_CRM_CLIENT_ID": CLIENT["client_id"],
            "TROTH_CRM_CLIENT_SECRET": CLIENT["client_secret"],
            "TROTH_CRM_CA_BUNDLE": str(org.ca),
        } | environ
        command = [sys.executable, "-m", "crm_sync", *arguments]
        return subprocess.run(command, env=settings, capture_output=True, text=True, check=False, timeout=240)

    return run


def failures(ended: subprocess.CompletedProcess[str]) -> list[str]:
    assert "Traceback" not in ended.stdout + ended.stderr
    assert CLIENT["client_secret"] not in ended.stdout + ended.stderr
    lines = ended.stdout.splitlines()
    return [line.removeprefix("FAILED  ") for line in lines if line.startswith("FAILED")]


def test_backfill_then_status_then_sweep(crm_sync: Run, org_id: str) -> None:
    first = crm_sync("backfill")
    assert first.returncode == 0, first.stdout + first.stderr
    assert first.stdout.splitlines()[-1] == "complete: 3 deals are published"
    told = crm_sync("status").stdout
    assert f"{org_id}  complete, 3 deals, told " in told
    swept = crm_sync("sweep")
    assert (swept.returncode, swept.stdout.split()) == (0, ["deals", "3"])
    again = crm_sync("backfill", "--rebuild")
    assert again.stdout.splitlines()[-1] == "complete: 3 deals are published"


def test_check_of_a_good_set_up_has_only_good_lines(crm_sync: Run) -> None:
    ended = crm_sync("check")
    assert (ended.returncode, failures(ended)) == (0, [])
    assert "query: 3 opportunities" in ended.stdout
    assert "Kafka: " in ended.stdout


@pytest.fixture
def hidden(org: SimulatedOrg) -> Iterator[Callable[..., None]]:
    """Takes read permissions away until the test is over."""
    taken: list[dict[str, Any]] = []

    def hide(name: str, *fields: str) -> None:
        for field in fields or (None,):
            taken.append({"object": name} | ({"field": field} if field else {}))
            org.permit(taken[-1] | {"readable": False})

    yield hide
    for permission in taken:
        org.permit(permission | {"readable": True})


def test_check_lists_missing_objects_and_fields_with_the_fix(
    crm_sync: Run, hidden: Callable[..., None]
) -> None:
    hidden("OpportunityLineItem")
    hidden("Opportunity", "Amount", "CloseDate")
    ended = crm_sync("check")
    assert ended.returncode == 78
    assert failures(ended) == [
        "OpportunityLineItem is not readable: give the integration user Read and View All on it",
        FIELDS_HIDDEN,
    ]
    assert "ok      query: 3 opportunities" in ended.stdout


def test_check_without_opportunities_says_so_at_once(crm_sync: Run, hidden: Callable[..., None]) -> None:
    hidden("Opportunity")
    assert failures(crm_sync("check")) == [
        "Salesforce shows no Opportunity to this user: give the integration user Read and View All on it"
    ]


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"TROTH_CRM_CLIENT_SECRET": "wrong"}, "check TROTH_CRM_CLIENT_ID and TROTH_CRM_CLIENT_SECRET"),
        ({"TROTH_CRM_SALESFORCE_URL": "https://127.0.0.1:9"}, "; check TROTH_CRM_SALESFORCE_URL, and that"),
        ({"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9"}, "; check KAFKA_BOOTSTRAP_SERVERS"),
    ],
)
def test_check_says_what_to_correct(crm_sync: Run, environ: dict[str, str], words: str) -> None:
    ended = crm_sync("check", **environ)
    (failure,) = failures(ended)
    assert ended.returncode == 78
    assert words in failure


def test_check_with_certificates_it_cannot_trust_names_the_setting(crm_sync: Run, tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
    (failure,) = failures(crm_sync("check", TROTH_CRM_CA_BUNDLE=str(tmp_path / "other.pem")))
    assert "set TROTH_CRM_CA_BUNDLE" in failure


@pytest.mark.parametrize("command", ["status", "sweep", "backfill"])
def test_without_kafka_a_command_fails_with_one_sentence(crm_sync: Run, command: str) -> None:
    ended = crm_sync(command, KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:9")
    (failure,) = failures(ended)
    assert ended.returncode == 78
    assert "Kafka" in failure
