"""The promise check on the command line: what is sent, what is printed, and how a refusal reads."""

import json
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from risk_engine import cli
from risk_engine.answer.client import UnansweredError, ask

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
