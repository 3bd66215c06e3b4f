"""Dates in texts: what people write in Swedish and English, and what only looks like a date."""

from datetime import date

import pytest

from risk_engine.domain.date_phrases import dates_in

WRITTEN = date(2026, 9, 1)


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("The SSO module by 30 June", date(2027, 6, 30)),
        ("by the 1st of October", date(2026, 10, 1)),
        ("Version 2.0 by March 15th, 2027", date(2027, 3, 15)),
        ("March 15, 2027 is what we told them", date(2027, 3, 15)),
        ("delivery 2027-03-31", date(2027, 3, 31)),
        ("before 2027-03-31.", date(2027, 3, 31)),
        ("no later than end of Q3 2027", date(2027, 9, 30)),
        ("live at the latest by mid-November", date(2026, 11, 15)),
        ("ready in H1", date(2027, 6, 30)),
        ("due week 48", date(2026, 11, 27)),
        ("end of February", date(2027, 2, 28)),
        ("Leverans senast 30 juni", date(2027, 6, 30)),
        ("klart till v. 23", date(2027, 6, 11)),
        ("levereras vecka 51", date(2026, 12, 18)),
        ("före den 1:a mars 2027", date(2027, 3, 1)),
        ("senast den 15 okt", date(2026, 10, 15)),
        ("i slutet av maj 2027", date(2027, 5, 31)),
        ("levereras under kvartal 4", date(2026, 12, 31)),
        ("innan början av juli", date(2027, 7, 11)),
        ("klart i Q2", date(2027, 6, 30)),
    ],
)
def test_a_date_is_read_as_it_is_meant(text: str, day: date) -> None:
    assert [phrase.day for phrase in dates_in(text, WRITTEN)] == [day]


@pytest.mark.parametrize(
    "text",
    [
        "They may renew 3 licences",
        "we will march on with 3 people",
        "Sat with the client; 12 seats at 40 per month",
        "see ATL-101 and ISO-27001",
        "part no. 2027-01-02-77",
        "by 31 February",
        "by 45 June",
        "version 2026-13-01",
        "due week 60",
        "klart som korvspad",
        "in May they decide",
        "Q3 numbers look good",
        "delivered by hand",
    ],
)
def test_what_only_looks_like_a_date_is_none(text: str) -> None:
    assert dates_in(text, WRITTEN) == ()


def test_several_dates_are_told_once_each_in_order() -> None:
    text = "SSO by 30 June 2027, reports by 2027-09-30; again: SSO senast 30 juni 2027"
    assert [phrase.day for phrase in dates_in(text, WRITTEN)] == [date(2027, 6, 30), date(2027, 9, 30)]
    assert dates_in(text, WRITTEN)[0].words == "by 30 June 2027"


def test_a_day_without_a_year_is_the_next_after_the_text_was_written_and_stays_that() -> None:
    assert dates_in("by 30 June", date(2027, 6, 30))[0].day == date(2027, 6, 30)
    assert dates_in("by 30 June", date(2027, 7, 1))[0].day == date(2028, 6, 30)
    assert dates_in("by 29 February", date(2027, 7, 1))[0].day == date(2028, 2, 29)
