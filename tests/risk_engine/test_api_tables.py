"""Tables as CSV: what a spreadsheet would run is only shown, and nested fields find their columns."""

import csv
import io
import re

import pytest

from risk_engine.serve.tables import as_csv, harmless


@pytest.mark.parametrize(
    "text", ["=1+1", "+A1", "-cmd|' /C calc'!A0", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\uff1d1"]
)
def test_a_formula_is_shown_not_run(text: str) -> None:
    """https://owasp.org/www-community/attacks/CSV_Injection"""
    assert harmless(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "-5", "+4.50", "-1e3", "Elm - Insurance", "a=b", "2027-01-29"])
def test_numbers_and_plain_texts_stay_as_they_are(text: str) -> None:
    assert harmless(text) == text


def test_rows_become_lines_under_a_header() -> None:
    rows = [
        {"key": "a", "amount": {"amount": "-1.50", "currency": "EUR"}, "issues": ["A-1", "=2"], "late": True},
        {"key": 'say "no", twice', "amount": None, "issues": [], "deals": [{"key": "d"}]},
    ]
    lines = list(csv.reader(io.StringIO(as_csv(rows, ()), newline="")))
    assert lines[0] == ["key", "amount.amount", "amount.currency", "issues", "late", "amount", "deals"]
    assert lines[1] == ["a", "-1.50", "EUR", "A-1; '=2", "true", "", ""]
    assert lines[2] == ['say "no", twice', "", "", "", "", "", '{"key": "d"}']


def test_an_empty_table_has_its_header() -> None:
    assert as_csv([], ["key", "deal"]) == "key,deal\r\n"


@pytest.mark.parametrize("name", ["Foo;=HYPERLINK(1)", 'A";=1+1', "one; @two"])
def test_no_formula_begins_behind_another_separator(name: str) -> None:
    """Where lists are separated by semicolons, a spreadsheet ends a cell there, quoted or not."""
    assert not re.search(r";\s*[=+\-@]", harmless(name))
    assert harmless(name).replace("'", "") == name.replace("'", "")
