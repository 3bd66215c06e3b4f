"""Which broker to use here: a given one, else Apache Kafka from jars, else Docker, else the wheel's."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from troth_sandbox.brokers.broker import Broker, BrokerKind
from troth_sandbox.brokers.docker import start_in_docker
from troth_sandbox.brokers.kafka import LocalKafka
from troth_sandbox.brokers.readiness import answers_admin
from troth_sandbox.brokers.tansu import TansuBroker
from troth_sandbox.errors import BrokerError, BrokerStartError, BrokerUnavailableError

Say = Callable[[str], None]
Opener = Callable[[Mapping[str, str], Path, Say], Broker]


def open_broker(
    environ: Mapping[str, str],
    run_dir: Path,
    *,
    say: Say = print,
    kinds: Iterable[BrokerKind] = tuple(BrokerKind),
) -> Broker:
    """Start, or find, the best broker this machine allows; `say` hears one sentence per fallback.

    Raises BrokerStartError when KAFKA_BOOTSTRAP_SERVERS is set and silent (an explicit wish is never replaced),
    or when a kind that should work did not start and none below it works; BrokerUnavailableError when nothing here
    can run a broker.
    """
    if bootstrap := environ.get("KAFKA_BOOTSTRAP_SERVERS"):
        return _given(bootstrap)
    run_dir.mkdir(parents=True, exist_ok=True)
    fallbacks: list[str] = []
    verdict: type[BrokerError] = BrokerUnavailableError
    for kind in kinds:
        if kind is BrokerKind.GIVEN:
            continue
        try:
            broker = _OPENERS[kind](environ, run_dir, say)
        except BrokerError as error:
            verdict = BrokerStartError if isinstance(error, BrokerStartError) else verdict
            fallbacks.append(_sentence(kind, error))
            say(fallbacks[-1])
        else:
            return replace(broker, fallbacks=tuple(fallbacks))
    raise verdict("No Kafka broker can run here: " + " ".join(fallbacks))


def _given(bootstrap: str) -> Broker:
    if not any(answers_admin(address.strip()) for address in bootstrap.split(",")):
        raise BrokerStartError(f"The broker of KAFKA_BOOTSTRAP_SERVERS does not answer at {bootstrap}.")
    return Broker(bootstrap, BrokerKind.GIVEN, "as given", "transactional", stop=lambda: None)


def _apache(environ: Mapping[str, str], run_dir: Path, say: Say) -> Broker:
    kafka = LocalKafka(run_dir, environ=environ, say=say)
    kafka.start()
    return Broker(kafka.bootstrap, BrokerKind.KAFKA, kafka.version, "transactional", stop=kafka.stop)


def _docker(environ: Mapping[str, str], _run_dir: Path, say: Say) -> Broker:
    return start_in_docker(environ, say=say)


def _wheel(environ: Mapping[str, str], run_dir: Path, _say: Say) -> Broker:
    tansu = TansuBroker(run_dir, environ=environ)
    tansu.start()
    return Broker(tansu.bootstrap, BrokerKind.WHEEL, tansu.version, "plain", stop=tansu.stop)


_OPENERS: Mapping[BrokerKind, Opener] = {
    BrokerKind.KAFKA: _apache,
    BrokerKind.DOCKER: _docker,
    BrokerKind.WHEEL: _wheel,
}
_TITLES = {
    BrokerKind.KAFKA: "Apache Kafka from jars",
    BrokerKind.DOCKER: "Docker",
    BrokerKind.WHEEL: "the wheel's broker",
}


def _sentence(kind: BrokerKind, error: BrokerError) -> str:
    reason = str(error).splitlines()[0].rstrip(".:")
    return f"Not using {_TITLES[kind]}: {reason}."
