"""Reading a folder of real sprints, as its authors wrote it."""

from pathlib import Path

import pytest

from risk_engine.backtest.sprint_files import BoardHistory, read_sprint_files
from troth_chassis.errors import ConfigurationError

HEADER = (
    "boardid,sprintid,name,vel_diff,planday,no_issue_starttime,vel_starttime,no_issue_added,vel_added,"
    "no_issue_removed,vel_removed,no_issuetodo,vel_todo,no_issueinprogress,vel_inprogress,no_issuedone,vel_done,"
    "no_admin,no_teammember"
)


def row(sprint: int, start: float, added: float, removed: float, difference: float, name: str = "S") -> str:
    return f"1,{sprint},{name},{difference},14,9,{start},9,{added},9,{removed},9,0,9,0,9,0,1,5"


def write(folder: Path, *rows: str, name: str = "acme_iteration_0.csv", header: str = HEADER) -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join([header, *rows, ""]), encoding="utf-8")
    return file


def test_delivered_is_the_commitment_with_all_changes_and_the_difference_to_it(tmp_path: Path) -> None:
    write(tmp_path, row(1, start=20, added=5, removed=3, difference=-4))
    assert read_sprint_files(tmp_path).boards == (BoardHistory("acme", 1, (18.0,)),)


def test_sprints_stand_in_the_order_of_their_ids(tmp_path: Path) -> None:
    write(tmp_path, row(10, 3, 0, 0, 0), row(9, 2, 0, 0, 0), row(100, 4, 0, 0, 0))
    assert read_sprint_files(tmp_path).boards[0].delivered == (2, 3, 4)


def test_commas_in_a_name_without_quotes_move_no_figure(tmp_path: Path) -> None:
    write(tmp_path, row(1, 20, 5, 3, -4, name="Fix this, then that, 7"))
    assert read_sprint_files(tmp_path).boards[0].delivered == (18.0,)


def test_a_project_is_read_once_from_its_earliest_file(tmp_path: Path) -> None:
    for percent, start in ((80, 8), (30, 3), (50, 5)):
        write(tmp_path / "acme", row(1, start, 0, 0, 0), name=f"acme_iteration_{percent}.csv")
    write(tmp_path / "zeta", row(1, 9, 0, 0, 0), name="zeta_iteration_0.csv")
    boards = read_sprint_files(tmp_path).boards
    assert [(board.project, board.delivered) for board in boards] == [("acme", (3,)), ("zeta", (9,))]


def test_a_broken_row_is_named_and_its_neighbours_count(tmp_path: Path) -> None:
    broken = row(2, 5, 0, 0, 0).replace("1,2,S,0,", "1,2,S,none,")
    write(tmp_path, row(1, 5, 0, 0, 0), broken, "1,3", row(4, 6, 0, 0, 0))
    files = read_sprint_files(tmp_path)
    assert files.boards == (BoardHistory("acme", 1, (5, 6)),)
    assert files.unreadable == ("acme_iteration_0.csv:3", "acme_iteration_0.csv:4")


def test_a_folder_without_sprints_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="DATA=<folder>"):
        read_sprint_files(tmp_path)


@pytest.mark.parametrize("header", ["", "a,b,c", HEADER.replace("vel_added", "added")])
def test_a_file_of_another_form_says_what_it_lacks(tmp_path: Path, header: str) -> None:
    write(tmp_path, row(1, 5, 0, 0, 0), header=header)
    with pytest.raises(ConfigurationError, match=r"acme_iteration_0.csv has no sprint figures: .* vel_added"):
        read_sprint_files(tmp_path)


def test_the_public_sprints_are_read_whole(fixtures_dir: Path) -> None:
    files = read_sprint_files(fixtures_dir / "sprints-tse2017")
    sprints = dict.fromkeys(("apache", "jboss", "mongodb"), 0)
    for board in files.boards:
        sprints[board.project] += len(board.delivered)
    assert sprints == {"apache": 348, "jboss": 372, "mongodb": 765}
    assert files.unreadable == ()
    assert min(min(board.delivered) for board in files.boards) == 0
