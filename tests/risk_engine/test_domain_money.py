"""Money: field case G6, rates of the close date, and amounts that are split without losing a cent."""

from datetime import date
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from risk_engine.domain.model import Money
from risk_engine.domain.money import Converted, Rate, Rates, allocate

OLD, NEW = date(2026, 1, 1), date(2026, 7, 1)
USD = Rate("o", "USD", Decimal(1), is_corporate=True)
MXN = Rate("o", "MXN", Decimal("22.9"), dated=((OLD, Decimal("20.855805")), (NEW, Decimal("22.9"))))
EUR = Rate("o", "EUR", Decimal("0.9"))


def test_a_deal_is_converted_once_at_the_rate_of_its_close_date() -> None:
    """Field case G6: 60,000 MXN are 2,876.90 USD, whatever today's rate is."""
    told = Rates([USD, MXN]).convert(Money(Decimal(60_000), "MXN"), "o", date(2026, 5, 5))
    assert told == Converted(Decimal("2876.90"), "USD", "dated")


def test_a_day_before_the_first_dated_rate_takes_the_present_one_and_says_so() -> None:
    rates = Rates([USD, MXN, EUR])
    assert rates.convert(Money(Decimal(229), "MXN"), "o", date(2025, 1, 1)) == Converted(
        Decimal("10.00"), "USD", "current"
    )
    assert rates.convert(Money(Decimal(9), "EUR"), "o", NEW) == Converted(Decimal("10.00"), "USD", "current")
    assert rates.convert(Money(Decimal(9), "EUR"), "o", None).basis == "current"


def test_sums_are_told_in_the_corporate_currency_unless_another_is_set() -> None:
    assert Rates([USD, EUR]).reporting == "USD"
    in_euro = Rates([USD, EUR, MXN], "EUR").convert(Money(Decimal(100), "USD"), "o", NEW)
    assert in_euro == Converted(Decimal("90.00"), "EUR", "current")


def test_without_a_rate_nothing_is_invented() -> None:
    assert Rates([USD]).convert(Money(Decimal(5), "SEK"), "o", NEW) == Converted(None, "USD", "unknown")
    assert Rates([USD, EUR]).convert(Money(Decimal(5), "EUR"), "other", NEW).amount is None
    assert Rates([]).convert(Money(Decimal(5), "SEK"), "o", NEW) == Converted(Decimal(5), "SEK", "same")
    zero = Rate("o", "ZWL", Decimal(0))
    assert Rates([USD, zero]).convert(Money(Decimal(5), "ZWL"), "o", NEW).basis == "unknown"


def test_a_currency_is_known_where_an_org_has_it_or_none_tells() -> None:
    assert Rates([USD, EUR]).knows("EUR")
    assert not Rates([USD, EUR]).knows("XTS")
    assert Rates([]).knows("XTS")


def test_an_amount_is_split_by_weight_and_the_last_cents_go_to_the_largest_remainders() -> None:
    assert allocate(Decimal(100), {"a": 1, "b": 1, "c": 1}) == {
        "a": Decimal("33.34"),
        "b": Decimal("33.33"),
        "c": Decimal("33.33"),
    }
    assert allocate(Decimal(10), {"a": 3.0, "b": 1.0}) == {"a": Decimal("7.50"), "b": Decimal("2.50")}
    assert allocate(Decimal(10), {"a": 0.0, "b": 0.0}) == {"a": Decimal(5), "b": Decimal(5)}
    assert allocate(Decimal(10), {}) == {}


@given(
    st.decimals(-(10**12), 10**12, places=4),
    st.dictionaries(st.text(max_size=3), st.floats(0, 1e6), min_size=1, max_size=30),
)
def test_the_parts_always_sum_to_the_amount(amount: Decimal, weights: dict[str, float]) -> None:
    parts = allocate(amount, weights)
    assert abs(sum(parts.values()) - amount) <= Decimal("0.01")
    assert sum(parts.values()) == sum(allocate(amount, dict(reversed(weights.items()))).values())
    assert parts.keys() == weights.keys()
    assert parts == allocate(amount, dict(reversed(weights.items())))
