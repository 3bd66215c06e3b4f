"""What crm-sync counts. Labels are bounded: topics, API resources and status codes."""

from __future__ import annotations

from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from crm_sync.budget import Budget
from troth_chassis.clock import Clock


class CrmMetrics:
    """All instruments of the service; also watches every call to Salesforce."""

    def __init__(self, registry: CollectorRegistry, clock: Clock) -> None:
        self._clock = clock
        self.budget = Budget(clock)
        self.published = Counter(
            "crm_sync_records_published", "Records published", ["topic"], registry=registry
        )
        self.tombstones = Counter("crm_sync_tombstones", "Deletions published", registry=registry)
        self.unchanged = Counter(
            "crm_sync_deals_unchanged", "Deals read whose content was already published", registry=registry
        )
        self.dead_letters = Counter("crm_sync_dead_letters", "Records that cannot be used", registry=registry)
        self.unseen = Counter(
            "crm_sync_deals_unseen",
            "Changed deals that could not be read, with no deletion",
            registry=registry,
        )
        self.calls = Counter(
            "crm_sync_api_calls", "Calls to Salesforce", ["resource", "status"], registry=registry
        )
        self.usage = Gauge(
            "crm_sync_api_usage_ratio", "The org's use of its daily API calls, 0 to 1", registry=registry
        )
        self.own = Gauge(
            "crm_sync_own_calls_ratio",
            "Our own calls in the last 24 hours by our share of the org's calls a day",
            registry=registry,
        )
        self.progress = Gauge(
            "crm_sync_backfill_ratio", "Share of the first full read that is published", registry=registry
        )
        self.fresh_at = Gauge(
            "crm_sync_fresh_timestamp_seconds",
            "Source server time up to which all is published: the last success",
            registry=registry,
        )
        self.object_fresh_at = Gauge(
            "crm_sync_object_fresh_timestamp_seconds",
            "Source server time up to which all changes of an object are published",
            ["object"],
            registry=registry,
        )
        self.lag = Gauge(
            "crm_sync_lag_seconds",
            "Seconds since the newest poll of an object that is published; grows while nothing succeeds",
            ["object"],
            registry=registry,
        )
        self.records = Counter(
            "crm_sync_deals",
            "Deals read, by what led to them and what became of them",
            ["source", "operation"],
            registry=registry,
        )
        self.logins = Counter("crm_sync_logins", "Token refreshes tried", ["result"], registry=registry)
        self.covered_lag = Gauge(
            "crm_sync_covered_lag_seconds",
            "How far latestDateCovered lies behind Salesforce's clock: open transactions may still show older rows",
            registry=registry,
        )
        self.late_rows = Counter(
            "crm_sync_late_rows",
            "Rows that became visible longer after their stamp than the overlap",
            ["object"],
            registry=registry,
        )
        self.differences = Counter(
            "crm_sync_sweep_differences", "Differences found by the sweep", ["kind"], registry=registry
        )
        self.swept_at = Gauge(
            "crm_sync_swept_timestamp_seconds", "Server time of the last full comparison", registry=registry
        )
        self.invisible = Gauge(
            "crm_sync_deals_invisible",
            "Published deals that Salesforce neither shows nor reports as deleted",
            registry=registry,
        )
        self.left_out = Gauge(
            "crm_sync_deals_left_out", "Deals left out by the configuration", ["reason"], registry=registry
        )
        self.schema_changes = Counter(
            "crm_sync_schema_changes",
            "Fields and objects added, removed or retyped",
            ["kind"],
            registry=registry,
        )
        self.poll_seconds = Histogram("crm_sync_poll_seconds", "Duration of a poll", registry=registry)

    def moved(self, name: str, at: datetime) -> None:
        """Everything of an object up to ``at``, server time, is published now."""
        since = self._clock.monotonic()
        self.object_fresh_at.labels(name).set(at.timestamp())
        self.lag.labels(name).set_function(lambda: self._clock.monotonic() - since)

    def logged_in(self, result: str) -> None:
        """Counts a login; ``result`` is ok or failed."""
        self.logins.labels(result).inc()

    def called(self, resource: str, status: str, limit_info: str | None) -> None:
        """Counts a call and reads the header Sforce-Limit-Info, whose second part is another app's share."""
        self.calls.labels(resource, status).inc()
        self.budget.told(limit_info)
        if self.budget.limit:
            self.usage.set(self.budget.used / self.budget.limit)
            self.own.set(self.budget.own.total / self.budget.ours)
