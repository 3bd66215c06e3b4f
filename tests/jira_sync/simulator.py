"""The Jira simulator as a process, and the settings that lead to it. For tests that may use sockets."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import httpx
from tests.jira_sync import small_site

from jira_sync.settings import JiraSettings
from troth_chassis.settings import load_settings
from troth_sandbox.processes import ChildProcess


class Simulator:
    """A simulator process and its admin API."""

    def __init__(self, folder: Path, seed: dict[str, Any]) -> None:
        path = folder / "jira.json"
        path.write_text(json.dumps(seed))
        arguments = ["--port", "0", "--admin-port", "0", "--seed", str(path)]
        self.process = ChildProcess("jira", "troth_sandbox.jira", arguments, environ=os.environ)
        self.process.start()
        ports = self.process.wait_ready()
        self.url = f"http://127.0.0.1:{ports['api']}"
        self.admin_url = f"http://127.0.0.1:{ports['admin']}/admin"
        self._admin = httpx.Client(base_url=self.admin_url, trust_env=False)

    def tell(self, path: str, body: object) -> Any:
        response = self._admin.post(path, json=body)
        assert response.is_success, response.text
        return response.json() if response.content else None

    def fault(self, path: str, times: int | None = 1, **act: object) -> None:
        self.tell("/faults", [{"match": {"path": path, "times": times}, "act": act}])

    def asked(self, path: str) -> list[dict[str, Any]]:
        journal: list[dict[str, Any]] = self._admin.get("/journal").json()
        return [entry for entry in journal if path in entry["path"]]

    def reset(self) -> None:
        assert self._admin.delete("/faults").is_success

    def stop(self) -> None:
        self._admin.close()
        self.process.stop()


def settings_of(url: str, token: str = small_site.AUTH["token"]) -> JiraSettings:
    return load_settings(
        JiraSettings,
        {
            "KAFKA_BOOTSTRAP_SERVERS": "nowhere:9092",
            "TROTH_JIRA_URL": url,
            "TROTH_JIRA_EMAIL": small_site.AUTH["email"],
            "TROTH_JIRA_API_TOKEN": token,
            "TROTH_JIRA_REQUESTS_PER_SECOND": "500",
            "TROTH_JIRA_BURST": "100",
            "TROTH_JIRA_REQUEST_TIMEOUT_SECONDS": "5",
        },
    )
