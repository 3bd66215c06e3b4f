"""Every metric of the risk-engine, with the question it answers. No deal, issue or person is ever a label."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class EngineMetrics:
    """Counters and gauges on one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.ingested = Counter(
            "troth_risk_ingested_records", "How many records took effect in the store?", registry=registry
        )
        self.dead_letters = Counter(
            "troth_risk_dead_letters", "How many records could not be used?", registry=registry
        )
        self.lag = Gauge("troth_risk_lag_records", "How far is ingest behind the topics?", registry=registry)
        self.marks = Gauge("troth_risk_marks", "How many evaluations wait?", registry=registry)
        self.evaluations = Counter(
            "troth_risk_evaluations", "How many subjects were evaluated?", ["kind"], registry=registry
        )
        self.evaluation_seconds = Histogram(
            "troth_risk_evaluation_seconds",
            "How long does a batch of evaluations take?",
            ["kind"],
            registry=registry,
        )
        self.transitions = Counter(
            "troth_risk_alert_transitions",
            "How often did alerts change, and why?",
            ["kind", "reason"],
            registry=registry,
        )
        self.deliveries = Counter(
            "troth_risk_deliveries",
            "How many notices went out, or did not?",
            ["endpoint", "outcome"],
            registry=registry,
        )
        self.outbox = Gauge(
            "troth_risk_outbox_pending", "How many notices wait for delivery?", registry=registry
        )
        self.live = Gauge(
            "troth_risk_live", "Is alerting live (1) or still at its quiet start (0)?", registry=registry
        )
        self.backtest_share = Gauge(
            "troth_risk_backtest_share",
            "On the teams' own past, what share of outcomes was at or above the forecast's quantile?",
            ["horizon", "quantile"],
            registry=registry,
        )
        self.backtest_crps_ratio = Gauge(
            "troth_risk_backtest_crps_ratio",
            "How good is the forecast beside a plain bootstrap of twelve sprints? Below 1 is better.",
            ["horizon"],
            registry=registry,
        )
        self.backtest_forecasts = Gauge(
            "troth_risk_backtest_forecasts",
            "Of how many forecasts do the shares speak?",
            ["horizon"],
            registry=registry,
        )
        self.backtest_at = Gauge(
            "troth_risk_backtest_timestamp_seconds",
            "When was the forecast last held against the past?",
            registry=registry,
        )
