"""What every JiraReader keeps, held against the same small site: the fake in memory, and every dialect and login."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from tests.jira_sync.small_site import DEAL_URL, POINTS_FIELD, SPRINT_FIELD

from jira_sync.domain.fields import discover
from jira_sync.errors import ForbiddenError, ScanFailedError
from jira_sync.paging import all_offset_items, token_pages
from jira_sync.parse import instant, optional_part, parts, sprint_ids, text
from jira_sync.reader import JiraReader

EVERYTHING = 'project in ("APA", "BET") ORDER BY updated ASC, id ASC'
ALL_IDS = {"10001", "10002", "10003", "10004", "10005", "10101", "10102"}


class ReaderContract:
    """Subclasses provide the fixture ``reader``."""

    deployment = "Cloud"

    async def test_the_server_tells_its_time_and_what_it_is(self, reader: JiraReader) -> None:
        info = await reader.server_info()
        assert info.deployment == self.deployment
        assert info.now.utcoffset() == timedelta(0)
        assert "displayName" in await reader.myself()

    async def test_sprint_and_estimate_fields_are_discovered(self, reader: JiraReader) -> None:
        found = discover(await reader.fields())
        assert found.sprint == SPRINT_FIELD
        assert POINTS_FIELD in found.estimates

    @pytest.mark.parametrize("size", [1, 2, 3, 100])
    async def test_search_gives_each_issue_once_at_any_page_size(self, reader: JiraReader, size: int) -> None:
        pages = token_pages(lambda token: reader.search(EVERYTHING, ("summary",), token, size))
        seen = Counter([text(issue, "id") async for page in pages for issue in page])
        assert seen == Counter(ALL_IDS)

    async def test_search_gives_the_fields_asked_for(self, reader: JiraReader) -> None:
        fields = ("summary", "status", "project", SPRINT_FIELD, POINTS_FIELD)
        page = await reader.search(EVERYTHING, fields, None, 100)
        issue = next(issue for issue in page.items if issue["id"] == "10002")
        values = optional_part(issue, "fields")
        assert sprint_ids(values[SPRINT_FIELD]) == ("1", "2")
        assert float(values[POINTS_FIELD]) == 5
        assert optional_part(optional_part(values, "status"), "statusCategory")["key"] == "new"
        assert optional_part(values, "project")["key"] == "APA"
        assert "created" not in values

    async def test_a_lower_bound_is_absolute_whatever_the_account_zone(self, reader: JiraReader) -> None:
        bound = int(datetime(2026, 10, 20, 8, 0, tzinfo=UTC).timestamp() * 1000)
        page = await reader.search(
            f"updated >= {bound} ORDER BY updated ASC, id ASC", ("summary",), None, 100
        )
        assert {issue["id"] for issue in page.items} == {"10004", "10101"}
        assert await reader.approximate_count(f"updated >= {bound}") == 2

    async def test_changelogs_are_complete_and_by_issue(self, reader: JiraReader) -> None:
        ids = sorted(ALL_IDS)
        pages = token_pages(lambda token: reader.changelogs(ids, token))
        entries = [entry async for page in pages for entry in page]
        found = {
            text(entry, "issueId"): [int(text(history, "id")) for history in parts(entry, "changeHistories")]
            for entry in entries
        }
        assert found == {"10001": [1, 2], "10002": [3, 4], "10003": [5, 6], "10101": [7, 8]}
        first = next(entry for entry in entries if entry["issueId"] == "10001")
        assert instant(parts(first, "changeHistories")[0]["created"]) == datetime(2026, 10, 2, 9, tzinfo=UTC)

    async def test_links_to_places_outside_jira(self, reader: JiraReader) -> None:
        (link,) = await reader.remote_links("10005")
        assert optional_part(link, "object") == {"url": DEAL_URL, "title": "Deal"}
        assert await reader.remote_links("10001") == ()

    async def test_comments_oldest_first(self, reader: JiraReader) -> None:
        found = await all_offset_items(lambda start: reader.comments("10005", start))
        assert [(comment["id"], comment["body"]) for comment in found] == [
            ("1", "Comment 1"),
            ("2", "Comment 2"),
        ]
        assert await all_offset_items(lambda start: reader.comments("10001", start)) == []

    async def test_boards_with_columns_estimation_and_projects(self, reader: JiraReader) -> None:
        boards = await all_offset_items(reader.boards)
        assert [(str(board["id"]), board["type"]) for board in boards] == [
            ("1", "scrum"),
            ("2", "scrum"),
            ("3", "kanban"),
        ]
        configuration = await reader.board_configuration("1")
        columns = parts(optional_part(configuration, "columnConfig"), "columns")
        assert [str(parts(column, "statuses")[0]["id"]) for column in columns] == ["1", "3", "9"]
        assert optional_part(optional_part(configuration, "estimation"), "field")["fieldId"] == POINTS_FIELD
        assert "estimation" not in await reader.board_configuration("3")
        projects = await all_offset_items(lambda start: reader.board_projects("2", start))
        assert [(project["id"], project["key"]) for project in projects] == [("10100", "BET")]

    async def test_sprints_by_state_with_their_dates(self, reader: JiraReader) -> None:
        closed = await all_offset_items(lambda start: reader.sprints("1", ("closed",), start))
        assert [str(sprint["id"]) for sprint in closed] == ["1"]
        assert instant(closed[0]["completeDate"]) == datetime(2026, 10, 16, 15, tzinfo=UTC)
        open_ones = await all_offset_items(lambda start: reader.sprints("1", ("active", "future"), start))
        assert sorted((str(sprint["id"]), sprint["state"]) for sprint in open_ones) == [
            ("2", "active"),
            ("3", "future"),
        ]

    async def test_a_kanban_board_has_no_sprints(self, reader: JiraReader) -> None:
        with pytest.raises(ScanFailedError):
            await reader.sprints("3", ("active",), 0)

    async def test_versions(self, reader: JiraReader) -> None:
        found = await reader.versions("APA")
        assert [(version["id"], version["releaseDate"]) for version in found] == [("501", "2026-12-01")]
        assert not await reader.versions("BET")

    async def test_a_board_that_is_not_there_is_forbidden(self, reader: JiraReader) -> None:
        with pytest.raises(ForbiddenError):
            await reader.board_configuration("99")
