"""The simulator against the vendor's description: nothing invented, and no answer that does not fit, whatever is asked.

Requests are drawn from the official files by schemathesis, the same ones every time: good ones and broken ones.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import SearchStrategy
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import response_schema_conformance
from tests.sandbox.jira_official import BESIDE, FILES, described, official, operations_in, served

from troth_sandbox.jira import sample
from troth_sandbox.jira.app import api
from troth_sandbox.jira.attachments import add_link
from troth_sandbox.jira.clock import SettableClock
from troth_sandbox.jira.seed import parse
from troth_sandbox.jira.site import Site

Operation = APIOperation[Any, Any, Any, Any]
Drawn = Case[Any]
SITE = Site(parse(sample.content(8)), SettableClock())
LINK = add_link(
    SITE, SITE.store.issue("APA-1"), {"object": {"url": "https://crm.example.com/1", "title": "x"}}, None, 0
)
OPERATIONS = served(SITE)
EXAMPLES = 8
"""Requests drawn of each operation."""


def test_every_operation_is_the_vendors(fixtures_dir: Path) -> None:
    known = frozenset().union(*(operations_in(official(fixtures_dir, name)) for name in FILES.values()))
    invented = {(method, path) for method, path in OPERATIONS - known if not path.startswith(tuple(BESIDE))}
    assert invented == set()
    assert len(OPERATIONS & known) > 30


KNOWN = {
    "boardId": 1,
    "sprintId": 78,
    "linkId": str(LINK),
    "issueIdOrKey": "APA-1",
    "projectIdOrKey": "APA",
    "permissions": "BROWSE_PROJECTS",
    "jql": "project = APA ORDER BY updated",
}
"""Names of what is there: drawn at random, next to nothing would ever be found."""
IDS = {"filter": 10_001, "version": 501}
"""Of the parameter that is only called ``id``, by the noun before it."""
BODIES: Mapping[str, Any] = {
    "search/jql": {
        "jql": "project = APA",
        "maxResults": 3,
        "fields": ["*all"],
        "expand": "changelog,names,schema",
    },
    "search/approximate-count": {"jql": "project = APA"},
    "changelog/bulkfetch": {"issueIdsOrKeys": ["APA-1", "10002"], "maxResults": 3},
    "webhook": {
        "url": "http://127.0.0.1:9/",
        "webhooks": [{"events": ["jira:issue_updated"], "jqlFilter": "project = APA"}],
    },
}
OFTEN = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def login() -> dict[str, str]:
    credentials = base64.b64encode(f"{sample.EMAIL}:{sample.TOKEN}".encode()).decode()
    return {"Authorization": f"Basic {credentials}"}


@pytest.mark.parametrize("prefix", FILES)
def test_whatever_is_asked_the_answer_fits_and_is_no_fault(
    fixtures_dir: Path, login: dict[str, str], prefix: str
) -> None:
    """Well-formed requests for what is there and for anything else, and requests the description forbids."""
    SITE.switches.app = "connect"
    schema = schemathesis.openapi.from_dict(described(fixtures_dir, prefix, OPERATIONS))
    schema.app = api(SITE)
    statuses: dict[str, Counter[int]] = {}
    for found in schema.get_all_operations():
        operation = cast("Ok[Operation]", found).ok()
        counted = statuses.setdefault(operation.label, Counter())
        for strategy in _strategies(operation):
            _fuzz(strategy, login, counted)
    assert sum(counted.total() for counted in statuses.values()) > 5 * len(statuses)
    never = {label for label, counted in statuses.items() if not any(status < 300 for status in counted)}
    assert never <= {"GET /rest/api/3/search", "POST /rest/api/3/search"}  # gone: 410


def _strategies(operation: Operation) -> Iterator[SearchStrategy[Drawn]]:
    given_path, given_query = _known(operation, "path"), _known(operation, "query")
    body = BODIES.get(operation.label.partition("/rest/api/3/")[2])
    more = {"body": body, "media_type": "application/json"} if body else {}
    yield operation.as_strategy(path_parameters=given_path, query=given_query, **more)
    yield operation.as_strategy()
    if operation.body or any(map(_may_be_wrong, operation.iter_parameters())):
        yield operation.as_strategy(GenerationMode.NEGATIVE)


def _may_be_wrong(parameter: Any) -> bool:
    """Any text is a good name in a path."""
    return bool(parameter.location.value != "path" or parameter.definition["schema"]["type"] != "string")


def _known(operation: Operation, place: str) -> dict[str, Any] | None:
    noun = operation.path.split("/{", maxsplit=1)[0].rpartition("/")[2]
    known = KNOWN | {"id": IDS.get(noun)}
    asked = [p.name for p in operation.iter_parameters() if p.location.value == place]
    return {name: known[name] for name in asked if known.get(name) is not None} or None


def _fuzz(strategy: SearchStrategy[Drawn], login: dict[str, str], counted: Counter[int]) -> None:
    @OFTEN
    @given(strategy)
    def ask(case: Drawn) -> None:
        answer = case.call(headers=login)
        counted[answer.status_code] += 1
        case.validate_response(answer, checks=[not_a_server_error, response_schema_conformance])

    ask()
