"""What a sync service asks in its first full read when nobody disturbs it: where others can be cut off in the middle.

Counted anew in every run, so that a service which learns to ask less is still killed before it is done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from aiokafka import ConsumerRecord
from tests.e2e.play import Play

from troth_chassis.topic_reader import read_topic
from troth_contracts.topics import ISSUES, OPPORTUNITIES, SYNC_STATUS, Topic

VENDORS = {"crm-sync": ("salesforce", OPPORTUNITIES), "jira-sync": ("jira", ISSUES)}


@dataclass(frozen=True)
class FirstRead:
    """Requests to the vendor."""

    begun: int
    """Until the first record was published: what every life asks before it comes to anything new."""
    done: int
    """Until the service said it was complete."""

    def until(self, share: float) -> int:
        """Requests after which at most this share of what is to be published can be."""
        return self.begun + int((self.done - self.begun) * share)


def first_read(play: Play, service: str) -> FirstRead:
    """Of a play in which the service has completed its read. Both simulators tell the machine's own time."""
    vendor, topic = VENDORS[service]
    begun, done = asyncio.run(_times(play.stage.broker.bootstrap, service, topic))
    asked = [_milliseconds(entry["at"]) for entry in play.journal(vendor)]
    return FirstRead(sum(at <= begun for at in asked), sum(at <= done for at in asked))


async def _times(bootstrap: str, service: str, topic: Topic) -> tuple[int, int]:
    """When the first record of the topic, and the first "complete" of the service, was sent; milliseconds."""
    complete = f'"service":"{service}"'.encode(), b'"state":"complete"'
    begun = await _first(bootstrap, topic, lambda _record: True)
    done = await _first(bootstrap, SYNC_STATUS, lambda record: all(p in record.value for p in complete))
    return begun, done


async def _first(bootstrap: str, topic: Topic, wanted: Callable[[ConsumerRecord], bool]) -> int:
    pages = [page async for page in read_topic(bootstrap, topic)]
    return min(int(record.timestamp) for page in pages for record in page if record.value and wanted(record))


def _milliseconds(at: str | int) -> int:
    if isinstance(at, int):
        return at
    return round(datetime.fromisoformat(at).astimezone(UTC).timestamp() * 1000)
