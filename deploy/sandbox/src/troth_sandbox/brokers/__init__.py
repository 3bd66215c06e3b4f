"""Kafka brokers for a machine without one: Apache Kafka itself where Java is, and what replaces it where not."""

from troth_sandbox.brokers.kafka import LocalKafka

__all__ = ["LocalKafka"]
