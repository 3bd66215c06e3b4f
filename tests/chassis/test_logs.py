"""Logs: one JSON object per line, and a secret never among them, wherever it turns up."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from troth_chassis import logs
from troth_chassis.logs import REDACTED, Redactor, configure_logs

CANARY = "c4nary/5ecret+value="


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What the service writes to standard error, with the canary known as a secret."""
    stream, redactor, root = io.StringIO(), Redactor(), logging.getLogger()
    before = root.handlers[:], root.level
    redactor.remember(CANARY)
    monkeypatch.setattr(logs, "redactor", redactor)
    monkeypatch.setattr("sys.stderr", stream)
    configure_logs("crm-sync", "info", "json")
    yield stream
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    structlog.reset_defaults()


def entries(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def fail(error: Exception) -> None:
    raise error


def logger() -> structlog.stdlib.BoundLogger:
    log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger("test")
    return log


class TestLines:
    def test_each_says_who_when_how_bad_and_what(self, lines: io.StringIO) -> None:
        logger().warning("poll failed", deals=3)
        (entry,) = entries(lines)
        assert entry.pop("timestamp").endswith("Z")
        assert entry == {"service": "crm-sync", "level": "warning", "event": "poll failed", "deals": 3}

    def test_arguments_are_put_into_the_sentence(self, lines: io.StringIO) -> None:
        logger().error("stopped: %s", "a reason")
        (entry,) = entries(lines)
        assert entry["event"] == "stopped: a reason"
        assert "positional_args" not in entry

    def test_the_libraries_write_in_the_same_form(self, lines: io.StringIO) -> None:
        logging.getLogger("some.library").warning("retry %d", 2)
        (entry,) = entries(lines)
        assert (entry["event"], entry["service"], entry["level"]) == ("retry 2", "crm-sync", "warning")

    def test_an_exception_is_one_line(self, lines: io.StringIO) -> None:
        try:
            fail(ValueError("first\nsecond"))
        except ValueError:
            logger().exception("failed")
        (entry,) = entries(lines)
        assert "ValueError: first\nsecond" in entry["exception"]

    def test_anything_can_be_logged(self, lines: io.StringIO) -> None:
        logger().info("odd", when={1: object()}, many=[{"a"}, (1, None)], error=OSError("gone"), raw=b"\xff")
        assert entries(lines)[0]["error"] == "gone"

    def test_less_important_lines_are_left_out(self, lines: io.StringIO) -> None:
        logger().debug("chatter")
        logging.getLogger("aiokafka.conn").info("chatter")
        assert entries(lines) == []


class TestACanary:
    """The secret is planted in every place a log line has; it must not appear in any."""

    @pytest.mark.parametrize(
        "fields",
        [
            {"event": f"token is {CANARY}"},
            {"note": CANARY},
            {"nested": {"deep": [{"deeper": (CANARY,)}]}},
            {"nested": {CANARY: 1}},
            {"error": ValueError(CANARY)},
            {"url": f"https://user:{CANARY}@host/path"},
            {"query": "grant_type=x&client_secret=c4nary%2F5ecret%2Bvalue%3D"},
            {"raw": CANARY.encode()},
            {"many": {CANARY}},
        ],
        ids=lambda fields: next(iter(fields)),
    )
    def test_in_a_field(self, lines: io.StringIO, fields: dict[str, Any]) -> None:
        logger().info(**{"event": "said", **fields})
        assert len(entries(lines)) == 1
        assert "c4nary" not in lines.getvalue()

    def test_in_an_argument(self, lines: io.StringIO) -> None:
        logger().info("got %s", CANARY)
        logging.getLogger("library").warning("got %s", CANARY)
        assert len(entries(lines)) == 2
        assert "c4nary" not in lines.getvalue()

    def test_in_a_bound_value(self, lines: io.StringIO) -> None:
        logger().bind(session=CANARY).info("said")
        with structlog.contextvars.bound_contextvars(session=CANARY):
            logger().info("said")
        assert len(entries(lines)) == 2
        assert "c4nary" not in lines.getvalue()

    def test_in_an_exception_and_its_cause(self, lines: io.StringIO) -> None:
        try:
            try:
                fail(KeyError(CANARY))
            except KeyError as error:
                raise RuntimeError(f"login with {CANARY} failed") from error
        except RuntimeError:
            logger().exception("failed")
            logging.getLogger("library").exception("failed")
        assert len(entries(lines)) == 2
        assert "c4nary" not in lines.getvalue()


class TestSecretsNobodyToldUsAbout:
    """Known by their name or their form only."""

    @pytest.mark.parametrize(
        "name",
        [
            "token",
            "access_token",
            "client_secret",
            "Authorization",
            "Set-Cookie",
            "password",
            "X-Api-Key",
            "passwd",
        ],
    )
    @pytest.mark.parametrize("value", ["unknown", b"unknown", {"of": "unknown"}, ["unknown"]], ids=repr)
    def test_a_field_with_such_a_name(self, lines: io.StringIO, name: str, value: object) -> None:
        logger().info("sent", **{name: value}, headers={name: value})
        assert entries(lines)[0][name] == REDACTED
        assert "unknown" not in lines.getvalue()

    def test_numbers_and_flags_under_such_a_name_are_no_secrets(self, lines: io.StringIO) -> None:
        logger().info("sent", tokens_left=40, secret_given=True)
        assert entries(lines)[0]["tokens_left"] == 40

    @pytest.mark.parametrize(
        ("text", "kept"),
        [
            ("Authorization: Bearer abcdef.ghi-jkl", "Bearer"),
            ("Authorization: Basic dXNlcjpwYXNz", "Basic"),
            ("postgresql://troth:hunter22@db:5432/troth", "postgresql://troth:"),
            ("https://hunter22@host/hook", "@host/hook"),
            ("postgresql://troth:hun@ter22@db", "db"),
            ("POST /token?client_secret=hunter22&x=1", "&x=1"),
            ("https://host/?access_token=hunter22", "access_token="),
        ],
    )
    def test_a_text_of_such_a_form(self, text: str, kept: str) -> None:
        cleaned = Redactor().clean(text)
        assert REDACTED in cleaned
        assert kept in cleaned
        assert not any(part in cleaned for part in ("hunter22", "dXNlcjpwYXNz", "abcdef", "hun@", "ter22"))

    def test_ordinary_text_stays(self) -> None:
        text = "see https://host/path?page=2, mail someone@host.example, key APA-12"
        assert Redactor().clean(text) == text


class TestRedactor:
    def test_a_secret_inside_another_one_leaves_no_remainder(self) -> None:
        redactor = Redactor()
        redactor.remember("secret")
        redactor.remember("secret-and-more")
        assert redactor.clean("it is secret-and-more") == f"it is {REDACTED}"

    def test_very_short_values_are_not_worth_hiding(self) -> None:
        redactor = Redactor()
        redactor.remember("abc")
        assert redactor.clean("abcdef") == "abcdef"

    @given(st.text(min_size=6), st.text(), st.text())
    def test_no_text_around_it_brings_it_back(self, secret: str, before: str, after: str) -> None:
        redactor = Redactor()
        redactor.remember(secret)
        left = redactor.clean(before + secret + after).replace(REDACTED, "")
        assert secret not in left or secret in before + after or secret in REDACTED
