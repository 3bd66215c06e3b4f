"""What of a site is wanted by configuration; what is left out is counted by the rule that left it out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from troth_contracts.jira import Issue


@dataclass(frozen=True, slots=True)
class Scope:
    """Empty means everything. Projects are keys, boards ids, issue types names in any spelling of case."""

    projects: tuple[str, ...] = ()
    excluded_projects: tuple[str, ...] = ()
    boards: tuple[str, ...] = ()
    excluded_boards: tuple[str, ...] = ()
    issue_types: tuple[str, ...] = ()
    excluded_issue_types: tuple[str, ...] = ()
    test_labels: tuple[str, ...] = ()
    include_test_data: bool = False

    def wants_project(self, key: str) -> bool:
        """False when nothing of the project is wanted."""
        return self.why_not_project(key) is None

    def why_not_project(self, key: str) -> str | None:
        """The rule that leaves the whole project out; None when it is wanted."""
        if self.projects and key not in self.projects:
            return "project not named"
        return "project excluded" if key in self.excluded_projects else None

    def why_not_issue(self, issue: Issue) -> str | None:
        """The rule that leaves the issue out; None when it is wanted."""
        left_out = self.why_not_project(issue.project_key)
        return left_out or self._why_not_type(issue.type_name) or self._why_not_labels(issue)

    def why_not_board(self, board_id: str) -> str | None:
        """The rule that leaves the board out; None when it is wanted."""
        if board_id in self.excluded_boards:
            return "board excluded"
        return "board not named" if self.boards and board_id not in self.boards else None

    def fingerprint(self) -> str:
        """Changes when anything is configured differently: what is published then needs a new backfill."""
        given = {name: sorted(value) if isinstance(value, tuple) else value for name, value in _set(self)}
        return json.dumps(given, sort_keys=True) if given else "everything"

    def _why_not_type(self, name: str) -> str | None:
        if name.lower() in _lower(self.excluded_issue_types):
            return "issue type excluded"
        return (
            "issue type not named"
            if self.issue_types and name.lower() not in _lower(self.issue_types)
            else None
        )

    def _why_not_labels(self, issue: Issue) -> str | None:
        if self.include_test_data or not set(issue.labels) & set(self.test_labels):
            return None
        return "test data"


class LeftOut:
    """The ids each rule left out, as last seen."""

    def __init__(self) -> None:
        self._rules: dict[tuple[str, str], str] = {}

    def note(self, kind: str, entity_id: str, rule: str | None) -> None:
        """Remembers the rule; forgets the entity when nothing leaves it out."""
        if rule is None:
            self._rules.pop((kind, entity_id), None)
        else:
            self._rules[kind, entity_id] = rule

    def note_all(self, kind: str, rules: Mapping[str, str]) -> None:
        """The rules by id that leave out everything of this kind that is left out now."""
        self._rules = {place: rule for place, rule in self._rules.items() if place[0] != kind}
        self._rules |= {(kind, entity_id): rule for entity_id, rule in rules.items()}

    def has(self, kind: str, entity_id: str) -> bool:
        """True when a rule left it out."""
        return (kind, entity_id) in self._rules

    def counts(self) -> Mapping[tuple[str, str], int]:
        """How many of each kind each rule left out."""
        found: dict[tuple[str, str], int] = {}
        for (kind, _), rule in self._rules.items():
            found[kind, rule] = found.get((kind, rule), 0) + 1
        return found

    def sentence(self) -> str:
        """For people: ``12 issues (test data)``; empty when nothing is left out."""
        return ", ".join(
            f"{count} {kind}{'s' * (count != 1)} ({rule})"
            for (kind, rule), count in sorted(self.counts().items())
        )


def _lower(names: tuple[str, ...]) -> set[str]:
    return {name.lower() for name in names}


def _set(scope: Scope) -> list[tuple[str, tuple[str, ...] | bool]]:
    return [(name, value) for name, value in asdict(scope).items() if value]
