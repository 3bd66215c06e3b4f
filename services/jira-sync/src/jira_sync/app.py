"""Everything concrete of jira-sync is wired here, and nowhere else."""

from __future__ import annotations

import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import timedelta
from functools import partial

from jira_sync.cloud import CloudReader
from jira_sync.metrics import SyncMetrics
from jira_sync.poll import Poller, PollPlan
from jira_sync.publication import SERVICE, TOPICS, Publication
from jira_sync.sessions import Access, JiraSessions
from jira_sync.settings import JiraSettings
from troth_chassis.clock import Clock
from troth_chassis.http import LONGEST_ASKED_WAIT, HttpClient, RequestBudget
from troth_chassis.publisher import Publisher
from troth_chassis.service import Beat, Chassis, Loop
from troth_chassis.topic_reader import read_topic
from troth_chassis.topics_admin import ensure_topics
from troth_chassis.writer import ScopeWriter
from troth_contracts.topics import dead_letter_topic

STALE_AFTER = LONGEST_ASKED_WAIT + 300
"""A quota may close for an hour: waiting as told is progress."""


@contextlib.asynccontextmanager
async def build(chassis: Chassis[JiraSettings]) -> AsyncIterator[Sequence[Loop]]:
    """The poll loop of the configured site."""
    settings = chassis.settings
    writer = ScopeWriter(
        settings.kafka_bootstrap_servers, SERVICE, settings.site_id, settings.kafka_producer_mode
    )
    metrics = SyncMetrics(chassis.metrics)
    publisher = Publisher(settings.kafka_bootstrap_servers, writer, source=f"jira:{settings.site_id}")
    async with open_reader(settings, chassis.clock) as reader:
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
        )
        chassis.health.check("jira", ok=False, detail="not read yet")
        try:
            yield [Loop("poll", _with_topics(settings.kafka_bootstrap_servers, poller), STALE_AFTER)]
        finally:
            await writer.stop()


@contextlib.asynccontextmanager
async def open_reader(settings: JiraSettings, clock: Clock) -> AsyncIterator[CloudReader]:
    """A reader of the configured site; both its ways in share one budget."""
    rng = random.Random()
    token = settings.jira_api_token.get_secret_value()
    budget = RequestBudget(
        settings.jira_requests_per_second, settings.jira_burst, settings.jira_max_in_flight, clock
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


def _with_topics(bootstrap: str, poller: Poller) -> Callable[[Beat], Awaitable[None]]:
    """The topics are looked after before every start of the loop: Kafka may come up after this service."""

    async def run(beat: Beat) -> None:
        await ensure_topics(bootstrap, [*TOPICS, dead_letter_topic(SERVICE)])
        await poller.run(beat)

    return run
