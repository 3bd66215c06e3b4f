"""What every org has, whether its seed says so or not: an organization and stages."""

from collections.abc import Mapping
from typing import Any

from troth_sandbox.salesforce.schema import standard
from troth_sandbox.salesforce.seed import Seed


def with_defaults(seed: Seed) -> dict[str, list[Mapping[str, Any]]]:
    """The seed's records, with the vendor's stages and an organization where it names none."""
    records = dict(seed.objects)
    records.setdefault("Organization", [{"Id": seed.org_id, "Name": "Sandbox org", "InstanceName": "SIM1"}])
    names = ("DefaultProbability", "ForecastCategory", "IsClosed", "IsWon")
    records.setdefault(
        "OpportunityStage",
        [
            {
                "MasterLabel": label,
                "SortOrder": place,
                "IsActive": True,
                **dict(zip(names, rest, strict=True)),
            }
            for place, (label, *rest) in enumerate(standard()["stages"], start=1)
        ],
    )
    return records
