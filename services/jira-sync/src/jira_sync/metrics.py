"""Every figure jira-sync tells Prometheus."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from jira_sync.absence import CLASSES, AbsenceClass

Feed = Literal["webhook", "poll", "deep", "backfill", "census", "repair", "own"]
"""Which way led to what is published; ``own`` is the service's own state."""


class SyncMetrics:
    """Bounded labels only: no issue, board or person."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.published = Counter(
            "jira_sync_published", "Records published, by topic", ["topic"], registry=registry
        )
        self.events = Counter(
            "jira_sync_events",
            "Events published, by what happened (status, sprint, added, closed, renamed, ...) and feed",
            ["type", "feed"],
            registry=registry,
        )
        self.left_out = Gauge(
            "jira_sync_left_out",
            "Projects, boards, issues and text fields that are left out, by rule",
            ["kind", "rule"],
            registry=registry,
        )
        self.absent = Gauge(
            "jira_sync_absent", "Issues missing at the last census, by class", ["class"], registry=registry
        )
        self.unannounced = Counter(
            "jira_sync_webhook_gap", "Changes no webhook has announced, 40 minutes later", registry=registry
        )
        self.announced = Counter(
            "jira_sync_webhook_announced", "Changes a webhook has announced", registry=registry
        )
        self.dead_letters = Counter(
            "jira_sync_dead_letters", "Documents that could not be read", registry=registry
        )
        self.scans = Counter(
            "jira_sync_scans", "Scans by outcome (complete, failed)", ["outcome"], registry=registry
        )
        self.scan_seconds = Histogram(
            "jira_sync_scan_seconds",
            "Duration of complete scans",
            buckets=(0.5, 1, 2, 5, 10, 30, 60, 300, 1800, 7200),
            registry=registry,
        )
        self.watermark_age = Gauge(
            "jira_sync_watermark_age_seconds",
            "Since the time up to which everything is published, by the source's clock; NaN during the first backfill",
            ["scope"],
            registry=registry,
        )
        self.backfill = Gauge(
            "jira_sync_backfill_ratio", "Share of the first scan that is done (0 to 1)", registry=registry
        )
        self.issues = Gauge("jira_sync_issues", "Issues remembered", registry=registry)
        self.set_aside = Gauge(
            "jira_sync_quarantined",
            "Issues, and boards with their sprints, versions and filters, that cannot be read",
            ["kind"],
            registry=registry,
        )
        self.readings_differ = Gauge(
            "jira_sync_sprints_read_differently",
            "Sprints whose commitment the vendor's text and its report would name differently",
            registry=registry,
        )

    def show_left_out(self, counts: Mapping[tuple[str, str], int]) -> None:
        """Rules that leave nothing out any more disappear."""
        self.left_out.clear()
        for (kind, rule), count in counts.items():
            self.left_out.labels(kind, rule).set(count)

    def show_absent(self, found: Mapping[AbsenceClass, int]) -> None:
        """Every class, also those that are empty."""
        for name in CLASSES:
            self.absent.labels(name).set(found.get(name, 0))


class BudgetMetrics:
    """How much of what Jira allows is left."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.throttled = Counter(
            "jira_sync_throttled_seconds",
            "Time requests waited because Jira, or our share of its points, said not to ask",
            ["priority"],
            registry=registry,
        )
        self.left = Gauge(
            "jira_sync_budget_left_ratio",
            "Share of the rate limit that is left (0 to 1), as the last answer told",
            ["limit"],
            registry=registry,
        )
        self.points = Gauge(
            "jira_sync_points_left",
            "Points an OAuth app may still spend this hour before we stop ourselves",
            registry=registry,
        )


class WebhookMetrics:
    """What came in by itself, and what keeps it coming."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.received = Counter("jira_sync_webhooks", "Webhooks taken and stored", registry=registry)
        self.rejected = Counter(
            "jira_sync_webhooks_rejected", "Webhooks not stored, by reason", ["reason"], registry=registry
        )
        self.repeated = Counter(
            "jira_sync_webhooks_repeated", "Webhooks delivered more than once", registry=registry
        )
        self.registered = Gauge(
            "jira_sync_webhook_registered", "1 while our webhook is registered", registry=registry
        )
        self.expires = Gauge(
            "jira_sync_webhook_expires_timestamp_seconds",
            "When the registration expires; 0 for never",
            registry=registry,
        )
