"""The oracle: what must be on the topics, from the seed and the simulator's write log alone.

Written from the vendor's documents, not from the service: which changelog items matter is named here a second time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]
RELEVANT = {"status", "fixVersions", "duedate", "assignee", "summary", "description", "parent"}
NAMELESS = {"Key", "IssueParentAssociation"}
"""Items without ``fieldId`` that planning needs."""


@dataclass
class Truth:
    """What the site's people wrote, by issue: histories, and the issues that are gone for ever."""

    custom: frozenset[str]
    """Field ids of sprint and estimates."""
    histories: dict[str, dict[str, Json]] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)
    sprints: dict[str, Json] = field(default_factory=dict)

    def event_ids(self, site_id: str) -> Counter[str]:
        """Every id of ``jira.issue-events`` that must be there, once."""
        return Counter(
            f"{site_id}:{issue}:{history['id']}:{index}"
            for issue, histories in self.histories.items()
            for history in histories.values()
            for index in self.relevant(history)
        )

    def relevant(self, history: Json) -> Iterator[int]:
        """Indices of the items planning needs."""
        for index, item in enumerate(history["items"]):
            name = item.get("fieldId")
            if name in self.custom or name in RELEVANT or (name is None and item["field"] in NAMELESS):
                yield index

    def life_ids(self, site_id: str) -> Counter[str]:
        """Every id of a start or close on ``jira.sprint-events``."""
        found = Counter[str]()
        for number, sprint in self.sprints.items():
            start = sprint["activated"] or sprint["start"]
            if sprint["state"] != "future":
                found[f"{site_id}:{number}:started:{start}"] += 1
            if sprint["state"] == "closed":
                found[f"{site_id}:{number}:closed:{sprint['completed']}"] += 1
        return found


def truth_of(seed: Json, write_log: Iterable[Json], *, moments: Mapping[str, Json]) -> Truth:
    """``moments``: the seed's sprints with their times in ms, as the simulator keeps them."""
    custom = frozenset(
        entry["id"]
        for entry in seed["fields"]
        if entry["schema"].get("custom", "").endswith(("gh-sprint", "jsw-story-points"))
        or entry["name"] in ("Story Points", "Story point estimate")
    )
    found = Truth(custom, sprints={str(number): dict(sprint) for number, sprint in moments.items()})
    for issue in seed["issues"]:
        known = {str(h["id"]): h for h in issue.get("histories", ())}
        found.histories[str(issue["id"])] = known
    for entry in write_log:
        _take(found, entry)
    return found


def _take(found: Truth, entry: Json) -> None:
    if history := entry.get("history"):
        known = found.histories.setdefault(str(entry["issueId"]), {})
        known[str(history["id"])] = history
    if entry["kind"] == "issue_created":
        found.histories.setdefault(str(entry["issueId"]), {})
    if entry["kind"] == "issue_deleted":
        found.deleted.add(str(entry["issueId"]))
    if entry["kind"].startswith("sprint_"):
        number = str(entry["sprint"]["id"])
        if entry["kind"] == "sprint_deleted":
            found.sprints.pop(number, None)
        else:
            found.sprints[number] = entry["sprint"]


@dataclass(frozen=True)
class Difference:
    """How what is published differs from the truth; every part must be empty."""

    missing: Sequence[str] = ()
    extra: Sequence[str] = ()
    doubled: Sequence[str] = ()
    stale: Sequence[str] = ()

    def __bool__(self) -> bool:
        return bool(self.missing or self.extra or self.doubled or self.stale)


def compared(what: str, told: Iterable[str], expected: Iterable[str]) -> Difference:
    """Event ids as published against the ids that must be there once."""
    counts, wanted = Counter(told), set(expected)
    return Difference(
        missing=[f"{what} {one}" for one in sorted(wanted - counts.keys())],
        extra=[f"{what} {one}" for one in sorted(counts.keys() - wanted)],
        doubled=[f"{what} {one} x{count}" for one, count in sorted(counts.items()) if count > 1],
    )


def folded(what: str, published: Mapping[str, object], stored: Mapping[str, object]) -> Difference:
    """States as the topic folds to against what the site holds."""
    return Difference(
        missing=[f"{what} {key}" for key in sorted(stored.keys() - published.keys())],
        extra=[f"{what} {key}" for key in sorted(published.keys() - stored.keys())],
        stale=[
            f"{what} {key}: {published[key]} is {stored[key]}"
            for key in sorted(stored.keys() & published.keys())
            if published[key] != stored[key]
        ],
    )
