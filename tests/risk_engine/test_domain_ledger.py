"""What a deal promises: every source, which of them counts, and which speaks for the same deliverable."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

from risk_engine.domain.commitments import CommitPolicy
from risk_engine.domain.ledger import Declared, Entry, entries_of, links_of, part_of
from risk_engine.domain.model import Deal, Line, Link, Money, Record

TODAY = date(2026, 11, 2)
JUNE = date(2027, 6, 30)
JAN = date(2027, 1, 15)
WON = Deal("o:1", "1", "Deal", is_closed=True, is_won=True, close_date=date(2026, 11, 30))
SAID = Declared("o:1", "", JUNE, by="Ada")


def by_part(deal: Deal, *declared: Declared, policy: CommitPolicy | None = None) -> dict[str, Entry]:
    entries = entries_of(deal, declared, TODAY, policy or CommitPolicy())
    return {entry.part: entry for entry in entries}


def test_a_field_promises_the_whole_deal_and_a_declaration_overrides_it() -> None:
    deal = replace(WON, custom={"Promised_Date__c": "2027-01-15"})
    read = by_part(deal)[""]
    assert (read.basis, read.source, read.promised_date, read.key) == (
        "field",
        "Promised_Date__c",
        JAN,
        "o:1",
    )
    said = by_part(deal, SAID)[""]
    assert (said.basis, said.promised_date, said.declared_by) == ("declared", JUNE, "Ada")
    assert said.state == "in_force"


def test_each_deliverable_is_a_commitment_of_its_own() -> None:
    found = by_part(WON, SAID, replace(SAID, title="SSO module", promised_date=JAN))
    assert {entry.key for entry in found.values()} == {"o:1", f"o:1~{part_of('SSO module')}"}


def test_a_deliverable_is_the_same_however_its_title_is_written() -> None:
    assert part_of("SSO  Module ") == part_of("sso module") != part_of("reports")
    assert part_of("  ") == ""


def test_what_is_promised_waits_while_the_deal_is_not_in_force() -> None:
    opened = replace(WON, is_closed=False, is_won=False, probability=0.3)
    assert by_part(opened, SAID)[""].state == "waiting"
    assert by_part(replace(opened, probability=0.7), SAID)[""].state == "in_force"


def test_a_custom_object_promises_each_of_its_records() -> None:
    record = Record(
        "Promise__c",
        "a01",
        {
            "Name": "SSO",
            "Delivery_Date__c": "2027-01-15",
            "Jira__c": "ATL-7, BOR-12",
            "Need__c": "Must have",
        },
    )
    undated = Record("Promise__c", "a02", {"Name": "Reports"})
    entry = by_part(replace(WON, records=(record, undated)))["record-a01"]
    assert (entry.title, entry.promised_date, entry.basis, entry.need) == ("SSO", JAN, "record", "blocker")
    assert entry.issues == ("ATL-7", "BOR-12")
    assert entry.source == "Promise__c.Delivery_Date__c a01"


def test_a_service_date_commits_engineering_only_when_it_names_an_issue_or_its_product_is_said_to() -> None:
    plain = Line("l1", "Support", frozenset({"p1", "SUP"}), JAN, Money(Decimal(10), "EUR"))
    named = replace(plain, id="l2", description="see ATL-7")
    found = by_part(replace(WON, lines=(plain, named)))
    assert (found["line-l1"].state, found["line-l2"].state) == ("candidate", "in_force")
    assert (found["line-l2"].issues, found["line-l2"].amount) == (("ATL-7",), Money(Decimal(10), "EUR"))
    policy = CommitPolicy(committing_products=frozenset({"SUP"}))
    assert by_part(replace(WON, lines=(plain,)), policy=policy)["line-l1"].state == "in_force"


def test_g9_a_line_without_a_date_shows_the_close_date_and_never_counts_by_it() -> None:
    """https://help.salesforce.com/s/articleView?id=005239277&language=ja&type=1"""
    policy = CommitPolicy(committing_products=frozenset({"P"}))
    dated, bare = Line("l1", "P", frozenset({"P"}), JAN), Line("l2", "P", frozenset({"P"}))
    deal = replace(WON, lines=(dated, bare))
    first = by_part(deal, policy=policy)
    assert (first["line-l2"].promised_date, first["line-l2"].basis) == (date(2026, 11, 30), "close_date")
    assert first["line-l2"].state == "candidate"
    moved = by_part(replace(deal, close_date=date(2026, 12, 20)), policy=policy)
    assert moved["line-l2"].promised_date == date(2026, 12, 20)
    assert moved["line-l1"] == first["line-l1"]
    real = by_part(replace(deal, lines=(dated, replace(bare, service_date=date(2027, 2, 1)))), policy=policy)
    assert (real["line-l2"].basis, real["line-l2"].state) == ("line", "in_force")
    assert real["line-l2"].key == first["line-l2"].key


def test_dates_in_texts_only_inform_and_never_repeat_what_is_promised() -> None:
    deal = replace(
        WON,
        custom={"Promised_Date__c": "2027-01-15"},
        texts={"NextStep": "SSO by 15 January 2027, reports senast 30 juni", "Description": ""},
        modified_on=date(2026, 10, 1),
    )
    found = by_part(deal)
    assert [(entry.promised_date, entry.state) for entry in found.values() if entry.basis == "text"] == [
        (JUNE, "candidate")
    ]


def test_named_issues_deliver_an_entry_else_all_of_the_deal() -> None:
    own = (Link("s:1", ("A-1",), 0.95, ("field Jira__c",)),)
    entry = by_part(WON, SAID)[""]
    assert links_of(entry, own, lambda _key: None) == own
    named = by_part(WON, replace(SAID, issues=("A-2", "A-3", "s:9", "A-4")))[""]
    known = {"A-2": "s:2", "A-3": "s:2"}
    assert [(link.issue, link.mentions, link.confidence) for link in links_of(named, own, known.get)] == [
        ("s:2", ("A-2", "A-3"), 1.0),
        ("s:9", ("s:9",), 1.0),
    ]


def test_a_key_that_two_sites_have_is_settled_by_the_deals_own_links_or_by_nobody() -> None:
    named = by_part(WON, replace(SAID, issues=("A-2",)))[""]
    twins = {"A-2": ("s:2", "t:2")}
    unsure = links_of(named, (), lambda _key: None, twins)
    assert [(link.issue, link.confidence) for link in unsure] == [("s:2", 0.79), ("t:2", 0.79)]
    assert {link.conflict for link in unsure} == {"A-2 is on several sites: s:2, t:2"}
    own = (Link("t:2", ("A-2",), 1.0, ("confirmed by Ada",)),)
    assert links_of(named, own, lambda _key: None, twins) == (Link("t:2", ("A-2",), 1.0, ("declared",)),)
