"""``python -m tests.bench.jira_alone URL FIELDS``: the same issues and histories by the ``jira`` package and nothing else.

Its way to changelogs is to expand them in the search, page after page: it has no call for bulk changelogs. So it gets
at most 100 histories of an issue, writes nothing anywhere, and reads no boards, sprints or versions.
"""

from __future__ import annotations

import json
import sys

from jira import JIRA
from tests.bench import jira_world


def main() -> None:
    """Prints how many issues and histories it holds in the end."""
    url, fields = sys.argv[1:]
    client = JIRA(server=url, basic_auth=(jira_world.EMAIL, jira_world.TOKEN), max_retries=0, timeout=60)
    found = client.enhanced_search_issues(
        "updated >= 0 ORDER BY updated ASC, id ASC", maxResults=0, fields=fields, expand="changelog"
    )
    histories = sum(len(issue.changelog.histories) for issue in found)
    sys.stdout.write(json.dumps({"issues": len(found), "histories": histories}))


if __name__ == "__main__":
    main()
