"""Which kind of webhook a login registers: an administrator's, signed or with a secret address, or an app's own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from jira_sync.login_choice import LoginKind
from jira_sync.opening import AnyReader
from jira_sync.parse import text
from jira_sync.settings import JiraSettings
from jira_sync.webhooks.admin import HttpDynamicAdmin, HttpWebhookAdmin
from jira_sync.webhooks.dynamic import WantedDynamic, keep_dynamic
from jira_sync.webhooks.registration import Registration, Wanted, WebhookAdmin, keep_registered
from troth_chassis.clock import Clock

Look = Callable[[], Awaitable[Registration]]


def registration_of(settings: JiraSettings, reader: AnyReader, clock: Clock) -> Look:
    """The daily look that fits the login."""
    name, url = settings.jira_webhook_name, settings.jira_webhook_url.rstrip("/")
    unsigned = f"{url}/{settings.webhook_place}"
    match settings.login_kind:
        case LoginKind.OAUTH:
            return partial(_keep_apps, settings, reader, clock)
        case LoginKind.PERSONAL_ACCESS_TOKEN:
            wanted = Wanted(name, unsigned, None, shown_url=url)
        case _:
            wanted = Wanted(name, url, settings.webhook_secrets[0].decode())
    is_turning = wanted.secret is not None and len(settings.webhook_secrets) > 1
    return AdminLook(HttpWebhookAdmin(reader.http), wanted, anew=is_turning)


class AdminLook:
    """The look at an administrator's webhook. ``anew``: the first one that succeeds replaces what is there."""

    def __init__(self, admin: WebhookAdmin, wanted: Wanted, *, anew: bool) -> None:
        self._admin = admin
        self._wanted = wanted
        self._anew = anew

    async def __call__(self) -> Registration:
        """One look."""
        found = await keep_registered(self._admin, self._wanted, anew=self._anew)
        self._anew = self._anew and found.problem is not None
        return found


async def _keep_apps(settings: JiraSettings, reader: AnyReader, clock: Clock) -> Registration:
    """An app's filter names the projects: those that are configured, else those that are there today."""
    url = settings.jira_webhook_url.rstrip("/")
    found = settings.jira_projects or tuple(text(p, "key") for p in await reader.projects("live"))
    projects = tuple(key for key in found if key not in settings.jira_exclude_projects)
    wanted = WantedDynamic(f"{url}/{settings.webhook_place}", url, projects)
    return await keep_dynamic(HttpDynamicAdmin(reader.http), wanted, clock.now())
