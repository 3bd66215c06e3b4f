"""The topic table of the design, declared once and exactly so."""

from datetime import timedelta

import pytest
from tests.contracts.strategies import CARRYING, content_types

from troth_contracts.topics import BY_NAME, SERVICES, TOPICS, Topic
from troth_contracts.values import Contract

COMPACT = (
    "crm.opportunities",
    "crm.reference",
    "jira.issues",
    "jira.sprints",
    "jira.boards",
    "jira.versions",
)
DESIGN = {
    **dict.fromkeys((*COMPACT, "risk.assessments"), ("compact", None, 12)),
    **dict.fromkeys(("jira.issue-events", "jira.sprint-events", "jira.plan-changes"), ("delete", 400, 12)),
    "risk.alerts": ("delete", 400, 12),
    "crm.schema-changes": ("delete", 400, 1),
    **dict.fromkeys(("sync.status", "crm-sync.state", "jira-sync.state"), ("compact", None, 1)),
    "jira-sync.inbox": ("delete", 7, 1),
    **{f"{service}.dead-letters": ("delete", 30, 1) for service in ("crm-sync", "jira-sync", "risk-engine")},
}
"""Cleanup, retention in days and partitions by topic."""
THIRTY_DAYS_MS = str(30 * 24 * 3_600 * 1_000)


def test_every_topic_of_the_design_is_declared_and_no_other() -> None:
    assert {topic.name for topic in TOPICS} == set(DESIGN)
    assert len(TOPICS) == len(BY_NAME), "a topic is declared twice"


@pytest.mark.parametrize("name", sorted(DESIGN))
def test_a_topic_is_cleaned_up_as_the_design_says(name: str) -> None:
    cleanup, days, partitions = DESIGN[name]
    topic = BY_NAME[name]
    assert (topic.cleanup, topic.retention, topic.partitions) == (
        cleanup,
        None if days is None else timedelta(days=days),
        partitions,
    )


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_the_brokers_settings_make_the_declaration_true(topic: Topic) -> None:
    settings = topic.config()
    assert settings["cleanup.policy"] == topic.cleanup
    if topic.cleanup == "compact":
        assert settings["delete.retention.ms"] == THIRTY_DAYS_MS, "tombstones must outlive slow readers"
        assert "retention.ms" not in settings
    else:
        assert settings["retention.ms"] == str(int((topic.retention or timedelta()).total_seconds() * 1_000))


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_states_are_compacted_and_events_are_not(topic: Topic) -> None:
    """Compaction would drop all but the last event of a key; deletion would drop a state nobody touches."""
    assert (topic.kind == "state") == (topic.cleanup == "compact")


@pytest.mark.parametrize("topic", CARRYING, ids=lambda topic: topic.name)
def test_a_topic_carries_frozen_types_of_ours(topic: Topic) -> None:
    for kind in content_types(topic):
        assert issubclass(kind, Contract)
        assert kind.__struct_config__.frozen


def test_a_type_name_means_one_type() -> None:
    meanings = {(topic.ce_type, topic.content) for topic in TOPICS}
    assert len({ce_type for ce_type, _ in meanings}) == len(meanings)


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_a_type_name_carries_its_major_version(topic: Topic) -> None:
    assert topic.ce_type.startswith("troth.")
    assert topic.ce_type.endswith(".v1")


def test_every_service_has_a_place_for_its_dead_letters() -> None:
    assert {f"{service}.dead-letters" for service in SERVICES} <= BY_NAME.keys()
