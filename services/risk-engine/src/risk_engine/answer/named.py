"""Issues as people name them: by key, or by site and id."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from risk_engine.problems import ProblemError
from risk_engine.store.database import Connection
from risk_engine.store.views import Resolved, known_issues, resolve_issue_keys


@dataclass(frozen=True, slots=True)
class NamedIssues:
    """What the names mean."""

    keys: Resolved
    ids: Collection[str]

    def issue(self, name: str, field: str, *, status: int = 422) -> str:
        """The issue (``<site>:<id>``). Raises ProblemError that names the field and the fix."""
        if name in self.keys.several:
            fix = f"write {' or '.join(self.keys.several[name])}"
            raise ProblemError(f"{name} is on several sites", field=field, fix=fix)
        issue = self.keys.one.get(name) or (name if name in self.ids else None)
        if issue is None:
            fix = (
                "write it as <site>:<issue id>"
                if ":" in name
                else "correct the key, or wait until it is synced"
            )
            raise ProblemError(f"no issue {name} is known", field=field, fix=fix, status=status)
        return issue

    def issues(self, names: Collection[str]) -> Mapping[str, str]:
        """By name, of a request's ``issues``."""
        return {name: self.issue(name, f"issues.{place}") for place, name in enumerate(names)}


async def read_named(connection: Connection, names: Collection[str]) -> NamedIssues:
    """What these names mean now."""
    keys = await resolve_issue_keys(connection, [name for name in names if ":" not in name])
    return NamedIssues(keys, await known_issues(connection, [name for name in names if ":" in name]))
