"""A deal's money over its open issues: every cent once, whatever the commitments share."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from risk_engine.domain.stakes import Share, stakes_of

LEAVES = st.dictionaries(st.sampled_from("abcdef"), st.floats(0, 100), max_size=5)
MONEY = st.decimals(min_value=Decimal("-9999999.99"), max_value=Decimal("9999999.99"), places=2)
WORTH = st.none() | st.decimals(min_value=0, max_value=Decimal(99999), places=2)


@given(MONEY, st.lists(st.builds(Share, LEAVES, WORTH), max_size=4))
def test_the_stakes_of_a_deal_sum_to_its_amount(worth: Decimal, shares: list[Share]) -> None:
    stakes = stakes_of(worth, shares)
    everything = {leaf for share in shares for leaf in share.points}
    assert stakes.keys() <= everything
    assert sum(stakes.values(), Decimal(0)) == (worth if everything else 0)
    assert all(part >= 0 for part in stakes.values()) or worth < 0


def test_a_part_with_a_worth_of_its_own_keeps_it_and_the_rest_goes_to_the_others() -> None:
    shares = [Share({"a": 1, "b": 3}, Decimal(40)), Share({"b": 1, "c": 1})]
    assert stakes_of(Decimal(100), shares) == {"a": Decimal(10), "b": Decimal(30), "c": Decimal(60)}


def test_worths_reach_no_further_than_the_deal() -> None:
    shares = [Share({"a": 1}, Decimal(80)), Share({"b": 1}, Decimal(80))]
    assert stakes_of(Decimal(100), shares) == {"a": Decimal(80), "b": Decimal(20)}


def test_a_leaf_of_two_commitments_is_not_paid_twice() -> None:
    shares = [Share({"a": 2, "b": 2}), Share({"b": 2})]
    assert stakes_of(Decimal(10), shares) == {"a": Decimal(5), "b": Decimal(5)}
