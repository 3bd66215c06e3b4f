"""The sandbox's own API: change the site as its people would, move time, plan faults, and look behind the curtain.

All routes are under `/admin`; edits are JSON, unknown keys and wrong shapes are 400 and change nothing.

    POST   /issues                     {"actor", "fields"}: a new issue
    POST   /issues/bulk                {"issues": [id or key], "actor", "fields", "search_lag_seconds"}: secondary flow
    POST   /issues/{id or key}         {"actor", "fields"}: change; DELETE deletes for ever
    POST   /issues/{id or key}/hide    {"hidden": true|false}: issue security, nothing is written
    POST   /issues/{id or key}/remote-links   {"url", "title", "summary", "global_id", "application", "actor"}: a known
                                       global_id changes its link; DELETE .../remote-links/{id}
    POST   /issues/{id or key}/comments       {"body", "actor"}; DELETE .../comments/{id}
    POST   /sprints[/{id}]             name, goal, state, startDate, endDate, move_open_to, ...; DELETE
    POST   /boards[/{id}]              name, type, project_ids, columns, estimation_field_id, filter (JQL); DELETE
    POST   /boards/{id}/forbid         {"status": 403|404|null, "listed"}
    POST   /projects/{id or key}       {"state": "live"|"archived"|"deleted", "browsable"}; DELETE purges it
    POST   /versions[/{id}]            name, projectId, released, archived, dates; DELETE ?mergeTo=id
    POST   /webhooks                   an admin webhook as the vendor's body has it, with secret and filters
    POST   /delivery-faults            {"drop", "duplicate", "delay", "delay_seconds", "shuffle_seconds",
                                        "secondary_seconds", "seed"}; DELETE: honest again
    GET    /deliveries                 every delivery: identifier, event, outcome (pending, delivered, dropped, refused,
                                       failed), attempts with simulated time and status
    POST   /deliveries/flush           send what is due and wait: {"sent": n}
    POST   /limits                     {"burst": {...}, "quota": {...}, "per_user": {...}, "header", "beta", "seed"}
    POST   /faults                     [{"match": {"path", "method", "nth", "times", "share", "seed"}, "act": {"status",
                                       "body", "headers", "delay", "html", "truncate", "reset", "page"}}]; DELETE.
                                       `page`: repeated_token, empty_page, expired_token, token_and_last, no_is_last,
                                       max_results_ignored
    POST   /tokens/revoke              the OAuth app loses its consent
    POST   /search-lag                 {"seconds", "uniform", "seed"}
    POST   /clock                      {"now"} or {"advance_seconds"}, "frozen"; GET
    POST   /switches                   see `site.Switches`; GET
    GET    /journal                    requests: at, method, path, status, fault, and for limits `limit` with
                                       `allowed_at` (a 429) and `early_ms` (came before the time a 429 had named)
    GET    /write-log                  every write: the oracle
"""

import re

import msgspec
from fastapi import APIRouter, Request, Response

from troth_sandbox.jira import writes
from troth_sandbox.jira.answers import Here, Visit, answer, body_as
from troth_sandbox.jira.clock import SECOND_MS, moment, parse_instant
from troth_sandbox.jira.errors import BadRequestError, NotFoundError
from troth_sandbox.jira.faults import Fault
from troth_sandbox.jira.limits import LimitPlan
from troth_sandbox.jira.records import Issue, Json
from troth_sandbox.jira.site import Switches
from troth_sandbox.jira.writes import SprintEdit

router = APIRouter(prefix="/admin")


class IssueEdit(msgspec.Struct, forbid_unknown_fields=True):
    """Who changes which fields; without `actor` it is the account itself."""

    fields: Json = {}
    actor: str | None = None


class ClockEdit(msgspec.Struct, forbid_unknown_fields=True):
    """Jump to `now` (ISO 8601) or go forward; `frozen` stops the clock there."""

    now: str | None = None
    advance_seconds: float | None = None
    frozen: bool = False


class BulkEdit(msgspec.Struct, forbid_unknown_fields=True):
    """One change of many issues at once; search may see all of it late by `search_lag_seconds`."""

    issues: list[str]
    fields: Json = {}
    actor: str | None = None
    search_lag_seconds: float | None = None


class Lag(msgspec.Struct, forbid_unknown_fields=True):
    """How long a write stays invisible to search: always so long, or a random time up to it when `uniform`."""

    seconds: float
    uniform: bool = False
    seed: int = 0


class Hiding(msgspec.Struct, forbid_unknown_fields=True):
    """Whether issue security hides an issue from the account."""

    hidden: bool = True


@router.post("/issues")
async def create_issue(here: Here, request: Request) -> Response:
    """A new issue from `fields` in API version 2 form."""
    edit = await body_as(request, IssueEdit)
    return answer(_told(here, writes.create_issue(here.site, edit.actor, edit.fields, here.now)), 201)


@router.post("/issues/bulk")
async def edit_many(here: Here, request: Request) -> Response:
    """Change many issues in one go."""
    edit = await body_as(request, BulkEdit)
    with here.site.lagging(edit.search_lag_seconds):
        for name in edit.issues:
            writes.edit_issue(here.site, name, edit.actor, edit.fields, here.now, bulk=True)
    return Response(status_code=204)


@router.post("/issues/{id_or_key}/hide")
async def hide_issue(here: Here, id_or_key: str, request: Request) -> Response:
    """Hide an issue from the account by issue security, or show it again; nothing is written to the issue."""
    hiding = await body_as(request, Hiding)
    issue_id = here.site.store.issue_id(id_or_key)
    if issue_id is None or here.site.store.find(issue_id) is None:
        raise NotFoundError(f"There is no issue {id_or_key}.")
    here.site.store.hide(issue_id, hidden=hiding.hidden)
    here.site.index.forget_results()
    here.site.write_log.add("issue_hidden" if hiding.hidden else "issue_shown", here.now, issueId=issue_id)
    return Response(status_code=204)


@router.post("/issues/{id_or_key}")
async def edit_issue(here: Here, id_or_key: str, request: Request) -> Response:
    """Change fields, with the history Jira would write."""
    edit = await body_as(request, IssueEdit)
    return answer(_told(here, writes.edit_issue(here.site, id_or_key, edit.actor, edit.fields, here.now)))


@router.delete("/issues/{id_or_key}")
async def delete_issue(here: Here, id_or_key: str) -> Response:
    """Delete for ever."""
    writes.delete_issue(here.site, id_or_key, here.now)
    return Response(status_code=204)


@router.post("/sprints")
async def create_sprint(here: Here, request: Request) -> Response:
    """A new future sprint."""
    sprint = writes.create_sprint(here.site, await body_as(request, SprintEdit), here.now)
    return answer(sprint, 201)


@router.post("/sprints/{sprint_id}")
async def edit_sprint(here: Here, sprint_id: int, request: Request) -> Response:
    """Update, start, close or reopen a sprint."""
    return answer(writes.edit_sprint(here.site, sprint_id, await body_as(request, SprintEdit), here.now))


@router.delete("/sprints/{sprint_id}")
async def delete_sprint(here: Here, sprint_id: int) -> Response:
    """Delete a sprint."""
    writes.delete_sprint(here.site, sprint_id, here.now)
    return Response(status_code=204)


@router.post("/tokens/revoke")
async def revoke_tokens(here: Here) -> Response:
    """Take the app's consent back: its tokens are worth nothing from now on."""
    here.site.tokens.revoke()
    return Response(status_code=204)


@router.post("/faults")
async def plan_faults(here: Here, request: Request) -> Response:
    """Plan faults after those already planned."""
    try:
        here.site.faults.add(await body_as(request, list[Fault]))
    except re.error as error:
        raise BadRequestError(f"The path is no regular expression: {error}") from error
    return Response(status_code=204)


@router.delete("/faults")
async def clear_faults(here: Here) -> Response:
    """Forget all faults."""
    here.site.faults.clear()
    return Response(status_code=204)


@router.post("/limits")
async def plan_limits(here: Here, request: Request) -> Response:
    """Limit requests like this from now on; an empty body lifts all limits."""
    here.site.limiter.set(await body_as(request, LimitPlan))
    return Response(status_code=204)


@router.post("/search-lag")
async def set_search_lag(here: Here, request: Request) -> Response:
    """From now on writes reach the search index this much later."""
    lag = await body_as(request, Lag)
    here.site.set_lag(int(lag.seconds * SECOND_MS), uniform=lag.uniform, seed=lag.seed)
    return Response(status_code=204)


@router.get("/clock")
async def clock(here: Here) -> Response:
    """The simulated time."""
    return answer({"now": moment(here.now).isoformat(timespec="milliseconds")})


@router.post("/clock")
async def set_clock(here: Here, request: Request) -> Response:
    """Jump or go forward, and do what became due."""
    edit = await body_as(request, ClockEdit)
    try:
        if edit.now is not None:
            here.site.clock.set(parse_instant(edit.now), frozen=edit.frozen)
    except ValueError as error:
        raise BadRequestError(f"Not a time: {edit.now}") from error
    if edit.advance_seconds is not None:
        here.site.clock.advance(int(edit.advance_seconds * SECOND_MS))
    return answer({"now": moment(here.site.settle()).isoformat(timespec="milliseconds")})


@router.get("/switches")
async def switches(here: Here) -> Response:
    """The switches as they stand."""
    return answer(here.site.switches)


@router.post("/switches")
async def set_switches(here: Here, request: Request) -> Response:
    """Change the named switches."""
    given = await body_as(request, dict[str, object])
    merged = msgspec.structs.asdict(here.site.switches) | given
    try:
        here.site.switches = msgspec.convert(merged, Switches)
    except msgspec.ValidationError as error:
        raise BadRequestError(str(error)) from error
    return answer(here.site.switches)


@router.get("/journal")
async def journal(here: Here) -> Response:
    """The latest requests of the API port and the status each was answered with."""
    return answer(list(here.site.journal))


@router.get("/write-log")
async def write_log(here: Here) -> Response:
    """Every write since the start, in order."""
    return answer(here.site.write_log.entries)


def _told(here: Visit, issue: Issue) -> Json:
    last = issue.histories[-1] if issue.histories else None
    fresh = last if last and last.created == here.now else None
    return {"id": str(issue.id), "key": issue.key, "updated": issue.updated, "history": fresh}
