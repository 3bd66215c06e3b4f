"""Registering webhooks over REST: admin ones for administrators, dynamic ones for apps only.

Shapes: the vendor's webhook page for admin webhooks (a secret is never shown again, only `isSigned`), the platform
OpenAPI for dynamic ones, which answer 200 with errors per webhook.
"""

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query, Request, Response

from troth_sandbox.jira.answers import Here, Visit, answer, body_as
from troth_sandbox.jira.clock import DAY_MS
from troth_sandbox.jira.errors import BadRequestError, ForbiddenError, NotFoundError
from troth_sandbox.jira.hooks import (
    EVENTS,
    LIFE_MS,
    MOST_DYNAMIC,
    Registration,
    on_loopback,
    problems_of_dynamic,
)
from troth_sandbox.jira.paging import offset_page
from troth_sandbox.jira.records import Json

admin_hooks = APIRouter()
dynamic_hooks = APIRouter()

ISSUE_SECTION = "issue-related-events-section"
FAILED_LIFE_MS = 3 * DAY_MS
ONLY_APPS = "Only Connect and OAuth 2.0 apps can use this operation."


class AdminHook(msgspec.Struct, rename="camel"):
    """The body of the admin operations; other properties are ignored."""

    name: str | None = None
    url: str | None = None
    events: list[str] | None = None
    filters: dict[str, str] | None = None
    exclude_body: bool | None = None
    enabled: bool | None = None
    secret: str | None = None
    description: str | None = None


class DynamicHook(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """One webhook of a registration by an app."""

    events: list[str]
    jql_filter: str
    field_ids_filter: list[str] | None = None
    issue_property_keys_filter: list[str] | None = None


class Registering(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST webhook`."""

    url: str
    webhooks: list[DynamicHook]


class HookIds(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """The body of `DELETE webhook` and `PUT webhook/refresh`."""

    webhook_ids: list[int]


@admin_hooks.get("")
async def list_admin(here: Here) -> Response:
    """All admin webhooks."""
    _administrator(here)
    return answer([_admin(here, hook) for hook in here.site.hooks.admin.values()])


@admin_hooks.post("")
async def register_admin(here: Here, request: Request) -> Response:
    """Register an admin webhook."""
    _administrator(here)
    hook = register(here, await body_as(request, AdminHook))
    return answer(_admin(here, hook), 201)


@admin_hooks.get("/{hook_id}")
async def show_admin(here: Here, hook_id: int) -> Response:
    """One admin webhook."""
    _administrator(here)
    return answer(_admin(here, _known(here, hook_id)))


@admin_hooks.put("/{hook_id}")
async def change_admin(here: Here, hook_id: int, request: Request) -> Response:
    """Change an admin webhook."""
    _administrator(here)
    hook = _merged(here, _known(here, hook_id), await body_as(request, AdminHook))
    here.site.hooks.admin[hook_id] = hook
    return answer(_admin(here, hook))


@admin_hooks.delete("/{hook_id}")
async def delete_admin(here: Here, hook_id: int) -> Response:
    """Delete an admin webhook."""
    _administrator(here)
    del here.site.hooks.admin[_known(here, hook_id).id]
    return Response(status_code=204)


def register(here: Visit, asked: AdminHook) -> Registration:
    """Keep a new admin webhook; BadRequestError when it cannot work."""
    if not asked.name or not asked.url:
        raise BadRequestError("A webhook needs a name and a url.")
    number = here.site.hooks.next_id("admin")
    hook = _merged(here, Registration(number, asked.url, (), here.now), asked)
    here.site.hooks.admin[number] = hook
    return hook


def _merged(here: Visit, hook: Registration, asked: AdminHook) -> Registration:
    changes: dict[str, Any] = {
        "name": asked.name,
        "url": asked.url,
        "events": tuple(asked.events) if asked.events is not None else None,
        "jql": asked.filters.get(ISSUE_SECTION, "") if asked.filters is not None else None,
        "exclude_body": asked.exclude_body,
        "enabled": asked.enabled,
        "secret": asked.secret,
    }
    given = {name: value for name, value in changes.items() if value is not None}
    merged = msgspec.structs.replace(hook, **given, updated=here.now)
    if unknown := sorted(set(merged.events) - EVENTS):
        raise BadRequestError(f"Unknown webhook events: {', '.join(unknown)}")
    if not on_loopback(merged.url):
        raise BadRequestError("The sandbox delivers to addresses of this machine only.")
    return merged


def _administrator(here: Visit) -> None:
    if f"/rest/{here.site.switches.webhook_path}/1.0/" not in here.address:
        raise NotFoundError("null for uri")
    if not here.site.switches.administrator:
        raise ForbiddenError("You do not have permission to administer webhooks.")


def _known(here: Visit, hook_id: int) -> Registration:
    if hook_id not in here.site.hooks.admin:
        raise NotFoundError(f"There is no webhook with id {hook_id}.")
    return here.site.hooks.admin[hook_id]


def _admin(here: Visit, hook: Registration) -> Json:
    account = here.site.store.settings.account
    return {
        "name": hook.name,
        "url": hook.url,
        "excludeBody": hook.exclude_body,
        "filters": {ISSUE_SECTION: hook.jql},
        "events": hook.events,
        "enabled": hook.enabled,
        "isSigned": hook.secret is not None,
        "self": f"{here.render.base}/rest/{here.site.switches.webhook_path}/1.0/webhook/{hook.id}",
        "lastUpdatedUser": account.account_id,
        "lastUpdatedDisplayName": account.display_name,
        "lastUpdated": hook.updated,
    }


@dynamic_hooks.post("/webhook")
async def register_dynamic(here: Here, request: Request) -> Response:
    """Register webhooks of an app; each gets an id or its errors."""
    _app(here)
    asked = await body_as(request, Registering)
    return answer({"webhookRegistrationResult": [_try(here, asked.url, one) for one in asked.webhooks]})


@dynamic_hooks.get("/webhook")
async def list_dynamic(
    here: Here,
    start_at: Annotated[int, Query(alias="startAt", ge=0)] = 0,
    max_results: Annotated[int, Query(alias="maxResults", ge=1)] = 100,
) -> Response:
    """A page of the app's webhooks."""
    _app(here)
    rows = here.site.hooks.live_dynamic(here.now)
    page = offset_page(here.address, rows, start_at, min(max_results, 100))
    return answer(page | {"values": [_dynamic(here, hook) for hook in page["values"]]})


@dynamic_hooks.delete("/webhook")
async def delete_dynamic(here: Here, request: Request) -> Response:
    """Delete webhooks; unknown ids are ignored."""
    _app(here)
    for hook_id in (await body_as(request, HookIds)).webhook_ids:
        here.site.hooks.dynamic.pop(hook_id, None)
    return Response(status_code=202)


@dynamic_hooks.put("/webhook/refresh")
async def refresh_dynamic(here: Here, request: Request) -> Response:
    """Thirty more days from now; unknown and expired ids are ignored."""
    _app(here)
    asked = await body_as(request, HookIds)
    for hook in here.site.hooks.live_dynamic(here.now):
        if hook.id in asked.webhook_ids:
            extended = msgspec.structs.replace(hook, expires=here.now + LIFE_MS)
            here.site.hooks.dynamic[hook.id] = extended
    return answer({"expirationDate": _expiration(here, here.now + LIFE_MS)})


@dynamic_hooks.get("/webhook/failed")
async def failed(
    here: Here,
    max_results: Annotated[int, Query(alias="maxResults", ge=1)] = 100,
    after: Annotated[int, Query(ge=0)] = 0,
) -> Response:
    """Deliveries given up in the last 72 hours, oldest first; for Connect apps only."""
    if here.site.switches.app != "connect":
        raise ForbiddenError("Only Connect apps can use this operation.")
    since = max(after, here.now - FAILED_LIFE_MS)
    lost = [entry for entry in here.site.outbox.log if entry.get("failedAt", 0) > since]
    lost = sorted(lost, key=lambda entry: int(entry["failedAt"]))[:max_results]
    values = [{"id": e["identifier"], "url": e["url"], "failureTime": e["failedAt"]} for e in lost]
    page: Json = {"values": values, "maxResults": max_results}
    if values:
        page["next"] = f"{here.address}?after={values[-1]['failureTime']}&maxResults={max_results}"
    return answer(page)


def _app(here: Visit) -> None:
    if here.site.switches.app not in MOST_DYNAMIC:
        raise ForbiddenError(ONLY_APPS)


def _try(here: Visit, url: str, asked: DynamicHook) -> Json:
    hooks, switches = here.site.hooks, here.site.switches
    live = hooks.live_dynamic(here.now)
    problems = problems_of_dynamic(asked.events, asked.jql_filter, sprints=switches.dynamic_sprint_events)
    if len(live) >= MOST_DYNAMIC[switches.app]:
        problems.append(f"At most {MOST_DYNAMIC[switches.app]} webhooks can be registered")
    if any(hook.url != url for hook in live):
        problems.append("Only a single URL per app is allowed to be registered")
    if not on_loopback(url):
        problems.append("The sandbox delivers to addresses of this machine only")
    if problems:
        return {"errors": problems}
    number = hooks.next_id("dynamic")
    fields = tuple(asked.field_ids_filter) if asked.field_ids_filter is not None else None
    hooks.dynamic[number] = Registration(
        number,
        url,
        tuple(asked.events),
        here.now,
        jql=asked.jql_filter,
        field_ids=fields,
        expires=here.now + LIFE_MS,
    )
    return {"createdWebhookId": number}


def _dynamic(here: Visit, hook: Registration) -> Json:
    narrowed = {"fieldIdsFilter": hook.field_ids} if hook.field_ids is not None else {}
    return {
        "id": hook.id,
        "url": hook.url,
        "events": hook.events,
        "jqlFilter": hook.jql,
        "expirationDate": _expiration(here, hook.expires or 0),
    } | narrowed


def _expiration(here: Visit, at: int) -> int | str:
    return at if here.site.switches.webhook_expiration == "integer" else here.render.stamp(at)
