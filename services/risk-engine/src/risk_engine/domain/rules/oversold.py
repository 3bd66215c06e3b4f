"""`oversold`: a team owes more by a promised date than its sprints can probably deliver, in any order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from risk_engine.domain.feasibility import WARNING_CLEARS, DueDate, TeamOutlook
from risk_engine.domain.finding import Finding, money_of
from risk_engine.domain.history import Unit
from risk_engine.domain.model import Deal
from risk_engine.domain.rules.levels import fires, percent, severity_of

VERSION = "1.0"
_DEALS_NAMED = 5


def oversold(
    outlook: TeamOutlook, team_name: str, deals: Mapping[str, Deal], *, unit: Unit = "points"
) -> Finding | None:
    """The team's first breaking date, from today on; None when every date clears. ``deals``: by commitment.

    A date already past with work still open keeps an alert that fires, but starts none.
    """
    due = outlook.breaking or outlook.first_below(WARNING_CLEARS) or _overdue(outlook)
    if due is None:
        return None
    late = tuple({deals[key].key: deals[key] for key in due.deals}.values())
    return Finding(
        kind="oversold",
        subject=(outlook.team,),
        rule_version=VERSION,
        severity=severity_of(due.probability, cold=outlook.cold),
        title=f"{team_name} is oversold by {due.missing_points} {unit} for {due.date.isoformat()}",
        deals=late,
        clears_when=f"the chance that {team_name} covers what is due by {due.date.isoformat()}"
        f" is {percent(WARNING_CLEARS)} or more",
        next_step="Sales and engineering agree which promise moves, or which scope is left out.",
        holds=due.date >= outlook.today and fires(due.probability),
        team=team_name,
        date=due.date,
        probability=due.probability,
        missing_points=due.missing_points,
        money=money_of(late),
        evidence=_evidence(due, late, unit, cold=outlook.cold),
        covers=frozenset(_covered(outlook, due)),
    )


def _overdue(outlook: TeamOutlook) -> DueDate | None:
    open_still = (due for due in outlook.due if due.date < outlook.today and due.probability < WARNING_CLEARS)
    return next(open_still, None)


def _covered(outlook: TeamOutlook, first: DueDate) -> Iterable[str]:
    """The deals of the breaking date, and of every later date the same shortfall breaks."""
    for due in outlook.due:
        if due.date == first.date or (due.date > first.date and fires(due.probability)):
            yield from due.deals


def _evidence(due: DueDate, late: tuple[Deal, ...], unit: Unit, *, cold: bool) -> tuple[str, ...]:
    named = ", ".join(deal.name for deal in late[:_DEALS_NAMED])
    more = f" and {len(late) - _DEALS_NAMED} more" if len(late) > _DEALS_NAMED else ""
    lines = (
        f"{percent(due.probability)} of the trials cover everything due by {due.date.isoformat()}.",
        f"Due by then: {due.load:.0f} {unit}; deliverable by then: {due.capacity:.0f} {unit} (means).",
        f"Promised for that date: {named}{more}.",
    )
    note = ("Too few closed sprints of its own: other teams' sprints stand in.",) if cold else ()
    return lines + note
