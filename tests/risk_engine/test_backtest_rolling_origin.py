"""Every forecast is made from the past alone, by the forecast the engine itself uses."""

from collections import Counter

import pytest

from risk_engine.backtest.rolling_origin import Score, score_boards
from risk_engine.backtest.sprint_files import BoardHistory


def scores(delivered: list[float], trials: int = 200) -> list[Score]:
    return score_boards([BoardHistory("acme", 1, tuple(delivered))], trials)


def test_a_board_of_seven_sprints_has_one_forecast_and_one_of_six_none() -> None:
    assert [score.horizon for score in scores([5.0] * 7)] == [1]
    assert scores([5.0] * 6) == []


def test_each_origin_is_scored_at_every_horizon_that_has_an_outcome() -> None:
    counts = Counter(score.horizon for score in scores([5.0] * 12))
    assert counts == {1: 6, 2: 5, 3: 4, 4: 3, 6: 1}


def test_a_forecast_never_sees_what_comes() -> None:
    past = [4.0, 9, 2, 7, 5, 6]
    low, high = scores([*past, 3.0, 1.0])[0], scores([*past, 3.0, 1000.0])[0]
    assert low == high


def test_the_same_sprints_score_the_same_in_any_company() -> None:
    one, other = (BoardHistory("acme", board, (4.0, 9, 2, 7, 5, 6, 3, 8)) for board in (1, 2))
    alone, together = score_boards([one], 100), score_boards([other, one], 100)
    assert together[-len(alone) :] == alone


def test_a_level_that_broke_off_is_noticed_sooner_than_by_the_plain_bootstrap() -> None:
    last = scores([50.0] * 12 + [10.0] * 8)[-1]
    assert last.crps < last.crps_bootstrap


def test_a_team_that_never_delivers_is_forecast_to_deliver_nothing() -> None:
    assert {score.crps for score in scores([0.0] * 9)} == {0.0}
    assert all(0 <= score.level <= 1 for score in scores([0.0] * 9))


def test_negative_estimates_break_nothing() -> None:
    assert len(scores([1.0, -1, 1, -1, 1, -1, 1])) == 1
    assert scores([1.0, -1] * 4)[0].crps == pytest.approx(1, abs=1)
