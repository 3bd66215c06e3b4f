"""The report's form, its bands, and that the forecast stays within them on real sprints."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from risk_engine.backtest.report import BacktestReport, HorizonReport, broken_bands, report
from risk_engine.backtest.rolling_origin import Score, score_boards
from risk_engine.backtest.sprint_files import read_sprint_files
from risk_engine.cli import cli


def scored(horizon: int, level: float, crps: float = 1.0) -> Score:
    return Score("acme", horizon, level, crps, crps_bootstrap=2.0)


def horizon(
    above_q15: float = 0.85, above_q05: float = 0.95, crps: float = 0.98, n: int = 100
) -> HorizonReport:
    return HorizonReport(n, above_q15, above_q05, 0.5, crps, 1.0)


def test_shares_count_outcomes_at_or_above_each_quantile() -> None:
    result = report([scored(1, level) for level in (0.04, 0.05, 0.15, 0.5)])
    part = result.horizons["1"]
    assert (part.n, part.above_q05, part.above_q15, part.above_q50) == (4, 0.75, 0.5, 0.25)
    assert (part.crps, part.crps_bootstrap, part.ratio) == (1, 2, 0.5)


def test_a_horizon_without_outcome_is_left_out() -> None:
    assert list(report([scored(4, 0.5), scored(1, 0.5)]).horizons) == ["1", "4"]


def test_pooling_weighs_horizons_by_their_forecasts() -> None:
    result = BacktestReport({"1": horizon(0.8, n=300), "2": horizon(1.0, n=100)})
    assert result.pooled("above_q15") == pytest.approx(0.85)


def test_bands_hold_up_to_their_edges() -> None:
    assert broken_bands(BacktestReport({"1": horizon(0.80), "6": horizon(0.90)})) == []


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({"1": horizon(0.79), "2": horizon(0.90)}, "above_q15 at 1 sprints is 0.790"),
        ({"1": horizon(0.89), "2": horizon(0.89)}, "above_q15 over all horizons is 0.890"),
        ({"1": horizon(above_q05=0.91)}, "above_q05 over all horizons is 0.910"),
        ({"1": horizon(crps=0.981)}, "CRPS at 1 sprints is 0.981"),
    ],
)
def test_what_breaks_a_band_is_said(parts: dict[str, HorizonReport], says: str) -> None:
    (sentence,) = broken_bands(BacktestReport(parts))
    assert sentence.startswith(says)


def test_the_forecast_keeps_its_word_on_public_sprints(fixtures_dir: Path) -> None:
    scores = score_boards(read_sprint_files(fixtures_dir / "sprints-tse2017").boards, trials=500)
    result = report(scores)
    assert list(result.horizons) == ["1", "2", "3", "4", "6"]
    assert broken_bands(result) == []


def folder_of(tmp_path: Path, sprints: int) -> Path:
    columns = "boardid,sprintid,name,vel_diff,vel_starttime,vel_added,vel_removed"
    rows = [f"1,{sprint},S,0,{10 + sprint % 3},0,0" for sprint in range(sprints)]
    (tmp_path / "acme_iteration_0.csv").write_text("\n".join([columns, *rows]))
    return tmp_path


def test_the_command_writes_the_report_in_the_agreed_form(tmp_path: Path) -> None:
    out = tmp_path / "build" / "backtest.json"
    ran = CliRunner().invoke(cli, ["backtest", str(folder_of(tmp_path, 9)), "--out", str(out)])
    assert ran.exit_code == 0, ran.output
    written = json.loads(out.read_bytes())
    assert list(written) == ["horizons"]
    assert list(written["horizons"]) == ["1", "2", "3"]
    assert list(written["horizons"]["1"]) == [
        "n",
        "above_q15",
        "above_q05",
        "above_q50",
        "crps",
        "crps_bootstrap",
    ]


def test_under_check_a_broken_band_is_an_exit_code(tmp_path: Path) -> None:
    out = ["--out", str(tmp_path / "backtest.json")]
    ran = CliRunner().invoke(cli, ["backtest", str(folder_of(tmp_path, 9)), *out, "--check"])
    assert ran.exit_code == 1
    assert "outside its band: " in ran.output


@pytest.mark.parametrize(("sprints", "says"), [(6, "more than 6 sprints"), (0, "more than 6 sprints")])
def test_too_little_history_is_one_clear_sentence(tmp_path: Path, sprints: int, says: str) -> None:
    ran = CliRunner().invoke(cli, ["backtest", str(folder_of(tmp_path, sprints))])
    assert ran.exit_code == 78
    assert says in ran.output
