"""Salesforce record ids: the checksum, and what is taken for an id without one."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jira_sync.domain.record_ids import is_likely, whole_id, with_checksum

LETTERS = string.ascii_letters + string.digits
shorts = st.text(LETTERS, min_size=12, max_size=12).map(lambda rest: f"006{rest}")


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("001D000000IRFma", "001D000000IRFmaIAH"),
        ("003q000000KvQ1t", "003q000000KvQ1tAAF"),
        ("003q000000KwYFa", "003q000000KwYFaAAN"),
        ("001Da00000xnAiy", "001Da00000xnAiyIAE"),
    ],
)
def test_the_checksum_is_that_of_recorded_ids(short: str, long: str) -> None:
    """Pairs in the recordings of CumulusCI and of jsforce's documentation."""
    assert with_checksum(short) == long


@given(shorts)
def test_the_checksum_says_which_letters_are_upper_case(short: str) -> None:
    """Read back by its definition: every sign stands for five letters, the first of them counts least."""
    checksum = with_checksum(short)[15:]
    signs = [string.ascii_uppercase.find(sign) for sign in checksum]
    values = [value if value >= 0 else 26 + int(sign) for value, sign in zip(signs, checksum, strict=True)]
    told = [bool(value >> place & 1) for value in values for place in range(5)]
    assert told == [letter in string.ascii_uppercase for letter in short]


@given(shorts)
def test_both_forms_are_one_record(short: str) -> None:
    long = with_checksum(short)
    assert whole_id(short) == whole_id(long) == long


@given(shorts, st.integers(0, 14))
def test_a_letter_in_another_case_breaks_the_checksum(short: str, place: int) -> None:
    long = with_checksum(short)
    other = long[:place] + long[place].swapcase() + long[place + 1 :]
    assert whole_id(other) == (long if other == long else None)


@given(shorts, st.text(LETTERS, min_size=3, max_size=3))
def test_any_other_ending_is_no_id(short: str, ending: str) -> None:
    long = with_checksum(short)
    assert whole_id(short + ending) == (long if short + ending == long else None)


@pytest.mark.parametrize(
    "text", ["", "006", "0015g00000ABCDE", "0065g00000ABCD", "0065g00000ABCDÉ", "0065g00000ABCDEA"]
)
def test_what_has_another_length_prefix_or_letter_is_none(text: str) -> None:
    assert whole_id(text) is None


@pytest.mark.parametrize(
    "short", ["0065g00000ABCDE", "006Hs00001XyZ12", "006UJ00000AbCdE", "0063000000abcde"]
)
def test_ids_as_orgs_give_them_are_likely(short: str) -> None:
    assert is_likely(short)


@pytest.mark.parametrize(
    "short", ["006120000000123", "006abcdefghijkl", "006deadbeef1234", "006ABCDEFGHIJKL"]
)
def test_numbers_words_and_hashes_are_not(short: str) -> None:
    assert not is_likely(short)


@given(st.text(string.ascii_letters, min_size=12, max_size=12))
def test_no_word_of_fifteen_letters_is_likely(letters: str) -> None:
    assert not is_likely(f"006{letters}")
