"""A bulk answer is read in the parts that planning needs, and whole where it has another shape than documented."""

from __future__ import annotations

import httpx
import msgspec
import pytest

from jira_sync.cloud import wanted_of_changelogs
from jira_sync.errors import JiraUnavailableError
from jira_sync.parse import Json
from jira_sync.site import json_object

ITEM = {"field": "status", "fieldId": "status", "from": "1", "fromString": "A", "to": "2", "toString": "B"}
HISTORY = {"id": "7", "author": {"accountId": "ann"}, "created": 1_760_000_000, "items": [ITEM]}


def read(body: object) -> Json:
    request = httpx.Request("POST", "https://jira.example/rest/api/3/changelog/bulkfetch")
    response = httpx.Response(200, content=msgspec.json.encode(body), request=request)
    return json_object(response, wanted_of_changelogs)


def bulk(*histories: object) -> dict[str, object]:
    return {"issueChangeLogs": [{"issueId": "1", "changeHistories": list(histories)}], "nextPageToken": "t"}


def test_everything_planning_reads_is_there_and_nothing_else() -> None:
    decorated = HISTORY | {
        "author": {"accountId": "ann", "avatarUrls": {"48x48": "https://jira.example/a.png"}},
        "items": [ITEM | {"fieldtype": "jira", "tmpFromAccountId": None}],
        "historyMetadata": {"type": "flow"},
    }
    assert read(bulk(decorated)) == bulk(HISTORY)


def test_an_absent_author_or_item_field_stays_absent() -> None:
    system = {"id": 8, "created": "2026-10-02T09:00:00.000+0000", "items": [{"field": "Key"}]}
    nobody = HISTORY | {"author": None}
    assert read(bulk(system, nobody)) == bulk(system, nobody)


@pytest.mark.parametrize(
    "odd", [{"author": "ann"}, {"items": {"field": "status"}}, {"items": [ITEM, None]}], ids=str
)
def test_a_history_of_another_shape_is_handed_on_as_it_was_sent(odd: dict[str, object]) -> None:
    """What is wrong with it is told of its issue alone, by whoever makes sense of it."""
    assert read(bulk(HISTORY | odd)) == bulk(HISTORY | odd)


def test_an_answer_cut_off_in_the_middle_is_no_answer() -> None:
    request = httpx.Request("POST", "https://jira.example/rest/api/3/changelog/bulkfetch")
    response = httpx.Response(200, content=msgspec.json.encode(bulk(HISTORY))[:-5], request=request)
    with pytest.raises(JiraUnavailableError, match="not a JSON object"):
        json_object(response, wanted_of_changelogs)


@pytest.mark.parametrize("wanted", [wanted_of_changelogs, None], ids=["in part", "whole"])
def test_a_text_cut_in_the_middle_of_an_emoji_is_read(wanted: msgspec.json.Decoder[object] | None) -> None:
    """JSON allows half of a surrogate pair; to take the page for broken would ask for it for ever."""
    request = httpx.Request("POST", "https://jira.example/rest/api/3/changelog/bulkfetch")
    content = msgspec.json.encode(bulk(HISTORY)).replace(b'"fromString":"A"', b'"fromString":"A\\ud83d"')
    found = json_object(httpx.Response(200, content=content, request=request), wanted)
    assert found["issueChangeLogs"][0]["changeHistories"][0]["items"][0]["fromString"] == "A\ud83d"
