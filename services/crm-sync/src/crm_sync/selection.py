"""Which deals the configuration wants: record types, test accounts, a business unit and a creation floor.

A deal that is left out is counted under the name of the rule, so that nobody takes it for lost.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from crm_sync.errors import AccessRefused, SchemaChanged
from crm_sync.fields import Record, as_text, long_id, reference
from crm_sync.paging import rows
from crm_sync.salesforce import SalesforceReader
from crm_sync.soql import Condition, Query
from troth_chassis.errors import PoisonError

_MASTER = "012000000000000AAA"
"""Record type of a record that has none."""
NOT_READABLE = "field_not_readable"
"""A rule needs a field that Salesforce hides from the integration user."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The rules; empty ones let everything through. Ids have 18 characters."""

    record_types: frozenset[str] = frozenset()
    excluded_record_types: frozenset[str] = frozenset()
    test_accounts: frozenset[str] = frozenset()
    created_from: date | None = None
    unit_field: str | None = None
    units: frozenset[str] = frozenset()

    @property
    def fields(self) -> tuple[str, ...]:
        """Fields of the opportunity the rules look at."""
        wanted = {
            "RecordTypeId": self.record_types or self.excluded_record_types,
            "AccountId": self.test_accounts,
            "CreatedDate": self.created_from,
            self.unit_field or "": self.units,
        }
        return tuple(name for name, used in wanted.items() if name and used)

    @property
    def fingerprint(self) -> str | None:
        """Changes when the rules do; None without rules."""
        rules = [
            *(f"+{each}" for each in sorted(self.record_types)),
            *(f"-{each}" for each in sorted(self.excluded_record_types)),
            *(f"test {each}" for each in sorted(self.test_accounts)),
            *([f"from {self.created_from}"] if self.created_from else []),
            *(f"{self.unit_field}={each}" for each in sorted(self.units)),
        ]
        return "; ".join(rules) or None

    def reason(self, row: Record, *, published: bool) -> str | None:
        """The rule that leaves the deal out, or None. What cannot be read is let through to be reported.

        While a field that a rule needs is hidden nothing can be judged: ``published`` deals stay, others stay out.
        """
        if any(name not in row for name in self.fields):
            return None if published else NOT_READABLE
        try:
            return self._reason(row)
        except PoisonError:
            return None

    def _reason(self, row: Record) -> str | None:
        kind = reference(row, "RecordTypeId") or _MASTER
        if (self.record_types and kind not in self.record_types) or kind in self.excluded_record_types:
            return "record_type"
        if reference(row, "AccountId") in self.test_accounts:
            return "test_account"
        if self.created_from and str(row.get("CreatedDate") or "9") < self.created_from.isoformat():
            return "created_before"
        if self.units and self.unit_field and as_text(row, self.unit_field) not in self.units:
            return "business_unit"
        return None


class LeftOut:
    """Deals that are left out at present, by reason."""

    def __init__(self) -> None:
        self._reasons: dict[str, str] = {}

    def note(self, deal_id: str, reason: str | None) -> None:
        """The deal is left out for ``reason``; None: it is not, or it is gone."""
        if reason is None:
            self._reasons.pop(deal_id, None)
        else:
            self._reasons[deal_id] = reason

    def counts(self) -> Counter[str]:
        """How many for each reason."""
        return Counter(self._reasons.values())

    def __str__(self) -> str:
        parts = [
            f"{count:,} by {reason.replace('_', ' ')}" for reason, count in sorted(self.counts().items())
        ]
        return f"left out: {', '.join(parts)}" if parts else ""


async def resolved(selection: Selection, reader: SalesforceReader) -> Selection:
    """Names of record types turned into ids; AccessRefused for a name the org does not have."""
    named = selection.record_types | selection.excluded_record_types
    ids = await _record_types(reader, named)
    return Selection(
        record_types=frozenset(ids[name] for name in selection.record_types),
        excluded_record_types=frozenset(ids[name] for name in selection.excluded_record_types),
        test_accounts=frozenset(map(long_id, selection.test_accounts)),
        created_from=selection.created_from,
        unit_field=selection.unit_field,
        units=selection.units,
    )


async def _record_types(reader: SalesforceReader, named: Iterable[str]) -> dict[str, str]:
    found = {name: long_id(name) for name in named if name.startswith("012") and len(name) in {15, 18}}
    asked = sorted(set(named) - set(found))
    if not asked:
        return found
    ours = Condition("SobjectType", "=", "Opportunity")
    try:
        known = await rows(reader, Query("RecordType", ("Id", "DeveloperName"), (ours,)))
    except SchemaChanged:
        known = []
    found |= {str(row["DeveloperName"]): long_id(str(row["Id"])) for row in known}
    missing = [name for name in asked if name not in found]
    if missing:
        raise AccessRefused(
            f"no record type of Opportunity is called {', '.join(missing)}: "
            "correct TROTH_CRM_RECORD_TYPES and TROTH_CRM_EXCLUDED_RECORD_TYPES, or name the 012 ids"
        )
    return found
