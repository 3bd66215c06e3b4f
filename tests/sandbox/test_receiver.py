"""The receiver believes a signature and nothing else, and keeps what it accepted."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from standardwebhooks.webhooks import Webhook

from troth_sandbox.receiver.app import receiver_app
from troth_sandbox.receiver.inbox import Inbox

SECRET = "whsec_" + base64.b64encode(b"a secret only tests know").decode()
BODY = '{"kind": "oversold", "team": "Team Åsa"}'


def signed(
    body: str = BODY, webhook_id: str = "notice-1", *, secret: str = SECRET, late: float = 0
) -> dict[str, str]:
    at = datetime.now(tz=UTC) - timedelta(seconds=late)
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(webhook_id, at, body),
    }


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "received.jsonl"


@pytest.fixture
async def client(out: Path) -> AsyncIterator[httpx.AsyncClient]:
    inbox = Inbox(out, lambda: datetime(2026, 11, 25, 10, tzinfo=UTC))
    transport = httpx.ASGITransport(app=receiver_app(inbox, Webhook(SECRET)))
    async with httpx.AsyncClient(transport=transport, base_url="http://receiver") as client:
        yield client
    inbox.close()


async def test_a_genuine_request_is_kept_in_memory_and_on_disk(client: httpx.AsyncClient, out: Path) -> None:
    answer = await client.post("/hooks", content=BODY.encode(), headers=signed())

    assert answer.status_code == 204
    kept = [
        {
            "webhook_id": "notice-1",
            "received_at": "2026-11-25T10:00:00.000Z",
            "attempt": 1,
            "body": json.loads(BODY),
        }
    ]
    assert (await client.get("/received")).json() == kept
    assert [json.loads(line) for line in out.read_text().splitlines()] == kept


async def status_of(client: httpx.AsyncClient, headers: dict[str, str], body: bytes = BODY.encode()) -> int:
    raw = {name.encode(): value.encode() for name, value in headers.items()}
    answer = await client.post("/hooks", content=body, headers=raw)
    return answer.status_code


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-id": ""},
        {"webhook-id": "another"},
        {"webhook-signature": "v1,bm90IGl0"},
        {"webhook-signature": "v1"},
        {"webhook-signature": "v1,a,b"},
        {"webhook-signature": "v1,x"},
        {"webhook-signature": "v1,å"},
        {"webhook-signature": " "},
        {"webhook-signature": "v2,bm90IGl0"},
        {"webhook-timestamp": "yesterday"},
        {"webhook-timestamp": "nan"},
        {"webhook-timestamp": "1e999"},
    ],
    ids=str,
)
async def test_a_changed_header_is_refused_as_not_genuine(
    client: httpx.AsyncClient, change: dict[str, str]
) -> None:
    assert await status_of(client, signed() | change) == 401
    assert (await client.get("/received")).json() == []


async def test_a_missing_signature_another_secret_another_body_and_an_old_request_are_refused(
    client: httpx.AsyncClient,
) -> None:
    assert await status_of(client, {}) == 401
    assert await status_of(client, signed(secret="whsec_" + base64.b64encode(b"another").decode())) == 401
    assert await status_of(client, signed('{"kind": "other"}')) == 401
    assert await status_of(client, signed(late=600)) == 401
    assert await status_of(client, signed(late=-600)) == 401


async def test_a_body_that_is_no_text_is_refused(client: httpx.AsyncClient) -> None:
    assert (await client.post("/hooks", content=b"\xff\xfe", headers=signed())).status_code == 401


async def test_genuine_but_not_json_is_a_bad_request(client: httpx.AsyncClient) -> None:
    assert (await client.post("/hooks", content=b"hello", headers=signed("hello"))).status_code == 400


async def test_one_matching_signature_among_several_is_enough(client: httpx.AsyncClient) -> None:
    headers = signed()
    headers["webhook-signature"] = f"v1,bm90IGl0 {headers['webhook-signature']}"
    assert (await client.post("/hooks", content=BODY.encode(), headers=headers)).status_code == 204


async def test_ordered_refusals_come_first_and_attempts_are_counted(client: httpx.AsyncClient) -> None:
    await client.post("/admin/faults", json={"status": 500, "times": 2})
    forged = await client.post("/hooks", content=BODY.encode(), headers=signed(secret="whsec_Zm9yZ2Vk"))
    answers = [await client.post("/hooks", content=BODY.encode(), headers=signed()) for _ in range(3)]

    assert forged.status_code == 401
    assert [answer.status_code for answer in answers] == [500, 500, 204]
    assert [notice["attempt"] for notice in (await client.get("/received")).json()] == [3]


async def test_refusals_can_be_taken_back(client: httpx.AsyncClient) -> None:
    await client.post("/admin/faults", json={"status": 503, "times": 9})
    await client.delete("/admin/faults")
    assert (await client.post("/hooks", content=BODY.encode(), headers=signed())).status_code == 204


async def test_a_refusal_must_be_an_error_status(client: httpx.AsyncClient) -> None:
    assert (await client.post("/admin/faults", json={"status": 200, "times": 1})).status_code == 422


def test_as_a_process_it_says_when_it_is_ready_and_stops_when_told(tmp_path: Path, out: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(SECRET + "\n")
    command = [sys.executable, "-m", "troth_sandbox.receiver", "--port", "0"]
    command += ["--secret-file", str(secret), "--out", str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        ready = process.stdout.readline()
        assert ready.startswith("ready api=")
        url = f"http://127.0.0.1:{ready.split('=')[1].strip()}"
        answer = httpx.post(f"{url}/hooks", content=BODY.encode(), headers=signed(), trust_env=False)
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(timeout=20) in {0, -signal.SIGTERM}
    assert answer.status_code == 204
    assert json.loads(out.read_text())["webhook_id"] == "notice-1"


def test_an_unusable_secret_is_one_sentence(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("whsec_\n")
    command = [sys.executable, "-m", "troth_sandbox.receiver", "--port", "0"]
    command += ["--secret-file", str(secret), "--out", str(tmp_path / "out.jsonl")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 78
    assert "cannot be used" in done.stderr
    assert "Traceback" not in done.stderr
