"""Saved filters: what of them selects, and what only orders."""

from __future__ import annotations

import pytest

from jira_sync.shares import condition_of


@pytest.mark.parametrize(
    ("jql", "condition"),
    [
        ("project = APA ORDER BY Rank ASC", "project = APA"),
        ("project = APA", "project = APA"),
        ("ORDER BY Rank", ""),
        ('text ~ "order by phone" order  by rank', 'text ~ "order by phone"'),
        (r'summary ~ "a \" order by b" OR labels = x', r'summary ~ "a \" order by b" OR labels = x'),
        ("labels = 'order by'\nORDER\nBY created", "labels = 'order by'"),
        ("labels = reorder-by", "labels = reorder-by"),
    ],
)
def test_the_order_of_a_filter_is_left_out_and_nothing_else(jql: str, condition: str) -> None:
    assert condition_of(jql) == condition
