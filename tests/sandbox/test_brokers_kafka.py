"""Apache Kafka as our child: what it leaves behind, and what it says when it cannot start."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from troth_sandbox.brokers import LocalKafka
from troth_sandbox.brokers.jars import kafka_jars
from troth_sandbox.brokers.java import find_java
from troth_sandbox.brokers.readiness import answers_admin
from troth_sandbox.errors import BrokerStartError, BrokerUnavailableError


@pytest.fixture(autouse=True)
def _java_and_jars(require: Callable[[bool, str], None]) -> None:
    try:
        find_java(os.environ)
        kafka_jars(os.environ)
    except BrokerUnavailableError as error:
        require(False, f"No Apache Kafka: {error}")


def test_its_data_goes_with_it_and_its_log_stays(tmp_path: Path) -> None:
    with LocalKafka(tmp_path, environ=os.environ) as broker:
        assert answers_admin(broker.bootstrap)
        assert broker.bootstrap.startswith("127.0.0.1:")
        assert (tmp_path / "kafka/data/meta.properties").exists()
        pid = broker.pid
    assert not Path(f"/proc/{pid}").exists()
    assert not (tmp_path / "kafka/data").exists()
    assert "Kafka Server started" in (tmp_path / "kafka/kafka.log").read_text()


def fake_java(home: Path, on_format: str, on_start: str) -> dict[str, str]:
    """A Java that only plays the two programs that are started."""
    launcher = home / "bin" / "java"
    launcher.parent.mkdir(parents=True)
    launcher.write_text(
        "#!/bin/sh\n"
        'case "$*" in\n'
        """  -version) echo 'openjdk version "17.0.1"' >&2;;\n"""
        f"  *StorageTool*) {on_format};;\n"
        f"  *) {on_start};;\n"
        "esac\n"
    )
    launcher.chmod(0o755)
    return {**os.environ, "JAVA_HOME": str(home)}


def test_storage_that_cannot_be_formatted_is_told_with_the_tail_of_the_log(tmp_path: Path) -> None:
    environ = fake_java(
        tmp_path / "jdk", on_format="echo 'No space left on device'; exit 1", on_start="exit 0"
    )
    broker = LocalKafka(tmp_path, environ=environ)
    with pytest.raises(BrokerStartError, match=r"(?s)could not format its storage .*No space left on device"):
        broker.start()
    assert broker.pid is None


def test_a_broker_that_ends_while_starting_is_told_with_its_reason_and_without_java_frames(
    tmp_path: Path,
) -> None:
    trace = "printf 'Address already in use\\n\\tat java.base/sun.nio.ch.Net.bind0(Native Method)\\n'; exit 1"
    broker = LocalKafka(tmp_path, environ=fake_java(tmp_path / "jdk", on_format="exit 0", on_start=trace))
    with pytest.raises(
        BrokerStartError,
        match=r"Apache Kafka ended while starting \(see .*kafka\.log\):\nAddress already in use$",
    ):
        broker.start()
    assert broker.pid is None


def test_a_broker_that_never_answers_is_stopped_at_its_deadline(tmp_path: Path) -> None:
    environ = fake_java(tmp_path / "jdk", on_format="exit 0", on_start="exec sleep 600")
    broker = LocalKafka(tmp_path, environ=environ)
    with pytest.raises(BrokerStartError, match=r"did not answer within 0\.3 s"):
        broker.start(deadline=0.3)
    assert broker.pid is None


def test_the_answer_of_another_cluster_on_our_port_does_not_count(kafka: str) -> None:
    assert answers_admin(kafka)
    assert not answers_admin(kafka, cluster="ours")


async def test_readiness_can_be_asked_inside_an_event_loop() -> None:
    await asyncio.sleep(0)
    assert not answers_admin("127.0.0.1:1")
