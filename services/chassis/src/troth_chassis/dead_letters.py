"""Records that can never work: original bytes and the reason, and a limit on how many are normal."""

from __future__ import annotations

from collections import deque

from troth_chassis.errors import ConfigurationError
from troth_contracts.codec import OutRecord
from troth_contracts.topics import dead_letter_topic

LONGEST_HEADER = 1_000


def dead_letter(
    service: str, *, reason: str, source: str, key: str, value: bytes | None, position: str = ""
) -> OutRecord:
    """The record for ``<service>.dead-letters``: the bytes as they came, the reason in the headers.

    The same record always gives the same ``ce_id``, so that a repeated letter can be told.
    """
    topic = dead_letter_topic(service)
    headers = (
        ("ce_specversion", b"1.0"),
        ("ce_id", f"{source}:{position or key}"[:LONGEST_HEADER].encode("utf-8", "replace")),
        ("ce_source", service.encode()),
        ("ce_type", topic.ce_type.encode()),
        ("content-type", b"application/octet-stream"),
        ("reason", reason[:LONGEST_HEADER].encode("utf-8", "replace")),
        ("source", source.encode("utf-8", "replace")),
        ("position", position.encode()),
    )
    return OutRecord(topic.name, key, value, headers)


class LetterLimit:
    """Stops a consumer that would drain a whole topic into the dead letters."""

    def __init__(self, *, window: int = 1_000, share: float = 0.5, at_least: int = 100) -> None:
        self._recent: deque[bool] = deque(maxlen=window)
        self._share = share
        self._at_least = at_least

    def note(self, *, good: int, dead: int) -> None:
        """Counts a batch; ConfigurationError when the share of dead letters in the window passes the limit."""
        self._recent.extend([False] * good + [True] * dead)
        bad = sum(self._recent)
        if bad >= self._at_least and bad > self._share * len(self._recent):
            raise ConfigurationError(
                f"{bad} of the last {len(self._recent)} records were unusable: "
                "stopped instead of draining the topic; look at the dead letters for the reason"
            )
