"""G6: amounts stay in the deal's own currency, whatever the rates do."""

from __future__ import annotations

from decimal import Decimal

from tests.crm_sync.conftest import Stage

from troth_contracts.crm import CurrencyRate
from troth_contracts.topics import BY_NAME, OPPORTUNITIES, REFERENCE
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


def _rates(stage: Stage) -> dict[str, CurrencyRate]:
    found = stage.bus.fold(REFERENCE).values()
    return {each.code: each for each in found if isinstance(each, CurrencyRate)}


async def test_dated_rates_come_with_their_currency_oldest_first(stage: Stage) -> None:
    """SOQL's convertCurrency() would use them by CloseDate; readers do, and the amounts stay as they are.

    https://developer.salesforce.com/docs/atlas.en-us.238.0.soql_sosl.meta/soql_sosl/sforce_api_calls_soql_querying_currency_fields.htm
    """
    stage.org.put("CurrencyType", IsoCode="USD", ConversionRate=1, IsCorporate=True)
    stage.org.put("CurrencyType", IsoCode="MXN", ConversionRate=Decimal("22.95"), IsCorporate=False)
    later = stage.org.put(
        "DatedConversionRate", IsoCode="MXN", StartDate="2026-07-01", ConversionRate=Decimal("21.50")
    )
    stage.org.put("DatedConversionRate", IsoCode="MXN", StartDate="2026-01-01", ConversionRate=20)
    await stage.poll(2_000)

    rates = _rates(stage)
    assert rates["MXN"].rate == Decimal("22.95")
    shown = [(rate.start.isoformat(), rate.rate) for rate in rates["MXN"].dated]
    assert shown == [("2026-01-01", Decimal(20)), ("2026-07-01", Decimal("21.5"))]
    assert rates["USD"].dated == ()
    assert "dated rates by close date" in str((await stage.sync.status())["rates"])

    stage.org.put("DatedConversionRate", later, ConversionRate=Decimal("21.75"))
    await stage.poll(400)
    assert _rates(stage)["MXN"].dated[1].rate == Decimal("21.75")
    assert not [call for call in stage.org.calls if "convertCurrency" in call]


async def test_an_org_that_dates_no_rate_says_that_the_current_one_counts(stage: Stage) -> None:
    stage.org.hidden.add("DatedConversionRate")
    stage.org.put("CurrencyType", IsoCode="EUR", ConversionRate=1, IsCorporate=True)
    await stage.poll(2_000)

    assert _rates(stage)["EUR"].dated == ()
    assert str((await stage.sync.status())["rates"]).startswith("current rates only")
    assert not (await stage.sync.status())["problems"]


async def test_a_dated_rate_of_nothing_is_set_aside_with_its_id(stage: Stage) -> None:
    stage.org.put("CurrencyType", IsoCode="EUR", ConversionRate=1, IsCorporate=True)
    await stage.poll(2_000)
    broken = stage.org.put("DatedConversionRate", IsoCode="EUR", StartDate="2026-01-01", ConversionRate=None)
    await stage.poll(400)

    (letter,) = stage.bus.of(BY_NAME["crm-sync.dead-letters"])
    assert broken in str(letter.headers)
    assert _rates(stage)["EUR"].dated == ()
