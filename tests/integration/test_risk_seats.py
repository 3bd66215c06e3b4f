"""Seats: who was killed is back at once, who stops makes room at once, and no two replicas have one name."""

import signal
import uuid

import psycopg
import pytest
from tests.integration.test_risk_kafka import child, owns_everything, until, until_worked_off
from tests.risk_engine.company import Company, records
from tests.risk_engine.replica import Replica, begin_here, open_replica, publish

from risk_engine.store.seats import take_seat
from troth_chassis.errors import TransientError

FOREVER_MS = 1_200_000
"""A session of twenty minutes: whoever waited for its end would not be seen here."""


@pytest.fixture
def group() -> str:
    return f"risk-engine-{uuid.uuid4().hex[:8]}"


async def test_a_replica_takes_the_lowest_seat_that_is_free(postgres: str) -> None:
    async with take_seat(postgres, "engine") as first:
        async with take_seat(postgres, "engine") as second, take_seat(postgres, "other") as elsewhere:
            assert [seat.name for seat in (first, second, elsewhere)] == ["engine-1", "engine-2", "other-1"]
        async with take_seat(postgres, "engine") as again:
            assert again.name == second.name
            await again.check()


async def test_who_lost_the_seat_finds_out(postgres: str) -> None:
    async with take_seat(postgres, "engine") as seat:
        with psycopg.connect(postgres, autocommit=True) as server:
            server.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'risk-engine'"
            )
        with pytest.raises(TransientError, match="PostgreSQL"):
            await seat.check()


async def test_a_killed_replica_is_replaced_without_waiting_for_the_end_of_its_session(
    kafka: str, postgres: str, group: str
) -> None:
    it = Company(org=f"00D{group[-8:]}", site=f"{group[-8:]}.test")
    await begin_here(kafka, postgres)
    async with open_replica(kafka, postgres, group, session_ms=FOREVER_MS) as other:
        async with child(kafka, postgres, group, FOREVER_MS) as killed:
            await until(lambda: owns_a_part(other), "the two share the partitions")
            killed.send_signal(signal.SIGKILL)
            await killed.wait()
            async with open_replica(kafka, postgres, group, session_ms=FOREVER_MS) as successor:
                await until(
                    lambda: owns_a_part(successor), "the successor has the partitions of the killed one"
                )
                await publish(kafka, records(it), scope=group)
                await until_worked_off(successor)
        await until(
            lambda: owns_everything(other), "who stops in good order leaves the partitions to the others"
        )


async def owns_a_part(replica: Replica) -> bool:
    return bool(replica.consumer._expected) and not await owns_everything(replica)
