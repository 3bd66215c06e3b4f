"""``crm-sync check`` names what people must know before the first start."""

from __future__ import annotations

from tests.crm_sync.fakes import MemoryOrg

from crm_sync.check import findings


async def test_stages_that_no_definition_has_are_named_with_their_deals() -> None:
    """G5: a package wrote stages in the user's language. https://github.com/SalesforceFoundation/NPSP/issues/3062"""
    org = MemoryOrg()
    org.put("OpportunityStage", ApiName="Prospecting", MasterLabel="Prospecting (renamed)")
    for stage in ("Prospecting", "Toegezegd", "Toegezegd", "Gesloten Verloren"):
        org.deal(StageName=stage)

    lines = [finding.line for finding in [each async for each in findings(org)] if "no stage" in finding.line]

    assert lines == [
        "stage 'Gesloten Verloren' is in no stage definition: 1 deals count by their own flags",
        "stage 'Toegezegd' is in no stage definition: 2 deals count by their own flags",
    ]
