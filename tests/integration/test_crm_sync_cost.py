"""A full read beside people who keep writing costs no more calls than it must, and ends equal to the org.

The small twin of `make bench ONLY=crm`: what is counted is asserted here, what is timed only there.
"""

from __future__ import annotations

from pathlib import Path

from tests.bench.crm_cost import Size, least_calls, measure

EXTRA = 2
"""Beyond the least: the first page, which decides between bulk jobs and pages; the currencies, which the first deal
needs. A large read has the same two."""


def test_a_full_read_under_writes_spends_the_least_calls_and_loses_nothing(
    tmp_path: Path, kafka: str
) -> None:
    size = Size(deals=1_500, updates_per_second=50, bulk_from=1_000)
    cost = measure(tmp_path, kafka, size, lambda _words: None, delay=0)
    assert cost.changed.updates > 0
    assert cost.differences == ()
    assert cost.calls <= cost.least_calls + EXTRA
    assert cost.peak_memory < 300


def test_at_full_size_those_calls_keep_the_bound() -> None:
    """1.15 times the least, for 200,000 deals with three lines and one history row each."""
    deals = 200_000
    rows = {"Opportunity": deals, "OpportunityLineItem": 3 * deals, "OpportunityHistory": deals}
    least = least_calls(rows | {"OpportunityContactRole": 0, "OpportunityTeamMember": 0})
    assert least == 33
    assert least + EXTRA <= 1.15 * least
