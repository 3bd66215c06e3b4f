"""Opens the configured site: its login, its dialect, and the one budget that everything asked of it shares."""

from __future__ import annotations

import contextlib
import random
from collections.abc import AsyncIterator
from pathlib import Path

from pydantic import SecretStr

from jira_sync import cloud, datacenter
from jira_sync.budget import Pace, PriorityBudget
from jira_sync.cloud import CloudReader
from jira_sync.datacenter import DataCenterReader
from jira_sync.login import HttpxLogin, Login, basic, bearer
from jira_sync.login_choice import LoginKind
from jira_sync.metrics import BudgetMetrics
from jira_sync.oauth import OAuthApp, OAuthLogin, TokenFile
from jira_sync.points import PointsLedger
from jira_sync.sessions import JiraSessions, Place
from jira_sync.settings import JiraSettings
from jira_sync.site import SiteHttp, looks_whole
from troth_chassis.clock import Clock
from troth_chassis.http import HttpClient, RequestBudget

AnyReader = CloudReader | DataCenterReader
_RENEWALS_PER_SECOND = 5.0


@contextlib.asynccontextmanager
async def open_reader(
    settings: JiraSettings, clock: Clock, metrics: BudgetMetrics | None = None
) -> AsyncIterator[AnyReader]:
    """A reader in the dialect of the login; what the site calls itself is checked by ``probe.greet``."""
    rng, kind = random.Random(), settings.login_kind
    pace = Pace(settings.jira_requests_per_second, settings.jira_burst, settings.jira_max_in_flight)
    ledger = PointsLedger(clock) if kind is LoginKind.OAUTH else None
    budget = PriorityBudget(pace, clock, rng=rng, metrics=metrics, ledger=ledger)
    async with contextlib.AsyncExitStack() as stack:
        login = await _login(settings, clock, stack)
        sessions = JiraSessions(
            Place(settings.jira_url, kind.deployment, settings.jira_request_timeout_seconds),
            login,
            budget=budget,
            clock=clock,
            threads=settings.jira_max_in_flight,
            rng=rng,
        )
        stack.callback(sessions.close)
        client = HttpClient(
            base_url=settings.jira_url,
            budget=budget,
            clock=clock,
            timeout=settings.jira_request_timeout_seconds,
            auth=HttpxLogin(login),
            rng=rng,
            is_whole=looks_whole,
        )
        stack.push_async_callback(client.close)
        dialects: dict[str, type[AnyReader]] = {
            cloud.DEPLOYMENT: CloudReader,
            datacenter.DEPLOYMENT: DataCenterReader,
        }
        yield dialects[kind.deployment](sessions, SiteHttp(client, login), budget)


async def _login(settings: JiraSettings, clock: Clock, stack: contextlib.AsyncExitStack) -> Login:
    match settings.login_kind:
        case LoginKind.API_TOKEN:
            return basic(settings.jira_email, _text(settings.jira_api_token))
        case LoginKind.SERVICE_ACCOUNT:
            return bearer(_text(settings.jira_api_token))
        case LoginKind.PERSONAL_ACCESS_TOKEN:
            return bearer(_text(settings.jira_personal_access_token))
        case LoginKind.OAUTH:
            return await _oauth(settings, clock, stack)


async def _oauth(settings: JiraSettings, clock: Clock, stack: contextlib.AsyncExitStack) -> OAuthLogin:
    """The authorization server is another host with a budget of its own."""
    http = HttpClient(
        base_url="",
        budget=RequestBudget(_RENEWALS_PER_SECOND, 5, 1, clock),
        clock=clock,
        timeout=settings.jira_request_timeout_seconds,
    )
    stack.push_async_callback(http.close)
    first = _text(settings.jira_oauth_refresh_token)
    app = OAuthApp(settings.jira_oauth_client_id, _text(settings.jira_oauth_client_secret))
    file = TokenFile(settings.jira_oauth_token_path or Path(), first)
    return OAuthLogin(app, settings.jira_oauth_url, http, file, clock)


def _text(secret: SecretStr | None) -> str:
    return "" if secret is None else secret.get_secret_value()
