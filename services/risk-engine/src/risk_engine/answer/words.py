"""The answer of a promise check, with its money and in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from risk_engine.answer.asked_work import AskedWork
from risk_engine.domain.feasibility import WARNING
from risk_engine.domain.model import Deal, Money, deal_of
from risk_engine.domain.money import CENT, Rates
from risk_engine.domain.promise_check import SAFE, Displaced, Reply, Standing
from risk_engine.domain.rules.levels import percent
from risk_engine.domain.seeds import SEED

_NAMED = 3


@dataclass(frozen=True, slots=True)
class Asked:
    """The question, understood."""

    day: date
    amount: Money | None
    work: AskedWork


def told(
    asked: Asked,
    reply: Reply | None,
    standings: Mapping[str, Standing],
    deals: Mapping[str, Deal],
    rates: Rates,
) -> dict[str, Any]:
    """The answer as JSON. No reply: no team has anything to do in it."""
    promised = {key: day for standing in standings.values() for key, day in standing.book.promised.items()}
    displaced = [
        _displaced(one, promised[one.commitment], deals.get(deal_of(one.commitment)), rates)
        for one in (reply.displaced if reply else ())
    ]
    displaced.sort(key=lambda one: (-Decimal(one["money_at_risk"] or 0), one["commitment"]))
    chance = _chance(asked, reply)
    answer = {
        "date": asked.day.isoformat(),
        "verdict": _verdict(chance),
        "probability": None if chance is None else round(chance, 4),
        "nearest_date": reply.nearest.isoformat() if reply and reply.nearest else None,
        "amount": _money(asked.amount),
        "teams": _teams(reply, standings),
        "displaced": displaced,
        "displaced_money": _sum(displaced, rates),
        "smallest_that_fits": _subset(asked, reply),
        "not_counted": list(asked.work.boardless),
        "blocked_by": [{"issue": issue, "by": by} for issue, by in asked.work.blockers],
        "basis": {
            "seed": SEED,
            "trials": next(iter(standings.values())).book.inputs.trials if standings else 0,
            "assumed_sizes": asked.work.assumed,
            "cold_teams": sorted(_names(standings, cold=True)),
        },
    }
    return answer | {"explanation": list(_sentences(answer, asked, reply))}


def _chance(asked: Asked, reply: Reply | None) -> float | None:
    if reply is not None:
        return reply.probability
    return None if asked.work.boardless else 1.0


def _verdict(chance: float | None) -> str:
    if chance is None:
        return "unknown"
    if chance >= SAFE:
        return "safe"
    return "risky" if chance >= WARNING else "unlikely"


def _teams(reply: Reply | None, standings: Mapping[str, Standing]) -> list[dict[str, Any]]:
    return [
        {
            "team": share.team,
            "name": standings[share.team].book.inputs.name,
            "unit": standings[share.team].book.inputs.unit,
            "points": round(share.points, 2),
            "probability_alone": round(share.p_alone, 4),
            "fits_points": round(share.fits_points, 1),
        }
        for share in (reply.teams if reply else ())
    ]


def _displaced(one: Displaced, promised: date, deal: Deal | None, rates: Rates) -> dict[str, Any]:
    key = deal_of(one.commitment)
    amount = deal.amount if deal else None
    converted = rates.convert(amount, key.partition(":")[0], deal.close_date) if deal and amount else None
    value = converted.amount if converted else None
    lost = Decimal(str(round(one.before - one.after, 6)))
    return {
        "deal": key,
        "commitment": one.commitment,
        "name": deal.name if deal else key,
        "account": deal.account if deal else None,
        "promised_date": promised.isoformat(),
        "probability_before": round(one.before, 4),
        "probability_after": round(one.after, 4),
        "breaks": one.before >= WARNING > one.after,
        "amount": _money(amount),
        "rate": converted.basis if converted else None,
        "money_at_risk": None if value is None else str((value * lost).quantize(CENT)),
    }


def _sum(displaced: list[dict[str, Any]], rates: Rates) -> dict[str, str] | None:
    """None where nothing is displaced; deals in a currency without a rate are told one by one only.

    A deal that several of its promises endanger counts once, by the worst of them.
    """
    by_deal = {
        one["deal"]: Decimal(one["money_at_risk"])
        for one in sorted(displaced, key=lambda one: Decimal(one["money_at_risk"] or 0))
        if one["money_at_risk"] is not None
    }
    known = list(by_deal.values())
    currencies = {one["amount"]["currency"] for one in displaced if one["amount"]}
    currency = rates.reporting or (currencies.pop() if len(currencies) == 1 else "")
    return {"amount": str(sum(known, Decimal(0))), "currency": currency} if known and currency else None


def _subset(asked: Asked, reply: Reply | None) -> dict[str, Any] | None:
    """None when everything is safe, or when what is asked for has no parts."""
    if reply is None or reply.subset is None or len(asked.work.items) < 2:
        return None
    subset = reply.subset
    chosen = set(subset.chosen)
    return {
        "issues": list(subset.chosen),
        "left_out": [item.name for item in asked.work.items if item.name not in chosen],
        "money": {"amount": str(subset.value.quantize(CENT)), "currency": asked.amount.currency}
        if asked.amount
        else None,
        "probability": None if reply.subset_probability is None else round(reply.subset_probability, 4),
        "best_possible": subset.optimal,
    }


def _names(standings: Mapping[str, Standing], *, cold: bool) -> set[str]:
    inputs = (standing.book.inputs for standing in standings.values())
    return {told.name for told in inputs if told.cold is cold}


def _money(money: Money | None) -> dict[str, str] | None:
    return {"amount": str(money.amount), "currency": money.currency} if money else None


def _sentences(answer: Mapping[str, Any], asked: Asked, reply: Reply | None) -> Iterator[str]:
    chance = _chance(asked, reply)
    if chance is None:
        yield "None of it is on a team's board, so nothing can be said: put the issues on a board first."
    elif reply is None:
        yield "Nothing of it is open any more: it can be promised."
    else:
        yield f"{percent(chance)} of the trials have all of it done by {asked.day.isoformat()}."
        yield from _when(answer, chance)
        yield from _who(answer)
    yield from _displacement(answer)
    yield from _smaller(answer)
    yield from _doubts(answer)


def _when(answer: Mapping[str, Any], chance: float) -> Iterator[str]:
    nearest = answer["nearest_date"]
    if chance >= SAFE:
        yield "That is safe to promise (85 % or more)."
    elif nearest is None:
        yield "At present capacity no day is safe to promise."
    else:
        yield f"The nearest day that is safe to promise (85 %) is {nearest}."


def _who(answer: Mapping[str, Any]) -> Iterator[str]:
    for team in answer["teams"]:
        yield (
            f"{team['name']} would do {team['points']:g} {team['unit']} for it; beside what it owes by then"
            f" {team['fits_points']:g} fit."
        )


def _displacement(answer: Mapping[str, Any]) -> Iterator[str]:
    displaced, money = answer["displaced"], answer["displaced_money"]
    if not displaced:
        return
    named = "; ".join(
        f"{one['name']} ({percent(one['probability_before'])} to {percent(one['probability_after'])})"
        for one in displaced[:_NAMED]
    )
    more = f" and {len(displaced) - _NAMED} more" if len(displaced) > _NAMED else ""
    worth = f", {money['amount']} {money['currency']} in expectation" if money else ""
    yield f"It would displace {len(displaced)} promise(s){worth}: {named}{more}."


def _smaller(answer: Mapping[str, Any]) -> Iterator[str]:
    smaller = answer["smallest_that_fits"]
    if smaller is None:
        return
    if not smaller["issues"]:
        yield "No part of it fits by then."
        return
    worth = f", worth {smaller['money']['amount']} {smaller['money']['currency']}" if smaller["money"] else ""
    yield f"What fits by then{worth}: {', '.join(smaller['issues'])}; left out: {', '.join(smaller['left_out'])}."


def _doubts(answer: Mapping[str, Any]) -> Iterator[str]:
    if answer["basis"]["assumed_sizes"]:
        yield f"{answer['basis']['assumed_sizes']} issue(s) have no estimate and count as is typical of their team."
    if answer["not_counted"] and answer["probability"] is not None:
        yield f"On no board and not counted: {', '.join(answer['not_counted'])}."
    for blocked in answer["blocked_by"]:
        yield f"{blocked['issue']} is blocked by {blocked['by']}, which is open: not simulated."
    if answer["basis"]["cold_teams"]:
        names = ", ".join(answer["basis"]["cold_teams"])
        yield f"Too few closed sprints of its own, other teams' stand in: {names}."
