"""Sets the stage: broker, database, simulators, receiver and the three services, each its own process."""

from __future__ import annotations

import base64
import json
import os
import secrets
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from troth_sandbox.brokers import Broker, BrokerKind, open_broker
from troth_sandbox.ports import free_ports
from troth_sandbox.postgres import Database, open_database
from troth_sandbox.processes import ChildProcess

Listener = Callable[[str, str], None]
SERVICES = ("crm-sync", "jira-sync", "risk-engine")
_PASSED_ON = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "TERM",
    "VIRTUAL_ENV",
    "OPENBLAS_CORETYPE",
    "OPENBLAS_L2_SIZE",
)


@dataclass(frozen=True)
class Addresses:
    """Where everything listens, on loopback."""

    salesforce: str
    salesforce_admin: str
    jira: str
    jira_admin: str
    receiver: str
    crm_sync: str
    jira_sync: str
    risk_engine: str

    def of(self, service: str) -> str:
        """Base URL of one of the three services."""
        return str(getattr(self, service.replace("-", "_")))


class Stage:
    """Everything running. Use as a context manager: leaving it stops what it started, in reverse order.

    ``environ`` may name a broker and a database to use; ``kinds`` are the brokers that will do.
    """

    def __init__(
        self,
        world: Path,
        run_dir: Path,
        *,
        listener: Listener,
        say: Callable[[str], None],
        environ: Mapping[str, str] = os.environ,
        kinds: Iterable[BrokerKind] = tuple(BrokerKind),
    ) -> None:
        self._environ = environ
        self._kinds = kinds
        self._world = world
        self._run_dir = run_dir
        self._listener = listener
        self._say = say
        self._open = ExitStack()
        self._secret = "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()
        self.notices = run_dir / "notices.jsonl"
        self.services: dict[str, ChildProcess] = {}
        self.broker: Broker
        self.database: Database
        self.addresses: Addresses

    def __enter__(self) -> Self:
        try:
            self._set()
        except BaseException:
            self._open.close()
            raise
        return self

    def __exit__(self, *_exc: object) -> None:
        self._open.close()

    def start_services(self) -> None:
        """Starts the three services; they find each other only through Kafka."""
        for name, service in self.services.items():
            service.start()
            self._say(f"{name} started, {self.addresses.of(name)}/readyz")

    def _set(self) -> None:
        self._run_dir.mkdir(parents=True, exist_ok=True)
        self.broker = self._open.enter_context(
            open_broker(self._environ, self._run_dir / "kafka", say=self._say, kinds=self._kinds)
        )
        self._say(f"Kafka: {self.broker.kind} {self.broker.version}, producers {self.broker.producer_mode}")
        self.database = self._open.enter_context(open_database(self._environ, self._run_dir / "postgres"))
        self._say(f"PostgreSQL {self.database.version}")
        self._start_vendors()
        for name in SERVICES:
            self.services[name] = self._service(name)
            self._open.callback(self.services[name].stop)

    def _start_vendors(self) -> None:
        salesforce = self._child("salesforce", "troth_sandbox.salesforce", self._salesforce_arguments())
        jira = self._child("jira", "troth_sandbox.jira", self._jira_arguments())
        receiver = self._child("receiver", "troth_sandbox.receiver", self._receiver_arguments())
        found = [child.wait_ready(60) for child in (salesforce, jira, receiver)]
        ports = free_ports(3)
        local = "http://127.0.0.1"
        self.addresses = Addresses(
            f"https://127.0.0.1:{found[0]['api']}",
            f"{local}:{found[0]['admin']}",
            f"{local}:{found[1]['api']}",
            f"{local}:{found[1]['admin']}",
            f"{local}:{found[2]['api']}",
            *(f"{local}:{port}" for port in ports),
        )

    def _salesforce_arguments(self) -> list[str]:
        seed = str(self._world / "salesforce.json")
        return ["--port", "0", "--admin-port", "0", "--seed", seed, "--tls-dir", str(self._run_dir / "tls")]

    def _jira_arguments(self) -> list[str]:
        return ["--port", "0", "--admin-port", "0", "--seed", str(self._world / "jira.json")]

    def _receiver_arguments(self) -> list[str]:
        secret = self._run_dir / "webhook-secret"
        secret.write_text(self._secret, encoding="utf-8")
        secret.chmod(0o600)
        return ["--port", "0", "--secret-file", str(secret), "--out", str(self.notices)]

    def _child(self, name: str, module: str, arguments: list[str]) -> ChildProcess:
        child = ChildProcess(name, module, arguments, environ=_plain_environment(), listener=self._listener)
        child.start()
        self._open.callback(child.stop)
        return child

    def environment(self, name: str) -> dict[str, str]:
        """Everything one of the three services is told."""
        return {**_plain_environment(), **self._common(name), **self._own(name)}

    def _service(self, name: str) -> ChildProcess:
        return ChildProcess(
            name, name.replace("-", "_"), ["run"], environ=self.environment(name), listener=self._listener
        )

    def _common(self, name: str) -> Mapping[str, str]:
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.broker.bootstrap,
            "TROTH_KAFKA_PRODUCER_MODE": self.broker.producer_mode,
            "TROTH_HTTP_PORT": self.addresses.of(name).rsplit(":", 1)[1],
            "TROTH_LOG_FORMAT": "json",
        }

    def _own(self, name: str) -> Mapping[str, str]:
        if name == "crm-sync":
            auth = _auth(self._world / "salesforce.json")
            return {
                "TROTH_CRM_SALESFORCE_URL": self.addresses.salesforce,
                "TROTH_CRM_CLIENT_ID": auth["client_id"],
                "TROTH_CRM_CLIENT_SECRET": auth["client_secret"],
                "TROTH_CRM_CA_BUNDLE": str(self._run_dir / "tls" / "ca.pem"),
                "TROTH_CRM_POLL_SECONDS": "2",
            }
        if name == "jira-sync":
            auth = _auth(self._world / "jira.json")
            return {
                "TROTH_JIRA_URL": self.addresses.jira,
                "TROTH_JIRA_EMAIL": auth["email"],
                "TROTH_JIRA_API_TOKEN": auth["token"],
                "TROTH_JIRA_POLL_SECONDS": "2",
                "TROTH_JIRA_REQUESTS_PER_SECOND": "200",
                "TROTH_JIRA_BURST": "50",
            }
        return {
            "DATABASE_URL": self.database.url,
            "TROTH_RISK_WEBHOOK_URL": f"{self.addresses.receiver}/hooks",
            "TROTH_RISK_WEBHOOK_SECRET_FILE": str(self._run_dir / "webhook-secret"),
            "TROTH_RISK_WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
        }


def _plain_environment() -> dict[str, str]:
    return {name: os.environ[name] for name in _PASSED_ON if name in os.environ}


def _auth(seed: Path) -> dict[str, str]:
    auth: dict[str, str] = json.loads(seed.read_text(encoding="utf-8"))["auth"]
    return auth
