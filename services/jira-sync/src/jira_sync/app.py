"""Everything concrete of jira-sync is wired here, and nowhere else."""

from __future__ import annotations

import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import timedelta
from functools import partial

from prometheus_client import Counter

from jira_sync.asking import inbox_writer
from jira_sync.budget import PriorityBudget
from jira_sync.cloud import CloudReader
from jira_sync.hints import Hints
from jira_sync.metrics import SyncMetrics, WebhookMetrics
from jira_sync.poll import Poller, PollPlan
from jira_sync.publication import SERVICE, TOPICS, Publication
from jira_sync.sessions import Access, JiraSessions
from jira_sync.settings import JiraSettings
from jira_sync.webhooks.admin import HttpWebhookAdmin
from jira_sync.webhooks.follower import InboxFollower
from jira_sync.webhooks.inbox import Inbox
from jira_sync.webhooks.keeper import RegistrationKeeper
from jira_sync.webhooks.receiver import WebhookReceiver
from jira_sync.webhooks.registration import Wanted, WebhookAdmin
from troth_chassis.clock import Clock
from troth_chassis.http import LONGEST_ASKED_WAIT, HttpClient
from troth_chassis.publisher import Publisher
from troth_chassis.service import Beat, Chassis, Loop
from troth_chassis.topic_reader import read_topic
from troth_chassis.topics_admin import ensure_topics
from troth_chassis.writer import ScopeWriter
from troth_contracts.topics import JIRA_INBOX, dead_letter_topic

STALE_AFTER = LONGEST_ASKED_WAIT + 300
"""A quota may close for an hour: waiting as told is progress."""


@contextlib.asynccontextmanager
async def build(chassis: Chassis[JiraSettings]) -> AsyncIterator[Sequence[Loop]]:
    """The loops of the configured site: the poll, the inbox, and the webhook's registration."""
    settings = chassis.settings
    writer = ScopeWriter(
        settings.kafka_bootstrap_servers, SERVICE, settings.site_id, settings.kafka_producer_mode
    )
    metrics = SyncMetrics(chassis.metrics)
    publisher = Publisher(settings.kafka_bootstrap_servers, writer, source=f"jira:{settings.site_id}")
    async with open_reader(settings, chassis.clock, metrics.throttled) as reader:
        hints = Hints(chassis.clock)
        publication = Publication(settings.site_id, publisher, clock=chassis.clock, metrics=metrics)
        poller = Poller(
            plan_of(settings),
            reader,
            publication,
            partial(read_topic, settings.kafka_bootstrap_servers),
            clock=chassis.clock,
            health=chassis.health,
            metrics=metrics,
            log=chassis.log,
            hints=hints,
        )
        chassis.health.check("jira", ok=False, detail="not read yet")
        inbox = inbox_writer(settings)
        try:
            webhooks = _webhooks(chassis, inbox, hints, HttpWebhookAdmin(reader.http))
            yield [Loop("poll", _with_topics(settings, poller.run), STALE_AFTER), *webhooks]
        finally:
            await inbox.stop()
            await writer.stop()


def _webhooks(
    chassis: Chassis[JiraSettings], writer: ScopeWriter, hints: Hints, admin: WebhookAdmin
) -> Sequence[Loop]:
    """The receiver's route and its loops. The inbox is followed without webhooks too: people ask through it."""
    settings, metrics = chassis.settings, WebhookMetrics(chassis.metrics)
    follower = InboxFollower(settings.kafka_bootstrap_servers, settings.site_id, hints, metrics)
    loops = [Loop("inbox", _with_topics(settings, follower.run), STALE_AFTER)]
    if settings.webhook_secrets:
        hints.listening = True
        receiver = WebhookReceiver(Inbox(settings.site_id, writer), settings.webhook_secrets, metrics)
        receiver.add_to(chassis.app, settings.jira_webhook_path)
    if settings.jira_webhook_url:
        wanted = Wanted(
            settings.jira_webhook_name, settings.jira_webhook_url, settings.webhook_secrets[0].decode()
        )
        keeper = RegistrationKeeper(
            admin,
            wanted,
            clock=chassis.clock,
            health=chassis.health,
            metrics=metrics,
            log=chassis.log,
        )
        loops.append(Loop("webhook registration", keeper.run, STALE_AFTER))
    return loops


@contextlib.asynccontextmanager
async def open_reader(
    settings: JiraSettings, clock: Clock, throttled: Counter | None = None
) -> AsyncIterator[CloudReader]:
    """A reader of the configured site; both its ways in share one budget."""
    rng = random.Random()
    token = settings.jira_api_token.get_secret_value()
    budget = PriorityBudget(
        settings.jira_requests_per_second,
        settings.jira_burst,
        settings.jira_max_in_flight,
        clock,
        throttled,
    )
    access = Access(settings.jira_url, settings.jira_email, token, settings.jira_request_timeout_seconds)
    sessions = JiraSessions(access, budget=budget, clock=clock, threads=settings.jira_max_in_flight, rng=rng)
    http = HttpClient(
        base_url=settings.jira_url,
        budget=budget,
        clock=clock,
        timeout=settings.jira_request_timeout_seconds,
        auth=(settings.jira_email, token),
        rng=rng,
    )
    try:
        yield CloudReader(sessions, http)
    finally:
        sessions.close()
        await http.close()


def plan_of(settings: JiraSettings) -> PollPlan:
    """The poll as configured."""
    return PollPlan(
        site_id=settings.site_id,
        scope=settings.scope,
        poll_seconds=settings.jira_poll_seconds,
        structure_seconds=settings.jira_structure_seconds,
        overlap=timedelta(seconds=settings.jira_overlap_seconds),
        deep_seconds=settings.jira_deep_seconds,
        census_seconds=settings.jira_census_seconds,
        rebuild=settings.jira_rebuild,
    )


def _with_topics(
    settings: JiraSettings, run: Callable[[Beat], Awaitable[None]]
) -> Callable[[Beat], Awaitable[None]]:
    """The topics are looked after before every start of a loop: Kafka may come up after this service."""

    async def with_topics(beat: Beat) -> None:
        await ensure_topics(
            settings.kafka_bootstrap_servers, [*TOPICS, JIRA_INBOX, dead_letter_topic(SERVICE)]
        )
        await run(beat)

    return with_topics
