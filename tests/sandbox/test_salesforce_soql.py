"""The simulator's SOQL: what parses, what does not, and the laws that evaluation keeps."""

import contextlib
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from troth_sandbox.salesforce.clock import SettableClock
from troth_sandbox.salesforce.errors import ApiError
from troth_sandbox.salesforce.org import Org, open_org
from troth_sandbox.salesforce.seed import parse_seed
from troth_sandbox.salesforce.soql import parse, run
from troth_sandbox.salesforce.soql.tree import All, AnyOf, Comparison, Condition, Literal, Not

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


def deal(number: int, **fields: Any) -> dict[str, Any]:
    record = {"Id": f"006000000000{number:03d}AAA", "Name": f"Deal {number}", "StageName": "Prospecting"}
    return record | {"SystemModstamp": f"2026-11-20T10:00:{number:02d}.000+0000"} | fields


def an_org(*deals: dict[str, Any], **objects: list[dict[str, Any]]) -> Org:
    document = {"org_id": "00D000000000001EAA", "auth": {"client_id": "id", "client_secret": "secret"}}
    seed = parse_seed(document | {"objects": {"Opportunity": list(deals), **objects}})
    clock = SettableClock()
    clock.set(NOON, frozen=True)
    return open_org(seed, clock)


def names(org: Org, condition: str, *, rest: str = "ORDER BY Id", deleted: bool = False) -> list[str]:
    where = f"WHERE {condition} " if condition else ""
    query = parse(f"SELECT Name FROM Opportunity {where}{rest}")
    result = run(org, query, include_deleted=deleted, prefix="")
    rows = [org.table("Opportunity").get(each) for each in result.ids]
    return [result.render(row)["Name"] for row in rows if row is not None]


def refusal(text: str, org: Org | None = None) -> dict[str, str]:
    with pytest.raises(ApiError) as caught:
        run(org or an_org(), parse(text), include_deleted=False, prefix="")
    assert caught.value.status == 400
    (entry,) = cast("list[dict[str, str]]", caught.value.body)
    return entry


@pytest.mark.parametrize(
    "text",
    [
        "SELECT Id FROM Opportunity",
        "select id, NAME from opportunity where amount >= 1.5e3 and isWon = TRUE order by closedate desc nulls last",
        "SELECT COUNT() FROM Opportunity WHERE (A = 1 OR B = 2) AND NOT C = null",
        "SELECT Account.Name, Owner.Email FROM Opportunity LIMIT 10 OFFSET 2000",
        "SELECT StageName, COUNT(Id) total, MAX(CloseDate) FROM Opportunity GROUP BY StageName",
        "SELECT Id FROM Opportunity WHERE SystemModstamp >= 2026-11-01T00:00:00.000+00:00",
        "SELECT Id FROM Opportunity WHERE CloseDate IN (TODAY, LAST_N_DAYS:7, 2026-01-01)",
        "SELECT Id FROM Opportunity WHERE Name NOT IN ('a', 'it\\'s') AND Name LIKE '100\\%%'",
        "\nSELECT\tId\r\nFROM Opportunity\n",
    ],
)
def test_the_subset_parses(text: str) -> None:
    assert parse(text).text == text


@pytest.mark.parametrize(
    ("text", "token", "column"),
    [
        ("SELECT FROM Opportunity", "'FROM'", 8),
        ("SELECT Id Opportunity", "'Opportunity'", 11),
        ("SELECT Id FROM Opportunity WHERE", "<EOF>", 33),
        ("SELECT Id FROM Opportunity WHERE Name = Deal", "'Deal'", 41),
        ("SELECT Id FROM Opportunity WHERE Name LIKE ()", "'('", 44),
        ("SELECT Id FROM Opportunity WHERE A = 1 AND B = 2 OR C = 3", "'OR'", 50),
        ("SELECT Id FROM Opportunity WHERE Id IN (SELECT Id FROM Account)", "'SELECT'", 41),
        ("SELECT (SELECT Id FROM OpportunityLineItems) FROM Opportunity", "'('", 8),
        ("SELECT Id FROM Opportunity LIMIT -1", "'-1'", 34),
        ("SELECT Id FROM Opportunity ALL ROWS", "'ALL'", 28),
        ("SELECT Id FROM Opportunity WHERE Name = 'open", '"\'"', 41),
        ("SELECT Id; FROM Opportunity", "';'", 10),
        ("SELECT * FROM Opportunity", "'*'", 8),
    ],
)
def test_everything_else_is_a_malformed_query_at_its_place(text: str, token: str, column: int) -> None:
    entry = refusal(text)
    assert entry["errorCode"] == "MALFORMED_QUERY"
    pointer = f"\n{text}\n{' ' * (column - 1)}^\nERROR at Row:1:Column:{column}\n"
    assert entry["message"] == f"{pointer}unexpected token: {token}"


def test_a_place_in_a_later_line_is_counted_from_its_start() -> None:
    message = refusal("SELECT Id\nFROM Opportunity\nWHERE ,")["message"]
    assert message.startswith("\nWHERE ,\n      ^\nERROR at Row:3:Column:7\n")


def test_an_unknown_field_is_named_with_its_object() -> None:
    message = refusal("SELECT Id, Foo FROM Opportunity")["message"]
    assert "ERROR at Row:1:Column:12\nNo such column 'Foo' on entity 'Opportunity'. If you are" in message
    assert "on entity 'Account'" in refusal("SELECT Account.Foo FROM Opportunity")["message"]


@pytest.mark.parametrize(
    ("query", "code", "part"),
    [
        ("Description = 'x'", "INVALID_FIELD", "field 'Description' can not be filtered in a query call"),
        (
            "CloseDate > '2026-01-01'",
            "INVALID_FIELD",
            "must be of type date and should not be enclosed in quotes",
        ),
        ("SystemModstamp > 2026-01-01", "INVALID_FIELD", "must be of type dateTime"),
        ("SystemModstamp > 2026-13-01T00:00:00Z", "INVALID_FIELD", "must be of type dateTime"),
        ("Amount = '5'", "INVALID_FIELD", "must be of type currency"),
        ("IsWon > FALSE", "INVALID_QUERY_FILTER_OPERATOR", "boolean"),
        ("Amount LIKE '5%'", "INVALID_QUERY_FILTER_OPERATOR", "currency"),
        ("Campaign.Name = 'x'", "INVALID_FIELD", "Didn't understand relationship 'Campaign'"),
    ],
)
def test_conditions_a_field_cannot_have_are_refused(query: str, code: str, part: str) -> None:
    entry = refusal(f"SELECT Id FROM Opportunity WHERE {query}")
    assert entry["errorCode"] == code
    assert part in entry["message"]


def test_names_may_be_spelt_in_any_case_and_come_back_as_described() -> None:
    org = an_org(
        deal(1, AccountId="001000000000001AAA"), Account=[{"Id": "001000000000001AAA", "Name": "Acme"}]
    )
    result = run(org, parse("select ID, account.NAME from OPPORTUNITY"), include_deleted=False, prefix="/v")
    (row,) = org.table("Opportunity")
    assert result.render(row) == {
        "attributes": {"type": "Opportunity", "url": "/v/sobjects/Opportunity/006000000000001AAA"},
        "Id": "006000000000001AAA",
        "Account": {
            "attributes": {"type": "Account", "url": "/v/sobjects/Account/001000000000001AAA"},
            "Name": "Acme",
        },
    }


def test_a_missing_parent_is_null() -> None:
    org = an_org(deal(1))
    result = run(org, parse("SELECT Account.Name FROM Opportunity"), include_deleted=False, prefix="")
    assert result.render(next(iter(org.table("Opportunity"))))["Account"] is None


def test_text_compares_without_case_and_ids_in_both_lengths() -> None:
    org = an_org(deal(1, Name="Alpha"), deal(2, Name="beta"))
    assert names(org, "Name = 'ALPHA'") == ["Alpha"]
    assert names(org, "Name IN ('BETA', 'gamma')") == ["beta"]
    assert names(org, "Id = '006000000000002'") == ["beta"]


def test_like_knows_its_wildcards_and_their_escapes() -> None:
    org = an_org(deal(1, Name="100% sure"), deal(2, Name="100 pcs"), deal(3, Name="a\nb"))
    assert names(org, "Name LIKE '100%'") == ["100% sure", "100 pcs"]
    assert names(org, "Name LIKE '100\\%%'") == ["100% sure"]
    assert names(org, "Name LIKE 'A_B'") == ["a\nb"]


def test_empty_fields_are_neither_below_nor_above_and_differ_from_everything() -> None:
    org = an_org(deal(1, Amount=5), deal(2))
    assert names(org, "Amount < 9") == ["Deal 1"]
    assert names(org, "Amount >= 9 OR Amount < 9") == ["Deal 1"]
    assert names(org, "Amount != 5") == ["Deal 2"]
    assert names(org, "Amount = null") == ["Deal 2"]
    assert names(org, "NextStep = ''") == ["Deal 1", "Deal 2"]


def test_datetimes_compare_by_the_second() -> None:
    """Milliseconds are stored and ignored in comparison: https://salesforce.stackexchange.com/questions/234824."""
    org = an_org(deal(1, SystemModstamp="2026-11-20T10:00:00.900+0000"))
    assert names(org, "SystemModstamp = 2026-11-20T10:00:00Z") == ["Deal 1"]
    assert names(org, "SystemModstamp > 2026-11-20T10:00:00.100Z") == []
    assert names(org, "SystemModstamp <= 2026-11-20T11:00:00+01:00") == ["Deal 1"]


def test_relative_days_count_from_the_simulated_today() -> None:
    org = an_org(
        deal(1, CloseDate="2026-11-25"), deal(2, CloseDate="2026-11-18"), deal(3, CloseDate="2026-11-26")
    )
    assert names(org, "CloseDate = TODAY") == ["Deal 1"]
    assert names(org, "CloseDate = LAST_N_DAYS:7") == ["Deal 1", "Deal 2"]
    assert names(org, "CloseDate > TODAY") == ["Deal 3"]
    assert names(org, "CloseDate = NEXT_N_DAYS:1") == ["Deal 3"]


def test_order_by_has_many_keys_and_puts_empty_values_where_asked() -> None:
    org = an_org(deal(1, Amount=5), deal(2), deal(3, Amount=9), deal(4, Amount=5))
    assert names(org, "", rest="ORDER BY Amount, Id DESC") == ["Deal 2", "Deal 4", "Deal 1", "Deal 3"]
    assert names(org, "", rest="ORDER BY Amount DESC, Id") == ["Deal 2", "Deal 3", "Deal 1", "Deal 4"]
    assert names(org, "", rest="ORDER BY Amount NULLS LAST, Id") == ["Deal 1", "Deal 4", "Deal 3", "Deal 2"]
    assert names(org, "", rest="ORDER BY Amount DESC NULLS LAST")[-1] == "Deal 2"
    assert names(org, "", rest="ORDER BY Id LIMIT 2 OFFSET 1") == ["Deal 2", "Deal 3"]


def test_aggregates_are_answered_per_group() -> None:
    org = an_org(deal(1, Amount=5), deal(2, Amount=7), deal(3, StageName="Closed Won"))
    text = "SELECT StageName, COUNT(Id), MAX(Amount) top FROM Opportunity GROUP BY StageName"
    result = run(org, parse(text), include_deleted=False, prefix="")
    kind = {"attributes": {"type": "AggregateResult"}}
    assert result.records == [
        kind | {"StageName": "Prospecting", "expr0": 2, "top": 7.0},
        kind | {"StageName": "Closed Won", "expr0": 1, "top": None},
    ]


# Laws: text and tree say the same, and conditions behave like sets of rows.

AMOUNTS = [None, 0.0, 1.0, 2.5]
STAMPS = ["2026-11-20T10:00:00.000+0000", "2026-11-20T10:00:00.700+0000", "2026-11-20T10:00:01.000+0000"]
STAGES = ["Prospecting", "Closed Won", "Closed Lost"]

words = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=8)
strings = words.map(lambda text: "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'")
numbers = st.sampled_from(["0", "1", "2.5", "-1", "1e1"])
moments = st.sampled_from(["2026-11-20T10:00:00Z", "2026-11-20T10:00:01Z", "2026-11-20T12:00:00.500+02:00"])
ordered = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])
comparisons = st.one_of(
    st.tuples(st.just("Amount"), ordered, numbers).map(" ".join),
    st.tuples(st.just("SystemModstamp"), ordered, moments).map(" ".join),
    st.tuples(st.sampled_from(["Name", "StageName"]), ordered, strings).map(" ".join),
    st.tuples(st.just("Name"), st.just("LIKE"), strings).map(" ".join),
    st.lists(st.sampled_from(STAGES), min_size=1).map(
        lambda stages: "StageName IN (" + ", ".join(f"'{each}'" for each in stages) + ")"
    ),
    st.lists(numbers, min_size=1).map(lambda values: f"Amount NOT IN ({', '.join(values)})"),
    st.sampled_from(["IsWon = TRUE", "IsWon != TRUE", "Amount = NULL", "NextStep != NULL"]),
)
conditions = st.recursive(
    comparisons,
    lambda inner: st.one_of(
        inner.map(lambda each: f"NOT ({each})"),
        st.lists(inner, min_size=2, max_size=3).map(
            lambda parts: " AND ".join(f"({each})" for each in parts)
        ),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: " OR ".join(f"({each})" for each in parts)),
    ),
    max_leaves=6,
)


def written(condition: Condition) -> str:
    if isinstance(condition, Comparison):
        values = [literal(each) for each in condition.values]
        listed = condition.operator in {"IN", "NOT IN"}
        return f"{condition.path} {condition.operator} " + (f"({', '.join(values)})" if listed else values[0])
    if isinstance(condition, Not):
        return f"NOT ({written(condition.part)})"
    assert isinstance(condition, All | AnyOf)
    joint = " AND " if isinstance(condition, All) else " OR "
    return joint.join(f"({written(part)})" for part in condition.parts)


def literal(value: Literal) -> str:
    if value.kind == "string":
        return "'" + value.text.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return value.text


@given(condition=conditions)
def test_a_parsed_condition_written_again_is_the_same_text(condition: str) -> None:
    where = parse(f"SELECT Id FROM Opportunity WHERE {condition}").where
    assert where is not None
    assert written(where) == condition


@pytest.fixture(scope="module")
def varied() -> Org:
    deals = [
        deal(
            number,
            Amount=AMOUNTS[number % 4],
            StageName=STAGES[number % 3],
            SystemModstamp=STAMPS[number // 4 % 3],
        )
        for number in range(36)
    ]
    return an_org(*deals)


@settings(deadline=None)
@given(left=conditions, right=conditions)
def test_conditions_behave_like_sets_of_rows(varied: Org, left: str, right: str) -> None:
    everything = set(names(varied, ""))
    here, there = set(names(varied, left)), set(names(varied, right))
    assert set(names(varied, f"NOT ({left})")) == everything - here
    assert set(names(varied, f"({left}) AND ({right})")) == here & there
    assert set(names(varied, f"({left}) OR ({right})")) == here | there


@settings(deadline=None)
@given(numbers=st.lists(st.integers(0, 40), min_size=1), condition=conditions)
def test_the_index_finds_what_a_scan_finds(varied: Org, numbers: list[int], condition: str) -> None:
    ids = ", ".join(f"'006000000000{number:03d}AAA'" for number in numbers)
    indexed = names(varied, f"Id IN ({ids}) AND ({condition})")
    scanned = names(varied, f"(NOT (Id NOT IN ({ids}))) AND ({condition})")
    assert indexed == scanned


@settings(deadline=None)
@given(text=st.text(max_size=60) | st.text("SELECTFROMWHEREINid'(),.=<>! 0123-", max_size=60))
def test_any_text_parses_or_is_refused_in_the_vendors_envelope(text: str) -> None:
    with contextlib.suppress(ApiError):
        assert parse(text).text == text
