"""Which deals have changed: every row in the overlap is listed each time, and re-read only when that can tell news.

A Salesforce transaction may become visible up to ten minutes after its stamps (reference: 4.2), so each poll lists
rows that far back. Reading all those deals again each time would multiply the cost; what was read is remembered.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from crm_sync.describe import ObjectSchema
from crm_sync.fields import Record
from crm_sync.soql import Condition, Query, parse_time, value_at
from troth_contracts.crm import Deal

SETTLED = timedelta(seconds=600)
"""Ceiling of a transaction: after that nothing can appear with an older stamp."""
_SECOND = timedelta(seconds=1)


def changed_rows(schema: ObjectSchema, since: datetime | None, stamp: str | None = None) -> Query:
    """Ids and stamps of the rows of an object stamped at ``since`` or later; all rows for None.

    ``stamp`` is the path to another stamp than the object's own.
    """
    by = stamp or schema.stamp
    fields = ["Id", by] + ([schema.parent] if schema.parent else [])
    where = () if since is None else (Condition(by, ">=", since),)
    return Query(schema.name, tuple(fields), where, order=(by, "Id"))


def deal_id(schema: ObjectSchema, row: Record) -> str | None:
    """The opportunity a listed row belongs to; None where a custom lookup is empty."""
    found = value_at(row, schema.parent or "Id")
    return str(found) if found else None


def stamp_of(schema: ObjectSchema, row: Record) -> datetime | None:
    """When Salesforce says the row last changed, UTC; None when that cannot be read."""
    return stamp_at(row, schema.stamp)


def stamp_at(row: Record, path: str) -> datetime | None:
    """The same by the stamp at another path."""
    try:
        return parse_time(str(value_at(row, path)))
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class _Sighting:
    stamp: datetime
    read_at: datetime


class Recent:
    """Rows read lately, by object and id. Forgetting is always safe: the deal is then read once more."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], _Sighting] = {}
        self._reach: datetime | None = None

    def reach(self, start: datetime | None) -> None:
        """Polls list rows from ``start`` on, which lies far back while a long transaction is open."""
        self._reach = start

    def note(self, name: str, row_id: str, stamp: datetime | None, read_at: datetime) -> None:
        """The row with this stamp was read as part of its deal, in a read that began at ``read_at``."""
        if stamp is not None and stamp >= self._oldest(read_at - 2 * SETTLED):
            self._seen[name, row_id] = _Sighting(stamp, read_at)

    def is_news(self, name: str, row_id: str, stamp: datetime | None, now: datetime) -> bool:
        """Whether the deal must be read: unseen, changed, possibly changed again in the same second, or settled."""
        seen = self._seen.get((name, row_id))
        if stamp is None or seen is None or seen.stamp != stamp:
            return True
        same_second = seen.read_at < stamp + _SECOND
        return same_second or seen.read_at < stamp + SETTLED <= now

    def prune(self, now: datetime) -> None:
        """Drops what no overlap can list any more."""
        oldest = self._oldest(now - 3 * SETTLED)
        self._seen = {key: seen for key, seen in self._seen.items() if seen.stamp >= oldest}

    def _oldest(self, usual: datetime) -> datetime:
        return usual if self._reach is None else min(usual, self._reach)

    def knows(self, name: str, row_id: str) -> bool:
        """Whether the row was read lately, whatever its stamp."""
        return (name, row_id) in self._seen

    def clear(self) -> None:
        """After a failed publish nothing counts as read."""
        self._seen.clear()

    def __len__(self) -> int:
        return len(self._seen)


class Parents:
    """The deal of every known line item and role: a hard deletion tells only the child's own id."""

    def __init__(self) -> None:
        self._deal_of: dict[str, str] = {}
        self._of_account: defaultdict[str, set[str]] = defaultdict(set)

    def note_account(self, account_id: str | None, deal: str) -> None:
        """The deal shows the account's name."""
        if account_id:
            self._of_account[account_id].add(deal)

    def deals_of_accounts(self, account_ids: Iterable[str]) -> set[str]:
        """Deals that show the name of one of the accounts."""
        return set().union(*(self._of_account.get(each, ()) for each in account_ids))

    def note(self, child_id: str, deal: str) -> None:
        """The child belongs to the deal."""
        self._deal_of[child_id] = deal

    def note_deal(self, deal: Deal) -> None:
        """All parts of a published deal."""
        self.note_account(deal.account_id, deal.id)
        children = [item.id for item in deal.line_items] + [role.id for role in deal.roles]
        children += [record.id for record in deal.related]
        self._deal_of.update(dict.fromkeys(children, deal.id))

    def deals_of(self, child_ids: Iterable[str]) -> set[str]:
        """Deals of those children that are known."""
        return {self._deal_of[child] for child in child_ids if child in self._deal_of}
