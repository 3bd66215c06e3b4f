"""What every test may ask for: the fixtures folder, a Kafka broker, a fresh PostgreSQL database, and no sockets.

What tests give services as secrets is watched for everywhere (`canary.py`).
`KAFKA_BOOTSTRAP_SERVERS` and `DATABASE_URL` replace the servers that are otherwise started once per test process.
`TROTH_REQUIRE_ALL=1` turns every skip for a missing component into a failure.
"""

import asyncio
import os
import socket
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from psycopg import sql
from tests.canary import _watched, look_at_topics, pytest_runtest_makereport, watch

from troth_sandbox.brokers import BrokerKind, open_broker
from troth_sandbox.errors import BrokerUnavailableError, DatabaseStartError
from troth_sandbox.postgres import open_database

__all__ = ["_watched", "pytest_runtest_makereport"]  # pytest finds them here
ROOT = Path(__file__).resolve().parents[1]
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")  # a busy machine is no failure
AREAS_WITH_SOCKETS = {"integration", "e2e", "sandbox"}
REAL_KAFKA = (BrokerKind.KAFKA, BrokerKind.DOCKER)  # the wheel broker lacks what the tests are about
Require = Callable[[bool, str], None]


def pytest_configure(config: pytest.Config) -> None:
    """Name the one marker of this suite."""
    config.addinivalue_line("markers", "network: this unit test may open sockets")


def missing(reason: str) -> NoReturn:
    """Skip the test that needs what is missing, or fail it under TROTH_REQUIRE_ALL=1."""
    if os.environ.get("TROTH_REQUIRE_ALL") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def require() -> Require:
    """`require(present, reason)`: go on when the component is there, else skip (or fail, see above)."""

    def check(present: bool, reason: str) -> None:
        if not present:
            missing(reason)

    return check


@pytest.fixture(scope="session")
def fixtures_dir() -> Path:
    """The public data beside the clone."""
    place = ROOT.parent / "shared" / "fixtures"
    if not place.is_dir():
        missing(f"the public data is not here: {place} does not exist")
    return place


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Bootstrap servers of a real Kafka, shared by the session: use unique topics and groups."""
    try:
        broker = open_broker(os.environ, tmp_path_factory.mktemp("broker"), kinds=REAL_KAFKA)
    except BrokerUnavailableError as error:
        missing(str(error))
    with broker:
        yield broker.bootstrap
        asyncio.run(look_at_topics(broker.bootstrap))
        leaks = watch.taken()
        assert not leaks, leaks


@pytest.fixture(scope="session")
def _postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    try:
        database = open_database(os.environ, tmp_path_factory.mktemp("postgres"))
    except DatabaseStartError as error:
        missing(f"No PostgreSQL: {error}")
    with database:
        yield database.url


@pytest.fixture
def postgres(_postgres_server: str) -> Iterator[str]:
    """URL of an empty database of this test's own; it is dropped afterwards."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(_postgres_server, autocommit=True) as server:
        server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    yield _with_database(_postgres_server, name)
    with psycopg.connect(_postgres_server, autocommit=True) as server:
        server.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _with_database(url: str, name: str) -> str:
    address, _, query = url.partition("?")
    head = address.rsplit("/", 1)[0] if address.count("/") > 2 else address
    return f"{head}/{name}" + (f"?{query}" if query else "")


@pytest.fixture(autouse=True)
def _no_sockets(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unit tests reach no network: connecting anything but a Unix socket fails."""
    area = request.path.relative_to(ROOT / "tests").parts[0]
    if area in AREAS_WITH_SOCKETS or request.node.get_closest_marker("network"):
        return

    def guarded(connect: Callable[..., Any]) -> Callable[..., Any]:
        def refuse(self: socket.socket, address: Any) -> Any:
            if self.family == socket.AF_UNIX:
                return connect(self, address)
            self.close()  # or the next test would be blamed for it
            raise RuntimeError(
                f"a unit test tried to reach {address}: move it to tests/integration or use a fake"
            )

        return refuse

    monkeypatch.setattr(socket.socket, "connect", guarded(socket.socket.connect))
    monkeypatch.setattr(socket.socket, "connect_ex", guarded(socket.socket.connect_ex))
