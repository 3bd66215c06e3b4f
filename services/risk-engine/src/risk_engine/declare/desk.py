"""Takes declarations into the ledger: checked against what is known, whole or not at all, and marked for evaluation."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date, tzinfo
from typing import Any, Literal

from risk_engine.answer.named import NamedIssues, read_named
from risk_engine.declare.body import Promise, PromiseChange
from risk_engine.domain.calendar import IsWorkingDay
from risk_engine.domain.commitments import CommitPolicy
from risk_engine.domain.ledger import Declared
from risk_engine.domain.model import Deal, Money, commitment_key, deal_of
from risk_engine.domain.money import Rates
from risk_engine.evaluate.deals import enter
from risk_engine.evaluate.inputs import HORIZON
from risk_engine.evaluate.terms import Terms
from risk_engine.problems import ProblemError
from risk_engine.store.answers import read_rates
from risk_engine.store.database import Connection, Database
from risk_engine.store.ledger import add_declaration, add_withdrawal, read_declared
from risk_engine.store.ledger_reads import LedgerQuery, read_ledger
from risk_engine.store.marks import add_marks, hold_deals, share_join_lock
from risk_engine.store.views import read_deals
from troth_chassis.clock import Clock

Via = Literal["api", "csv"]
Outcome = Literal["added", "changed", "unchanged"]


@dataclass(frozen=True, slots=True)
class Known:
    """What declarations are checked against."""

    deals: dict[str, Deal]
    issues: NamedIssues
    rates: Rates
    today: date

    def check(self, promise: Promise | PromiseChange, deal: str) -> None:
        """Raises ProblemError that names the field and the fix."""
        if deal not in self.deals:
            raise ProblemError(
                f"no deal {deal} is known", field="deal", fix="write it as <org>:<opportunity id>"
            )
        self._check_day(promise.promised_date)
        self.issues.issues(promise.issues or ())
        if promise.amount is not None and not self.rates.knows(promise.amount.currency):
            raise ProblemError(
                f"no currency {promise.amount.currency} is known",
                field="amount.currency",
                fix="use a currency of the CRM, or add it there",
            )

    def _check_day(self, day: date | None) -> None:
        if day is not None and day < self.today:
            raise ProblemError(
                f"{day} is past", field="promised_date", fix=f"promise {self.today} or a later day"
            )
        if day is not None and day > self.today + HORIZON:
            raise ProblemError(
                f"{day} is further ahead than capacity is drawn",
                field="promised_date",
                fix=f"promise a day up to {self.today + HORIZON}",
            )


class LedgerDesk:
    """Declares, changes and withdraws. ``on_change`` is called after something was marked for evaluation."""

    def __init__(
        self,
        database: Database,
        *,
        clock: Clock,
        zone: tzinfo,
        is_working_day: IsWorkingDay,
        trials: int,
        policy: CommitPolicy,
        currency: str,
        on_change: Callable[[], None],
    ) -> None:
        self._database = database
        self._clock = clock
        self._zone = zone
        self._is_working_day = is_working_day
        self._trials = trials
        self._policy = policy
        self._currency = currency
        self._on_change = on_change

    async def declare(self, promise: Promise, who: str) -> dict[str, Any]:
        """The commitment as the ledger tells it now. Raises ProblemError."""
        said = declared_of(promise, who)
        async with self.opened([said.deal]) as connection:
            (await self.know(connection, [said.deal], promise.issues)).check(promise, said.deal)
            if await _standing(connection, said.deal, said.part) is not None:
                key = commitment_key(said.deal, said.part)
                raise ProblemError(
                    "it is declared already", field="deliverable", fix=f"PATCH /commitments/{key}", status=409
                )
            await self.write(connection, [said], who=who, via="api")
            row = await self._row(connection, commitment_key(said.deal, said.part))
        return row or {}

    async def change(self, key: str, change: PromiseChange, who: str) -> dict[str, Any]:
        """The commitment as it stands now. Raises ProblemError, 404 where nobody declared it."""
        deal = deal_of(key)
        async with self.opened([deal]) as connection:
            said = await self._declared(connection, key)
            (await self.know(connection, [deal], change.issues or ())).check(change, deal)
            changed = _changed(said, change)
            if changed != said:
                await self.write(connection, [changed], who=who, via="api")
            row = await self._row(connection, key)
        return row or {}

    async def withdraw(self, key: str, who: str, reason: str) -> dict[str, Any] | None:
        """What the ledger tells of the commitment without the declaration; None: nothing. Raises ProblemError."""
        deal = deal_of(key)
        async with self.opened([deal]) as connection:
            await self._declared(connection, key)
            now = self._clock.now()
            await add_withdrawal(connection, key, deal, at=now, who=who, reason=reason)
            await self._enter(connection, [deal])
            return await self._row(connection, key)

    async def know(self, connection: Connection, deals: Collection[str], issues: Collection[str]) -> Known:
        """Everything that promises about these deals and issues are checked against."""
        return Known(
            await read_deals(connection, deals),
            await read_named(connection, set(issues)),
            Rates(await read_rates(connection), self._currency),
            self._terms().today,
        )

    async def write(self, connection: Connection, said: Sequence[Declared], *, who: str, via: Via) -> None:
        """Keeps declarations that were checked, and enters them into the ledger."""
        now = self._clock.now()
        for one in said:
            key = commitment_key(one.deal, one.part)
            await add_declaration(connection, one, commitment=key, at=now, who=who, via=via)
        await self._enter(connection, sorted({one.deal for one in said}))

    @contextlib.asynccontextmanager
    async def opened(self, deals: Collection[str]) -> AsyncIterator[Connection]:
        """A transaction in which nobody else evaluates these deals; what it marked is looked at after it."""
        async with self._database.transaction() as connection:
            await hold_deals(connection, deals)
            await share_join_lock(connection)
            yield connection
        self._on_change()

    async def _enter(self, connection: Connection, deals: Sequence[str]) -> None:
        """A deal that is not there, as during a rebuild, is left to the evaluation: nothing of it has ended."""
        there = await read_deals(connection, deals)
        await enter(connection, [deal for deal in deals if deal in there], self._terms())
        await add_marks(connection, "deal", deals)

    async def _declared(self, connection: Connection, key: str) -> Declared:
        said = await _standing(connection, deal_of(key), key.partition("~")[2])
        if said is None:
            row = await self._row(connection, key)
            source = f"it is read from {row['source']}: change it there, or declare it" if row else ""
            raise ProblemError(
                f"nobody declared {key}", fix=source or "take the key from GET /commitments", status=404
            )
        return said

    async def _row(self, connection: Connection, key: str) -> dict[str, Any] | None:
        rows = await read_ledger(connection, LedgerQuery(deal=deal_of(key), key=key))
        return rows[0] if rows else None

    def _terms(self) -> Terms:
        return Terms(
            self._clock.now(),
            self._zone,
            self._is_working_day,
            self._trials,
            policy=self._policy,
            currency=self._currency,
        )


def declared_of(promise: Promise, who: str) -> Declared:
    """The promise as the domain knows it."""
    return Declared(
        promise.deal,
        " ".join(promise.deliverable.split()),
        promise.promised_date,
        promise.need,
        promise.issues,
        promise.evidence,
        promise.declared_by or who,
        Money(promise.amount.amount, promise.amount.currency) if promise.amount else None,
    )


def _changed(said: Declared, change: PromiseChange) -> Declared:
    given = {name: getattr(change, name) for name in change.model_fields_set}
    if change.amount is not None:
        given["amount"] = Money(change.amount.amount, change.amount.currency)
    if "declared_by" in given:
        given["by"] = given.pop("declared_by")
    nullable = {name: value for name, value in given.items() if value is not None or name == "amount"}
    return replace(said, **nullable)


async def _standing(connection: Connection, deal: str, part: str) -> Declared | None:
    declared = (await read_declared(connection, [deal])).get(deal, [])
    return next((one for one in declared if one.part == part), None)
