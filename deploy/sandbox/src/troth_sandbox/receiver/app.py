"""HTTP side of the receiver: ``POST /hooks`` and what tests need to see and to break.

Answers: 204 accepted, 401 not genuine (whatever is wrong with the headers), 400 genuine but not JSON.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import Body, FastAPI, Request, Response
from pydantic import BaseModel, Field
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from troth_sandbox.receiver.inbox import Inbox


class Fault(BaseModel):
    """An order to refuse the next requests."""

    status: int = Field(ge=400, le=599)
    times: int = Field(default=1, ge=1)


def receiver_app(inbox: Inbox, webhook: Webhook) -> FastAPI:
    """The receiver as an ASGI application; ``webhook`` knows the secret."""
    app = FastAPI(title="Webhook receiver", openapi_url=None)

    @app.post("/hooks")
    async def hooks(request: Request) -> Response:
        content = await request.body()
        if not is_genuine(webhook, content, dict(request.headers)):
            return Response(status_code=401)
        webhook_id = request.headers["webhook-id"]
        refusal = inbox.arrive(webhook_id)
        if refusal is not None:
            return Response(status_code=refusal)
        try:
            body = json.loads(content)
        except ValueError:
            return Response(status_code=400)
        inbox.keep(webhook_id, body)
        return Response(status_code=204)

    @app.get("/received")
    async def received() -> list[dict[str, Any]]:
        return [asdict(notice) for notice in inbox.received]

    @app.post("/admin/faults", status_code=204)
    async def refuse(fault: Annotated[Fault, Body()]) -> None:
        inbox.refuse_next(fault.status, fault.times)

    @app.delete("/admin/faults", status_code=204)
    async def forgive() -> None:
        inbox.forgive()

    return app


def is_genuine(webhook: Webhook, content: bytes, headers: dict[str, str]) -> bool:
    """True when one signature matches. The library raises plain ValueErrors on headers that are no signature at all."""
    try:
        webhook.verify(content, headers, json_parse=False)
    except (WebhookVerificationError, ValueError):
        return False
    return True
