"""A simulated site and a jira-sync beside it, both as processes, for measuring."""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from tests.bench import jira_world
from tests.e2e.play import GIVEN_SERVERS, REAL_KAFKA

from troth_chassis.topic_reader import read_topic
from troth_contracts.codec import InRecord, decode
from troth_contracts.topics import Topic
from troth_sandbox.brokers import open_broker
from troth_sandbox.ports import free_ports
from troth_sandbox.processes import ChildProcess

WITHOUT_LIMITER = {"TROTH_JIRA_REQUESTS_PER_SECOND": "100000", "TROTH_JIRA_BURST": "100000"}
SECRET = "bench-secret-of-the-webhooks"
ONCE_A_DAY = "86400"


class Site:
    """A simulator process and its admin API."""

    def __init__(self, folder: Path, seed: Mapping[str, Any]) -> None:
        path = folder / "jira.json"
        path.write_text(json.dumps(seed), encoding="utf-8")
        arguments = ["--port", "0", "--admin-port", "0", "--seed", str(path)]
        self.process = ChildProcess("jira", "troth_sandbox.jira", arguments, environ=os.environ)
        self.process.start()
        ports = self.process.wait_ready(300)
        self.url = f"http://127.0.0.1:{ports['api']}"
        self._admin = httpx.Client(
            base_url=f"http://127.0.0.1:{ports['admin']}/admin", trust_env=False, timeout=60
        )

    def tell(self, path: str, body: object) -> Any:
        """One order to the admin API; its answer."""
        response = self._admin.post(path, json=body)
        response.raise_for_status()
        return response.json() if response.content else None

    def seen(self, path: str) -> list[dict[str, Any]]:
        """A log of the admin API: journal, deliveries or write-log."""
        found: list[dict[str, Any]] = self._admin.get(path).raise_for_status().json()
        return found

    def be_slow(self, seconds: float) -> None:
        """Every request takes this much longer, as over a real network."""
        self.tell("/faults", [{"match": {"path": "", "times": None}, "act": {"delay": seconds}}])

    def stop(self) -> None:
        """Ends the process."""
        self._admin.close()
        self.process.stop()


class Service:
    """A jira-sync process with a site id of its own."""

    def __init__(self, bootstrap: str, url: str, **settings: str) -> None:
        self.site_id = f"bench-{uuid.uuid4().hex[:8]}"
        self._bootstrap = bootstrap
        self._port = int(settings.get("TROTH_HTTP_PORT") or free_ports(1)[0])
        self.lines: list[str] = []
        self.process = ChildProcess(
            "jira-sync",
            "jira_sync",
            ["run"],
            environ={
                **os.environ,
                "KAFKA_BOOTSTRAP_SERVERS": bootstrap,
                "TROTH_HTTP_PORT": str(self._port),
                "TROTH_LOG_FORMAT": "json",
                "TROTH_JIRA_SITE_ID": self.site_id,
                "TROTH_JIRA_URL": url,
                "TROTH_JIRA_EMAIL": jira_world.EMAIL,
                "TROTH_JIRA_API_TOKEN": jira_world.TOKEN,
                **WITHOUT_LIMITER,
                **settings,
            },
            listener=lambda _name, line: self.lines.append(line),
        )

    def url_of(self, path: str) -> str:
        """Where the service itself answers."""
        return f"http://127.0.0.1:{self._port}{path}"

    def metric(self, name: str) -> float:
        """The value of a metric line that begins with this name; 0 when it is not there or nobody answers."""
        try:
            text = httpx.get(self.url_of("/metrics"), trust_env=False).text
        except httpx.TransportError:
            return 0.0
        return next(
            (float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(name)), 0.0
        )

    def until(self, what: str, holds: Callable[[], bool], *, seconds: float, pause: float = 0.25) -> None:
        """Waits for a condition; TimeoutError with the end of the service's log."""
        give_up = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > give_up or not self.process.running:
                raise TimeoutError(f"{what}: not within {seconds:g} s\n{self.process.last_lines}")
            time.sleep(pause)

    async def told(self, topic: Topic) -> list[tuple[InRecord, int]]:
        """Every committed record of this site, and when (ms) it was produced."""
        found: list[tuple[InRecord, int]] = []
        async for page in read_topic(self._bootstrap, topic):
            own = [raw for raw in page if self.site_id.encode() in (raw.key or b"")]
            found += [(decode(topic.name, raw.key, raw.value, raw.headers), raw.timestamp) for raw in own]
        return found

    def cpu_seconds(self) -> float:
        """Processor time used so far: what is left of a slow run when the machine was busy (Linux)."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak_memory(self) -> int:
        """Largest resident size so far, in bytes (Linux)."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        raise LookupError("this system does not tell the peak memory of a process")


@contextmanager
def open_kafka(folder: Path) -> Iterator[str]:
    """Bootstrap servers of a real Kafka of its own: topics must be empty."""
    environ = {name: value for name, value in os.environ.items() if name not in GIVEN_SERVERS}
    with open_broker(environ, folder / "kafka", kinds=REAL_KAFKA, say=lambda _sentence: None) as broker:
        yield broker.bootstrap


@contextmanager
def open_site(folder: Path, seed: Mapping[str, Any]) -> Iterator[Site]:
    """A site until the block is left."""
    site = Site(folder, seed)
    try:
        yield site
    finally:
        site.stop()


@contextmanager
def open_service(bootstrap: str, url: str, **settings: str) -> Iterator[Service]:
    """A started service until the block is left."""
    service = Service(bootstrap, url, **settings)
    service.process.start()
    try:
        yield service
    finally:
        service.process.stop()
