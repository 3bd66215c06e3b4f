"""Issue keys in fields and texts: what is a key, what only looks like one."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk_engine.domain.keys import candidate_keys
from risk_engine.domain.links import Knowledge, LinkAnswer, Naming, find_links
from risk_engine.domain.model import Deal, Link

ISSUES = {"B7-214": "site:1", "K1-1": "site:2", "APA-12": "site:3", "OLD-7": "site:4", "NEW-3": "site:4"}
resolve: Callable[[str], str | None] = ISSUES.get


def deal(next_step: str = "", **custom: str) -> Deal:
    return Deal("org:006", "006", "Deal", texts={"NextStep": next_step}, custom=custom)


def linked(text: str) -> set[str]:
    return {link.issue for link in find_links(deal(text), resolve)}


@pytest.mark.parametrize(
    ("text", "issues"),
    [
        ("part no. B7-214-68901", set()),
        ("K1-1 by 2022-02", {"site:2"}),
        ("see XB7-214", set()),
        ("b7-214", set()),
        ("B7-214.", {"site:1"}),
        ("B7-0214", set()),
        ("https://acme.example/browse/B7-214?focusedCommentId=1", {"site:1"}),
    ],
)
def test_g11_a_longer_number_that_starts_like_an_issue_key(text: str, issues: set[str]) -> None:
    """https://github.com/sooperset/mcp-atlassian/pull/1422"""
    assert linked(text) == issues


@pytest.mark.parametrize(
    "text",
    [
        "B7-2145",
        "A-B7-214",
        "_B7-214",
        "B7-214_x",
        "B7-214-x",
        "B7-214.5",
        "B7-214,5",
        "B7_214",
        "B7-214@acme",
        "7-214",
    ],
)
def test_a_key_is_no_part_of_something_longer(text: str) -> None:
    assert linked(text) == set()


@pytest.mark.parametrize("text", ["(B7-214)", "[B7-214]", "B7-214:", "feature/B7-214", "a,B7-214;"])
def test_a_key_may_stand_among_punctuation(text: str) -> None:
    assert linked(text) == {"site:1"}


def test_a_swedish_letter_before_a_key_makes_it_a_longer_word() -> None:
    assert linked("åB7-214 B7-214ö") == set()


@pytest.mark.parametrize("text", ["UTF-8", "ISO-27001", "COVID-19", "SHA-256", "Q3-2026"])
def test_what_no_project_knows_never_links(text: str) -> None:
    assert linked(text) == set()


def test_lower_case_is_at_most_a_suggestion() -> None:
    (mention,) = candidate_keys("as in b7-214")
    assert (mention.key, mention.certain) == ("B7-214", False)


def test_upper_case_anywhere_makes_the_mention_certain() -> None:
    (mention,) = candidate_keys("b7-214, that is B7-214")
    assert mention.certain


def test_a_field_named_after_jira_counts_more_than_a_text() -> None:
    (by_field,) = find_links(deal(Jira_Key__c="APA-12"), resolve)
    (by_text,) = find_links(deal("APA-12"), resolve)
    assert by_field.confidence == pytest.approx(0.95)
    assert by_text.confidence == pytest.approx(0.85)


def test_independent_signals_combine() -> None:
    (link,) = find_links(deal("APA-12 first", Jira_Key__c="APA-12"), resolve)
    assert link.confidence == pytest.approx(1 - 0.05 * 0.15)
    assert link.basis == ("field Jira_Key__c", "text NextStep")


def test_the_same_kind_of_signal_twice_counts_once() -> None:
    subject = Deal("o:1", "1", "APA-12", texts={"Name": "APA-12", "NextStep": "APA-12"})
    (link,) = find_links(subject, resolve)
    assert link.confidence == pytest.approx(0.85)


def test_a_field_not_named_after_jira_is_no_signal() -> None:
    assert find_links(deal(Part_Number__c="APA-12"), resolve) == ()


def test_one_field_may_name_several_issues() -> None:
    links = find_links(deal(JIRA_Epics__c="APA-12; K1-1\nB7-214"), resolve)
    assert [link.issue for link in links] == ["site:1", "site:2", "site:3"]


def test_g10_old_and_new_key_are_one_link_to_one_issue() -> None:
    """https://github.com/getsentry/sentry/pull/123198"""
    (before,) = find_links(deal(Jira_Key__c="OLD-7"), {"OLD-7": "site:4"}.get)
    (after,) = find_links(deal("now NEW-3", Jira_Key__c="OLD-7"), resolve)
    assert (before.issue, after.issue) == ("site:4", "site:4")
    assert after.mentions == ("NEW-3", "OLD-7")
    assert after.confidence >= before.confidence


@settings(deadline=None)
@given(st.lists(st.sampled_from([*sorted(ISSUES), "b7-214", "UTF-8", "and", "2022-02"]), max_size=12))
def test_one_link_per_issue_in_any_order(words: list[str]) -> None:
    def links(text: str) -> tuple[Link, ...]:
        return find_links(deal(text, Jira__c=text), resolve)

    found = links(" ".join(words))
    assert len({link.issue for link in found}) == len(found)
    assert links(" ".join(reversed(words))) == found
    assert {link.issue for link in found} == {ISSUES[word] for word in words if word in ISSUES}


def test_an_issue_that_names_the_deal_is_linked_by_its_present_key() -> None:
    (link,) = find_links(deal(), resolve, Knowledge(namings=(Naming("site:3", "APA-12", "remote_link"),)))
    assert (link.issue, link.mentions, link.basis) == ("site:3", ("APA-12",), ("issue remote_link",))
    assert link.confidence == pytest.approx(0.90)


def test_naming_each_other_is_two_independent_signals_but_two_places_on_an_issue_are_one() -> None:
    namings = (Naming("site:3", "APA-12", "description"), Naming("site:3", "APA-12", "field:customfield_1"))
    (link,) = find_links(deal(), resolve, Knowledge(namings=namings))
    assert link.confidence == pytest.approx(0.90)
    (link,) = find_links(deal("APA-12"), resolve, Knowledge(namings=namings))
    assert link.confidence == pytest.approx(1 - 0.10 * 0.15)
    assert link.basis == ("issue description", "issue field:customfield_1", "text NextStep")


TWINS = {"TWIN-1": ("one:8", "two:8")}


def twins(answers: dict[str, LinkAnswer], *namings: Naming) -> dict[str, tuple[float, str]]:
    known = Knowledge(namesakes=TWINS, answers=answers, namings=namings)
    links = find_links(deal("TWIN-1 first", Jira_Key__c="TWIN-1"), resolve, known)
    return {link.issue: (round(link.confidence, 4), link.conflict) for link in links}


def test_a_key_that_two_sites_have_suggests_both_and_says_so() -> None:
    conflict = "TWIN-1 is on several sites: one:8, two:8"
    assert twins({}) == {"one:8": (0.79, conflict), "two:8": (0.79, conflict)}
    named = twins({}, Naming("two:8", "TWIN-1", "remote_link"))
    assert (named["one:8"][0], named["two:8"][0]) == (0.79, 0.979), "the issue itself tells which is meant"


def test_what_people_say_of_one_twin_settles_the_key() -> None:
    assert twins({"one:8": LinkAnswer("rejected", "Ada", "TWIN-1")}) == {"two:8": (0.9925, "")}
    assert twins({"one:8": LinkAnswer("confirmed", "Ada", "TWIN-1")}) == {"one:8": (1.0, "")}
    both = {site: LinkAnswer("rejected", "Ada", "TWIN-1") for site in TWINS["TWIN-1"]}
    assert twins(both) == {}
