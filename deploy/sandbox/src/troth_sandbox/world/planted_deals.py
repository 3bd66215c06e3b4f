"""The sales side of a planted story: a deal in force with its promise, its key, its history and its people."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from random import Random

from troth_sandbox.world.crm_org import CrmOrg
from troth_sandbox.world.deals import DealDraft, Line, Step
from troth_sandbox.world.scenario import PlantedDeal

_WAYS = {
    "Won": (("Engaging", 40), ("Commit", 12), ("Won", 0)),
    "Lost": (("Engaging", 40), ("Proposal", 12), ("Lost", 0)),
    "Commit": (("Engaging", 30), ("Proposal", 12), ("Commit", 0)),
    "Proposal": (("Engaging", 20), ("Proposal", 0)),
}
"""Stages a deal passes, with the days before it entered its present one."""


class DealPlanter:
    """Adds planted deals to an org; sellers, customers and products are taken from it in turn."""

    def __init__(self, org: CrmOrg, today: date, seed: int) -> None:
        self._org = org
        self._today = today
        self._rng = Random(f"{seed}:planted-deals")
        self._engineers = [org.add_user(f"Solution Engineer {n}", "Solution Engineer") for n in (1, 2, 3)]

    def add(self, deal: PlantedDeal, promised: date, keys: list[str]) -> str:
        """Add the deal; returns the opportunity's id."""
        rng = self._rng
        account = rng.choice(self._org.accounts)
        product = rng.choice(self._org.products)
        steps = self._steps(deal)
        closed = steps[-1].stage in {"Won", "Lost"}
        draft = DealDraft(
            name=f"{account.name} - {deal.title}",
            owner_id=rng.choice(self._org.sellers),
            amount=deal.amount,
            close_date=steps[-1].at.date() if closed else self._today + timedelta(days=14),
            created=steps[0].at - timedelta(days=20),
            steps=steps,
            account_id=account.id,
            probability=deal.probability,
            next_step=_text(deal.next_step, deal, "next_step", keys),
            description=_text(deal.description, deal, "description", keys),
            promised=promised,
            jira_key=", ".join(keys) if keys and deal.key_in == "field" else None,
            lines=(Line(product.id, 1, deal.amount, deal.title),),
            engineer_id=rng.choice(self._engineers),
            contact_id=self._org.add_contact(f"Contact at {account.name}", account.id),
        )
        return self._org.add_deal(draft)

    def _steps(self, deal: PlantedDeal) -> tuple[Step, ...]:
        entered = datetime.combine(self._today - timedelta(days=deal.days_in_force), time(10), UTC)
        return tuple(Step(entered - timedelta(days=days), stage) for stage, days in _WAYS[deal.stage])


def _text(given: str | None, deal: PlantedDeal, place: str, keys: list[str]) -> str | None:
    if not keys or deal.key_in != place:
        return given
    return f"{given or 'Deliver'} {' and '.join(keys)} before go-live"
