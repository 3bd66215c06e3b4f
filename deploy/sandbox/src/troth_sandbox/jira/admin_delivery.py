"""The part of the sandbox's own API about webhooks: registering past permissions, planned loss, and what was sent."""

from typing import cast

from fastapi import APIRouter, Request, Response

from troth_sandbox.jira.answers import Here, answer, body_as
from troth_sandbox.jira.courier import Courier
from troth_sandbox.jira.hook_routes import AdminHook, register
from troth_sandbox.jira.outbox import DeliveryPlan

router = APIRouter(prefix="/admin")


@router.post("/webhooks")
async def register_webhook(here: Here, request: Request) -> Response:
    """Register an admin webhook as the site's administrator does in the user interface."""
    hook = register(here, await body_as(request, AdminHook))
    return answer({"id": hook.id}, 201)


@router.post("/delivery-faults")
async def plan_deliveries(here: Here, request: Request) -> Response:
    """Lose, repeat, delay and shuffle deliveries from now on."""
    here.site.outbox.plan(await body_as(request, DeliveryPlan))
    return Response(status_code=204)


@router.delete("/delivery-faults")
async def honest_deliveries(here: Here) -> Response:
    """Deliver everything once and at once."""
    here.site.outbox.plan(DeliveryPlan())
    return Response(status_code=204)


@router.get("/deliveries")
async def deliveries(here: Here) -> Response:
    """Every delivery since the start, with its attempts and outcome."""
    return answer(here.site.outbox.log)


@router.post("/deliveries/flush")
async def flush(request: Request) -> Response:
    """Send now what the simulated clock has made due, and wait for the answers."""
    courier = cast("Courier | None", request.app.state.courier)
    return answer({"sent": await courier.deliver_due() if courier else 0})
