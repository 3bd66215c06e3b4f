"""Apache Kafka in a container, where a Docker engine answers and Maven or Java is missing."""

import importlib
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Protocol, Self

from troth_sandbox.brokers.broker import Broker, BrokerKind
from troth_sandbox.brokers.jars import pinned_version
from troth_sandbox.brokers.kafka import SINGLE_NODE
from troth_sandbox.brokers.readiness import answers_admin
from troth_sandbox.errors import BrokerStartError, BrokerUnavailableError
from troth_sandbox.ports import free_ports
from troth_sandbox.processes import wait_for

IMAGE = "apache/kafka"
START_SECONDS = 90.0
CONTROLLER_PORT = 9093  # inside the container only


class Container(Protocol):
    """The part of testcontainers' DockerContainer that is used here."""

    def with_bind_ports(self, container: int, host: int) -> Self: ...
    def with_env(self, key: str, value: str) -> Self: ...
    def start(self) -> Self: ...
    def stop(self) -> None: ...


def start_in_docker(
    environ: Mapping[str, str],
    *,
    say: Callable[[str], None] = print,
    container: Callable[[str], Container] | None = None,
    answers: Callable[[str], bool] = answers_admin,
    deadline: float = START_SECONDS,
) -> Broker:
    """Run the pinned Apache Kafka in a container on a free loopback port.

    Raises BrokerUnavailableError without an engine, BrokerStartError when the container does not answer.
    """
    create = container or _engine(environ)
    version = pinned_version()
    (port,) = free_ports(1)
    say(f"starting {IMAGE}:{version} in Docker")
    prepared = create(f"{IMAGE}:{version}").with_bind_ports(port, port)
    for name, value in _settings(port).items():
        prepared = prepared.with_env(name, value)
    bootstrap = f"127.0.0.1:{port}"
    try:
        prepared.start()
    except Exception as error:
        # docker and requests raise a dozen unrelated types; all of them mean the same here.
        raise BrokerStartError(f"the container of {IMAGE}:{version} did not start: {error}") from error
    if not wait_for(lambda: answers(bootstrap), deadline=deadline, pause=0.2):
        prepared.stop()
        raise BrokerStartError(f"Apache Kafka in Docker did not answer within {deadline:g} s.")
    return Broker(bootstrap, BrokerKind.DOCKER, version, "transactional", stop=prepared.stop)


def _engine(environ: Mapping[str, str]) -> Callable[[str], Container]:
    """Return testcontainers' container class after an engine answered."""
    # Asked in a process of its own: the client leaks its socket when nobody answers.
    ask = [sys.executable, "-c", "import docker, testcontainers; docker.from_env(timeout=3).ping()"]
    told = subprocess.run(ask, env=dict(environ), capture_output=True, text=True, timeout=30, check=False)
    if "ModuleNotFoundError" in told.stderr:
        raise BrokerUnavailableError("testcontainers is not installed.")
    if told.returncode != 0:
        raise BrokerUnavailableError("no Docker engine answers.")
    create: Callable[[str], Container] = importlib.import_module(
        "testcontainers.core.container"
    ).DockerContainer
    return create


def _settings(port: int) -> dict[str, str]:
    settings = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@localhost:{CONTROLLER_PORT}",
        "listeners": f"PLAINTEXT://:{port},CONTROLLER://:{CONTROLLER_PORT}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        **SINGLE_NODE,
    }
    # The image turns KAFKA_A_B into a.b: https://hub.docker.com/r/apache/kafka
    return {f"KAFKA_{name.replace('.', '_').upper()}": value for name, value in settings.items()}
