"""Answers promise checks: gathers the work and the teams, asks the domain, tells it in words and money."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

from risk_engine.answer.asked_work import AskedWork, blocking, in_units, work_of_issues
from risk_engine.answer.named import read_named
from risk_engine.answer.question import SIZES, Question, check_question
from risk_engine.answer.shelf import Shelf
from risk_engine.answer.words import Asked, told
from risk_engine.domain.calendar import IsWorkingDay
from risk_engine.domain.links import BELIEVED
from risk_engine.domain.model import Deal, Money, deal_of
from risk_engine.domain.money import Rates
from risk_engine.domain.promise_check import AskedItem, PromiseCheck, Standing
from risk_engine.domain.registry import Registry
from risk_engine.domain.work import Roster, TypicalSizes
from risk_engine.evaluate.inputs import HORIZON, gather_inputs
from risk_engine.evaluate.terms import Terms
from risk_engine.problems import ProblemError
from risk_engine.remembered import Remembered
from risk_engine.store.answers import keep_answer, read_kept_elsewhere, read_rates
from risk_engine.store.commitments import (
    CommitmentRow,
    digest_of,
    main_commitment,
    read_commitments,
    read_digests,
    read_inputs,
)
from risk_engine.store.database import Connection, Database
from risk_engine.store.views import read_deals, read_roster, read_typical_sizes, read_work_tree
from troth_chassis.clock import Clock

ROSTER_SECONDS = 15.0
SIZES_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class _Base:
    """What the question rests on."""

    deal: Deal | None
    commitment: CommitmentRow | None
    amount: Money | None


class PromiseDesk:
    """Never changes anything, but for an answer it is asked to keep. Keeps drawn capacity between questions."""

    def __init__(
        self,
        database: Database,
        *,
        clock: Clock,
        zone: tzinfo,
        is_working_day: IsWorkingDay,
        trials: int,
        currency: str = "",
        registry: Registry | None = None,
        deal_share: float = 1.0,
    ) -> None:
        self._database = database
        self._clock = clock
        self._zone = zone
        self._is_working_day = is_working_day
        self._trials = trials
        self._currency = currency
        self._registry = registry or Registry()
        self._deal_share = deal_share
        self._shelf = Shelf()
        self._rosters: Remembered[Roster] = Remembered(clock, ROSTER_SECONDS)
        self._sizes: Remembered[TypicalSizes] = Remembered(clock, SIZES_SECONDS)

    async def answer(self, question: Question) -> dict[str, Any]:
        """The answer. Raises ProblemError that names the field."""
        now = self._clock.now()
        terms = Terms(now, self._zone, self._is_working_day, self._trials, self._registry, self._deal_share)
        check_question(question, terms.today, terms.today + HORIZON)
        async with self._database.transaction() as connection:
            rates = Rates(await read_rates(connection), self._currency)
            base = await self._base(connection, question, rates)
            work, standings, digests = await self._work(connection, question, base, terms)
            answer = await self._told(connection, question, base, work, standings, rates)
            answer["basis"] |= {"as_of": now.isoformat(), "inputs": digests}
            if question.store and question.deal is not None:
                asked = question.model_dump(mode="json", exclude_defaults=True)
                answer["kept_as"] = await keep_answer(connection, question.deal, now, asked, answer)
        return answer

    async def _base(self, connection: Connection, question: Question, rates: Rates) -> _Base:
        deal = None
        if question.deal is not None:
            deal = (await read_deals(connection, [question.deal])).get(question.deal)
            if deal is None:
                raise ProblemError(
                    f"no deal {question.deal} is known",
                    field="deal",
                    fix="write it as <org>:<opportunity id>",
                )
        commitment = (
            main_commitment(await read_commitments(connection, [deal.key]), deal.key) if deal else None
        )
        amount = Money(question.amount.amount, question.amount.currency) if question.amount else None
        if amount is not None and not rates.knows(amount.currency):
            raise ProblemError(
                f"no currency {amount.currency} is known",
                field="amount.currency",
                fix="use a currency of the CRM, or add it there",
            )
        return _Base(deal, commitment, amount or (deal.amount if deal else None))

    async def _work(
        self, connection: Connection, question: Question, base: _Base, terms: Terms
    ) -> tuple[AskedWork, dict[str, Standing], dict[str, str]]:
        roster = await self._rosters.get(lambda: read_roster(connection, self._registry))
        if (named := question.effort or question.sized) is not None:
            team = await self._team(connection, named.team, "effort" if question.effort else "sized")
            standings, digests = await self._standings(connection, [team], question, terms)
            points = _points(question, standings[team])
            item = AskedItem("the new work", ((team, "", points),))
            return AskedWork((item,)), standings, digests
        work = await self._issues(connection, question, base, roster)
        standings, digests = await self._standings(connection, work.teams, question, terms)
        return (
            in_units(work, {team: told.book.inputs.unit for team, told in standings.items()}),
            standings,
            digests,
        )

    async def _team(self, connection: Connection, name: str, field: str) -> str:
        for _ in range(2):
            roster = await self._rosters.get(lambda: read_roster(connection, self._registry))
            found = [
                t.key
                for t in roster.teams.values()
                if name.casefold() in (t.key.casefold(), t.name.casefold())
            ]
            if len(found) == 1:
                return found[0]
            self._rosters.forget()
        if found:
            raise ProblemError(
                f"{len(found)} teams are called {name}",
                field=f"{field}.team",
                fix=f"use a key: {', '.join(found)}",
            )
        raise ProblemError(
            f"no team {name} is known", field=f"{field}.team", fix="use a board's name or <site>:<board id>"
        )

    async def _issues(
        self, connection: Connection, question: Question, base: _Base, roster: Roster
    ) -> AskedWork:
        roots = await _roots(connection, question, base)
        tree = await read_work_tree(connection, set(roots.values()), roster.done)
        for name, key in roots.items():
            if key not in tree.issues:
                raise ProblemError(f"issue {name} was deleted", field="issues", fix="leave it out")
        around_keys = blocking(list(roots.values()), tree)
        around = await read_work_tree(connection, around_keys, roster.done) if around_keys else tree
        typical = await self._sizes.get(lambda: read_typical_sizes(connection, roster))
        return work_of_issues(
            list(dict.fromkeys(roots.values())),
            tree,
            around,
            roster,
            typical,
            amount=base.amount.amount if base.amount else None,
            values={roots[name]: value for name, value in question.values.items()},
        )

    async def _standings(
        self, connection: Connection, teams: Sequence[str], question: Question, terms: Terms
    ) -> tuple[dict[str, Standing], dict[str, str]]:
        digests = await read_digests(connection, teams)
        unread = {team for team, digest in digests.items() if not self._shelf.holds(digest, question.date)}
        found = await read_inputs(
            connection, unread
        )  # an evaluation may have ended since: what is read counts
        inputs = {team: told for team, (_, told) in found.items()}
        digests = {team: digest for team, digest in digests.items() if team not in unread}
        digests |= {team: digest for team, (digest, _) in found.items()}
        for team in teams:
            if team not in digests:  # it owes nothing yet, so nothing was kept for it
                roster = await self._rosters.get(lambda: read_roster(connection, self._registry))
                inputs[team] = await gather_inputs(connection, roster.teams[team], [], {}, terms)
                digests[team] = digest_of(inputs[team])
        standings = {
            team: self._shelf.standing(digests[team], lambda team=team: inputs[team], question.date)  # type: ignore[misc]
            for team in teams
        }
        return standings, digests

    async def _told(
        self,
        connection: Connection,
        question: Question,
        base: _Base,
        work: AskedWork,
        standings: Mapping[str, Standing],
        rates: Rates,
    ) -> dict[str, Any]:
        asked = Asked(question.date, base.amount, work)
        if not standings:
            return told(asked, None, {}, {}, rates)
        replaced = base.commitment.deal if base.commitment else None
        trials = _trials(standings)
        check = PromiseCheck(work.items, standings, question.date, instead_of=replaced)
        touched = check.touched()
        promised = {
            deal: standing.book.promised[deal]
            for standing in standings.values()
            for deal in touched & standing.demand.rows.keys()
        }
        reply = check.reply(await read_kept_elsewhere(connection, promised, list(standings), trials))
        deals = await read_deals(connection, {deal_of(one.commitment) for one in reply.displaced})
        return told(asked, reply, standings, deals, rates)


async def _roots(connection: Connection, question: Question, base: _Base) -> dict[str, str]:
    """Issue (``<site>:<id>``) by the name it was asked with; the deal's own where none is named."""
    if not question.issues:
        links = base.commitment.links if base.commitment else ()
        own = {link.issue: link.issue for link in links if link.confidence >= BELIEVED}
        if not own:
            raise ProblemError(
                f"{question.deal} has no issues of its own",
                field="issues",
                fix="name the issues, or effort and team",
            )
        return own
    return dict((await read_named(connection, question.issues)).issues(question.issues))


def _points(question: Question, standing: Standing) -> float:
    """What the effort or the size class comes to in the team's unit."""
    if question.effort is not None:
        inputs = standing.book.inputs
        return question.effort.points / (inputs.points_per_item if inputs.unit == "items" else 1.0)
    usual = float(standing.book.capacity.draws.mean())
    return SIZES[question.sized.size] * usual if question.sized else 0.0


def _trials(standings: Mapping[str, Standing]) -> int:
    """Teams drawn in different numbers of trials cannot be combined; after a change of the setting that passes."""
    counts = {standing.book.inputs.trials for standing in standings.values()}
    if len(counts) > 1:
        raise ProblemError("the teams are being evaluated anew", fix="try again in a minute", status=503)
    return counts.pop()
