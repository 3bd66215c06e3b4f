"""People at work in a simulated org: seeded writes of every kind, some of which become visible late."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from tests.crm_sync.fakes import record_id
from tests.integration.crm_world import WorldTime

from troth_sandbox.salesforce.simulation import Site

CHILDREN = ("OpportunityLineItem", "OpportunityContactRole", "OpportunityTeamMember")
STAGES = ("Prospecting", "Closed Won")
LATEST = 590.0
"""Seconds after its stamp at which a transaction may still commit; the platform's ceiling is 600."""


class Place(Protocol):
    """Where people work."""

    @property
    def site(self) -> Site: ...

    @property
    def time(self) -> WorldTime: ...


class Mayhem:
    """One crowd; the same seed does the same."""

    def __init__(self, world: Place, seed: int = 1, *, late: float = 0.05) -> None:
        self._world = world
        self._org = world.site.org
        self._rng = random.Random(seed)
        self._late = late
        self._number = 0
        self.done = 0

    def during(self, seconds: float, *, writes: int) -> None:
        """Plans so many writes, spread evenly over the next seconds."""
        for number in range(writes):
            self._world.time.after(seconds * (number + 1) / writes, self.act)

    def act(self) -> None:
        """One write of a random kind."""
        kinds: Mapping[Callable[[], object], int] = {
            self.change: 8, self.create: 2, self.change_part: 6, self.add_part: 5, self.delete_part: 3,
            self.delete: 1, self.purge: 1, self.undelete: 2, self.rename_account: 1, self.flicker: 1,
        }  # fmt: skip
        self.done += 1
        self._rng.choices(list(kinds), list(kinds.values()))[0]()

    def create(self) -> None:
        self._write("Opportunity", self._fields())

    def change(self) -> None:
        row_id = self._pick("Opportunity")
        if row_id:
            self._write("Opportunity", {"Id": row_id, **self._fields()})

    def add_part(self) -> None:
        deal = self._pick("Opportunity")
        if deal:
            name = self._rng.choice(CHILDREN)
            self._write(name, {"OpportunityId": deal, **self._part(name)})

    def change_part(self) -> None:
        name = self._rng.choice(CHILDREN)
        row_id = self._pick(name)
        if row_id:
            self._write(name, {"Id": row_id, **self._part(name)})

    def delete_part(self) -> None:
        name = self._rng.choice(CHILDREN)
        row_id = self._pick(name)
        if row_id:
            self._org.delete(name, row_id, hard=self._rng.random() < 0.3)

    def delete(self) -> None:
        self._delete(hard=False)

    def purge(self) -> None:
        self._delete(hard=True)

    def undelete(self) -> None:
        row_id = self._pick("Opportunity", deleted=True)
        if row_id:
            self._org.undelete("Opportunity", row_id)

    def flicker(self) -> None:
        """Deleted, restored and deleted again within one second."""
        row_id = self._pick("Opportunity")
        if row_id:
            self._org.delete("Opportunity", row_id)
            self._org.undelete("Opportunity", row_id)
            if self._rng.random() < 0.5:
                self._org.delete("Opportunity", row_id)

    def rename_account(self) -> None:
        row = {"Id": record_id("Account", 1), "Name": f"Acme {self._rng.randrange(1_000)}"}
        self._org.write("Account", row)

    def _delete(self, *, hard: bool) -> None:
        row_id = self._pick("Opportunity")
        parts = [part for name in CHILDREN for part in self._of(name, row_id)] if row_id else []
        if row_id and not any(map(self._world.site.transactions.locked, parts)):
            self._org.delete("Opportunity", row_id, hard=hard)

    def _of(self, name: str, deal: str) -> Iterator[str]:
        return (str(row["Id"]) for row in self._org.table(name).having("OpportunityId", [deal]) or ())

    def _write(self, name: str, fields: Mapping[str, Any]) -> None:
        transactions = self._world.site.transactions
        if self._rng.random() < self._late:
            transaction = transactions.begin(self._rng.uniform(1, LATEST))
            transactions.add(transaction.id, {"op": "write", "object": name, "fields": fields})
        else:
            self._org.write(name, fields)

    def _pick(self, name: str, *, deleted: bool = False) -> str | None:
        locked = self._world.site.transactions.locked
        table = self._org.table(name)
        rows = sorted(str(row["Id"]) for row in table if row["IsDeleted"] == deleted)
        free = [row_id for row_id in rows if not locked(row_id)]
        return self._rng.choice(free) if free else None

    def _fields(self) -> dict[str, Any]:
        self._number += 1
        return {
            "Name": f"Deal of the day {self._number}",
            "StageName": self._rng.choice(STAGES),
            "Amount": self._rng.randrange(100_000) / 100,
            "CurrencyIsoCode": "EUR",
            "CloseDate": f"2026-12-{self._rng.randint(1, 28):02}",
            "AccountId": record_id("Account", 1),
            "OwnerId": record_id("User", 1),
            "NextStep": f"step {self._number}",
            "Promised_Date__c": f"2027-01-{self._rng.randint(1, 28):02}",
        }

    def _part(self, name: str) -> dict[str, Any]:
        self._number += 1
        if name == "OpportunityLineItem":
            return {
                "Product2Id": record_id("Product2", 1),
                "Quantity": self._rng.randint(1, 9),
                "UnitPrice": self._rng.randrange(1_000),
                "CurrencyIsoCode": "EUR",
                "ServiceDate": f"2027-02-{self._rng.randint(1, 28):02}",
            }
        role = "TeamMemberRole" if name == "OpportunityTeamMember" else "Role"
        person = {"UserId": record_id("User", 1)} if name == "OpportunityTeamMember" else {}
        return {role: f"Role {self._number}", **person}
