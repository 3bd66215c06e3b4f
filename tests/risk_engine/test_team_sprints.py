"""A sprint that two teams share is each team's own part when its capacity is reckoned (field case G1)."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from risk_engine.domain.capacity import completed_history
from risk_engine.store.views import own_part, to_sprint
from troth_contracts.jira import BoardShare, Sprint, SprintFigures

CLOSE = datetime(2026, 11, 16, 8, tzinfo=UTC)


def figures(points: int) -> SprintFigures:
    return SprintFigures(points=Decimal(points), issue_count=1)


def share(board: str, points: int) -> BoardShare:
    return BoardShare(
        board_id=board,
        commitment=figures(points),
        added=figures(0),
        removed=figures(0),
        result=figures(points),
    )


SHARED = Sprint(
    site_id="s",
    id="50",
    name="Shared",
    state="closed",
    board_ids=("1", "2"),
    completed_at=CLOSE,
    commitment=figures(11),
    result=figures(11),
    shares=(share("1", 4), share("2", 7)),
)


@pytest.mark.parametrize(("board", "points"), [("1", 4.0), ("2", 7.0), ("3", 11.0)])
def test_g1_capacity_rests_on_the_teams_own_part_where_there_is_one(board: str, points: float) -> None:
    assert completed_history([to_sprint(own_part(SHARED, board))]) == (points,)
