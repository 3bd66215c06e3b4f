"""Apache Kafka as a child process: one node, KRaft combined mode, loopback only, a data folder per run."""

import secrets
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from troth_sandbox.brokers.jars import kafka_jars
from troth_sandbox.brokers.java import Java, find_java
from troth_sandbox.brokers.readiness import answers_admin
from troth_sandbox.errors import BrokerStartError
from troth_sandbox.ports import free_ports
from troth_sandbox.processes import end, spawn, tail, wait_for

# Small and quick to start: C1 only compiles fast, the serial collector has no threads of its own.
JVM_OPTIONS = ("-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")
START_SECONDS = 120.0  # a busy machine with two cores needs more than a minute
STOP_SECONDS = 15.0


@dataclass(frozen=True)
class _Layout:
    """Where one run keeps its files."""

    root: Path

    @property
    def properties(self) -> Path:
        return self.root / "server.properties"

    @property
    def logging(self) -> Path:
        return self.root / "log4j2.properties"

    @property
    def log(self) -> Path:
        return self.root / "kafka.log"

    @property
    def data(self) -> Path:
        return self.root / "data"


class LocalKafka:
    """An Apache Kafka broker of our own.

    `bootstrap` is set once `start` returned. The data goes with `stop` unless `keep` is set; the log stays.
    """

    def __init__(
        self,
        run_dir: Path,
        *,
        environ: Mapping[str, str],
        port: int = 0,
        keep: bool = False,
        say: Callable[[str], None] = print,
    ) -> None:
        self._environ = environ
        self._layout = _Layout(run_dir / "kafka")
        self._port = port
        self._keep = keep
        self._say = say
        self._cluster = secrets.token_urlsafe(16)  # kept data belong to it
        self._process: subprocess.Popen[bytes] | None = None
        self.version = ""

    @property
    def bootstrap(self) -> str:
        """The address for clients, `127.0.0.1:<port>`."""
        return f"127.0.0.1:{self._port}"

    @property
    def pid(self) -> int | None:
        """The process id of the JVM."""
        return None if self._process is None else self._process.pid

    def start(self, deadline: float = START_SECONDS) -> None:
        """Fetch what is missing, start, and return when an admin client is answered.

        Raises BrokerUnavailableError without Java or the jars, BrokerStartError when it does not come up.
        """
        java = find_java(self._environ)
        libs = kafka_jars(self._environ, say=self._say)
        self.version = libs.parent.name
        self._prepare()
        try:
            self._format(java, libs)
            self._process = self._launch(java, libs, "kafka.Kafka", str(self._layout.properties))
            self._await_answer(deadline)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the broker and remove its data; safe to call twice."""
        if self._process is not None:
            end(self._process, patience=STOP_SECONDS)
            self._process = None
        if not self._keep:
            shutil.rmtree(self._layout.data, ignore_errors=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    def _prepare(self) -> None:
        (free, controller) = free_ports(2)
        self._port = self._port or free
        layout = self._layout
        layout.root.mkdir(parents=True, exist_ok=True)
        layout.log.unlink(missing_ok=True)
        layout.properties.write_text(_server_properties(self._port, controller, layout.data))
        layout.logging.write_text(_LOGGING)

    def _format(self, java: Java, libs: Path) -> None:
        arguments = (
            "format",
            f"--cluster-id={self._cluster}",  # one word: a random id may begin with a dash
            "--config",
            str(self._layout.properties),
            "--ignore-formatted",
        )
        if self._launch(java, libs, "kafka.tools.StorageTool", *arguments).wait() != 0:
            raise BrokerStartError(
                f"Apache Kafka could not format its storage (see {self._layout.log}):\n{tail(self._layout.log)}"
            )

    def _launch(self, java: Java, libs: Path, main: str, *arguments: str) -> subprocess.Popen[bytes]:
        logging = f"-Dlog4j2.configurationFile={self._layout.logging}"
        command = [str(java.launcher), *JVM_OPTIONS, logging, "-cp", f"{libs}/*", main, *arguments]
        with self._layout.log.open("ab") as log:
            return spawn(command, environ=self._environ, output=log, cwd=self._layout.root)

    def _await_answer(self, deadline: float) -> None:
        if not wait_for(self._answers, deadline=deadline, pause=0.05):
            raise BrokerStartError(
                f"Apache Kafka did not answer within {deadline:g} s (see {self._layout.log}):\n{tail(self._layout.log)}"
            )

    def _answers(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise BrokerStartError(
                f"Apache Kafka ended while starting (see {self._layout.log}):\n{tail(self._layout.log)}"
            )
        return answers_admin(self.bootstrap, cluster=self._cluster)


def _server_properties(port: int, controller_port: int, data: Path) -> str:
    settings = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": str(data),
        **SINGLE_NODE,
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())


SINGLE_NODE = {
    "auto.create.topics.enable": "false",  # a misspelt topic should fail here as it does in production
    "default.replication.factor": "1",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "4",
    "group.initial.rebalance.delay.ms": "0",
    "num.network.threads": "2",
    "num.io.threads": "4",
    "log.cleaner.backoff.ms": "1000",  # so that a test sees compaction within seconds
    "log.cleaner.dedupe.buffer.size": "16777216",
    "controlled.shutdown.enable": "false",  # there is no other node to hand over to
}

_LOGGING = """\
status = warn
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{ISO8601} %p %c{1}: %m%n
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
logger.kafka.name = kafka.server.KafkaRaftServer
logger.kafka.level = info
"""
