"""The canary sings: a secret told anywhere fails the test that told it, and names the place, never the secret."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.canary import Watch, know_environ, watch

ROOT = Path(__file__).resolve().parents[2]
SECRET = "planted-4711-planted"
LEAKS = {
    "print": f"print('token', '{SECRET}')",
    "log": f"import logging; logging.getLogger('x').warning('%s', '{SECRET}')",
    "error": f"from troth_chassis.errors import PoisonError; PoisonError('{SECRET} is wrong')",
    "metric": (
        "from prometheus_client import CollectorRegistry, Counter\n"
        "    global book; book = CollectorRegistry()\n"
        f"    Counter('asked', 'Asked', ['by'], registry=book).labels('{SECRET}').inc()"
    ),
    "child": (
        "import os; from troth_sandbox.processes import ChildProcess\n"
        "    child = ChildProcess('child', 'this', environ={**os.environ, 'TROTH_X_TOKEN': 'The Zen of Python'})\n"
        "    child.start(); child.wait(20); child.stop()"
    ),
    "nothing": "print('nothing')",
}
PLACES = {
    "print": "Captured stdout call",
    "log": "Captured log call",
    "error": "the text of PoisonError",
    "metric": "a metric",
    "child": "the output of child",
}


def test_a_leak_fails_the_test_it_happens_in_and_no_other(tmp_path: Path) -> None:
    """All in one session, one after the other, as in the suite."""
    planted = tmp_path / "test_planted.py"
    planted.write_text(
        "from pydantic import SecretStr\n"
        + "".join(
            f"def test_{kind}():\n    kept = SecretStr('{SECRET}')\n    {act}\n"
            for kind, act in LEAKS.items()
        )
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.canary", "-p", "no:cacheprovider"]
    bare = {
        **os.environ,
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }  # they take longer to load than all this to run
    told = subprocess.run(
        [*command, str(planted)], cwd=ROOT, env=bare, capture_output=True, text=True, timeout=300, check=False
    )
    blamed = dict(re.findall(r"::test_(\w+): a secret was told\n(.*)", told.stdout))
    assert told.returncode == 1, told.stdout
    assert blamed.keys() == PLACES.keys(), told.stdout
    for kind, place in PLACES.items():
        assert blamed[kind].startswith(place), told.stdout
    assert SECRET not in "".join(blamed.values())


def test_secrets_of_children_are_known_by_the_name_of_their_variable(tmp_path: Path) -> None:
    kept = tmp_path / "token"
    kept.write_text("secret-in-a-file\n")
    key = tmp_path / "key.pem"
    key.write_text("-----BEGIN PRIVATE KEY-----\nfirst-line-of-a-key\nlast-line-of-a-key\n")
    own = Watch()
    know_environ(
        {
            "TROTH_CRM_CLIENT_SECRET": "secret-of-the-crm",
            "TROTH_CRM_JWT_KEY_PATH": str(key),
            "TROTH_JIRA_OAUTH_REFRESH_TOKEN_FILE": str(kept),
            "TROTH_JIRA_EMAIL": "reader@example.com",
            "TROTH_JIRA_API_TOKEN": "token-of-jira",
            "TROTH_TIMEZONE": "Europe/Stockholm",
        },
        own,
    )
    own.look(
        "here", "Basic cmVhZGVyQGV4YW1wbGUuY29tOnRva2VuLW9mLWppcmE= and secret-in-a-file, Europe/Stockholm"
    )
    own.look("there", "-----BEGIN PRIVATE KEY-----\\nlast-line-of-a-key")
    assert sorted(own.taken()) == [
        "here tells Basic credentials",
        "here tells TROTH_JIRA_OAUTH_REFRESH_TOKEN_FILE",
        "there tells TROTH_CRM_JWT_KEY_PATH",
    ]
    assert own.taken() == []


def test_this_very_session_is_watched() -> None:
    assert watch is not None
    before = watch.taken()
    try:
        watch.know("planted", SECRET)
        watch.look("here", f"x{SECRET}x".encode())
        assert watch.taken() == ["here tells planted"]
    finally:
        watch._secrets.pop(SECRET, None)
        watch._pattern = None
        watch.leaks += before
