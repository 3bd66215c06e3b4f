"""G6: amounts stay in the deal's own currency, whatever the rates do."""

from __future__ import annotations

from decimal import Decimal

from tests.crm_sync.conftest import Stage

from troth_contracts.crm import CurrencyRate
from troth_contracts.topics import OPPORTUNITIES, REFERENCE
from troth_contracts.values import Money


async def test_a_rate_change_moves_no_amount(stage: Stage) -> None:
    """https://github.com/SFDO-Community/declarative-lookup-rollup-summaries/issues/730"""
    stage.org.put("CurrencyType", IsoCode="USD", ConversionRate=1, IsCorporate=True)
    peso = stage.org.put("CurrencyType", IsoCode="MXN", ConversionRate=Decimal("20.8558"), IsCorporate=False)
    deal = stage.org.deal(Amount=60_000, CurrencyIsoCode="MXN")
    for price in (45_000, 15_000):
        stage.org.put(
            "OpportunityLineItem", None, OpportunityId=deal, TotalPrice=price, CurrencyIsoCode="MXN"
        )
    await stage.poll(2_000)
    await stage.poll()
    published = len(stage.bus.of(OPPORTUNITIES))

    stage.org.put("CurrencyType", peso, ConversionRate=Decimal("22.95"))
    await stage.poll(400)

    shown = stage.deals()[deal]
    assert shown.amount == Money(amount=Decimal(60_000), currency="MXN")
    prices = [item.total_price for item in shown.line_items]
    assert sum(price.amount for price in prices if price) == 60_000
    assert {price.currency for price in prices if price} == {"MXN"}
    assert len(stage.bus.of(OPPORTUNITIES)) == published
    rates = [each for each in stage.bus.fold(REFERENCE).values() if isinstance(each, CurrencyRate)]
    assert Decimal("22.95") in {rate.rate for rate in rates}


async def test_status_shows_plan_and_what_was_read(stage: Stage) -> None:
    stage.org.deal()
    await stage.poll()
    stage.metrics.called("query", "200", "api-usage=8200/10000")

    status = await stage.sync.status()

    assert status["deals"] == 1
    assert status["plan"]["level"] == "trail"  # type: ignore[index]
    assert status["plan"]["poll_seconds"] == 600  # type: ignore[index]


async def test_no_sweep_while_more_than_half_of_the_org_s_calls_are_used(stage: Stage) -> None:
    stage.org.deal()
    await stage.poll()
    stage.metrics.called("query", "200", "api-usage=5100/10000")
    await stage.poll(7 * 3_600)
    assert stage.metrics.swept_at._value.get() == 0

    stage.metrics.called("query", "200", "api-usage=100/10000")
    await stage.poll()
    assert stage.metrics.swept_at._value.get() > 0
