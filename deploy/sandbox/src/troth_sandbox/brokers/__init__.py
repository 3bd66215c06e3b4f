"""Kafka brokers for a machine without one: Apache Kafka where Java is, and what replaces it elsewhere."""

from troth_sandbox.brokers.broker import Broker, BrokerKind, ProducerMode
from troth_sandbox.brokers.kafka import LocalKafka
from troth_sandbox.brokers.order import open_broker
from troth_sandbox.brokers.tansu import TansuBroker

__all__ = ["Broker", "BrokerKind", "LocalKafka", "ProducerMode", "TansuBroker", "open_broker"]
