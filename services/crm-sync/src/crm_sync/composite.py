"""Several questions for the price of one API call.

One call carries up to 25 subrequests, of which five may be queries, ``queryAll`` included.
https://developer.salesforce.com/docs/platform/api-rest/guide/resources-composite-composite-post.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from crm_sync.direct import Call, DirectClient
from crm_sync.errors import QueryRefused, SalesforceUnavailable, SchemaChanged, SessionExpired
from crm_sync.faults import error_of, read_fault
from crm_sync.patience import Patience
from crm_sync.tokens import Token
from troth_chassis.errors import TrothError

MOST = 25
MOST_QUERIES = 5
NOT_MODIFIED = 304


class CompositeRefused(Exception):
    """Salesforce does not take the call as a whole: ask each question by itself."""


@dataclass(frozen=True, slots=True)
class Subrequest:
    """One question. ``path`` begins behind the version and has its parameters."""

    path: str
    is_query: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Subanswer:
    """One answer. ``headers`` are those of the whole, such as ``Date``, below its own."""

    status: int
    body: Any
    headers: Mapping[str, str]

    @property
    def error(self) -> TrothError | None:
        """What is wrong with this one answer; the others are not touched by it."""
        if self.status < 400:
            return None
        return error_of(read_fault(self.status, self.body))


T = TypeVar("T")


def packed(questions: Sequence[tuple[bool, T]]) -> Iterator[list[T]]:
    """Cut into what one call may carry, in order; each question says whether it is a query."""
    group: list[T] = []
    queries = 0
    for is_query, question in questions:
        if len(group) == MOST or (is_query and queries == MOST_QUERIES):
            yield group
            group, queries = [], 0
        group.append(question)
        queries += is_query
    if group:
        yield group


class Composite:
    """The resource /composite."""

    def __init__(self, direct: DirectClient, patience: Patience) -> None:
        self._direct = direct
        self._patience = patience

    async def ask(self, subrequests: Sequence[Subrequest]) -> list[Subanswer]:
        """Answers in the order asked; CompositeRefused when none of them was looked at."""
        prefix = self._direct.connection.prefix
        body = {
            "allOrNone": False,
            "compositeRequest": [
                _document(prefix, place, subrequest) for place, subrequest in enumerate(subrequests)
            ],
        }
        call = Call("composite", "POST", f"{prefix}/composite", body)

        async def once(token: Token) -> list[Subanswer]:
            return await self._once(token, call, len(subrequests))

        try:
            return await self._patience.refreshing(once)
        except QueryRefused as error:
            raise CompositeRefused(str(error)) from error

    async def _once(self, token: Token, call: Call, count: int) -> list[Subanswer]:
        try:
            told, response = await self._direct.json(token, call)
        except SchemaChanged as error:  # 404: the host no longer has this org
            raise SessionExpired(str(error)) from error
        answers = _answers(told, response.headers)
        if len(answers) != count:
            raise SalesforceUnavailable(f"composite: {len(answers)} answers to {count} questions")
        return answers


def _document(prefix: str, place: int, subrequest: Subrequest) -> dict[str, Any]:
    document: dict[str, Any] = {
        "method": "GET",
        "url": f"{prefix}/{subrequest.path}",
        "referenceId": f"q{place}",
    }
    return document | ({"httpHeaders": dict(subrequest.headers)} if subrequest.headers else {})


def _answers(told: Any, headers: Mapping[str, str]) -> list[Subanswer]:
    """In the order of the reference ids, whatever order they came in."""
    try:
        found = {item["referenceId"]: item for item in told["compositeResponse"]}
        ordered = [found[f"q{place}"] for place in range(len(found))]
        return [
            Subanswer(
                int(item["httpStatusCode"]),
                item.get("body"),
                {"Date": headers["Date"], **(item.get("httpHeaders") or {})},
            )
            for item in ordered
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SalesforceUnavailable(f"the answer is not that of a composite: {error!r}") from error
