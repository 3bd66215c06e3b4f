"""The Jira simulator as a process or a thread, and the settings that lead to it. For tests that may use sockets."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import threading
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from tests.jira_sync import small_site

from jira_sync.settings import JiraSettings
from troth_chassis.settings import load_settings
from troth_sandbox.jira.app import admin_api, api
from troth_sandbox.jira.clock import SettableClock
from troth_sandbox.jira.seed import parse
from troth_sandbox.jira.site import Site
from troth_sandbox.processes import ChildProcess


class Steering:
    """A site by its two addresses."""

    def __init__(self, port: int | str, admin_port: int | str) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.admin_url = f"http://127.0.0.1:{admin_port}/admin"
        self._admin = httpx.Client(base_url=self.admin_url, trust_env=False)

    def tell(self, path: str, body: object) -> Any:
        response = self._admin.post(path, json=body)
        assert response.is_success, response.text
        return response.json() if response.content else None

    def delete(self, path: str) -> None:
        assert self._admin.delete(path).is_success

    def fault(self, path: str, times: int | None = 1, **act: object) -> None:
        self.tell("/faults", [{"match": {"path": path, "times": times}, "act": act}])

    def asked(self, path: str) -> list[dict[str, Any]]:
        journal: list[dict[str, Any]] = self._admin.get("/journal").json()
        return [entry for entry in journal if path in entry["path"]]

    def reset(self) -> None:
        assert self._admin.delete("/faults").is_success

    def stop(self) -> None:
        self._admin.close()


class Simulator(Steering):
    """A simulator process and its admin API."""

    def __init__(self, folder: Path, seed: dict[str, Any]) -> None:
        path = folder / "jira.json"
        path.write_text(json.dumps(seed))
        arguments = ["--port", "0", "--admin-port", "0", "--seed", str(path)]
        self.process = ChildProcess("jira", "troth_sandbox.jira", arguments, environ=os.environ)
        self.process.start()
        ports = self.process.wait_ready()
        super().__init__(ports["api"], ports["admin"])

    def stop(self) -> None:
        super().stop()
        self.process.stop()


class LocalSimulator(Steering):
    """The same site in a thread of the test: it starts at once, and its clock can be held."""

    def __init__(self, seed: dict[str, Any], clock: SettableClock | None = None) -> None:
        self.clock = clock or SettableClock()
        self.site = Site(parse(json.dumps(seed).encode()), self.clock)
        listeners = [_listen(), _listen()]
        self._servers = [_server(api(self.site)), _server(admin_api(self.site))]
        self._thread = threading.Thread(target=asyncio.run, args=(self._serve(listeners),), daemon=True)
        self._thread.start()
        super().__init__(*(listener.getsockname()[1] for listener in listeners))

    async def _serve(self, listeners: list[socket.socket]) -> None:
        pairs = zip(self._servers, listeners, strict=True)
        await asyncio.gather(*(server.serve(sockets=[listener]) for server, listener in pairs))

    def stop(self) -> None:
        super().stop()
        for server in self._servers:
            server.should_exit = True
        self._thread.join(10)


def _listen() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


def _server(app: Any) -> uvicorn.Server:
    return uvicorn.Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            date_header=False,
            timeout_graceful_shutdown=1,
        )
    )


def settings_of(url: str, token: str = small_site.AUTH["token"]) -> JiraSettings:
    return settings_with(url, TROTH_JIRA_EMAIL=small_site.AUTH["email"], TROTH_JIRA_API_TOKEN=token)


def settings_with(url: str, **login: str) -> JiraSettings:
    return load_settings(
        JiraSettings,
        {
            "KAFKA_BOOTSTRAP_SERVERS": "nowhere:9092",
            "TROTH_JIRA_URL": url,
            "TROTH_JIRA_REQUESTS_PER_SECOND": "500",
            "TROTH_JIRA_BURST": "100",
            "TROTH_JIRA_REQUEST_TIMEOUT_SECONDS": "5",
            **login,
        },
    )
