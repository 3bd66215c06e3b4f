"""The leaves below a linked issue: each unit of work once, with a size and a team."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk_engine.domain.model import Issue, Sprint, Team
from risk_engine.domain.work import (
    Leaf,
    Roster,
    TypicalSizes,
    WorkTree,
    leaves_below,
    share_unestimated,
    size_leaf,
    team_of,
)


def issue(number: int, points: int | None = None, parent: int | None = None, **more: Any) -> Issue:
    estimate = None if points is None else Decimal(points)
    above = None if parent is None else f"s:{parent}"
    values: dict[str, Any] = {"type": "Story", "done": False, "project_key": "APA", **more}
    return Issue(f"s:{number}", str(number), f"APA-{number}", estimate=estimate, parent=above, **values)


def subtask(number: int, points: int | None = None, parent: int | None = None, **more: Any) -> Issue:
    return issue(number, points, parent, is_subtask=True, **{"type": "Sub-task", **more})


def below(roots: Sequence[int], *issues: Issue) -> dict[str, Decimal | None]:
    leaves = leaves_below([f"s:{root}" for root in roots], WorkTree.of(issues))
    return {leaf.issue.id: leaf.estimate for leaf in leaves}


def test_g3_points_are_counted_at_the_story_once() -> None:
    """https://github.com/mikebowler/jirametrics/issues/71"""
    story = issue(1, 5), subtask(2, 2, parent=1), subtask(3, 2, parent=1)
    assert below([1], *story) == {"1": 5}
    assert below([2], *story) == {"1": 5}, "a sub-task is delivered with its story"
    assert below([1, 2, 3], *story) == {"1": 5}


def test_sub_tasks_count_when_their_story_has_no_points() -> None:
    assert below([1], issue(1), subtask(2, 2, parent=1), subtask(3, 3, parent=1, done=True)) == {"2": 2}


def test_a_story_nobody_estimated_is_one_leaf_whatever_its_sub_tasks() -> None:
    assert below([1], issue(1), subtask(2, parent=1), subtask(3, parent=1, done=True)) == {"1": None}


def test_a_done_story_leaves_nothing_to_its_sub_tasks() -> None:
    assert below([1], issue(1, 5, done=True), subtask(2, 2, parent=1)) == {}


def test_an_epic_is_its_open_stories() -> None:
    epic = issue(1, 40), issue(2, 5, parent=1), issue(3, 8, parent=1, done=True), issue(4, parent=1)
    assert below([1], *epic) == {"2": 5, "4": None}


def test_an_epics_own_estimate_counts_while_nothing_below_has_one() -> None:
    assert below([1], issue(1, 40), issue(2, parent=1), issue(3, parent=1, done=True)) == {"1": 40}
    assert below([1], issue(1, 40), issue(2, parent=1, done=True)) == {}


def test_an_epic_and_a_story_of_it_are_not_two_works() -> None:
    assert below([1, 2], issue(1), issue(2, 5, parent=1), issue(3, 3, parent=1)) == {"2": 5, "3": 3}
    assert below([2, 1], issue(1, 40), issue(2, parent=1)) == {"1": 40}


def test_an_unknown_root_has_no_leaves_and_a_loop_ends() -> None:
    assert below([9], issue(1, 5)) == {}
    assert len(below([1, 2], issue(1, 5, parent=2), issue(2, 3, parent=1))) == 1


@settings(deadline=None)
@given(st.permutations([issue(1), *(issue(n, n, parent=1) for n in range(2, 6)), subtask(7, 2, parent=2)]))
def test_the_order_issues_arrive_in_does_not_matter(issues: list[Issue]) -> None:
    assert below([1], *issues) == {"2": 2, "3": 3, "4": 4, "5": 5}


def test_an_unestimated_leaf_is_the_median_of_team_and_type() -> None:
    typical = TypicalSizes({("t", "Bug"): 2, ("t", "Story"): 8, ("u", "Story"): 5}, {"t": 3, "u": 5}, 4)
    leaf = Leaf(issue(1, type="Bug"), None)
    assert size_leaf(leaf, "t", typical).points == 2
    assert typical.size("t", "Task") == 3
    assert typical.size("new", "Task") == typical.size(None, "Task") == 4
    assert TypicalSizes().size("t", "Bug") == 3


def test_the_share_of_assumed_sizes_is_told() -> None:
    typical = TypicalSizes()
    sized = [
        size_leaf(Leaf(issue(n), estimate), "t", typical) for n, estimate in ((1, None), (2, Decimal(5)))
    ]
    assert [leaf.assumed for leaf in sized] == [True, False]
    assert share_unestimated(sized) == pytest.approx(0.5)
    assert share_unestimated([]) == 0.0


A, B, KANBAN = (
    Team("s:2", "A", ("APA",)),
    Team("s:10", "B", ("APA", "BPB")),
    Team("s:1", "K", ("APA",), is_scrum=False),
)
ROSTER = Roster(
    {team.key: team for team in (A, B, KANBAN)},
    {
        sprint.key: sprint
        for sprint in (
            Sprint("s:50", "50", "active", origin_board="s:10", boards=("s:2", "s:10")),
            Sprint("s:51", "51", "closed", origin_board="s:10"),
            Sprint("s:52", "52", "future", origin_board="s:99", boards=("s:99", "s:10")),
        )
    },
)


@pytest.mark.parametrize(
    ("sprints", "team"),
    [
        ((), "s:2"),
        (("s:51",), "s:2"),
        (("s:51", "s:50"), "s:10"),
        (("s:52",), "s:10"),
        (("s:52", "s:50"), "s:10"),
        (("s:404",), "s:2"),
    ],
)
def test_the_team_is_the_board_of_the_open_sprint_else_the_projects(
    sprints: tuple[str, ...], team: str
) -> None:
    assert team_of(issue(1, sprint_keys=sprints), ROSTER) == team


def test_a_project_of_the_same_key_on_another_site_is_another_project() -> None:
    far = Team("far:1", "Far", ("APA",))
    roster = Roster({team.key: team for team in (far, B)}, {})
    assert team_of(issue(1), roster) == "s:10"
    assert team_of(replace(issue(1), key="far:1"), roster) == "far:1"


def test_work_on_no_board_has_no_team() -> None:
    assert team_of(issue(1, project_key="ZZZ"), ROSTER) is None


def test_a_sub_task_belongs_to_its_parents_sprint() -> None:
    tree = WorkTree.of([issue(1, sprint_keys=("s:50",)), subtask(2, parent=1)])
    assert team_of(tree.issues["s:2"], ROSTER, tree) == "s:10"
