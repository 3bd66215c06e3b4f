"""crm-sync as a process beside a simulated org and a real Kafka, with what it says and takes."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
from tests.crm_sync.simulated import CLIENT, SimulatedOrg

from troth_sandbox.processes import ChildProcess, wait_for


@dataclass
class Service:
    """A running crm-sync."""

    process: ChildProcess
    url: str
    lines: list[dict[str, Any]] = field(default_factory=list)

    def said(self, event: str) -> dict[str, Any] | None:
        """The first log line of that name, None until then."""
        return next((line for line in self.lines if line.get("event") == event), None)

    def until_said(self, event: str, deadline: float) -> datetime:
        """When it said so. Raises RuntimeError after ``deadline`` seconds or when it ends before."""
        wait_for(
            lambda: self.said(event) is not None or not self.process.running, deadline=deadline, pause=0.1
        )
        line = self.said(event)
        if line is None:
            raise RuntimeError(f"crm-sync never said {event!r}:\n{self.process.last_lines}")
        return datetime.fromisoformat(line["timestamp"])

    def polled_at(self) -> datetime | None:
        """The server time of its last poll."""
        told = httpx.get(f"{self.url}/status", timeout=60, trust_env=False).json().get("polled_at")
        return datetime.fromisoformat(told) if told else None

    def until_polled(self, after: datetime, deadline: float) -> None:
        """Until a poll that began later than ``after`` is over."""
        if not wait_for(
            lambda: (at := self.polled_at()) is not None and at > after, deadline=deadline, pause=0.5
        ):
            raise RuntimeError(f"no poll after {after} within {deadline:g} s:\n{self.process.last_lines}")

    def peak_memory(self) -> float:
        """The most resident memory it ever took, in MiB (Linux)."""
        told = Path(f"/proc/{self.process.pid}/status").read_text("utf-8")
        found = re.search(r"VmHWM:\s+(\d+) kB", told)
        if found is None:
            raise RuntimeError("this system does not tell the peak memory of a process")
        return int(found.group(1)) / 1024


@contextlib.contextmanager
def crm_sync(org: SimulatedOrg, kafka: str, **environ: str) -> Iterator[Service]:
    """Runs until the block ends; every setting that is not given here or in ``environ`` has its default."""
    port = _free_port()
    settings = {
        "KAFKA_BOOTSTRAP_SERVERS": kafka,
        "TROTH_HTTP_PORT": str(port),
        "TROTH_LOG_FORMAT": "json",
        "TROTH_CRM_SALESFORCE_URL": org.url,
        "TROTH_CRM_CLIENT_ID": CLIENT["client_id"],
        "TROTH_CRM_CLIENT_SECRET": CLIENT["client_secret"],
        "TROTH_CRM_CA_BUNDLE": str(org.ca),
        **environ,
    }
    passed_on = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    lines: list[dict[str, Any]] = []

    def hear(_name: str, line: str) -> None:
        with contextlib.suppress(ValueError):
            lines.append(json.loads(line) | {"heard": time.monotonic()})

    process = ChildProcess("crm-sync", "crm_sync", ["run"], environ=passed_on | settings, listener=hear)
    with process:
        yield Service(process, f"http://127.0.0.1:{port}", lines)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
