"""Z over what happens to the service itself: crashes, Kafka away, a second instance, lost state, a moved org, clocks."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.crm_sync.fakes import record_id
from tests.crm_sync.simulated import CLIENT, seed
from tests.integration.crm_mayhem import Mayhem
from tests.integration.crm_ports import Crash, Fuse, Outage, SteppingBus, SteppingReader
from tests.integration.crm_truth import against_truth, assert_z, history, records
from tests.integration.crm_world import FULL, LONG_AGO, World, a_world

from crm_sync.errors import StateLost
from troth_chassis.errors import FencedError
from troth_contracts.topics import CRM_STATE

MINUTE = 60.0
CRASHES = 6
"""How many of the possible crash points a scaled run takes, evenly spread; all of them at full size."""
BY_PAGES, BY_JOBS = "20000", "1"


@contextlib.asynccontextmanager
async def a_fused_world(folder: Path, kafka: str, fuse: Fuse, bulk_from: str) -> AsyncIterator[World]:
    contents = seed(24, items_each=1, stamp=LONG_AGO)
    for number, row in enumerate(contents["objects"]["Opportunity"]):
        row["SystemModstamp"] = f"2026-02-{number + 1:02}T09:00:00.000+0000"
    async with a_world(folder, kafka, contents, TROTH_CRM_BULK_FROM=bulk_from) as world:
        world.site.cursors.page_rows = (6, 6)
        world.site.jobs.page_rows = 6
        world.wrap_reader = partial(SteppingReader, step=fuse.step)
        world.wrap_bus = partial(SteppingBus, step=fuse.step)
        yield world


async def _three_polls(world: World) -> None:
    """A full read, changes and deletions, and everything that comes every five minutes."""
    Mayhem(world, seed=4, late=0).during(4 * MINUTE, writes=10)
    await world.run(6 * MINUTE)


@pytest.mark.timeout(7_200 if FULL else 600)
@pytest.mark.parametrize("bulk_from", [BY_PAGES, BY_JOBS], ids=["pages", "jobs"])
async def test_a_crash_at_any_step_leaves_no_trace(tmp_path: Path, kafka: str, bulk_from: str) -> None:
    """The process ends at the n-th call or commit; a new one ends at Z, and no page was fetched more than twice."""
    undisturbed = Fuse()
    async with a_fused_world(tmp_path, kafka, undisturbed, bulk_from) as world:
        await world.start()
        await _three_polls(world)
    steps = len(undisturbed.steps)
    every = range(1, steps + 1)
    chosen = every if FULL else sorted({round(1 + (steps - 1) * n / (CRASHES - 1)) for n in range(CRASHES)})
    for at in chosen:
        fuse = Fuse(at)
        async with a_fused_world(tmp_path, kafka, fuse, bulk_from) as world:
            await world.start()
            with contextlib.suppress(Crash):
                await _three_polls(world)
            assert fuse.blown, f"step {at} of {steps} was never reached"
            await world.kill()
            await world.start()
            await assert_z(world)
            assert max(_fetched(world).values(), default=0) <= 2, f"after a crash at {fuse.steps[at - 1]}"


@pytest.mark.timeout(1_200)
@pytest.mark.parametrize("bulk_from", [BY_PAGES, BY_JOBS], ids=["pages", "jobs"])
async def test_lives_that_end_one_step_later_each_time(tmp_path: Path, kafka: str, bulk_from: str) -> None:
    """Until one comes through its full read and a poll: every call and every commit was some life's last."""
    async with a_fused_world(tmp_path, kafka, Fuse(), bulk_from) as world:
        Mayhem(world, seed=11, late=0).during(6 * MINUTE, writes=60)
        ended: list[str] = []
        for at in itertools.count(1):
            fuse = Fuse(at)
            world.wrap_reader = partial(SteppingReader, step=fuse.step)
            world.wrap_bus = partial(SteppingBus, step=fuse.step)
            await world.start()
            with contextlib.suppress(Crash):
                await world.run(MINUTE)
            if not fuse.blown:
                fuse.at = None  # this one lives on
                break
            ended.append(fuse.steps[-1])
            await world.kill()
        assert {"commit", "committed", "open"} <= set(ended)
        assert ("job_page answered" in ended) == (bulk_from == BY_JOBS)
        await world.run(6 * MINUTE - world.time.elapsed)
        await assert_z(world)


def _fetched(world: World) -> Counter[str]:
    """How often each page of a result or of a bulk job was fetched."""
    pages = [*world.requests("/0r8"), *world.requests("/results")]
    return Counter(f"{entry.path}?{entry.query}" for entry in pages if entry.status == 200)


async def test_kafka_away_for_ten_minutes(tmp_path: Path, kafka: str) -> None:
    async with a_world(tmp_path, kafka) as world:
        outage = Outage(world.time)
        world.wrap_bus = partial(SteppingBus, step=outage.step)
        await world.start()
        await world.run(5 * MINUTE)
        outage.begin(10 * MINUTE)
        Mayhem(world, seed=5).during(10 * MINUTE, writes=60)
        await world.run(10 * MINUTE)
        assert outage.refused
        assert not world.ready()[0]
        await world.run(10 * MINUTE)
        await assert_z(world)


async def test_a_commit_that_arrived_although_nobody_heard_of_it(tmp_path: Path, kafka: str) -> None:
    """The acknowledgement is lost every third time: what was written is read back before going on."""
    async with a_world(tmp_path, kafka) as world:
        outage, count = Outage(world.time), 0

        def unheard(name: str) -> None:
            nonlocal count
            count += name == "committed"
            if name == "committed" and count % 3 == 0:
                outage.begin(1)
                outage.step(name)

        world.wrap_bus = partial(SteppingBus, step=unheard)
        Mayhem(world, seed=6).during(10 * MINUTE, writes=60)
        await world.start()
        await world.run(20 * MINUTE)
        assert outage.refused > 3
        await assert_z(world)
        for key, states in (await history(world)).items():
            contents = [state.body for state in states]
            again = [a for a, b in itertools.pairwise(contents) if a == b]
            assert not again, f"{key} was told twice with the same content"


async def test_a_second_instance_takes_over_and_the_first_stops(tmp_path: Path, kafka: str) -> None:
    async with a_world(tmp_path, kafka) as world:
        Mayhem(world, seed=7).during(10 * MINUTE, writes=60)
        first = await world.start()
        await world.run(3 * MINUTE)
        await world.start()
        await world.run(3 * MINUTE)
        with pytest.raises(FencedError, match="another instance"):
            await first.sync.cycle(lambda: None)
        await world.run(5 * MINUTE)
        await world.run(10 * MINUTE)
        await assert_z(world)


async def test_lost_positions_are_refused_until_a_rebuild_is_asked_for(tmp_path: Path, kafka: str) -> None:
    async with a_world(tmp_path, kafka) as world:
        await world.start()
        await world.run(3 * MINUTE)
        await world.kill()
        await _erase_state(world)
        world.org.delete("Opportunity", record_id("Opportunity", 1), hard=True)
        Mayhem(world, seed=8, late=0).during(3 * MINUTE, writes=30)
        world.time.advance(5 * MINUTE)
        before = await history(world)
        await world.start()
        with pytest.raises(StateLost, match="--rebuild"):
            await world.service.sync.cycle(lambda: None)
        assert await history(world) == before, "something was published without knowing where to go on"
        await world.kill()
        await world.start(rebuild=True)
        await assert_z(world)


async def _erase_state(world: World) -> None:
    """What a wrong retention or a careless hand does to the state topic."""
    producer = AIOKafkaProducer(bootstrap_servers=world.kafka)
    await producer.start()
    try:
        for record in await records(world, CRM_STATE):
            headers = [pair for pair in record.headers if pair[0] != "ce_contenthash"]
            await producer.send_and_wait(CRM_STATE.name, value=None, key=record.key, headers=headers)
    finally:
        await producer.stop()


@pytest.mark.parametrize(("old_host", "composites"), [(301, True), (404, True), (404, False)])
async def test_an_org_that_moves_to_another_instance(
    tmp_path: Path, kafka: str, old_host: int, composites: bool
) -> None:
    """Also where no composites are taken, and every object answers on its own that it is not there."""
    async with a_world(tmp_path, kafka) as world:
        if not composites:
            refused = {"match": {"path": "/composite", "times": None}, "act": {"status": 400, "body": []}}
            world.site.faults.add([refused])
        Mayhem(world, seed=9).during(12 * MINUTE, writes=60)
        await world.start()
        await world.run(4 * MINUTE)
        port = world.settings.crm_salesforce_url.rsplit(":", 1)[1]
        world.site.location.move(f"localhost:{port}", 404 if old_host == 404 else 301)
        world.site.sessions.expire_all()
        before = world.logins
        await world.run(10 * MINUTE)
        assert world.ready()[0], world.ready()[1]
        assert world.logins - before <= 3
        await world.run(10 * MINUTE)
        await assert_z(world)


async def test_a_clock_that_is_wrong_by_five_minutes_and_jumps(tmp_path: Path, kafka: str) -> None:
    """Time is Salesforce's, also that of a signed assertion: https://help.salesforce.com/s/articleView?id=sf.remoteaccess_oauth_jwt_flow.htm"""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "key.pem").write_bytes(pem)
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    contents = seed(20, items_each=1, stamp=LONG_AGO)
    contents["auth"] = {**CLIENT, "public_key": public.decode(), "strict_expiry": True}
    contents["objects"]["User"][0]["Username"] = "integration@example.com"
    async with a_world(tmp_path, kafka, contents, jwt_key=tmp_path / "key.pem") as world:
        world.site.sessions.longest = world.site.sessions.rest = timedelta(seconds=240)
        Mayhem(world, seed=10).during(20 * MINUTE, writes=80)
        for number, skew in enumerate((300, -300, 120, -240)):
            world.time.after(number * 5 * MINUTE, partial(world.skew, skew))
        world.skew(300)
        await world.start()
        await world.run(30 * MINUTE)
        await assert_z(world)
        assert world.logins <= 2 * math.ceil(world.time.elapsed / 240)


async def test_the_service_says_why_it_is_not_ready(tmp_path: Path, kafka: str) -> None:
    """Backfilling, then fresh; stale while nothing answers; the same on sync.status for everybody else."""
    async with a_world(tmp_path, kafka, seed(60, stamp=LONG_AGO), per_request=5.0) as world:
        seen: list[str] = []
        world.site.cursors.page_rows = (10, 10)
        for moment in range(20, 90, 10):
            world.time.after(moment, lambda: seen.append(world.ready()[1]))
        await world.start()
        await world.run(5 * MINUTE)
        assert any("backfilling" in why for why in seen), seen
        assert world.ready()[0], world.ready()[1]

        fault = {"match": {"path": "/services/data", "times": None}, "act": {"status": 503, "html": True}}
        world.site.faults.add([fault])
        await world.run(15 * MINUTE)
        ready, why = world.ready()
        assert not ready
        assert "stale" in why
        assert "OpportunityLineItem" in why
        status = await world.service.sync.status()
        assert status["stalled"]
        world.site.faults.clear()
        await world.run(5 * MINUTE)
        assert world.ready()[0], world.ready()[1]
        assert not await against_truth(world)
