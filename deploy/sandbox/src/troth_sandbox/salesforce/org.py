"""The org: its rows, and what happens when somebody writes, deletes or restores one."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from troth_sandbox.errors import SeedError
from troth_sandbox.salesforce.clock import SettableClock, stamp
from troth_sandbox.salesforce.defaults import with_defaults
from troth_sandbox.salesforce.derive import complete, merge
from troth_sandbox.salesforce.formulas import compute
from troth_sandbox.salesforce.history import changed_fields, history_row
from troth_sandbox.salesforce.ids import IdSource, long_id
from troth_sandbox.salesforce.schema import ObjectType, Schema, build_schema
from troth_sandbox.salesforce.seed import Seed
from troth_sandbox.salesforce.table import Table
from troth_sandbox.salesforce.values import Row, Scalar, normal_row

SYSTEM_FIELDS = frozenset({"SystemModstamp", "LastModifiedDate"})
STAGE_OWNED = frozenset({"IsClosed", "IsWon"})
NO_RECYCLE_BIN = frozenset({"OpportunityTeamMember"})
"""Direct deletes of these bypass the recycle bin, so only the deleted log knows them [otm]."""


class Org:
    """All rows of one org; every write is stamped by `clock`."""

    def __init__(self, schema: Schema, clock: SettableClock, org_id: str) -> None:
        self.schema = schema
        self.clock = clock
        self.org_id = org_id
        self._changed: dict[str, datetime] = {}
        self._opened = clock.now()
        self.user_id = long_id("005SimIntegratn")
        self._ids = IdSource()
        self._tables = {kind.name: Table(kind) for kind in schema}
        self._given: defaultdict[str, dict[str, frozenset[str]]] = defaultdict(dict)
        self._name_sets: dict[frozenset[str], frozenset[str]] = {}
        self._gone: defaultdict[str, dict[str, str]] = defaultdict(dict)
        self._stages: dict[str, Row] = {}
        self._pruned: str | None = None
        for kind in schema:
            self._become(kind)

    def table(self, name: str) -> Table:
        """The rows of the object with that exact name."""
        return self._tables[name]

    def deletions(self, name: str) -> Mapping[str, str]:
        """The deleted log of an object: id to the stamp of its deletion."""
        return self._gone[name]

    @property
    def pruned(self) -> str | None:
        """The stamp before which the deleted log was pruned, if it was."""
        return self._pruned

    def prune_deletions(self, before: datetime) -> int:
        """Forget deletions older than `before`; returns how many there were."""
        horizon = stamp(before)
        self._pruned = max(horizon, self._pruned or horizon)
        old = [(log, row_id) for log in self._gone.values() for row_id, at in log.items() if at < horizon]
        for log, row_id in old:
            del log[row_id]
        return len(old)

    def empty_recycle_bin(self, name: str, before: datetime | None = None) -> int:
        """Remove the soft-deleted rows of an object, those deleted before `before` if given; the log stays."""
        table, horizon = self._tables[name], stamp(before) if before else None
        logged = self._gone[name]
        old = [row_id for row_id, at in logged.items() if horizon is not None and at < horizon]
        purged = 0
        for row_id in old if horizon else [str(row["Id"]) for row in table]:
            row = table.get(row_id)
            if row is not None and row.get("IsDeleted"):
                # A parent takes its children along.
                self._discard(name, row_id, stamp(self.clock.now()), hard=True)
                purged += 1
        return purged

    def changed(self, name: str) -> datetime:
        """When an object's description last changed; no two changes fall into one second of this."""
        return self._changed.get(name, self._opened)

    def note_change(self, name: str) -> None:
        """Move the time of an object's description."""
        following = self.changed(name) + timedelta(seconds=1)
        self._changed[name] = max(self.clock.now(), following)

    def alter(self, kind: ObjectType, convert: Callable[[Row], Row]) -> None:
        """Replace an object's definition; `convert` changes what was said about each row. No stamp moves.

        Raises SeedError for a formula that cannot be computed, and changes nothing then.
        """
        before = self._tables[kind.name].kind
        self.schema.put(kind)
        try:
            self._become(kind)
        except SeedError:
            self.schema.put(before)
            self._become(before)
            raise
        for row_id in list(self._given[kind.name]):
            self._keep(kind, row_id, convert(self._said(kind.name, row_id)))
        self.note_change(kind.name)

    def load(self, name: str, records: list[Mapping[str, Any]]) -> None:
        """Take seeded records as they are. Raises ValueError for fields that cannot be."""
        kind = self._tables[name].kind
        now = stamp(self.clock.now())
        for record in records:
            given = normal_row(kind, record)
            row_id = str(given.setdefault("Id", self._ids.next(kind.prefix)))
            self._keep(kind, row_id, self._audited(kind, given, now))

    def write(self, name: str, fields: Mapping[str, Any], at: str | None = None) -> Row:
        """Create a row, or update it when its id is known; `at` overrides the stamp. Raises ValueError."""
        kind = self._tables[name].kind
        changes = self.checked(name, fields)
        row_id = str(changes["Id"])
        before = self._tables[name].get(row_id)
        now = at or stamp(self.clock.now())
        given = merge(kind, self._said(name, row_id), changes)
        given.update({field: now for field in SYSTEM_FIELDS if field in kind.fields})
        after = self._keep(kind, row_id, self._audited(kind, given, now))
        if name == "OpportunityStage":
            self.note_change("Opportunity")
        return self._remember(before, after, now) if name == "Opportunity" else after

    def checked(self, name: str, fields: Mapping[str, Any]) -> dict[str, Scalar]:
        """What a write says in canonical form, with a new id where it has none. Raises ValueError."""
        kind = self._tables[name].kind
        changes = {key: value for key, value in normal_row(kind, fields).items() if key not in SYSTEM_FIELDS}
        if not changes.get("Id"):
            changes["Id"] = self._ids.next(kind.prefix)
        return changes

    def delete(self, name: str, row_id: str, *, hard: bool = False, at: str | None = None) -> bool:
        """Delete a row and what cascades from it; False when it is not there.

        A soft delete moves SystemModstamp, of the row and of its children (U). A hard delete leaves only the log.
        """
        row = self._tables[name].get(row_id)
        if row is None or (row.get("IsDeleted") and not hard):
            return False
        self._discard(name, row_id, at or stamp(self.clock.now()), hard=hard or name in NO_RECYCLE_BIN)
        return True

    def undelete(self, name: str, row_id: str, *, at: str | None = None) -> bool:
        """Take a row and its children out of the recycle bin with a new stamp (U); False when it is not in it."""
        row = self._tables[name].get(row_id)
        if row is None or not row.get("IsDeleted"):
            return False
        self._restore(name, row_id, at or stamp(self.clock.now()), row["SystemModstamp"])
        return True

    def _become(self, kind: ObjectType) -> None:
        formulas = {
            field.name: compute(field, kind, self.schema, self.table)
            for field in kind.fields.values()
            if field.formula
        }
        self._tables[kind.name].become(kind, formulas)

    def _audited(self, kind: ObjectType, given: dict[str, Scalar], now: str) -> dict[str, Scalar]:
        created = given.get("CreatedDate") or given.get("SystemModstamp") or now
        moved = (
            given.get("SystemModstamp") or given.get("LastModifiedDate") or given.get("CreatedDate") or now
        )
        for name, value in (
            ("CreatedDate", created),
            ("SystemModstamp", moved),
            ("LastModifiedDate", moved),
            ("CreatedById", self.user_id),
            ("LastModifiedById", self.user_id),
        ):
            if name in kind.fields and given.get(name) is None:
                given[name] = value
        return given

    def _keep(self, kind: ObjectType, row_id: str, given: Row) -> Row:
        row = complete(kind, given, self._stages.get, lambda: self._has_lines(row_id))
        names = frozenset(given)
        self._given[kind.name][row_id] = self._name_sets.setdefault(names, names)
        self._tables[kind.name].put(row_id, row)
        if kind.name == "OpportunityStage":
            self._define_stage(row)
        elif kind.name == "OpportunityLineItem":
            self._refresh(str(row["OpportunityId"]))
        return row

    def _said(self, name: str, row_id: str) -> dict[str, Scalar]:
        """What a seed or writes gave explicitly for a row; the rest of it is derived."""
        row = self._tables[name].stored(row_id)
        return {} if row is None else {field: row[field] for field in self._given[name][row_id]}

    def _define_stage(self, row: Row) -> None:
        """Editing a stage changes the meaning of its opportunities and moves none of their stamps."""
        names = {str(row["MasterLabel"]), str(row["ApiName"])}
        self._stages.update(dict.fromkeys(names, row))
        for deal in list(self._tables["Opportunity"]):
            if deal["StageName"] in names:
                deal_id = str(deal["Id"])
                given = self._said("Opportunity", deal_id)
                own = {name: value for name, value in given.items() if name not in STAGE_OWNED}
                self._keep(self._tables["Opportunity"].kind, deal_id, own)

    def _refresh(self, deal_id: str) -> None:
        """Derive an opportunity anew; whether that moves its stamp is not documented (U), here it does not."""
        deals = self._tables["Opportunity"]
        if deals.stored(deal_id) is not None:
            self._keep(deals.kind, deal_id, self._said("Opportunity", deal_id))

    def _has_lines(self, deal_id: str) -> bool:
        lines = self._tables["OpportunityLineItem"].having("OpportunityId", [deal_id]) or []
        return any(not line["IsDeleted"] for line in lines)

    def _remember(self, before: Row | None, after: Row, now: str) -> Row:
        """Write the OpportunityHistory row of a change, and what the opportunity itself notes about it."""
        changed = changed_fields(before, after)
        if not changed:
            return after
        kind = self._tables["OpportunityHistory"].kind
        entry = history_row(kind, before, after, now) | {"Id": self._ids.next(kind.prefix)}
        self._keep(kind, str(entry["Id"]), entry)
        notes: dict[str, Scalar] = {}
        if "StageName" in changed:
            notes["LastStageChangeDate"] = now
        if before and "Amount" in changed:
            notes["LastAmountChangedHistoryId"] = entry["Id"]
        if before and "CloseDate" in changed:
            notes["LastCloseDateChangedHistoryId"] = entry["Id"]
        deal_id = str(after["Id"])
        return self._keep(
            self._tables["Opportunity"].kind, deal_id, {**self._said("Opportunity", deal_id), **notes}
        )

    def _discard(self, name: str, row_id: str, now: str, *, hard: bool) -> None:
        table = self._tables[name]
        self._gone[name].setdefault(row_id, now)
        given = self._said(name, row_id)
        children = self._children(name, row_id)
        if hard or "IsDeleted" not in table.kind.fields:
            table.remove(row_id)
            del self._given[name][row_id]
        else:
            marks: Row = {"IsDeleted": True, "SystemModstamp": now}
            self._keep(table.kind, row_id, {**given, **marks})
        for child, child_id, deleted in children:
            if hard or not deleted:
                self._discard(child, child_id, now, hard=hard)
        if name == "OpportunityLineItem":
            self._refresh(str(given["OpportunityId"]))

    def _restore(self, name: str, row_id: str, now: str, deleted_at: Scalar) -> None:
        table = self._tables[name]
        self._gone[name].pop(row_id, None)
        marks: Row = {"IsDeleted": False, "SystemModstamp": now}
        self._keep(table.kind, row_id, {**self._said(name, row_id), **marks})
        for child, child_id, deleted in self._children(name, row_id):
            row = self._tables[child].get(child_id)
            # Only what went with the parent comes back with it.
            if deleted and row is not None and row["SystemModstamp"] == deleted_at:
                self._restore(child, child_id, now, deleted_at)

    def _children(self, name: str, row_id: str) -> list[tuple[str, str, bool]]:
        return [
            (kind.name, str(row["Id"]), bool(row.get("IsDeleted")))
            for kind, field in self.schema.child_references(name)
            if field.cascade
            for row in self._tables[kind.name].having(field.name, [row_id]) or []
        ]


def open_org(seed: Seed, clock: SettableClock) -> Org:
    """An org with the seed's records. Raises SeedError that names what cannot be."""
    schema = build_schema(
        seed.custom_fields, seed.custom_objects, multi_currency=seed.multi_currency, seeded=seed.objects
    )
    org = Org(schema, clock, seed.org_id)
    unknown = sorted(name for name in seed.objects if schema.get(name) is None)
    if unknown:
        raise SeedError(f"the seed has objects that this org does not have: {', '.join(unknown)}")
    records = with_defaults(seed)
    org.user_id = str(next((user["Id"] for user in records.get("User", []) if "Id" in user), org.user_id))
    try:
        # Stages first: everything else is read in their light. Lines before opportunities, which know theirs.
        order = ("OpportunityStage", "OpportunityLineItem")
        for name in sorted(records, key=lambda each: order.index(each) if each in order else len(order)):
            org.load(name, records[name])
    except ValueError as error:
        raise SeedError(f"the seed has records that cannot be: {error}") from error
    return org
