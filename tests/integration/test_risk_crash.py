"""The engine dies at every step between fetching a record and noting that its notice was taken, and goes on."""

import json
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest
from tests.risk_engine.company import LATER, Company, broken, promise, records
from tests.risk_engine.engine import Engine, Outside, State, differences, final_state

from risk_engine.store.database import Database, open_database
from troth_chassis.errors import OwnershipLostError
from troth_contracts.codec import OutRecord

STEPS = (
    "fetched",
    "buried",
    "offsets",
    "stored",
    "committed",
    *(f"{did} {kind}" for kind in ("link", "deal", "team", "forecast") for did in ("claimed", "evaluated")),
    "digested",
    *(f"{did} {endpoint}" for endpoint in ("kafka", "webhook") for did in ("leased", "sent", "settled")),
)
LEASE_SECONDS = 61.0
_uninterrupted: dict[str, object] = {}


class KilledError(Exception):
    """Stands for kill -9: nothing after the step happens."""


class Fuse:
    """A probe that counts steps and blows once, at the chosen one."""

    def __init__(self, step: str = "", occurrence: int = 0) -> None:
        self.reached: Counter[str] = Counter()
        self._step, self._occurrence = step, occurrence

    def __call__(self, step: str) -> None:
        self.reached[step] += 1
        if step == self._step and self.reached[step] == self._occurrence:
            raise KilledError(step)


async def test_the_list_of_steps_is_complete(postgres: str) -> None:
    fuse = Fuse()
    async with open_database(postgres) as database:
        await live_through(database, Outside(), fuse)
    assert set(fuse.reached) == set(STEPS)


@pytest.mark.parametrize("step", STEPS)
async def test_a_crash_at_any_step_changes_nothing_that_anybody_sees(postgres: str, step: str) -> None:
    async with open_database(postgres) as database:
        expected, told = await uninterrupted(database)
        for which in ("first", "last"):
            await forget_everything(database)
            outside, fuse = Outside(), Fuse(step, 1 if which == "first" else occurrences(step))
            engine = await live_through(database, outside, fuse)
            assert fuse.reached[step] > 1, f"{step} was never reached again after the crash"
            assert differences(await final_state(engine), expected) == {}
            assert notices_of(outside) == told["webhook"], which
            assert {notice_id(record) for record in outside.notices.sent} == told["kafka"], which
            assert in_order_per_alert(outside.webhook_ids), which
            assert await engine.value("SELECT count(*) FROM outbox WHERE delivered_at IS NULL") == 0
            assert {letter.key for letter in outside.letters.sent} == {Company().deal_key("broken")}


async def uninterrupted(database: Database) -> tuple[State, dict[str, set[str]]]:
    if not _uninterrupted:
        outside, fuse = Outside(), Fuse()
        engine = await live_through(database, outside, fuse)
        assert len(outside.webhook_ids) == len(set(outside.webhook_ids))
        _uninterrupted["steps"] = fuse.reached
        _uninterrupted["state"] = await final_state(engine)
        _uninterrupted["told"] = {
            "webhook": notices_of(outside),
            "kafka": {notice_id(record) for record in outside.notices.sent},
        }
    return _uninterrupted["state"], _uninterrupted["told"]  # type: ignore[return-value]


def occurrences(step: str) -> int:
    reached = _uninterrupted["steps"]
    assert isinstance(reached, Counter)
    return int(reached[step])


async def live_through(database: Database, outside: Outside, fuse: Fuse) -> Engine:
    """A first start and a later change. Whoever dies is replaced by a new engine over the same database."""
    engine = Engine(database, outside, probe=fuse)
    for stream in (first_start(), later_change()):
        done = 0
        while done < len(stream):
            try:
                await engine.take(stream[done : done + 40])
                done += 40
            except KilledError:
                engine = await replacement(engine, fuse)
                done = await stored_since(engine, stream)
        for part in (go_live, Engine.evaluate, Engine.deliver):
            engine = await insist(engine, fuse, part)
    return engine


async def go_live(engine: Engine) -> None:
    assert await engine.evaluator.go_live()


async def insist(engine: Engine, fuse: Fuse, part: Callable[[Engine], Awaitable[None]]) -> Engine:
    while True:
        try:
            await part(engine)
        except KilledError:
            engine = await replacement(engine, fuse)
        else:
            return engine


async def replacement(dead: Engine, fuse: Fuse) -> Engine:
    await dead.sender.close()
    await dead.clock.sleep(LEASE_SECONDS)
    return Engine(dead.database, dead.outside, probe=fuse)


async def stored_since(engine: Engine, stream: list[OutRecord]) -> int:
    """Where a consumer that starts from the stored offsets would go on."""
    done = await engine.value("SELECT coalesce(sum(next_offset), 0) FROM stored_offsets")
    return int(done) if stream[0] == first_start()[0] else int(done) - len(first_start())


def first_start() -> list[OutRecord]:
    bad = broken(Company().deal("broken"), value=b'{"org_id": "00Dtest"')
    return [*records(Company()), bad]


def later_change() -> list[OutRecord]:
    """The unlinked deal gets its issue, the late one falls out of force."""
    it = Company()
    return [
        it.deal("unlinked", custom=promise(LATER, "ATL-30"), minutes=0),
        it.deal("late", custom=promise(LATER, "DEN-1"), is_won=False, minutes=0),
        broken(it.deal("broken", minutes=0), value=b"not JSON"),
    ]


def notices_of(outside: Outside) -> set[str]:
    """What was told, by id; of a digest what it lists, as its own id is a moment."""
    bodies = [json.loads(request.content) for request in outside.requests]
    digests = {webhook_id for webhook_id in outside.webhook_ids if webhook_id.startswith("digest-")}
    assert len(digests) == 1
    listed = {
        f"{alert['alert_id']}-{alert['sequence']}"
        for body in bodies
        for alert in body["data"].get("alerts", ())
    }
    return {*outside.webhook_ids} - digests | listed


def notice_id(record: OutRecord) -> str:
    """Alerts by id; assessments by what they say, as their version is a moment."""
    headers = dict(record.headers)
    return headers["ce_id"].decode() if record.topic == "risk.alerts" else record.key


def in_order_per_alert(webhook_ids: list[str]) -> bool:
    """The first attempt of each notice comes after that of the alert's notice before it."""
    first = list(dict.fromkeys(webhook_ids))
    alerts = {name.rpartition("-")[0] for name in first}
    return all(
        [name for name in first if name.startswith(alert)]
        == sorted(
            (name for name in first if name.startswith(alert)), key=lambda name: int(name.rpartition("-")[2])
        )
        for alert in alerts
    )


async def forget_everything(database: Database) -> None:
    async with database.transaction() as connection:
        rows = await (
            await connection.execute(
                "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
            )
        ).fetchall()
        await connection.execute(f"TRUNCATE {', '.join(name for (name,) in rows)}")


async def test_offsets_that_moved_under_us_store_nothing(postgres: str) -> None:
    """A zombie whose partition went on elsewhere: its batch leaves no trace."""
    async with open_database(postgres) as database:
        zombie = Engine(database, Outside())
        await zombie.take(records(Company()))
        before = await final_state(zombie)
        stale = {partition: offset - 1 for partition, offset in (await all_offsets(zombie)).items()}
        with pytest.raises(OwnershipLostError, match="not at"):
            await zombie.take_at([Company().deal("late", minutes=0)], stale)
        assert differences(await final_state(zombie), before) == {}


async def test_two_first_readers_of_a_partition_store_it_once(postgres: str) -> None:
    async with open_database(postgres) as database:
        one, other = Engine(database, Outside()), Engine(database, Outside())
        record = Company().deal("late")
        await one.take_at([record], {})
        with pytest.raises(OwnershipLostError):
            await other.take_at([record], {})


async def test_holes_left_by_compaction_are_stepped_over(postgres: str) -> None:
    """What counts is where the store stands, never the first record's offset."""
    async with open_database(postgres) as database:
        engine = Engine(database, Outside())
        record = Company().deal("late")
        await engine.take_at([record], {}, first_offset=17)
        await engine.take_at([record], await all_offsets(engine), first_offset=90)
        assert list((await all_offsets(engine)).values()) == [91]


async def test_a_position_without_records_is_kept(postgres: str) -> None:
    """The end of a transaction takes an offset and brings no record."""
    async with open_database(postgres) as database:
        engine = Engine(database, Outside())
        await engine.move_to({("crm.opportunities", 0): 5})
        assert await all_offsets(engine) == {("crm.opportunities", 0): 5}


async def all_offsets(engine: Engine) -> dict[tuple[str, int], int]:
    rows = await engine.rows("SELECT topic, partition, next_offset FROM stored_offsets")
    return {(topic, number): offset for topic, number, offset in rows}
