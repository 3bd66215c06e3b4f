"""Which fields hold issue keys, which deals are copies, which version a product is: all from what is written."""

from datetime import UTC, date, datetime

import pytest

from risk_engine.domain.fields import FieldScore, Standing, contribution, standing_of
from risk_engine.domain.keys import candidate_keys, is_bare, is_standard
from risk_engine.domain.likeness import Kin, likeness, source_of
from risk_engine.domain.links import (
    BELIEVED,
    MOST_SUGGESTED,
    Knowledge,
    LinkAnswer,
    Naming,
    ProductMatch,
    find_links,
)
from risk_engine.domain.model import Deal, Line, Link, Record
from risk_engine.domain.products import Bearer, sold
from risk_engine.domain.signs import signs_of

ISSUES = {"ATL-1": "site:1", "ATL-2": "site:2", "UTF-8": "site:8", "ISO-27001": "site:9"}
FORM = "Scope: as agreed. Owner: to be named. Issue: ATL-1. Risks: none that we know of yet."


def only(deal: Deal, known: Knowledge | None = None) -> Link:
    (link,) = find_links(deal, ISSUES.get, known or Knowledge())
    return link


def deal(next_step: str = "", **custom: str) -> Deal:
    return Deal("org:006", "006", "Deal", texts={"NextStep": next_step}, custom=custom)


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        ("ATL-1", True),
        ("ATL-1, ATL-2;\nATL-3", True),
        ("https://jira.example/browse/ATL-1?focused=1", True),
        ("see ATL-1", False),
        ("ATL-1 (2026)", False),
        ("https://example.com/none", False),
    ],
)
def test_a_value_is_bare_when_nothing_but_keys_stands_there(text: str, *, bare: bool) -> None:
    assert is_bare(text) == bare


@pytest.mark.parametrize(
    "key", ["UTF-8", "ISO-27001", "COVID-19", "SHA-256", "AES-128", "CVE-2026", "RFC-7231"]
)
def test_the_name_of_a_standard_says_nothing_in_prose_even_where_such_an_issue_exists(key: str) -> None:
    assert is_standard(key)
    told = deal(f"They ask for {key}", Requirement__c=key)
    known = Knowledge(standings={"field Requirement__c": "found"})
    assert find_links(told, {key: "site:8"}.get, known) == ()


def test_in_a_field_made_for_keys_the_name_of_a_standard_is_a_key() -> None:
    assert only(deal(Jira_Key__c="UTF-8")).issue == "site:8"


@pytest.mark.parametrize(
    "words", ["e.g. ATL-1", "for example ATL-1", "such as: ATL-1", "t.ex. ATL-1", "exempelvis ATL-1"]
)
def test_a_key_given_as_an_example_is_none(words: str) -> None:
    assert candidate_keys(f"Write the issue here, {words}") == ()
    assert [mention.key for mention in candidate_keys(f"{words}, now ATL-2")] == ["ATL-2"]


@pytest.mark.parametrize(
    ("place", "score", "standing"),
    [
        ("field Jira_Key__c", FieldScore(1, 0, 0, 0), "named"),
        ("record Jira_Issue__c.Name", FieldScore(1, 1, 1, 1), "named"),
        ("field Delivery__c", FieldScore(5, 3, 3, 3), "found"),
        ("field Delivery__c", FieldScore(4, 4, 4, 4), "candidate"),
        ("field Delivery__c", FieldScore(100, 100, 59, 59), "candidate"),
        ("field Delivery__c", FieldScore(100, 100, 19, 19), "other"),
        ("field Notes__c", FieldScore(100, 90, 90, 0), "other"),
        ("field Part_Number__c", FieldScore(100, 100, 90, 90), "candidate"),
    ],
)
def test_a_field_is_taken_for_what_its_name_and_its_values_say(
    place: str, score: FieldScore, standing: Standing
) -> None:
    assert standing_of(place, score) == standing
    assert standing_of(place, score, "rejected") == "rejected"
    assert standing_of(place, score, "confirmed") == "confirmed"


def test_a_deal_adds_its_values_to_the_scores_of_its_fields_and_takes_them_out_again() -> None:
    record = Record("Leverans__c", "a0B1", {"Referens__c": "ATL-1", "Name": "LEV-7"})
    told = Deal(
        "o:1", "1", "Deal", custom={"A__c": "ATL-1", "B__c": "see ATL-9", "C__c": "UTF-8"}, records=(record,)
    )
    scores = contribution(signs_of(told), ISSUES.__contains__)
    assert scores == {
        "field A__c": FieldScore(1, 1, 1, 1),
        "field B__c": FieldScore(1, 1, 0, 0),
        "field C__c": FieldScore(1, 0, 0, 0),
        "record Leverans__c.Referens__c": FieldScore(1, 1, 1, 1),
        "record Leverans__c.Name": FieldScore(1, 1, 0, 0),
    }
    assert scores["field A__c"].plus(scores["field A__c"], -1) == FieldScore()


def test_a_record_of_a_custom_object_is_surer_than_a_field_and_a_field_surer_than_a_text() -> None:
    record = Record("Leverans__c", "a0B1", {"Referens__c": "ATL-1"})
    known = Knowledge(standings={"record Leverans__c.Referens__c": "found", "field Delivery__c": "found"})
    assert only(Deal("o:1", "1", "Deal", records=(record,)), known).confidence == pytest.approx(0.97)
    assert only(deal(Delivery__c="ATL-1"), known).confidence == pytest.approx(0.95)
    assert only(
        Deal("o:1", "1", "Deal", lines=(Line("l", description="with ATL-1"),))
    ).confidence == pytest.approx(0.85)


def test_prose_in_a_notes_field_counts_as_a_text_where_its_keys_are_mostly_real() -> None:
    notes = deal(Notes__c="Engineering says ATL-1 covers it")
    real = Knowledge(scores={"field Notes__c": FieldScore(9, 5, 4, 0)})
    chance = Knowledge(scores={"field Notes__c": FieldScore(9, 5, 1, 0)})
    assert only(notes, real).confidence == pytest.approx(0.85)
    assert find_links(notes, ISSUES.get, chance) == ()


def test_words_on_the_deals_of_many_customers_are_a_form() -> None:
    told = deal(FORM)
    words = next(sign.words for sign in signs_of(told) if sign.words)
    assert only(told).confidence == pytest.approx(0.85)
    assert find_links(told, ISSUES.get, Knowledge(forms={words})) == ()


def test_copied_keys_only_suggest_unless_the_issue_itself_names_the_copy() -> None:
    copied = Knowledge(sources={"site:1": "Elm Bank - SSO"})
    link = only(deal("now ATL-1", Jira_Key__c="ATL-1"), copied)
    assert link.confidence == MOST_SUGGESTED
    assert link.basis[0] == "field Jira_Key__c (as on Elm Bank - SSO, which it looks copied from)"
    named = Knowledge(sources={"site:1": "Elm"}, namings=(Naming("site:1", "ATL-1", "description"),))
    assert only(deal(Jira_Key__c="ATL-1"), named).confidence > 0.90


def test_what_only_suggests_never_adds_up_to_belief() -> None:
    product = ProductMatch("site:1", "ATL-1", "Ledger", "version Ledger 2.4")
    account = Naming("site:1", "ATL-1", "description", account=True)
    link = only(deal(), Knowledge(products=(product,), namings=(account,)))
    assert link.confidence == MOST_SUGGESTED < BELIEVED


def test_places_made_for_links_that_name_different_issues_are_a_conflict() -> None:
    known = Knowledge(namings=(Naming("site:2", "ATL-2", "remote_link"),))
    links = find_links(deal(Jira_Key__c="ATL-1"), ISSUES.get, known)
    assert {link.conflict for link in links} == {"field Jira_Key__c says ATL-1; issue remote_link says ATL-2"}
    assert not only(deal("ATL-1", Jira_Key__c="ATL-1")).conflict


def test_people_have_the_last_word() -> None:
    said = {"site:1": LinkAnswer("rejected", "Ada"), "site:2": LinkAnswer("confirmed", "Ada", "ATL-2")}
    link = only(deal(Jira_Key__c="ATL-1"), Knowledge(answers=said))
    assert (link.issue, link.confidence, link.basis) == ("site:2", 1.0, ("confirmed by Ada",))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Elm Bank - SSO", "Elm Bank - SSO (copy)"),
        ("Elm Bank - SSO", "Copy of Elm Bank - SSO"),
        ("Elm Bank - SSO 2026", "Elm Bank - SSO Renewal 2027"),
        ("Elm Bank SSO Q3", "Elm Bank SSO Q4 förnyelse"),
    ],
)
def test_copies_and_renewals_are_alike_by_name(one: str, other: str) -> None:
    assert likeness(one) == likeness(other)


def kin(deal: str, *, day: int, lost: bool = False, account: str = "Elm", name: str = "sso") -> Kin:
    created = datetime(2026, 8, day, tzinfo=UTC)
    return Kin(deal, deal, account, name, created, lost, frozenset({("field Jira__c", "ATL-1")}))


def test_the_older_of_two_like_deals_is_the_source_unless_it_was_lost_or_is_of_another_account() -> None:
    written = {("field Jira__c", "ATL-1")}
    fresh = kin("fresh", day=20)
    oldest = source_of(fresh, [kin("old", day=3), kin("oldest", day=1)], written)
    assert oldest is not None
    assert oldest.deal == "oldest"
    assert source_of(kin("oldest", day=1), [fresh], written) is None
    for other in (kin("lost", day=1, lost=True), kin("far", day=1, account="Oak"), kin("x", day=1, name="y")):
        assert source_of(fresh, [other], written) is None
    assert source_of(fresh, [kin("old", day=1)], {*written, ("text NextStep", "ATL-1")}) is None


def bearer(minor: int, *, done: bool = False) -> Bearer:
    work = ((f"site:{minor}", f"ATL-{minor}"),)
    return Bearer(f"version site:{minor}", f"Ledger 2.{minor}", work, date(2026, minor, 1), done)


def test_the_next_release_is_meant_unless_the_line_or_somebody_says_otherwise() -> None:
    bearers = [bearer(6), bearer(4, done=True), bearer(5)]
    assert sold(bearers, "Ledger") == ((bearer(5),), False)
    assert sold(bearers, "Ledger as of 2.6") == ((bearer(6),), False)
    assert sold(bearers, "Ledger", {"version site:4": "confirmed"}) == ([bearer(4, done=True)], False)
    assert sold(bearers, "Ledger", {"version site:5": "rejected"}) == ((bearer(6),), False)


def test_versions_without_a_date_are_ambiguous_and_an_open_epic_is_always_meant() -> None:
    undated = [Bearer(f"version site:{number}", "Ledger", ()) for number in (1, 2)]
    epic = Bearer("epic site:3", "Ledger", (("site:3", "ATL-3"),))
    assert sold([*undated, epic], "Ledger") == ((*undated, epic), True)
    assert sold([epic], "Ledger") == ((epic,), False)
    assert sold([], "Ledger") == ((), False)
