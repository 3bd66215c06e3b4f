"""The JQL subset: how text parses, and which issues a condition means in the account's zone."""

from contextlib import suppress
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth_sandbox.jira.clock import parse_instant
from troth_sandbox.jira.errors import QueryError
from troth_sandbox.jira.jql import AllOf, AnyOf, Clause, Order, Word, parse
from troth_sandbox.jira.matching import Bounds, Reading, bounds, predicate
from troth_sandbox.jira.records import Issue

NOW = parse_instant("2026-11-25T12:00:00Z")


class Names:
    """Two projects, one moved issue, a sprint with a comma in its name."""

    def project_id(self, name: str) -> str | None:
        return {"APA": "10000", "10000": "10000", "PEA": "10001"}.get(name.upper())

    def issue_id(self, name: str) -> int | None:
        return int(name) if name.isdigit() else {"APA-1": 1, "OLD-9": 1}.get(name.upper())

    def sprint_ids(self, name: str) -> list[int]:
        return {"76": [76], "Pear, one": [90]}.get(name, [])

    def status_ids(self, name: str) -> list[str]:
        return {"1": ["1"], "to do": ["1"], "done": ["3"]}.get(name.lower(), [])

    def type_ids(self, name: str) -> list[str]:
        return {"story": ["10001"]}.get(name.lower(), [])


def issue(updated: str = "2026-11-25T10:00:00Z", **changes: object) -> Issue:
    at = parse_instant(updated)
    fields: dict[str, object] = {
        "id": 1,
        "key": "APA-1",
        "project_id": "10000",
        "status_id": "1",
        "created": at,
        "updated": at,
        "fields": {},
    }
    return Issue(**(fields | changes))  # type: ignore[arg-type]


def matches(jql: str, candidate: Issue, zone: str = "UTC") -> bool:
    where = parse(jql).where
    assert where is not None
    return predicate(where, Reading(Names(), ZoneInfo(zone), NOW))(candidate)


def test_a_poll_query_parses_to_its_clauses_and_order() -> None:
    query = parse('project in (APA, "PEA") AND updated >= 1795000000000 ORDER BY updated ASC, id DESC')

    assert query.where == AllOf(
        (
            Clause("project", "in", (Word("APA"), Word("PEA", quoted=True))),
            Clause("updated", ">=", (Word("1795000000000"),)),
        )
    )
    assert query.order == (Order("updated"), Order("id", descending=True))


def test_and_binds_tighter_than_or_and_parentheses_bind_tightest() -> None:
    flat = parse("id = 1 OR id = 2 AND id = 3").where
    nested = parse("(id = 1 OR id = 2) AND id = 3").where

    assert isinstance(flat, AnyOf)
    assert isinstance(flat.parts[1], AllOf)
    assert isinstance(nested, AllOf)
    assert isinstance(nested.parts[0], AnyOf)


def test_quotes_may_hold_anything_escaped_quotes_included() -> None:
    where = parse(r'sprint = "a \"b\", and (c)"').where

    assert where == Clause("sprint", "=", (Word('a "b", and (c)', quoted=True),))


@pytest.mark.parametrize("jql", ["", "  ", "ORDER BY updated", "order by key desc"])
def test_a_query_without_restriction_has_no_condition(jql: str) -> None:
    assert parse(jql).where is None


@pytest.mark.parametrize(
    "jql",
    [
        "project",
        "project =",
        "project in ()",
        "project in (A",
        "project = A B",
        "= A",
        "a = b AND",
        "x = 'open",
    ],
)
def test_a_query_that_does_not_parse_is_refused(jql: str) -> None:
    with pytest.raises(QueryError, match="Error in the JQL Query"):
        parse(jql)


def test_more_than_seven_order_fields_are_refused() -> None:
    """Rule: `orderBy` may have at most 7 fields (platform OpenAPI, search/jql)."""
    seven = ", ".join(["id"] * 7)

    assert len(parse(f"project = APA ORDER BY {seven}").order) == 7
    with pytest.raises(QueryError, match="maximum of 7"):
        parse(f"project = APA ORDER BY {seven}, id")


@pytest.mark.parametrize(
    "jql", ["flavour = sweet", "text ~ x", "project > APA", "updated = 5", "project = NONE"]
)
def test_unknown_clauses_operators_and_projects_are_refused(jql: str) -> None:
    with pytest.raises(QueryError):
        matches(jql, issue())


def test_epoch_milliseconds_are_absolute_in_every_zone() -> None:
    at = parse_instant("2026-11-25T10:00:00Z")

    for zone in ("America/Los_Angeles", "UTC", "Asia/Kolkata"):
        assert matches(f"updated >= {at}", issue(), zone)
        assert not matches(f"updated > {at}", issue(), zone)


def test_quoted_times_are_read_in_the_accounts_zone() -> None:
    """Rule: quoted datetimes mean the searching user's profile zone; a UTC text west of UTC is in the future.

    https://support.atlassian.com/jira-software-cloud/docs/jql-fields/#Updated
    """
    utc_text = 'updated >= "2026-11-25 09:30"'

    assert matches(utc_text, issue(), "UTC")
    assert not matches(utc_text, issue(), "America/Los_Angeles")
    assert matches('updated >= "2026/11/25 15:30"', issue(), "Asia/Kolkata")
    assert not matches('updated >= "2026-11-25 15:31"', issue(), "Asia/Kolkata")


def test_relative_times_count_from_now() -> None:
    assert matches("updated >= -2h", issue())
    assert not matches('updated >= "-119m"', issue())
    assert matches("created < -1h AND created > -1w", issue())


def test_a_date_that_is_none_is_refused() -> None:
    with pytest.raises(QueryError, match="Date value"):
        matches("updated >= yesterday", issue())


@pytest.mark.parametrize(
    "jql", ["key = APA-1", "issuekey in (OLD-9)", "id = 1", "id in (7, 1)", 'issue = "apa-1"']
)
def test_issues_are_found_by_id_key_and_former_key(jql: str) -> None:
    assert matches(jql, issue())
    assert not matches(jql, issue(id=2))


def test_sprints_are_found_by_id_and_by_name() -> None:
    member = issue(sprint_ids=(76, 90))

    assert matches("sprint = 76", member)
    assert matches('sprint in ("Pear, one")', member)
    assert not matches("sprint = 76", issue())
    with pytest.raises(QueryError, match="Sprint"):
        matches("sprint = 404", member)


def test_children_are_found_by_parent() -> None:
    assert matches("parent = APA-1", issue(id=5, parent_id=1))
    assert not matches("parent in (APA-1)", issue(id=5))


def test_labels_statuses_types_and_people_are_compared_and_excluded() -> None:
    fields = {"labels": ["team-a", "x"], "issuetype": {"id": "10001"}, "assignee": {"accountId": "ada"}}
    one = issue(fields=fields)

    assert matches('labels = team-a AND status = "To Do" AND type in (Story)', one)
    assert matches("labels not in (team-b, y) AND status != Done AND assignee = ada", one)
    assert not matches("labels != team-a", one)
    assert not matches("labels != team-b", issue())  # as in JQL: without any label it is not another label
    assert matches("project not in (PEA)", one)
    with pytest.raises(QueryError, match="does not exist for the field 'status'"):
        matches("status = Gone", one)


def test_bounds_follow_from_the_top_level_conjunction_only() -> None:
    reading = Reading(Names(), ZoneInfo("UTC"), NOW)

    def bound(jql: str) -> Bounds:
        where = parse(jql).where
        assert where is not None
        return bounds(where, reading)

    assert bound("project = APA AND updated >= 5 AND updated > 9") == Bounds(frozenset({"10000"}), 9)
    assert bound("project = APA OR updated >= 5") == Bounds()
    assert bound("project != APA AND project not in (PEA)") == Bounds()


@given(st.text(max_size=60))
def test_any_text_parses_or_is_refused(text: str) -> None:
    with suppress(QueryError):
        assert parse(text).order is not None
