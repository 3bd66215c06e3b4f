"""kill -9, again and again, while records are taken in and evaluated: the end is that of an engine that lived.

Three times; fifty times by ``make faults FULL=1``.
"""

import asyncio
import os
import random
import uuid

import pytest
from tests.integration.test_risk_kafka import alone, bulk, child, holes_in_sequences, until, until_worked_off
from tests.risk_engine.company import Company, records
from tests.risk_engine.engine import Engine, differences, final_state, open_engine
from tests.risk_engine.replica import StillClock, begin_here, open_replica, publish

from troth_contracts.topics import SYNC_STATUS

KILLS = 50 if os.environ.get("TROTH_FULL") == "1" else 3
RECORDS_PER_LIFE = 60
LONGEST_DELAY = 0.5


async def stored(engine: Engine) -> int:
    return int(await engine.value("SELECT coalesce(sum(next_offset), 0) FROM stored_offsets"))


@pytest.mark.timeout(60 + 60 * KILLS)
async def test_an_engine_killed_again_and_again_ends_as_one_that_lived(kafka: str, postgres: str) -> None:
    rng, name = random.Random(7), uuid.uuid4().hex[:8]
    it, group = Company(org=f"00D{name}", site=f"{name}.test"), f"risk-engine-{name}"
    syncs = [record for record in records(it) if record.topic == SYNC_STATUS.name]
    stream = [record for record in records(it) if record not in syncs]
    stream += bulk(it, max(0, KILLS * RECORDS_PER_LIFE - len(stream)))
    expected = await alone(postgres, [*stream, *syncs])
    await begin_here(kafka, postgres)
    async with open_engine(postgres, clock=StillClock()) as watch:
        await watch.go_live()
        for life in range(KILLS):
            part = stream[life::KILLS]
            async with child(kafka, postgres, group) as process:
                target = await stored(watch) + rng.randint(1, len(part))
                await publish(kafka, part, scope=group)
                await until(lambda at=target: reached(watch, at), f"{target} records in life {life}")  # type: ignore[misc]
                await asyncio.sleep(rng.uniform(0, LONGEST_DELAY))
                process.kill()
                await process.wait()
        async with open_replica(kafka, postgres, group) as last:
            await publish(kafka, syncs, scope=group)
            await until_worked_off(last)
            assert differences(await final_state(watch), expected) == {}
            assert await holes_in_sequences(watch) == []
            assert await watch.rows(_BEGUN_TWICE) == [], "an alert began that had not ended"


async def reached(engine: Engine, target: int) -> bool:
    return await stored(engine) >= target


_BEGUN_TWICE = """
    SELECT alert_id, sequence FROM (
        SELECT alert_id, sequence, body->>'reason' AS reason,
            lag(body->>'phase') OVER (PARTITION BY alert_id ORDER BY sequence) AS before
        FROM alert_transitions
    ) AS told
    WHERE reason = 'first' AND before = 'firing'
"""
"""What comes in parts may fire, end and fire again; it never begins twice in a row."""
