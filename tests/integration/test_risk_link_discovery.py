"""Links are found as each organisation writes them down, without configuration; what is no link is left alone."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from tests.risk_engine.engine import Engine, open_engine
from tests.risk_engine.promise_orgs import ORGS, PromiseOrg

from risk_engine.domain.links import BELIEVED
from troth_contracts.codec import OutRecord

RECALL, WRONG = 0.95, 0.01
Built = Callable[[], PromiseOrg]


@dataclass(frozen=True)
class Found:
    """(deal, issue) pairs of deals in force, with their confidence."""

    links: dict[tuple[str, str], float]

    def at_least(self, confidence: float) -> set[tuple[str, str]]:
        return {pair for pair, sure in self.links.items() if sure >= confidence}


async def discover(engine: Engine, org: PromiseOrg) -> Found:
    for batch in batches(org):
        await engine.take(batch)
    await engine.go_live()
    await engine.evaluate()
    rows = await engine.rows(
        "SELECT deal_key, issue, confidence FROM links JOIN commitments USING (deal_key)"
    )
    return Found({(deal, issue): confidence for deal, issue, confidence in rows})


def batches(org: PromiseOrg) -> Iterator[list[OutRecord]]:
    for start in range(0, len(org.records), 200):
        yield org.records[start : start + 200]


@pytest.mark.parametrize("build", ORGS, ids=lambda build: build.__name__)
async def test_planted_links_are_found_without_configuration(
    postgres: str, build: Built, capsys: pytest.CaptureFixture[str]
) -> None:
    """What people can believe counts; of products, which only suggest by themselves, the suggestions do."""
    org = build()
    async with open_engine(postgres) as engine:
        found = (await discover(engine, org)).at_least(
            0.70 if build.__name__ == "product_versions" else BELIEVED
        )
    recall = len(found & org.truth) / len(org.truth)
    wrong = len(found - org.truth) / len(found)
    with capsys.disabled():
        print(f"\n{build.__name__}: {len(org.truth)} planted, {recall:.1%} found, {wrong:.2%} wrong")  # noqa: T201
    assert len(org.truth) > 150
    assert recall >= RECALL, sorted(org.truth - found)[:5]
    assert wrong <= WRONG, Counter(trap_of(org, deal) for deal, _ in found - org.truth)


def trap_of(org: PromiseOrg, deal: str) -> str:
    return next((trap for trap, deals in org.traps.items() if deal in deals), "no trap")
