"""Every figure jira-sync tells Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class SyncMetrics:
    """Bounded labels only: no issue, board or person."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.published = Counter(
            "jira_sync_published", "Records published, by topic", ["topic"], registry=registry
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
            "jira_sync_watermark_age_seconds", "Age of the watermark", ["scope"], registry=registry
        )
        self.backfill = Gauge(
            "jira_sync_backfill_ratio", "Share of the first scan that is done (0 to 1)", registry=registry
        )
        self.issues = Gauge("jira_sync_issues", "Issues remembered", registry=registry)
        self.set_aside = Gauge(
            "jira_sync_quarantined",
            "Boards, projects and issues that cannot be read",
            ["kind"],
            registry=registry,
        )
        self.readings_differ = Gauge(
            "jira_sync_sprints_read_differently",
            "Sprints whose commitment the vendor's text and its report would name differently",
            registry=registry,
        )
