"""The simulator as a process with 4,321 deals, one in ten of them deleted: what clients by others are tried on."""

import re
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import requests
from requests.adapters import HTTPAdapter
from simple_salesforce.api import Salesforce

from troth_sandbox.salesforce.ids import long_id

ROWS = 4_321
DELETED = 433
VERSION = "66.0"
DOMAIN = "sandbox.my"
MODULE: list[str | Path] = [sys.executable, "-m", "troth_sandbox.salesforce"]


def deal_id(number: int) -> str:
    return long_id(f"006Deal{number:08d}")


def seed() -> dict[str, Any]:
    deals = [
        {
            "Id": deal_id(number),
            "Name": f"Deal {number}",
            "StageName": "Prospecting",
            "Amount": number,
            "IsDeleted": number % 10 == 0,
        }
        for number in range(ROWS)
    ]
    return {
        "org_id": "00D000000000001EAA",
        "objects": {"Opportunity": deals},
        "auth": {"client_id": "id", "client_secret": "secret"},
    }


@dataclass(frozen=True)
class Running:
    """A simulator process and how to reach it."""

    url: str
    admin: httpx.Client
    trust: Path

    def token(self) -> str:
        context = ssl.create_default_context(cafile=str(self.trust))
        form = {"grant_type": "client_credentials", "client_id": "id", "client_secret": "secret"}
        answer = httpx.post(f"{self.url}/services/oauth2/token", data=form, verify=context).json()
        assert answer["instance_url"] == self.url
        return str(answer["access_token"])

    def connect(self) -> Salesforce:
        """A client in direct mode: it was given a session and cannot open another."""
        return Salesforce(
            session_id=self.token(), instance_url=self.url, session=self._session(), version=VERSION
        )

    def log_in(self) -> Salesforce:
        """A client with its own login and refresh, whose login host is led here."""
        session = self._session()
        session.mount(f"https://{DOMAIN}.salesforce.com", _Detour(self.url))
        return Salesforce(
            consumer_key="id", consumer_secret="secret", domain=DOMAIN, session=session, version=VERSION
        )

    def _session(self) -> requests.Session:
        session = requests.Session()
        session.verify = str(self.trust)
        # Otherwise REQUESTS_CA_BUNDLE of the surrounding machine wins over `verify`.
        session.trust_env = False
        return session


class _Detour(HTTPAdapter):
    """Sends what is meant for one host to another."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        request.url = self._url + request.path_url
        return super().send(request, *args, **kwargs)


@contextmanager
def running_simulator(place: Path) -> Iterator[Running]:
    """The process; `place` takes its certificate."""
    (place / "seed.json").write_bytes(httpx.Response(200, json=seed()).content)
    command: list[str | Path] = [
        *MODULE,
        "--port",
        "0",
        "--admin-port",
        "0",
        "--seed",
        place / "seed.json",
        "--tls-dir",
        place,
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            ready = re.fullmatch(r"ready api=(\d+) admin=(\d+)\n", line)
            assert ready is not None, line
            with httpx.Client(base_url=f"http://127.0.0.1:{ready.group(2)}") as admin:
                yield Running(f"https://127.0.0.1:{ready.group(1)}", admin, place / "ca.pem")
        finally:
            process.terminate()
            assert process.wait(10) == 0
