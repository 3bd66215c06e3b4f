"""The quiet start, the answers over HTTP, and what the engine says when it cannot start."""

import asyncio
import contextlib
import json
import os
import struct
import subprocess
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest
from fastapi import FastAPI
from tests.risk_engine.company import LATER, NOW, Company, promise, records
from tests.risk_engine.engine import Engine, open_engine

from risk_engine.api import add_routes
from troth_contracts.topics import SYNC_STATUS

BASE = {"PATH": os.environ["PATH"], "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "TROTH_HTTP_PORT": "0"}


@pytest.fixture
async def engine(postgres: str) -> AsyncIterator[Engine]:
    async with open_engine(postgres) as opened:
        yield opened


@pytest.mark.parametrize("state", ["backfilling", "paused"])
@pytest.mark.parametrize("missing", ["crm-sync", "jira-sync"])
async def test_nothing_is_evaluated_before_both_syncs_are_complete(
    engine: Engine, missing: str, state: str
) -> None:
    """A full read that pauses, such as for the org's daily calls, is as incomplete as one that goes on."""
    it = Company()
    await engine.take(record for record in records(it) if record.topic != SYNC_STATUS.name)
    present = {"crm-sync", "jira-sync"} - {missing}
    await engine.take(it.status(service, "complete", 5) for service in present)
    assert not await engine.evaluator.go_live()
    await engine.take([it.status(missing, state, 4)])
    assert not await engine.evaluator.go_live()
    await engine.take([it.status(missing, "complete", 3)])
    assert await engine.evaluator.go_live()
    assert await engine.value("SELECT count(*) FROM commitments") == 0


@pytest.mark.parametrize("lag", [-1, 1])
async def test_nothing_is_evaluated_while_records_wait_or_nobody_knows(engine: Engine, lag: int) -> None:
    await engine.take(records(Company()))
    engine.lag = lag
    assert not await engine.evaluator.go_live()
    engine.lag = 0
    assert await engine.evaluator.go_live()


async def test_the_lag_that_counts_is_measured_after_the_syncs_said_complete(engine: Engine) -> None:
    """Else what they published between the two looks could be missing when alerting begins."""
    await engine.take(record for record in records(Company()) if record.topic != SYNC_STATUS.name)
    told = (record for record in records(Company()) if record.topic == SYNC_STATUS.name)

    async def both_speak_up_meanwhile() -> int:
        await engine.take(told)
        return 0

    engine.evaluator._lag = both_speak_up_meanwhile
    assert not await engine.evaluator.go_live()


async def test_live_once_means_live_for_every_replica(postgres: str) -> None:
    async with open_engine(postgres) as first, open_engine(postgres) as second:
        await first.go_live()
        second.lag = -1
        assert await second.evaluator.go_live()


async def test_an_unknown_owner_is_no_obstacle_and_the_next_notice_finds_them(engine: Engine) -> None:
    await engine.go_live()
    it = Company()
    await engine.take([it.deal("unlinked", custom=promise(LATER, "ATL-999"))])
    await engine.evaluate()
    assert await owner(engine) == ("Sales operations", True)
    await engine.take([it.user("owner-1", "Ada"), it.deal("unlinked", custom={}, minutes=1)])
    await engine.evaluate()
    await engine.take([it.deal("unlinked", custom=promise(LATER), minutes=0)])
    await engine.evaluate()
    assert await owner(engine) == ("Ada", False)


async def owner(engine: Engine) -> tuple[str, bool]:
    notice = await engine.value("SELECT last_notice FROM alerts")
    return notice["sales_owner"]["name"], notice["sales_owner"].get("fallback", False)


async def test_two_assessments_within_one_millisecond_are_both_published(engine: Engine) -> None:
    await engine.go_live()
    it = Company()
    for minutes, custom in ((60, promise(LATER)), (50, promise(NOW.date())), (40, {}), (30, promise(LATER))):
        await engine.take([it.deal("unlinked", custom=custom, minutes=minutes)])
        await engine.evaluate()
    await engine.deliver()
    told = [record for record in engine.outside.notices.sent if record.topic == "risk.assessments"]
    versions = [int(dict(record.headers)["ce_version"]) for record in told]
    assert [record.value is None for record in told] == [False, False, True, False]
    assert versions == sorted(set(versions))


async def test_another_number_of_trials_starts_all_vectors_anew(engine: Engine) -> None:
    await engine.take(records(Company()))
    await engine.go_live()
    await engine.evaluate()
    engine.evaluator._trials = 300
    await engine.take([Company().deal("late", custom=promise(LATER, "DEN-1, ELK-1"), minutes=0)])
    await engine.evaluate()
    assert await engine.rows("SELECT DISTINCT length(days) FROM finish_vectors") == [(1200,)]


async def test_every_hour_all_promises_are_looked_at_again(engine: Engine) -> None:
    """The grace of three business days ends without any record."""
    await engine.go_live()
    it = Company()
    await engine.take([it.deal("fresh", custom=promise(LATER), history=())])
    await engine.evaluate()
    assert await engine.firing() == set()
    await engine.clock.sleep(timedelta(days=4).total_seconds())
    await engine.evaluate()
    assert await engine.firing() == {("unlinked_commitment", "fresh")}


async def test_a_promise_for_the_year_4000_costs_nothing_special(engine: Engine) -> None:
    await engine.take(records(Company()))
    await engine.go_live()
    await engine.take([Company().deal("never", custom=promise(LATER.replace(year=4000), "ATL-1"), minutes=0)])
    await engine.evaluate()
    assert ("oversold", "Atlas") in await engine.firing()


@contextlib.asynccontextmanager
async def api(engine: Engine) -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    add_routes(app, engine.database)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://engine") as client:
        yield client


async def test_the_api_shows_where_the_engine_stands(engine: Engine) -> None:
    await engine.take(records(Company()))
    await engine.evaluator.go_live()
    await engine.evaluate()
    it = Company()
    async with api(engine) as client:
        status = (await client.get("/status")).json()
        assert (status["live"], status["alerts_firing"], status["marks"]) == (True, 3, 0)
        alerts = (await client.get("/alerts", params={"phase": "firing"})).json()
        assert {alert["kind"] for alert in alerts} == {"oversold", "late_forecast", "unlinked_commitment"}
        assert (await client.get("/alerts", params={"phase": "resolved"})).json() == []
        assert (await client.get("/alerts", params={"phase": "silenced"})).status_code == 422
        deal = (await client.get(f"/deals/{it.deal_key('late')}")).json()
        assert deal["teams"] == ["Denali", "Elk", "Fox"]
        team = (await client.get(f"/teams/{it.site}:1")).json()
        assert team["dates"][0]["deals"] == [it.deal_key("oversold")]
        for path in ("/deals/none", "/teams/none", f"/deals/{it.deal_key('idle')}"):
            answer = await client.get(path)
            assert answer.status_code == 404
            assert "nothing is known" in answer.json()["detail"]


async def test_a_withdrawn_assessment_is_not_shown(engine: Engine) -> None:
    await engine.go_live()
    it = Company()
    await engine.take([it.deal("unlinked", custom=promise(LATER))])
    await engine.evaluate()
    await engine.take([it.deal("unlinked", minutes=0)])
    await engine.evaluate()
    async with api(engine) as client:
        assert (await client.get(f"/deals/{it.deal_key('unlinked')}")).status_code == 404


async def test_the_api_says_when_the_database_does_not_answer(postgres: str) -> None:
    async with open_engine(postgres) as engine:
        pool = engine.database._pool
    pool.timeout = 0.1  # closed with the engine: no connection will come
    async with api(engine) as client:
        answer = await client.get("/status")
    assert answer.status_code == 503
    assert answer.json()["detail"].startswith("PostgreSQL:")


def run(environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "risk_engine", "run"],
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def ended(environ: dict[str, str]) -> tuple[int, str]:
    """Exit code and everything said; a stack trace is never the answer."""
    done = await asyncio.to_thread(run, BASE | environ)
    said = done.stdout + done.stderr
    assert "Traceback" not in said, said
    return done.returncode, said


async def waiting(environ: dict[str, str]) -> str:
    """Why a process that lives on is not ready; it ends at once when asked to, and shows no stack trace."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "risk_engine", "run", env=BASE | environ, stdout=PIPE, stderr=STDOUT
    )
    try:
        async with asyncio.timeout(60):
            assert process.stdout is not None
            said: list[str] = []
            port = 0
            async for line in process.stdout:
                said.append(line.decode())
                port = json.loads(line).get("port", port) if line.startswith(b"{") else port
                if b"cannot start yet" in line:
                    break
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
                alive, ready = await client.get("/healthz"), await client.get("/readyz")
            process.terminate()
            said.append((await process.stdout.read()).decode())
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert "Traceback" not in "".join(said)
    assert (alive.status_code, ready.status_code) == (200, 503)
    return str(ready.json()["checks"]["running"]["detail"])


@contextlib.asynccontextmanager
async def server_that_says(severity_code_message: tuple[str, str, str]) -> AsyncIterator[str]:
    """Speaks just enough of PostgreSQL's protocol to refuse a connection."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        length, code = struct.unpack("!ii", await reader.readexactly(8))
        if code == 80877103:  # asks for TLS
            writer.write(b"N")
            length, _ = struct.unpack("!ii", await reader.readexactly(8))
        await reader.readexactly(length - 8)
        fields = b"".join(
            kind + text.encode() + b"\0"
            for kind, text in zip((b"S", b"C", b"M"), severity_code_message, strict=True)
        )
        writer.write(b"E" + struct.pack("!i", len(fields) + 5) + fields + b"\0")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with server:
        yield f"postgresql://troth:wrong@127.0.0.1:{server.sockets[0].getsockname()[1]}/troth"


async def test_a_wrong_password_ends_with_78_and_one_sentence() -> None:
    sentence = "password authentication failed for user troth"
    async with server_that_says(("FATAL", "28P01", sentence)) as url:
        code, said = await ended({"DATABASE_URL": url})
    assert code == 78
    assert "PostgreSQL refuses DATABASE_URL" in said
    assert sentence in said
    assert ":wrong@" not in said


async def test_a_busy_postgresql_is_waited_for() -> None:
    async with server_that_says(("FATAL", "57P03", "the database system is starting up")) as url:
        assert "the database system is starting up" in await waiting({"DATABASE_URL": url})


async def test_a_missing_database_ends_with_78(postgres: str) -> None:
    code, said = await ended({"DATABASE_URL": f"{postgres}_none"})
    assert code == 78
    assert "does not exist" in said


async def test_a_missing_permission_ends_with_78(postgres: str) -> None:
    async with open_engine(postgres) as engine, engine.database.transaction() as connection:
        await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        await connection.execute("DROP ROLE IF EXISTS reader; CREATE ROLE reader LOGIN")
        await connection.execute("GRANT USAGE ON SCHEMA public TO reader")
    try:
        code, said = await ended({"DATABASE_URL": postgres.replace("troth@", "reader@")})
    finally:
        async with open_engine(postgres) as engine, engine.database.transaction() as connection:
            await connection.execute("DROP OWNED BY reader; DROP ROLE reader")
    assert code == 78
    assert "permission denied for schema public" in said


async def test_an_unreachable_postgresql_is_waited_for() -> None:
    said = await waiting({"DATABASE_URL": "postgresql://troth@127.0.0.1:1/troth"})
    assert said.startswith("cannot start yet: PostgreSQL: connection failed")


async def test_an_unreachable_kafka_is_waited_for(postgres: str) -> None:
    said = await waiting({"DATABASE_URL": postgres})
    assert said.startswith("cannot start yet: Kafka at 127.0.0.1:1")
