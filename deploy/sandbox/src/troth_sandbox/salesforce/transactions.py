"""Transactions that commit later than they stamp: why a cursor on SystemModstamp loses rows [se-18734]."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from troth_sandbox.salesforce.clock import stamp
from troth_sandbox.salesforce.ids import long_id
from troth_sandbox.salesforce.org import Org

KINDS = frozenset({"write", "delete", "undelete"})


@dataclass(frozen=True, slots=True)
class Operation:
    """One statement of a transaction, stamped when it was made; `row_id` is known even for a new row."""

    kind: str
    object: str
    row_id: str
    at: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    hard: bool = False


@dataclass(slots=True)
class Transaction:
    """Begun at `began`, committed at `due` or, without one, on request."""

    id: str
    began: datetime
    due: datetime | None
    operations: list[Operation] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """The form of the admin API."""
        return {
            "id": self.id,
            "began": stamp(self.began),
            "commits_at": stamp(self.due) if self.due else None,
            "operations": [
                {"op": each.kind, "object": each.object, "id": each.row_id, "at": each.at}
                for each in self.operations
            ],
        }


class Transactions:
    """The open transactions of an org; nobody else sees what they did before they commit."""

    def __init__(self, org: Org) -> None:
        self._org = org
        self._open: dict[str, Transaction] = {}
        self._count = 0

    def __iter__(self) -> Iterator[Transaction]:
        return iter(self._open.values())

    def begin(self, commit_after: float | None = None, began: datetime | None = None) -> Transaction:
        """Open a transaction that commits `commit_after` seconds from now, or only on request."""
        now = self._org.clock.now()
        due = None if commit_after is None else now + timedelta(seconds=commit_after)
        self._count += 1
        transaction = Transaction(f"tx{self._count}", began or now, due)
        self._open[transaction.id] = transaction
        return transaction

    def add(self, transaction_id: str, document: Mapping[str, Any], at: datetime | None = None) -> Operation:
        """Make a statement, stamped now or `at`. Raises KeyError for a closed transaction, ValueError for nonsense."""
        transaction = self._open[transaction_id]
        operation = self._operation(document, stamp(at or self._org.clock.now()))
        if self.locked(operation.row_id, besides=transaction_id):
            raise ValueError(f"{operation.row_id} is locked by another transaction")
        transaction.operations.append(operation)
        return operation

    def commit(self, transaction_id: str) -> Transaction:
        """Make everything of a transaction visible at once. Raises KeyError when it is not open."""
        transaction = self._open.pop(transaction_id)
        for each in transaction.operations:
            if each.kind == "write":
                self._org.write(each.object, each.fields, at=each.at)
            elif each.kind == "delete":
                self._org.delete(each.object, each.row_id, hard=each.hard, at=each.at)
            else:
                self._org.undelete(each.object, each.row_id, at=each.at)
        return transaction

    def roll_back(self, transaction_id: str) -> Transaction:
        """Forget a transaction. Raises KeyError when it is not open."""
        return self._open.pop(transaction_id)

    def settle(self) -> None:
        """Commit what is due by the clock, in the order of the due times."""
        if not self._open:
            return
        now = self._org.clock.now()
        due = [(each.due, each.id) for each in self._open.values() if each.due and each.due <= now]
        for _, transaction_id in sorted(due):
            self.commit(transaction_id)

    def oldest(self) -> datetime | None:
        """When the oldest open transaction began: nothing after it is surely covered [ldc]."""
        return min((each.began for each in self._open.values()), default=None)

    def locked(self, row_id: str, besides: str | None = None) -> bool:
        """True while an open transaction other than `besides` has changed that row."""
        return any(
            operation.row_id == row_id
            for transaction in self._open.values()
            if transaction.id != besides
            for operation in transaction.operations
        )

    def _operation(self, document: Mapping[str, Any], at: str) -> Operation:
        kind = document.get("op", "write")
        target = self._org.schema.get(str(document.get("object")))
        if kind not in KINDS or target is None:
            raise ValueError(f"an operation needs op ({', '.join(sorted(KINDS))}) and a known object")
        if kind != "write":
            row_id = long_id(str(document.get("id")))
            return Operation(kind, target.name, row_id, at, hard=bool(document.get("hard")))
        fields = self._org.checked(target.name, document.get("fields", {}))
        return Operation(kind, target.name, str(fields["Id"]), at, fields)
