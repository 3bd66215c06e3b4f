"""A small service on the real chassis, run as a child process: what its loop does is one word in the environment.

It tells the order of its own end on standard output, and readiness and HTTP as seen from inside it.
"""

import asyncio
import contextlib
import itertools
import os
import sys
import time
from collections.abc import AsyncIterator, Sequence

import httpx
from pydantic import Field, SecretStr

from troth_chassis.errors import ConfigurationError, FencedError, TransientError
from troth_chassis.service import Beat, Chassis, Loop, run_service
from troth_chassis.settings import ChassisSettings


class Settings(ChassisSettings):
    """What the loop does, and a secret that must not be seen."""

    own_prefix: str = Field(default="TROTH_CRM_", exclude=True)
    crm_behaviour: str = "work"
    crm_secret: SecretStr = SecretStr("canary-secret-value")


def tell(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - what the test reads


@contextlib.asynccontextmanager
async def build(chassis: Chassis[Settings]) -> AsyncIterator[Sequence[Loop]]:
    behaviour = chassis.settings.crm_behaviour
    if behaviour == "never-built":
        tell("building")
        await asyncio.sleep(3_600)
    if behaviour == "unbuildable":
        raise ConfigurationError("the org refuses our name: check TROTH_CRM_CLIENT_ID")

    @chassis.app.get("/own")
    async def own() -> str:
        return "a route of the service"

    async def run(beat: Beat) -> None:
        try:
            await behave(behaviour, beat, chassis)
        except asyncio.CancelledError:
            tell(f"loop cancelled, readiness {readiness(chassis)}")
            if behaviour == "broken-goodbye":
                raise TransientError("Kafka was gone when the loop wanted to say goodbye") from None
            raise

    try:
        yield [Loop("poll", run, stale_after=0.2 if behaviour == "stuck" else 60.0)]
    finally:
        tell(f"resources closed while HTTP {await http_answer(chassis)}")


def readiness(chassis: Chassis[Settings]) -> str:
    return "on" if chassis.health.ready else "off"


async def behave(behaviour: str, beat: Beat, chassis: Chassis[Settings]) -> None:
    if behaviour == "stuck":
        beat()
        await asyncio.sleep(3_600)
    if behaviour == "cancels-itself" and not FAILURES:
        FAILURES.append(time.monotonic())
        raise asyncio.CancelledError
    if behaviour == "silent":
        await asyncio.sleep(3_600)
    if behaviour == "fails-thrice":
        await fail_thrice()
    if behaviour == "transient":
        raise TransientError("Kafka at kafka:9092 is not reachable")
    if behaviour == "fenced":
        raise FencedError("another instance writes crm-sync.org: stop one of the two")
    if behaviour == "misconfigured":
        raise ConfigurationError("the account may not read deals: grant View All on Opportunity")
    if behaviour == "defect":
        raise LookupError(f"no such thing with {chassis.settings.crm_secret.get_secret_value()}")
    if behaviour == "ends":
        return
    while True:
        beat()
        await asyncio.sleep(0.02)


FAILURES: list[float] = []


async def fail_thrice() -> None:
    FAILURES.append(time.monotonic())
    if len(FAILURES) <= 3:
        raise TransientError(f"failure {len(FAILURES)}")
    gaps = [later - earlier for earlier, later in itertools.pairwise(FAILURES)]
    tell("gaps " + " ".join(f"{gap:.2f}" for gap in gaps))


async def http_answer(chassis: Chassis[Settings]) -> int | str:
    port = os.environ.get("TROTH_HTTP_PORT", "0")
    async with httpx.AsyncClient(trust_env=False) as client:
        try:
            return (await client.get(f"http://127.0.0.1:{port}/readyz")).status_code
        except httpx.TransportError:
            return "is gone"


if __name__ == "__main__":
    code = run_service("test-service", Settings, build, os.environ)
    tell(f"exit {code}")
    sys.exit(code)
