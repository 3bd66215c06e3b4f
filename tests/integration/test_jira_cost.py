"""What a backfill asks, at a scale CI can bear: the measured full size is in ``make bench``."""

from __future__ import annotations

from pathlib import Path

from tests.bench import jira_world
from tests.bench.jira_cost import BULK_HISTORIES, ISSUE_PAGE, backfill, least_requests
from tests.bench.jira_stage import open_site

from jira_sync.backfill import PAGES_TOGETHER

SIZE = jira_world.SMALL
ONCE = {
    "GET serverInfo": 1,  # the time of the scan, after the one that tells the dialect
    "GET field": 1,  # the probe asks before the first scan does
    "GET board": 1,
    "GET project/search": 2,
    "GET issue/{}": 1,
}
"""What the start costs beyond the least, whatever the size of the site."""


def test_a_backfill_asks_little_more_than_the_least(kafka: str, tmp_path: Path) -> None:
    """A page more for each project, as projects are read by themselves; a bulk request for each group of pages."""
    with open_site(tmp_path, jira_world.seed(SIZE)) as site:
        found = backfill(kafka, site)
    per_project = -(-SIZE.issues // SIZE.projects // ISSUE_PAGE) + 1
    allowed = least_requests(SIZE) | {
        "GET search/jql": SIZE.projects * per_project + 2,
        "POST changelog/bulkfetch": SIZE.projects * -(-per_project // PAGES_TOGETHER)
        + 2
        + SIZE.histories // BULK_HISTORIES,
        "POST search/approximate-count": SIZE.projects,
    }
    allowed = {name: allowed.get(name, 0) + ONCE.get(name, 0) for name in {*allowed, *ONCE}}
    assert {name: n for name, n in found.requests.items() if n > allowed.get(name, 0)} == {}
    assert found.published == {
        "jira.issues": SIZE.issues,
        "jira.issue-events": SIZE.histories,
        "jira.sprints": SIZE.sprints,
    }
