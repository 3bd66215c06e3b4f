"""``python -m troth_sandbox.receiver --port P --secret-file F --out FILE.jsonl``: the receiver as a process."""

from __future__ import annotations

import argparse
import asyncio
import socket
import sys
from pathlib import Path

import uvicorn
from standardwebhooks.webhooks import EmptyWebhookSecretError, Webhook

from troth_sandbox.receiver.app import receiver_app
from troth_sandbox.receiver.clock import now_utc
from troth_sandbox.receiver.inbox import Inbox


def main() -> int:
    """Serve until told to stop; 78 with one sentence when the secret is not usable."""
    parser = argparse.ArgumentParser(prog="troth_sandbox.receiver", description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="port on 127.0.0.1, 0 for a free one")
    parser.add_argument("--secret-file", type=Path, required=True, help="file with the whsec_ secret")
    parser.add_argument("--out", type=Path, required=True, help="accepted requests, one JSON line each")
    options = parser.parse_args()
    try:
        webhook = Webhook(options.secret_file.read_text(encoding="utf-8").strip())
    except (OSError, ValueError, EmptyWebhookSecretError) as problem:
        print(f"The webhook secret in {options.secret_file} cannot be used: {problem}", file=sys.stderr)
        return 78
    inbox = Inbox(options.out, now_utc)
    try:
        asyncio.run(_serve(inbox, webhook, options.port))
    finally:
        inbox.close()
    return 0


async def _serve(inbox: Inbox, webhook: Webhook, port: int) -> None:
    with socket.create_server(("127.0.0.1", port)) as listener:
        config = uvicorn.Config(
            receiver_app(inbox, webhook), log_level="warning", access_log=False, timeout_graceful_shutdown=2
        )
        print(f"ready api={listener.getsockname()[1]}", flush=True)
        await uvicorn.Server(config).serve([listener])


if __name__ == "__main__":
    sys.exit(main())
