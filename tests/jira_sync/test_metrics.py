"""Every figure that is promised exists, and moves when what it counts happens."""

from __future__ import annotations

import math
from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry
from tests.jira_sync.conftest import SITE, Stage
from tests.jira_sync.fakes import NOW

from jira_sync.budget import Pace, PriorityBudget
from jira_sync.errors import JiraUnavailableError
from jira_sync.metrics import BudgetMetrics, SyncMetrics, WebhookMetrics
from troth_chassis.clock import ManualClock

PROMISED = {
    "jira_sync_watermark_age_seconds": ("scope",),
    "jira_sync_scan_seconds": (),
    "jira_sync_events": ("type", "feed"),
    "jira_sync_webhooks": (),
    "jira_sync_webhooks_rejected": ("reason",),
    "jira_sync_webhook_gap": (),
    "jira_sync_budget_left_ratio": ("limit",),
    "jira_sync_throttled_seconds": ("priority",),
    "jira_sync_quarantined": ("kind",),
    "jira_sync_webhook_expires_timestamp_seconds": (),
}
"""Of how old, how long, how much by type and feed, announced and not, allowed and waited for, set aside, expiring."""


def test_every_promised_figure_exists_under_its_labels() -> None:
    registry = CollectorRegistry()
    metrics = [kind(registry) for kind in (SyncMetrics, BudgetMetrics, WebhookMetrics)]
    found = {m._name: m._labelnames for holder in metrics for m in vars(holder).values()}
    assert {name: found.get(name) for name in PROMISED} == PROMISED


async def test_scans_are_counted_and_timed_and_failed_ones_too(stage: Stage) -> None:
    def value(name: str, **labels: str) -> float:
        return stage.registry.get_sample_value(f"jira_sync_{name}", labels) or 0.0

    await stage.scan(3)
    assert (value("scan_seconds_count"), value("scans_total", outcome="complete")) == (3, 3)
    assert (value("issues"), value("published_total", topic="jira.issues")) == (7, 7)
    assert value("backfill_ratio") == 1

    def fail(name: str) -> None:
        if name == "search/jql":
            raise JiraUnavailableError("down")

    stage.site.before = fail
    with pytest.raises(JiraUnavailableError):
        await stage.scan()
    assert (value("scan_seconds_count"), value("scans_total", outcome="failed")) == (3, 1)


async def test_the_watermark_grows_old_while_nothing_is_read_and_is_young_again_after(stage: Stage) -> None:
    def age() -> float:
        found = stage.registry.get_sample_value("jira_sync_watermark_age_seconds", {"scope": SITE})
        assert found is not None
        return found

    ages: list[float] = []

    def note(name: str) -> None:
        if name in ("approximate-count", "changelog/bulkfetch"):
            ages.append(age())

    stage.site.before = note
    await stage.scan()
    stage.site.before = lambda _name: None
    assert len(ages) > 2
    assert all(map(math.isnan, ages)), "nothing is known to be read yet"
    young = age()
    await stage.later(600)
    assert age() == young + 600
    await stage.scan()
    assert age() == young


async def test_an_issue_that_makes_no_sense_is_counted_until_it_does(stage: Stage) -> None:
    def value(name: str, **labels: str) -> float | None:
        return stage.registry.get_sample_value(f"jira_sync_{name}", labels)

    await stage.scan()
    stage.site.change("10005", NOW + timedelta(minutes=1), status={"name": "without an id"})
    await stage.later(120)
    await stage.scan()
    assert (value("quarantined", kind="issue"), value("dead_letters_total")) == (1, 1)
    stage.site.change("10005", NOW + timedelta(minutes=2), status={"id": "1"})
    await stage.later(60)
    await stage.scan()
    assert (value("quarantined", kind="issue"), value("dead_letters_total")) == (0, 1)


def test_what_is_left_of_the_limit_is_what_the_last_answer_told() -> None:
    registry = CollectorRegistry()
    budget = PriorityBudget(Pace(1_000.0, 1_000, 4), ManualClock(NOW), metrics=BudgetMetrics(registry))
    for left, share in ((350, 0.35), (20, 0.02)):
        budget.answered(
            "GET /rest/api/2/search/jql", {"x-ratelimit-limit": "1000", "x-ratelimit-remaining": f"{left}"}
        )
        assert registry.get_sample_value("jira_sync_budget_left_ratio", {"limit": "server"}) == share
