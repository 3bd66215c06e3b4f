"""Whatever the org and the network do, what is published ends equal to what Salesforce shows."""

from __future__ import annotations

from pathlib import Path

from tests.integration.crm_mayhem import Mayhem
from tests.integration.crm_truth import assert_z
from tests.integration.crm_world import a_world


async def test_a_busy_org_without_faults(tmp_path: Path, kafka: str) -> None:
    async with a_world(tmp_path, kafka) as world:
        crowd = Mayhem(world)
        crowd.during(900, writes=300)
        await world.start()
        await world.run(900)
        await world.run(600)  # until the last transaction has committed
        await assert_z(world)
