"""The promise check on the command line: what is sent, what is printed, and how a refusal reads."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from risk_engine import cli
from risk_engine.answer.client import HERE, TOKEN, UnansweredError, ask, ask_why, send_file
from risk_engine.settings import EngineSettings
from troth_chassis.settings import load_settings

ANSWER = {
    "verdict": "safe",
    "explanation": ["90 % of the trials have all of it done.", "That is safe to promise."],
}


def test_the_question_holds_what_was_said_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    def answering(question: dict[str, Any], _url: str) -> dict[str, Any]:
        asked.append(question)
        return ANSWER

    monkeypatch.setattr(cli, "ask", answering)
    run = CliRunner().invoke
    words = ["promise-check", "--date", "2027-01-29", "--team", "Atlas", "--points", "40", "--amount", "5"]
    printed = run(cli.cli, words)
    assert (printed.exit_code, printed.stdout.splitlines()) == (0, ANSWER["explanation"])
    whole = run(
        cli.cli, ["promise-check", "--date", "2027-01-29", "--issue", "A-1", "--issue", "A-2", "--json"]
    )
    assert json.loads(whole.stdout) == ANSWER
    assert asked == [
        {
            "date": "2027-01-29",
            "effort": {"team": "Atlas", "points": 40.0},
            "amount": {"amount": "5", "currency": "EUR"},
        },
        {"date": "2027-01-29", "issues": ["A-1", "A-2"]},
    ]


def test_a_refusal_names_the_field_and_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(422, json={"detail": "is past", "field": "date", "fix": "ask for a later day"})

    with pytest.raises(UnansweredError, match=r"^date: is past: ask for a later day$"):
        ask({}, "http://engine", httpx.MockTransport(refuse))

    def refused(question: dict[str, Any], _url: str) -> dict[str, Any]:
        return ask(question, "http://engine", httpx.MockTransport(refuse))

    monkeypatch.setattr(cli, "ask", refused)
    assert CliRunner().invoke(cli.cli, ["promise-check", "--date", "1999-01-01"]).exit_code == 2


def test_an_engine_that_does_not_answer_is_told_with_its_address() -> None:
    def gone(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    with pytest.raises(UnansweredError, match="no risk-engine answers at http://engine"):
        ask({}, "http://engine", httpx.MockTransport(gone))
    with pytest.raises(UnansweredError, match="no risk-engine answers"):
        ask(
            {}, "http://engine", httpx.MockTransport(lambda _request: httpx.Response(502, text="bad gateway"))
        )


def test_why_a_deal_slips_is_asked_where_an_engine_listens_by_default() -> None:
    asked: list[str] = []

    def answering(request: httpx.Request) -> httpx.Response:
        asked.append(f"{request.method} {request.url}")
        return httpx.Response(200, json={"explanation": ["not late."]})

    environ = {"DATABASE_URL": "postgresql://user@host/name", "KAFKA_BOOTSTRAP_SERVERS": "kafka:9092"}
    listens = load_settings(EngineSettings, environ).http_port
    assert ask_why("00D:006", HERE, httpx.MockTransport(answering)) == {"explanation": ["not late."]}
    assert asked == [f"GET http://127.0.0.1:{listens}/deals/00D:006/slip"]


def test_the_slip_is_printed_in_words_or_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = {"deal": "00D:006", "explanation": ["9 days late.", "5 of the days: a late start."]}
    monkeypatch.setattr(cli, "ask_why", lambda _deal, _url: answer)
    printed = CliRunner().invoke(cli.cli, ["slip", "00D:006"])
    assert (printed.exit_code, printed.stdout.splitlines()) == (0, answer["explanation"])
    assert json.loads(CliRunner().invoke(cli.cli, ["slip", "00D:006", "--json"]).stdout) == answer


def test_an_import_prints_every_line_that_was_left_out_and_says_so_by_its_exit_code(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    problem = {
        "line": 3,
        "field": "promised_date",
        "detail": "2020-01-01 is past",
        "fix": "promise a later day",
    }
    report: dict[str, Any] = {"dry_run": False, "lines": 2, "added": 1, "changed": 0, "unchanged": 0}
    sent: list[httpx.Request] = []

    def answering(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        problems = [problem] if request.content != b"good" else []
        return httpx.Response(200, json=report | {"refused": len(problems), "problems": problems})

    def sending(content: bytes, _url: str, *, dry_run: bool) -> dict[str, Any]:
        return send_file(content, "http://engine", dry_run=dry_run, transport=httpx.MockTransport(answering))

    monkeypatch.setattr(cli, "send_file", sending)
    monkeypatch.setenv(TOKEN, "troth_x")
    file = tmp_path / "promises.csv"
    file.write_bytes(b"deal,promised_date")
    run = CliRunner().invoke
    some = run(cli.cli, ["import", str(file), "--dry-run"])
    assert (some.exit_code, some.stdout.splitlines()) == (
        1,
        [
            "line 3: promised_date: 2020-01-01 is past; promise a later day",
            "2 lines: 1 added, 0 changed, 0 as they were, 1 left out",
        ],
    )
    assert (str(sent[0].url), sent[0].content) == (
        "http://engine/commitments/import?dry_run=true",
        b"deal,promised_date",
    )
    assert sent[0].headers["authorization"] == "Bearer troth_x"
    file.write_bytes(b"good")
    assert run(cli.cli, ["import", str(file)]).exit_code == 0
    gone = run(cli.cli, ["import", str(tmp_path / "none.csv")])
    assert (gone.exit_code, "none.csv" in gone.stderr) == (2, True)
