"""A restart without a backfill: the published topics are the mirror from which the memory is filled."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator

from jira_sync.memory import PLANNING_FIELDS, PlanningMemory
from troth_chassis.topic_reader import read_topic
from troth_contracts.codec import decode
from troth_contracts.errors import UndecodableRecord
from troth_contracts.jira import Issue, IssueEvent, Sprint
from troth_contracts.sync import Watermark
from troth_contracts.topics import ISSUE_EVENTS, ISSUES, JIRA_STATE, SPRINTS, Topic
from troth_contracts.values import Contract


async def restore_memory(bootstrap: str, site_id: str) -> PlanningMemory:
    """The memory as it was when the last transaction was committed. Other sites' records are left alone."""
    events: defaultdict[str, dict[str, IssueEvent]] = defaultdict(dict)
    async for _, body in _bodies(bootstrap, ISSUE_EVENTS):
        if isinstance(body, IssueEvent) and body.site_id == site_id and body.field in PLANNING_FIELDS:
            events[body.issue_id][body.event_id] = body
    memory = PlanningMemory()
    for issue in (await _latest(bootstrap, ISSUES)).values():
        if isinstance(issue, Issue) and issue.site_id == site_id:
            memory.note(issue, events.get(issue.id, {}).values())
    for sprint in (await _latest(bootstrap, SPRINTS)).values():
        if isinstance(sprint, Sprint) and sprint.site_id == site_id:
            memory.published[sprint.id] = sprint
    return memory


async def read_watermark(bootstrap: str, stream: str) -> Watermark | None:
    """The stream's last committed watermark; None when it has none."""
    found = (await _latest(bootstrap, JIRA_STATE)).get(stream)
    return found if isinstance(found, Watermark) else None


async def _latest(bootstrap: str, topic: Topic) -> dict[str, Contract]:
    latest: dict[str, Contract] = {}
    async for key, body in _bodies(bootstrap, topic):
        if body is None:
            latest.pop(key, None)
        else:
            latest[key] = body
    return latest


async def _bodies(bootstrap: str, topic: Topic) -> AsyncIterator[tuple[str, Contract | None]]:
    """Decoded records in order; a record somebody else broke never stops the writer."""
    async for page in read_topic(bootstrap, topic):
        for record in page:
            try:
                decoded = decode(topic.name, record.key, record.value, record.headers)
            except UndecodableRecord:
                continue
            yield decoded.key, decoded.body
