"""The simulator before jsforce, a client in another language by other people: paging, queryAll, bulk, refresh.

It is installed from the registry by `npm ci` into the build folder, once per lock file. jsforce itself is as
published; its HTTP library is held at a release that also runs on the Node versions of current distributions.
"""

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import ROOT, Require
from tests.sandbox.salesforce_process import DELETED, ROWS, deal_id, running_simulator

HERE = Path(__file__).parent / "jsforce"
INSTALL_SECONDS = 90
"""An installation takes a few; a registry that does not answer is given up after this."""


@pytest.fixture(scope="session")
def jsforce(require: Require) -> Path:
    """The folder with the installed client. Tried once: what fails is told to every test at once."""
    npm = shutil.which("npm")
    require(npm is not None and shutil.which("node") is not None, "jsforce needs node and npm")
    lock = (HERE / "package-lock.json").read_bytes() + (HERE / "package.json").read_bytes()
    place = ROOT / "build" / "jsforce" / hashlib.sha256(lock).hexdigest()[:16]
    if not (place / "installed").exists():
        trouble = install(str(npm), place, INSTALL_SECONDS)
        require(trouble is None, f"npm could not install jsforce: {trouble}")
        (place / "installed").touch()
    shutil.copy(HERE / "read.js", place)
    return place


def install(npm: str, place: Path, seconds: float) -> str | None:
    """Runs `npm ci` in the folder; why it failed, None when it did not. Its helpers end with it."""
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(HERE, place)
    command = [npm, "ci", "--no-progress", "--loglevel=error"]
    # Not through pipes: a helper that outlives npm would hold them open.
    with (
        (place / "npm.log").open("w+") as log,
        subprocess.Popen(command, cwd=place, stdout=log, stderr=log, start_new_session=True) as process,
    ):
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            return f"not done within {seconds:g} s; can its registry be reached?"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        log.seek(0)
        return f"exit code {code}: {log.read().strip()[-500:]}" if code else None


@pytest.fixture(scope="module")
def told(jsforce: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What jsforce read."""
    with running_simulator(tmp_path_factory.mktemp("salesforce")) as simulator:
        place = {"url": simulator.url, "admin": str(simulator.admin.base_url).rstrip("/")}
        arguments = json.dumps(place | {"clientId": "id", "clientSecret": "secret"})
        ended = subprocess.run(
            ["node", "read.js", arguments],
            cwd=jsforce,
            env=os.environ | {"NODE_EXTRA_CA_CERTS": str(simulator.trust)},
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


EVERY = {deal_id(number) for number in range(ROWS)}
VISIBLE = {deal_id(number) for number in range(ROWS) if number % 10}


def test_every_row_comes_over_pages_with_the_deleted_ones(told: Any) -> None:
    assert told["pages"] == [2_000, 2_000, 321]
    assert len(told["rows"]) == ROWS
    assert set(told["rows"]) == EVERY


def test_a_plain_query_hides_the_deleted_ones(told: Any) -> None:
    assert len(told["visible"]) == ROWS - DELETED
    assert set(told["visible"]) == VISIBLE


def test_bulk_jobs_bring_the_same_rows(told: Any) -> None:
    assert len(told["bulkAll"]) == ROWS
    assert set(told["bulkAll"]) == EVERY
    assert set(told["bulk"]) == VISIBLE


def test_an_expired_session_is_refreshed_once_and_the_query_asked_again(told: Any) -> None:
    assert told["afterExpiry"] == ROWS
    assert told["refreshes"] == 1


def test_a_locator_does_not_outlive_the_session_that_opened_it(told: Any) -> None:
    """A refreshed token alone does not help [ab-84302]."""
    assert told["lostInTheMiddle"] == "INVALID_QUERY_LOCATOR"


def test_login_describe_retrieve_refusals_and_limits_are_understood(told: Any) -> None:
    assert told["organization"] == "00D000000000001EAA"
    assert told["fields"] == 40
    assert told["first"] == "Deal 1"
    assert told["refused"] == "INVALID_FIELD"
    assert told["limit"] == 100_000


@pytest.mark.parametrize(
    ("does", "told"),
    [
        ("sleep 60 & sleep 60", "not done within 0.5 s"),
        ("echo no registry >&2; exit 3", "exit code 3: no regis"),
    ],
)
def test_an_installation_that_cannot_be_done_is_given_up_at_once(
    tmp_path: Path, does: str, told: str
) -> None:
    """Also when npm leaves a helper behind."""
    npm = tmp_path / "npm"
    npm.write_text(f"#!/bin/sh\n{does}\n")
    npm.chmod(0o755)
    began = time.monotonic()
    trouble = install(str(npm), tmp_path / "place", 0.5)
    assert trouble is not None
    assert told in trouble
    assert time.monotonic() - began < 30
