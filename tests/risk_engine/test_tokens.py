"""Bearer tokens: the file, its faults, rotation while running, and who is let in without one."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from starlette.requests import Request
from typer.testing import CliRunner

from risk_engine.cli import cli
from risk_engine.problems import ProblemError
from risk_engine.serve.gate import LOCAL, Gate, Sight
from risk_engine.serve.tokens import Caller, TokenFile, new_token, read_lines
from troth_chassis.clock import AutoClock
from troth_chassis.errors import ConfigurationError

NOW = datetime(2026, 9, 1, 8, tzinfo=UTC)


def written(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines), encoding="utf-8")
    path.chmod(0o600)
    return path


def request(
    method: str = "GET", host: str = "localhost", client: str = "127.0.0.1", **headers: str
) -> Request:
    told = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {
        "type": "http",
        "method": method,
        "path": "/deals",
        "query_string": b"",
        "headers": [(b"host", host.encode()), *told],
        "client": (client, 1),
        "server": ("127.0.0.1", 80),
        "scheme": "http",
    }
    return Request(scope)


def refused(gate: Gate, asked: Request) -> int:
    with pytest.raises(ProblemError) as caught:
        gate.admit(asked)
    assert caught.value.fix
    return caught.value.status


async def test_a_token_is_known_by_its_digest_alone_until_its_last_day(tmp_path: Path) -> None:
    token, line = new_token("board", "viewer", "2026-09-02")
    other, _ = new_token("board", "viewer")
    path = written(tmp_path / "tokens", "# who may ask", "", line)
    assert token not in path.read_text()
    clock = AutoClock(NOW)
    tokens = TokenFile(path, clock)
    assert tokens.caller(token) == Caller("board", "viewer")
    assert tokens.caller(other) is None
    assert tokens.caller("") is None
    await clock.advance(timedelta(days=2).total_seconds())
    assert tokens.caller(token) is None


def test_tokens_are_rotated_without_a_restart(tmp_path: Path) -> None:
    """Both are good while both stand in the file."""
    (old, old_line), (new, new_line) = new_token("erp", "planner"), new_token("erp", "planner")
    path = written(tmp_path / "tokens", old_line)
    tokens = TokenFile(path, AutoClock(NOW))
    assert tokens.caller(new) is None
    written(path, old_line, new_line)
    assert tokens.caller(new) == tokens.caller(old) == Caller("erp", "planner")
    written(path, new_line)
    assert tokens.caller(old) is None


def test_a_file_that_is_broken_later_lets_in_whom_it_let_in_before(tmp_path: Path) -> None:
    token, line = new_token("erp", "planner")
    path = written(tmp_path / "tokens", line)
    tokens = TokenFile(path, AutoClock(NOW))
    written(path, "half a li")
    assert tokens.caller(token) is not None
    assert "line 1" in tokens.fault
    written(path, line)
    assert tokens.caller(token) is not None
    assert tokens.fault == ""


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "holds no token"),
        ("erp planner", "line 1: write name, role"),
        (f"erp boss {'0' * 64}", "line 1: boss is no role; take one of viewer, planner, admin"),
        ("erp planner 12ab", "line 1: the digest must be"),
        (f"erp planner {'0' * 64} tomorrow", "line 1: tomorrow is no day"),
    ],
)
def test_a_broken_file_names_its_line(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        read_lines(written(tmp_path / "tokens", line))


def test_a_file_that_others_may_write_or_that_is_missing_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "tokens", new_token("erp", "planner")[1])
    path.chmod(0o622)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        read_lines(path)
    with pytest.raises(ConfigurationError, match="cannot read"):
        read_lines(tmp_path / "none")


def test_roles_read_declare_and_administer(tmp_path: Path) -> None:
    made = {role: new_token(role, role) for role in ("viewer", "planner", "admin")}
    tokens = TokenFile(written(tmp_path / "tokens", *(line for _, line in made.values())), AutoClock(NOW))
    gate = Gate(tokens, Sight())
    bearer = {role: f"Bearer {token}" for role, (token, _) in made.items()}
    assert gate.admit(request(authorization=bearer["viewer"])).role == "viewer"
    assert refused(gate, request("POST", authorization=bearer["viewer"])) == 403
    assert gate.admit(request("POST", authorization=bearer["planner"])).name == "planner"
    with pytest.raises(ProblemError) as caught:
        gate.admit(request(authorization=bearer["planner"]), "admin")
    assert (caught.value.status, caught.value.fix) == (403, "use the token of an admin")
    assert gate.admit(request("POST", authorization=bearer["admin"]), "admin").role == "admin"
    assert refused(gate, request()) == 401
    assert refused(gate, request(authorization=f"Basic {made['admin'][0]}")) == 401
    assert refused(gate, request(authorization="Bearer wrong")) == 401


def test_without_tokens_only_this_machine_is_answered() -> None:
    """Not through a proxy, nor a browser that was led here by another name (DNS rebinding) or by a page from elsewhere.

    A page may send text to any address without asking first: https://fetch.spec.whatwg.org/#cors-safelisted-method
    """
    gate = Gate(None, Sight())
    for host in ("localhost", "localhost:8080", "127.0.0.1:8080", "[::1]:8080"):
        assert gate.admit(request("POST", host=host)) == LOCAL
    assert gate.admit(request(client="::1")) == LOCAL
    assert refused(gate, request(client="10.0.0.7")) == 401
    assert refused(gate, request(host="rebound.example")) == 401
    assert refused(gate, request(x_forwarded_for="10.0.0.7")) == 401
    assert gate.admit(request("POST", origin="http://localhost:3000")) == LOCAL
    for origin in ("https://elsewhere.example", "null", "http://[", "http://localhost.elsewhere.example"):
        assert refused(gate, request("POST", origin=origin)) == 401, origin


def test_the_command_makes_a_token_that_the_file_knows(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    run = CliRunner().invoke
    first = run(cli, ["token", "erp", "planner", "--path", str(path)])
    second = run(cli, ["token", "board", "viewer", "--until", "2026-12-31", "--path", str(path)])
    assert (first.exit_code, second.exit_code, path.stat().st_mode & 0o777) == (0, 0, 0o600)
    tokens = TokenFile(path, AutoClock(NOW))
    assert tokens.caller(first.stdout.strip()) == Caller("erp", "planner")
    assert tokens.caller(second.stdout.strip()) == Caller("board", "viewer")
    for wrong in (["erp", "boss"], ["two words", "viewer"], ["erp", "viewer", "--until", "soon"]):
        assert run(cli, ["token", *wrong, "--path", str(path)]).exit_code == 78
    assert len(tokens.lines()) == 2


async def test_taking_out_the_last_token_lets_nobody_in(tmp_path: Path) -> None:
    token, line = new_token("board", "viewer")
    path = written(tmp_path / "tokens", line)
    tokens = TokenFile(path, AutoClock(NOW))
    assert tokens.caller(token) is not None
    written(path, "# the token was lost on a train")
    assert tokens.caller(token) is None
    assert tokens.fault == ""
