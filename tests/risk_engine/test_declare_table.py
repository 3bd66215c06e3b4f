"""Promises from CSV: every good line is read, every other is named with its field and the fix."""

import json
from typing import cast

import pytest

from risk_engine.declare.desk import LedgerDesk
from risk_engine.declare.importer import MOST_DEALS, Importer
from risk_engine.declare.table import Read, Refused, read_table
from risk_engine.problems import ProblemError, problem

HEADER = "deal,promised_date,deliverable,need,issues,evidence,declared_by,amount,currency\n"


def lines_of(text: str | bytes) -> list[Read | Refused]:
    return list(read_table(text if isinstance(text, bytes) else text.encode()))


def test_a_full_line_says_everything() -> None:
    (line,) = lines_of(HEADER + 'o:1,2027-06-30,SSO,Blocker,"A-1; A-2 s:3","said, twice",Ada,1200.50,EUR\n')
    assert isinstance(line, Read)
    promise = line.promise
    assert (line.line, promise.deal, promise.promised_date.isoformat()) == (2, "o:1", "2027-06-30")
    assert (promise.need, promise.issues, promise.evidence) == (
        "blocker",
        ("A-1", "A-2", "s:3"),
        "said, twice",
    )
    assert promise.amount is not None
    assert (str(promise.amount.amount), promise.amount.currency) == ("1200.50", "EUR")


@pytest.mark.parametrize("separator", [";", "\t"])
def test_what_a_swedish_excel_saves_is_read_too(separator: str) -> None:
    text = f"\ufeffDeal{separator}Promised_Date\r\no:1{separator}2027-06-30\r\n\r\n"
    (line,) = lines_of(text)
    assert isinstance(line, Read)


BAD = [
    ("o:1,soon", "promised_date", "YYYY-MM-DD"),
    (",2027-06-30", "deal", "add"),
    ("o:1,2027-06-30,extra", "", "quote"),
    ("o:1", "", "quote"),
    ('o:1,"2027-06-30"x', "", "quotation"),
    ("o:\x07,2027-06-30,", "", ""),
]


def test_each_bad_line_is_named_and_its_neighbours_are_read() -> None:
    body = "".join(f"{bad}\no:{place},2027-06-30\n" for place, (bad, _, _) in enumerate(BAD[:5]))
    found = lines_of("deal,promised_date\n" + body)
    refused = [one for one in found if isinstance(one, Refused)]
    assert [one.line for one in refused] == [2, 4, 6, 8, 10]
    assert [one.field for one in refused] == [field for _, field, _ in BAD[:5]]
    for one, (_, _, fix) in zip(refused, BAD, strict=False):
        assert fix in one.fix
        assert one.detail
    assert sum(isinstance(one, Read) for one in found) == 5


def test_a_quotation_mark_that_nothing_closes_costs_its_own_line_only() -> None:
    """At the end of the file, before a line with quotes of its own, and where a value spans lines as it may."""
    body = (
        'o:1,2027-06-30,"said by phone\n'
        "o:2,2027-06-30,\n"
        'o:3,2027-06-30,"said\ntwice, so far"\n'
        'o:4,"2027-06-30,\n'
        'o:5,2027-06-30,"mail, 3 May"\n'
        'o:6,2027-06-30,"the rest\n'
        "o:7,2027-06-30,\n"
    )
    found = lines_of("deal,promised_date,evidence\n" + body)
    assert [one.line for one in found if isinstance(one, Refused)] == [2, 6, 8]
    read = {one.promise.deal: one.promise.evidence for one in found if isinstance(one, Read)}
    assert read == {"o:2": "", "o:3": "said\ntwice, so far", "o:5": "mail, 3 May", "o:7": ""}
    assert all("close every one" in one.fix for one in found if isinstance(one, Refused))


@pytest.mark.parametrize(
    ("cells", "field"),
    [
        ("o:1,2027-06-30,,must,,,,,", "need"),
        ("o:1,2027-06-30,,,,,,-5,EUR", "amount.amount"),
        ("o:1,2027-06-30,,,,,,much,EUR", "amount.amount"),
        ("o:1,2027-06-30,,,,,,5,", "amount.currency"),
        ("o:1,2027-06-30,,,,,,5,euro", "amount.currency"),
        (f"o:1,2027-06-30,{'x' * 201},,,,,,", "deliverable"),
        ("o:1,2027-06-30,a\x00b,,,,,,", "deliverable"),
    ],
)
def test_a_bad_value_names_its_field(cells: str, field: str) -> None:
    (line,) = lines_of(HEADER + cells + "\n")
    assert isinstance(line, Refused)
    assert line.field == field
    assert line.fix


def test_bytes_that_are_no_utf8_cost_their_own_line_only() -> None:
    found = lines_of(
        "deal,promised_date,evidence\no:1,2027-06-30,p\u00e5\n".encode() + b"o:2,2027-06-30,p\xe5\n"
    )
    assert isinstance(found[0], Read)
    assert isinstance(found[1], Refused)
    assert found[1].fix == "save the file as UTF-8"


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("", "file"),
        ("deal\no:1\n", "promised_date"),
        ("deal,promised_date,colour\n", "colour"),
        ("deal,promised_date,deal\n", "file"),
    ],
)
def test_a_file_without_a_usable_header_is_refused_as_a_whole(text: str, field: str) -> None:
    with pytest.raises(ProblemError) as caught:
        lines_of(text)
    assert caught.value.field == field
    assert caught.value.fix


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16"])
def test_a_file_in_another_encoding_is_named_as_such(encoding: str) -> None:
    content = "deal;promised_date;s\u00e4ljare\no:1;2027-06-30;x\n".encode(encoding)
    with pytest.raises(ProblemError, match="not UTF-8") as caught:
        lines_of(content)
    assert "UTF-8" in caught.value.fix


def test_a_problem_can_always_be_told() -> None:
    answer = problem(422, "there is no \ud800", field="\udce4")
    assert json.loads(bytes(answer.body))["field"] == "?"


async def test_a_file_of_too_many_deals_is_refused_before_any_is_locked() -> None:
    """Ten thousand locks at once are more than PostgreSQL has room for, whoever waits for one."""
    lines = "".join(f"o:{number},2027-06-30\n" for number in range(MOST_DEALS + 1))
    desk = cast("LedgerDesk", None)
    with pytest.raises(ProblemError, match="2,000 deals") as caught:
        await Importer(desk).take(f"deal,promised_date\n{lines}".encode(), "ada")
    assert (caught.value.field, caught.value.fix) == ("file", "import it in parts")
