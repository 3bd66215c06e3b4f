"""Vendor scalars in every form they were seen in."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jira_sync.errors import UnreadableError
from jira_sync.parse import id_list, instant, optional_text, plain_date, points, rich_text, sprint_ids

MOMENT = datetime(2022, 4, 24, 16, 41, 53, 697_000, tzinfo=UTC)


@pytest.mark.parametrize(
    "form",
    [
        "2022-04-24T16:41:53.697Z",
        "2022-04-24T16:41:53.697+0000",
        "2022-04-24T16:41:53.697+00:00",
        "2022-04-24T09:41:53.697-07:00",
        "2022-04-25T00:41:53.697+0800",
        1650818513697,
        "1650818513697",
    ],
)
def test_every_form_of_a_time_is_one_instant(form: object) -> None:
    assert instant(form) == MOMENT


def test_bulk_changelog_seconds_and_milliseconds_are_told_by_magnitude() -> None:
    assert instant(1492070429) == instant(1492070429000) == datetime(2017, 4, 13, 8, 0, 29, tzinfo=UTC)


@given(st.integers(946_684_800_000, 4_102_444_800_000))
def test_milliseconds_survive_every_form_exactly(milliseconds: int) -> None:
    whole = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
    assert instant(whole.isoformat(timespec="milliseconds")) == whole
    assert instant(milliseconds) == whole


@pytest.mark.parametrize(
    "nonsense", ["", "soon", None, True, "9999-12-31T23:59:59Z", 10**18, "1970-01-01T00:00:00Z"]
)
def test_a_time_that_cannot_be_is_refused(nonsense: object) -> None:
    with pytest.raises(UnreadableError):
        instant(nonsense)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (5, "5"),
        (5.0, "5"),
        ("5.0", "5"),
        ("0.5", "0.5"),
        (100, "100"),
        ("1e2", "100"),
        (0, "0"),
        ("-1", "-1"),
    ],
)
def test_equal_estimates_are_equal_in_every_spelling(value: object, expected: str) -> None:
    assert str(points(value)) == expected


@pytest.mark.parametrize("value", [None, "", "XL", "NaN", "Infinity", True, 10**30])
def test_what_is_no_number_is_no_estimate(value: object) -> None:
    assert points(value) is None


def test_mutation_estimates_as_integers_would_lose_half_points() -> None:
    assert points(2.5) == Decimal("2.5")


def test_ids_are_parsed_and_names_never() -> None:
    assert id_list("76, 79") == {"76", "79"}
    assert id_list("") == id_list(None) == frozenset()
    with pytest.raises(UnreadableError):
        id_list("Sprint 1, the second")


def test_sprint_field_in_its_three_shapes() -> None:
    old = "com.atlassian.greenhopper.service.sprint.Sprint@1f[id=37,rapidViewId=15,state=CLOSED,name=A, b,goal=<null>]"
    assert sprint_ids([{"id": 9, "name": "A"}, {"id": 10, "boardId": 1}]) == ("9", "10")
    assert sprint_ids([old]) == ("37",)
    assert sprint_ids([10, 9]) == ("9", "10")
    assert sprint_ids(None) == ()


def test_a_bad_date_costs_one_field_only() -> None:
    assert plain_date("2026-11-25") == date(2026, 11, 25)
    assert plain_date("0001-01-01") is None
    assert plain_date("25/abr/26") is None


def test_a_description_document_gives_its_text() -> None:
    document = {
        "type": "doc",
        "content": [{"type": "paragraph", "content": [{"type": "text", "text": "See APA-1"}]}],
    }
    assert rich_text(document) == "See APA-1"
    assert rich_text("plain") == "plain"


def test_texts_that_no_store_could_hold_are_made_sound() -> None:
    """A NUL was recorded in a summary (DevLake, EE-4); half of a surrogate pair passes JSON but not UTF-8."""
    broken = {"summary": "a\x00b \ud83d c"}
    assert optional_text(broken, "summary") == "ab \ufffd c"
    assert rich_text("a\x00 \U0001f642") == "a \U0001f642"
    assert rich_text({"type": "doc", "content": [{"type": "text", "text": "x\x00\udc00"}]}) == "x\ufffd"
