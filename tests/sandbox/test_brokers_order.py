"""Which broker a machine gets, and what it is told when it does not get the best one."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Self

import pytest

from troth_sandbox.brokers import BrokerKind, TansuBroker, open_broker
from troth_sandbox.brokers.docker import start_in_docker
from troth_sandbox.errors import BrokerStartError, BrokerUnavailableError
from troth_sandbox.processes import wait_for

NOTHING_BUT_PYTHON = {"PATH": "", "DOCKER_HOST": "unix:///nowhere.sock"}


@pytest.fixture
def no_jdk_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("troth_sandbox.brokers.java.find_spec", lambda _name: None)


def test_a_given_broker_is_used_and_left_running(kafka: str, tmp_path: Path) -> None:
    environ = {"KAFKA_BOOTSTRAP_SERVERS": kafka}
    for _ in range(2):
        with open_broker(environ, tmp_path / "run") as broker:
            assert (broker.bootstrap, broker.kind, broker.producer_mode) == (
                kafka,
                BrokerKind.GIVEN,
                "transactional",
            )
            assert broker.fallbacks == ()


def test_a_given_broker_that_is_silent_is_never_replaced(tmp_path: Path) -> None:
    with pytest.raises(BrokerStartError, match=r"KAFKA_BOOTSTRAP_SERVERS does not answer at 127.0.0.1:1"):
        open_broker({"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}, tmp_path)


@pytest.mark.usefixtures("no_jdk_wheel")
def test_with_nothing_but_python_the_wheel_broker_runs_and_each_step_down_is_explained(
    tmp_path: Path,
) -> None:
    told: list[str] = []
    with open_broker(NOTHING_BUT_PYTHON, tmp_path, say=told.append) as broker:
        assert (broker.kind, broker.producer_mode) == (BrokerKind.WHEEL, "plain")
        assert broker.version.startswith("tansu v")
    assert list(broker.fallbacks) == told
    assert told[0].startswith(
        "Not using Apache Kafka from jars: Apache Kafka needs Java 17 or newer (none was found"
    )
    assert told[1] == "Not using Docker: no Docker engine answers."


@pytest.mark.usefixtures("no_jdk_wheel")
def test_when_no_kind_works_all_reasons_are_named(tmp_path: Path) -> None:
    real = (BrokerKind.KAFKA, BrokerKind.DOCKER)
    with pytest.raises(BrokerUnavailableError, match=r"No Kafka broker can run here: .*Java.*Docker"):
        open_broker(NOTHING_BUT_PYTHON, tmp_path, say=lambda _: None, kinds=real)


def test_by_hand_it_prints_the_address_and_stops_on_ctrl_c(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "troth_sandbox.brokers", "--run-dir", str(tmp_path)]
    environ = {**os.environ, **NOTHING_BUT_PYTHON, "JAVA_HOME": ""}
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        ready = next(line for line in lines if line.startswith("ready "))
        hint = next(lines)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    bootstrap = dict(pair.split("=") for pair in ready.split()[1:])["bootstrap"]
    assert hint.startswith(f"export KAFKA_BOOTSTRAP_SERVERS={bootstrap} ")


def test_a_wheel_broker_is_gone_after_stop(tmp_path: Path) -> None:
    with TansuBroker(tmp_path, environ={}) as broker:
        pid = broker.pid
    assert wait_for(lambda: not Path(f"/proc/{pid}").exists(), deadline=5)


class FakeContainer:
    """A container that notes what it was told; the engine itself is not under test."""

    def __init__(self, image: str, error: Exception | None = None) -> None:
        self.image = image
        self.environ: dict[str, str] = {}
        self.ports: dict[int, int] = {}
        self.state = "created"
        self._error = error

    def with_bind_ports(self, container: int, host: int) -> Self:
        self.ports[container] = host
        return self

    def with_env(self, key: str, value: str) -> Self:
        self.environ[key] = value
        return self

    def start(self) -> Self:
        if self._error:
            raise self._error
        self.state = "started"
        return self

    def stop(self) -> None:
        self.state = "stopped"


def docker(container: FakeContainer) -> Callable[[str], FakeContainer]:
    def create(image: str) -> FakeContainer:
        container.image = image
        return container

    return create


def test_docker_runs_the_pinned_kafka_with_the_address_clients_see() -> None:
    container = FakeContainer("")
    broker = start_in_docker({}, container=docker(container), answers=lambda _: True, say=lambda _: None)
    port = int(broker.bootstrap.rsplit(":")[1])
    assert container.image == "apache/kafka:4.4.0"
    assert container.ports == {port: port}
    assert container.environ["KAFKA_ADVERTISED_LISTENERS"] == f"PLAINTEXT://127.0.0.1:{port}"
    assert container.environ["KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR"] == "1"
    broker.stop()
    assert container.state == "stopped"


def test_a_container_that_stays_silent_is_stopped_again() -> None:
    container = FakeContainer("")
    with pytest.raises(BrokerStartError, match="did not answer"):
        start_in_docker(
            {}, container=docker(container), answers=lambda _: False, say=lambda _: None, deadline=0.1
        )
    assert container.state == "stopped"


def test_a_container_that_cannot_start_says_why() -> None:
    container = FakeContainer("", error=OSError("no space left"))
    with pytest.raises(BrokerStartError, match="did not start: no space left"):
        start_in_docker({}, container=docker(container), answers=lambda _: True, say=lambda _: None)
