"""Everything concrete of jira-sync is wired here, and nowhere else."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import timedelta
from functools import partial

from jira_sync.asking import inbox_writer
from jira_sync.budget import JITTER
from jira_sync.hints import Hints
from jira_sync.metrics import BudgetMetrics, SyncMetrics, WebhookMetrics
from jira_sync.opening import AnyReader, open_reader
from jira_sync.poll import Poller, PollPlan
from jira_sync.publication import SERVICE, TOPICS, Publication
from jira_sync.settings import JiraSettings
from jira_sync.webhooks.follower import InboxFollower
from jira_sync.webhooks.inbox import Inbox
from jira_sync.webhooks.keeper import RegistrationKeeper
from jira_sync.webhooks.kinds import registration_of
from jira_sync.webhooks.receiver import WebhookReceiver
from troth_chassis.http import LONGEST_ASKED_WAIT
from troth_chassis.publisher import Publisher
from troth_chassis.service import Beat, Chassis, Loop
from troth_chassis.topic_reader import read_topic
from troth_chassis.topics_admin import ensure_topics
from troth_chassis.writer import ScopeWriter
from troth_contracts.topics import JIRA_INBOX, dead_letter_topic

STALE_AFTER = LONGEST_ASKED_WAIT * (1 + JITTER) + 300
"""A quota may close for an hour: waiting as told, and a little longer, is progress."""
GARBAGE = 100_000
"""Objects between two looks of the collector. A page is that many, none in cycles, and each look walks the memory."""


@contextlib.asynccontextmanager
async def build(chassis: Chassis[JiraSettings]) -> AsyncIterator[Sequence[Loop]]:
    """The loops of the configured site: the poll, the inbox, and the webhook's registration."""
    gc.set_threshold(GARBAGE)
    settings = chassis.settings
    writer = ScopeWriter(
        settings.kafka_bootstrap_servers, SERVICE, settings.site_id, settings.kafka_producer_mode
    )
    metrics = SyncMetrics(chassis.metrics)
    publisher = Publisher(settings.kafka_bootstrap_servers, writer, source=f"jira:{settings.site_id}")
    async with open_reader(settings, chassis.clock, BudgetMetrics(chassis.metrics)) as reader:
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
            webhooks = _webhooks(chassis, inbox, hints, reader)
            yield [Loop("poll", _with_topics(settings, poller.run), STALE_AFTER), *webhooks]
        finally:
            await inbox.stop()
            await writer.stop()


def _webhooks(
    chassis: Chassis[JiraSettings], writer: ScopeWriter, hints: Hints, reader: AnyReader
) -> Sequence[Loop]:
    """The receiver's routes and its loops. The inbox is followed without webhooks too: people ask through it."""
    settings, metrics = chassis.settings, WebhookMetrics(chassis.metrics)
    follower = InboxFollower(settings.kafka_bootstrap_servers, settings.site_id, hints, metrics)
    loops = [Loop("inbox", _with_topics(settings, follower.run), STALE_AFTER)]
    receiver = WebhookReceiver(Inbox(settings.site_id, writer), settings.webhook_secrets, metrics)
    if settings.webhook_secrets:
        chassis.direct[settings.jira_webhook_path] = receiver
    if settings.webhook_place:
        receiver.add_unsigned_to(chassis.app, settings.jira_webhook_path, settings.webhook_place)
    hints.listening = bool(settings.webhook_secrets or settings.webhook_place)
    if settings.jira_webhook_url:
        keeper = RegistrationKeeper(
            registration_of(settings, reader, chassis.clock),
            clock=chassis.clock,
            health=chassis.health,
            metrics=metrics,
            log=chassis.log,
        )
        loops.append(Loop("webhook registration", keeper.run, STALE_AFTER))
    return loops


def plan_of(settings: JiraSettings) -> PollPlan:
    """The poll as configured."""
    return PollPlan(
        site_id=settings.site_id,
        login=settings.login_kind,
        scope=settings.scope,
        poll_seconds=settings.jira_poll_seconds,
        structure_seconds=settings.jira_structure_seconds,
        overlap=timedelta(seconds=settings.jira_overlap_seconds),
        deep_seconds=settings.jira_deep_seconds,
        census_seconds=settings.jira_census_seconds,
        rebuild=settings.jira_rebuild,
        start_by=settings.jira_commitment_instant,
        references=settings.reference_rules,
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
