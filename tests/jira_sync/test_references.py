"""What in a text names a deal, and what only looks so: a wrong link puts work under a promise that never was."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.jira_sync.test_record_ids import shorts

from jira_sync.domain.record_ids import with_checksum
from jira_sync.domain.references import mentions

SHORT = "0065g00000ABCDE"
LONG = with_checksum(SHORT)


def found(text: str, pattern: str | None = None) -> list[tuple[str, str]]:
    return [(m.kind, m.value) for m in mentions(text, re.compile(pattern) if pattern else None)]


@pytest.mark.parametrize(
    "address",
    [
        f"https://acme.lightning.force.com/lightning/r/Opportunity/{LONG}/view",
        f"https://acme.lightning.force.com/lightning/r/{LONG}/view",
        f"https://acme--uat.sandbox.lightning.force.com/lightning/r/Opportunity/{LONG}/related/Quotes/view",
        f"https://acme.lightning.force.com/one/one.app#/sObject/{LONG}/view",
        f"https://acme.my.salesforce.com/{SHORT}",
        f"https://acme.my.salesforce.com/{LONG}",
        f"https://acme--uat.sandbox.my.salesforce.com/{SHORT}/e?retURL=%2F001",
        f"https://acme--uat.cs12.my.salesforce.com/{SHORT}",
        f"https://na1.salesforce.com/{SHORT}",
        f"https://acme.cloudforce.com/{SHORT}",
        f"https://acme.my.salesforce.mil/{SHORT}",
        f"https://acme--app.vf.force.com/apex/Scope?id={LONG}&tab=1",
        f"https://acme.my.salesforce.com/secur/frontdoor.jsp?retURL=%2F{SHORT}",
        f"https://acme.my.salesforce.com/?startURL=%2F{SHORT}",
        f"HTTPS://ACME.MY.SALESFORCE.COM/{SHORT}",
        f"acme.lightning.force.com/lightning/r/Opportunity/{LONG}/view",
        f"https://eur01.safelinks.example/?url=https%3A%2F%2Facme.lightning.force.com%2Flightning%2Fr%2F{LONG}%2Fview&d=1",
        f"https://sso.example/login?to=https%253A%252F%252Facme.my.salesforce.com%252F{SHORT}",
    ],
)
def test_an_address_of_the_record_in_any_form(address: str) -> None:
    assert found(f"Deal: {address}") == [("record_url", LONG)]


@pytest.mark.parametrize(
    "text",
    [
        "[Deal|{}]",
        "[{}]",
        "({})",
        "<{}>",
        '<a href="{}">',
        "see {}.",
        "see {}, please",
        "[Deal]({})",
        "|{}|",
        "h2. {}\r\n",
        "[Deal|{}|smart-link]",
    ],
)
def test_an_address_in_wiki_text_markdown_and_prose(text: str) -> None:
    address = f"https://acme.my.salesforce.com/{SHORT}"
    (mention,) = mentions(text.format(address))
    assert (mention.kind, mention.value, mention.text) == ("record_url", LONG, address)


@pytest.mark.parametrize(
    "text",
    [
        f"https://acme.my.salesforce.com.evil.example/{SHORT}",
        f"https://notforce.com/{SHORT}",
        f"https://shop.example/orders/{SHORT}",
        f"https://shop.example/orders?id={SHORT}",
        f"https://acme.my.salesforce.com/{SHORT}x",
        f"https://acme.my.salesforce.com/{SHORT}ABC",
        f"https://acme.my.salesforce.com/x{SHORT}",
        "https://acme.my.salesforce.com/0015g00000ABCDE",
        "https://acme.lightning.force.com/lightning/o/Opportunity/list?filterName=Recent",
        "https://help.salesforce.com/s/articleView?id=005239277&language=ja&type=1",
        f"someone@acme.my.salesforce.com/{SHORT}",
    ],
)
def test_no_address_of_a_record(text: str) -> None:
    assert found(text) == []


def test_parameters_before_the_id_are_not_kept() -> None:
    """They may hold a session."""
    (mention,) = mentions(
        f"https://acme.my.salesforce.com/secur/frontdoor.jsp?sid=00D!secret&retURL=%2F{SHORT}"
    )
    assert mention.text == f"https://acme.my.salesforce.com/secur/frontdoor.jsp?...{SHORT}"


@pytest.mark.parametrize(
    "text", ["{}", "Deal {}.", "({})", "SF-{}", "id={}", "opp/{}", '"{}"', "{{{{{}}}}}", "Deal:{},", "«{}»"]
)
def test_an_id_with_its_checksum_anywhere(text: str) -> None:
    assert found(text.format(LONG)) == [("record_id", LONG)]


@pytest.mark.parametrize(
    "text", ["{}", "Deal {}.", "({})", '"{}"', "Deal:{},", "|{}|", "*{}*", "{}!", "a\n{}\nb"]
)
def test_a_short_id_that_stands_alone(text: str) -> None:
    assert found(text.format(SHORT)) == [("record_id", LONG)]


@pytest.mark.parametrize(
    "text", ["SF-{}", "id={}", "opp/{}", "{}-1", "{}.5", "x{}", "{}_x", "#{}", "@{}", "å{}", "{}é", "1.{}"]
)
def test_a_short_id_that_may_be_part_of_something_else_is_none(text: str) -> None:
    assert found(text.format(SHORT)) == []


@pytest.mark.parametrize(
    "text",
    [
        "UTF-8 and ISO-27001, COVID-19",
        "006",
        "006Implementing",
        "006ABCDEFGHIJKL",
        "006abcdefghijklmno",
        "006120000000123",
        "part 006-120-000-000",
        "call 0061 2000 0000 123",
        "sha 006deadbeef1234, 006d00b1ee5f00d123, 006d00b1ee5f00d1234567890abcdef",
        "LONG-0065g00000ABCDEAA4",
        "00600000-0000-4000-8000-000000000000",
        "0.0065g00000ABCD",
        "data:image/png;base64,AAAA0065g00000ABCDEAA5AAAA",
    ],
)
def test_what_only_looks_like_an_id(text: str) -> None:
    assert found(text) == []


def test_the_same_record_twice_is_one_mention_and_its_address_says_it_best() -> None:
    assert found(f"{LONG} {SHORT} https://na1.salesforce.com/{SHORT} https://na2.salesforce.com/{LONG}") == [
        ("record_url", LONG)
    ]


def test_the_configured_pattern_gives_the_number_as_written() -> None:
    assert found("for DEAL-7, DEAL-12 and DEAL-7", r"\bDEAL-\d+\b") == [
        ("pattern", "DEAL-7"),
        ("pattern", "DEAL-12"),
    ]
    assert found("deal #0042!", r"deal #(\d{4})") == [("pattern", "0042")]
    assert found("DEAL-7") == []


@given(st.text(), shorts, st.text())
def test_any_text_around_an_id_is_read_without_an_error_and_finds_nothing_else(
    before: str, short: str, after: str
) -> None:
    long = with_checksum(short)
    assert {value for _, value in found(f"{before} {long} {after}")} == {long}


@given(st.text(alphabet="a.-/:?%2F006 https", max_size=400))
def test_texts_made_of_the_signs_of_addresses_name_nothing(text: str) -> None:
    assert found(text) == []


def test_a_long_text_without_any_blank_takes_no_time_worth_noting() -> None:
    """No place of it is looked at again and again."""
    assert found("https://" + "a.b-" * 50_000 + "/" + "006" * 50_000) == []


def test_nothing_in_the_public_recordings_is_taken_for_a_reference(fixtures_dir: Path) -> None:
    """Issues, changelogs and webhooks of three Jiras, answers of Salesforce without any opportunity, a pipeline."""
    texts = [
        path for folder in ("jira", "crm") for path in (fixtures_dir / folder).rglob("*") if path.is_file()
    ]
    assert len(texts) > 100
    told = {path.name: found(path.read_text(encoding="utf-8", errors="replace")) for path in sorted(texts)}
    assert {name: references for name, references in told.items() if references} == {}
