"""Creates the declared topics, or says which existing one differs from its declaration."""

from __future__ import annotations

from collections.abc import Sequence

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from troth_chassis.errors import ConfigurationError, TransientError
from troth_contracts.topics import Topic


async def ensure_topics(bootstrap: str, topics: Sequence[Topic], *, replication: int = -1) -> None:
    """Creates what is missing. ConfigurationError when a topic exists with another cleanup policy."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        await admin.start()
        existing = set(await admin.list_topics())
        missing = [topic for topic in topics if topic.name not in existing]
        existing |= await _create(admin, missing, replication)
        await _check(admin, [topic for topic in topics if topic.name in existing])
    except (KafkaError, OSError) as error:
        raise TransientError(f"Kafka at {bootstrap} is not reachable: {error}") from error
    finally:
        await admin.close()


async def existing_topics(bootstrap: str) -> frozenset[str]:
    """Names of all topics; TransientError when Kafka does not answer."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        await admin.start()
        return frozenset(await admin.list_topics())
    except (KafkaError, OSError) as error:
        raise TransientError(f"Kafka at {bootstrap} is not reachable: {error}") from error
    finally:
        await admin.close()


async def _create(admin: AIOKafkaAdminClient, topics: Sequence[Topic], replication: int) -> set[str]:
    """Names that somebody else created in the meantime: those are still to be checked."""
    if not topics:
        return set()
    asked = [NewTopic(topic.name, topic.partitions, replication, {}, topic.config()) for topic in topics]
    response = await admin.create_topics(asked)
    overtaken = set()
    for name, code, *rest in response.topic_errors:
        failure = for_code(code)
        if failure is TopicAlreadyExistsError:
            overtaken.add(name)
        elif code:
            raise TransientError(f"topic {name} could not be created: {failure.__name__} {rest[:1]}")
    return overtaken


async def _check(admin: AIOKafkaAdminClient, topics: Sequence[Topic]) -> None:
    wrong = [
        f"{topic.name} has cleanup.policy={found}, needs {topic.cleanup}"
        for topic in topics
        if (found := await _cleanup_policy(admin, topic.name)) not in (topic.cleanup, None)
    ]
    if wrong:
        raise ConfigurationError(
            f"topics differ from their declaration: {'; '.join(wrong)}; alter them or remove them"
        )


async def _cleanup_policy(admin: AIOKafkaAdminClient, name: str) -> str | None:
    """None where the broker does not tell (a stand-in broker)."""
    resource = ConfigResource(ConfigResourceType.TOPIC, name, configs={"cleanup.policy": None})
    try:
        responses = await admin.describe_configs([resource])
    except KafkaError:
        return None
    for response in responses:
        for _, _, _, _, entries in response.resources:
            for entry in entries:
                if entry[0] == "cleanup.policy":
                    return str(entry[1])
    return None
