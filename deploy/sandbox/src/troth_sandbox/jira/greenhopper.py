"""The boards' own reports, as Jira's pages ask for them: internal endpoints without a version, read by public clients.

Shapes after several independent public clients; the numbers come from `accounts`, which shares nothing with any client
of this site. The velocity chart commits by the vendor's text; the sprint report shows every issue that was there.
"""

from collections.abc import Callable, Iterable
from typing import Annotated

from fastapi import APIRouter, Query, Response

from troth_sandbox.jira.accounts import Watch
from troth_sandbox.jira.agile import visible_board
from troth_sandbox.jira.answers import Here, Visit, answer
from troth_sandbox.jira.records import Board, Json, Sprint

router = APIRouter(prefix="/rest/greenhopper/1.0/rapid/charts")

BoardId = Annotated[int, Query(alias="rapidViewId")]
SprintId = Annotated[int, Query(alias="sprintId")]


@router.get("/velocity")
@router.get("/velocity.json")
async def velocity(here: Here, board_id: BoardId) -> Response:
    """Every closed sprint of the board, newest first; a live site shows seven."""
    board = visible_board(here, board_id)
    closed = [sprint for sprint in here.site.store.board_sprints(board.id) if sprint.state == "closed"]
    closed.sort(key=lambda sprint: sprint.completed or 0, reverse=True)
    entries = {str(sprint.id): _velocity(_watched(here, sprint, board)) for sprint in closed}
    return answer({"sprints": [_sprint(sprint) for sprint in closed], "velocityStatEntries": entries})


@router.get("/sprintreport")
async def sprint_report(here: Here, board_id: BoardId, sprint_id: SprintId) -> Response:
    """What became of every issue that was in the sprint."""
    board, sprint = visible_board(here, board_id), here.site.store.sprint(sprint_id)
    watched = _watched(here, sprint, board)
    return answer({"contents": _contents(watched, board), "sprint": _sprint(sprint)})


def _watched(here: Visit, sprint: Sprint, board: Board) -> list[Watch]:
    until = sprint.completed if sprint.completed is not None else here.now
    if sprint.state == "future":
        return []
    return here.site.lives.follow(here.site.write_log.entries).watched(sprint, board, until)


def _velocity(watched: list[Watch]) -> Json:
    estimated = sum(watch.at_start or 0.0 for watch in watched if watch.counts)
    completed = sum(watch.at_end or 0.0 for watch in watched if _is_completed(watch))
    return {"estimated": _stat(estimated), "completed": _stat(completed)}


def _contents(watched: list[Watch], board: Board) -> Json:
    kinds: dict[str, Callable[[Watch], bool]] = {
        "completedIssues": _is_completed,
        "issuesNotCompletedInCurrentSprint": lambda w: w.stays and not w.done and not w.elsewhere,
        "puntedIssues": lambda w: not w.stays and not w.elsewhere,
        "issuesCompletedInAnotherSprint": lambda w: w.elsewhere,
    }
    names = ("completedIssues", "issuesNotCompleted", "puntedIssues", "issuesCompletedInAnotherSprint")
    contents: Json = {}
    for name, (key, belongs) in zip(names, kinds.items(), strict=True):
        chosen = [watch for watch in watched if belongs(watch)]
        contents[key] = [_issue(watch, board) for watch in chosen]
        contents[f"{name}InitialEstimateSum"] = _sum(_initial(watch) for watch in chosen)
        contents[f"{name}EstimateSum"] = _sum(watch.at_end or 0.0 for watch in chosen)
    contents["issueKeysAddedDuringSprint"] = {w.issue.key: True for w in watched if w.entered is not None}
    return contents


def _is_completed(watch: Watch) -> bool:
    return watch.stays and watch.done and not watch.elsewhere


def _initial(watch: Watch) -> float:
    """The estimate when it was added, for what was added; else the one at the start."""
    return (watch.at_start if watch.entered is None else watch.entered) or 0.0


def _issue(watch: Watch, board: Board) -> Json:
    return {
        "id": watch.issue.id,
        "key": watch.issue.key,
        "done": watch.done,
        "estimateStatistic": _statistic(board, _initial(watch)),
        "currentEstimateStatistic": _statistic(board, watch.at_end or 0.0),
    }


def _statistic(board: Board, value: float) -> Json:
    shown = {"value": value} if value else {}
    return {"statFieldId": board.estimation_field_id, "statFieldValue": shown}


def _sum(values: Iterable[float]) -> Json:
    """`text` is the word null where nothing is summed."""
    total = sum(values)
    return {"value": total, "text": str(total)} if total else {"text": "null"}


def _stat(value: float) -> Json:
    return {"value": value, "text": str(value)}


def _sprint(sprint: Sprint) -> Json:
    return {"id": sprint.id, "name": sprint.name, "state": sprint.state.upper(), "goal": sprint.goal or ""}
