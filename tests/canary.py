"""Every secret a test gives to a service is a canary: told anywhere, the test that told it fails.

Nobody lists the secrets. What becomes a ``SecretStr`` here, and what a child process gets in a variable that names one,
is watched for from then on: in what tests and their services print and log, in the text of every error of ours, in
metrics, and in the bytes of every topic. Basic credentials are watched for in their encoded form too.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from weakref import WeakSet

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from prometheus_client import CollectorRegistry, generate_latest
from pydantic import SecretStr

from troth_chassis.errors import TrothError
from troth_sandbox.processes import ChildProcess

SHORTEST = 9
"""Shorter values are no secrets but words."""
_NAMES = re.compile(
    r"^(TROTH|DATABASE|KAFKA)_.*(TOKEN|SECRET|PASSWORD|PRIVATE_KEY|_KEY)(_FILE|_PATH|_BEFORE)?$"
)


class Watch:
    """The secrets known so far, and where one was seen."""

    def __init__(self) -> None:
        self._secrets: dict[str, str] = {}
        self._pattern: re.Pattern[bytes] | None = None
        self.leaks: list[str] = []

    def know(self, name: str, secret: str) -> None:
        """Looks out for this value from now on."""
        value = secret.strip()
        if len(value) >= SHORTEST and value not in self._secrets:
            self._secrets[value] = name
            self._pattern = None

    def look(self, where: str, said: str | bytes) -> None:
        """Notes a leak by its place and the secret's name, never by its value."""
        if not self._secrets:
            return
        if self._pattern is None:
            longest_first = sorted(self._secrets, key=len, reverse=True)
            self._pattern = re.compile(b"|".join(re.escape(value.encode()) for value in longest_first))
        raw = said.encode("utf-8", "replace") if isinstance(said, str) else said
        for found in set(self._pattern.findall(raw)):
            self.leaks.append(f"{where} tells {self._secrets[found.decode()]}")

    def taken(self) -> list[str]:
        """The leaks since the last call."""
        found, self.leaks = list(dict.fromkeys(self.leaks)), []
        return found


watch = Watch()
_registries: WeakSet[CollectorRegistry] = WeakSet()


def know_environ(environ: Mapping[str, str], into: Watch = watch) -> None:
    """Secrets a child process is given, also those in files."""
    given = {name: value for name, value in environ.items() if value and _NAMES.match(name)}
    for name, value in given.items():
        if name.endswith(("_FILE", "_PATH")):
            with suppress(OSError, UnicodeDecodeError):
                _know_lines(name, Path(value).read_text(encoding="utf-8"), into)
        else:
            into.know(name, value)
    email, token = environ.get("TROTH_JIRA_EMAIL"), environ.get("TROTH_JIRA_API_TOKEN")
    if email and token:
        into.know("Basic credentials", base64.b64encode(f"{email}:{token}".encode()).decode())


def _know_lines(name: str, text: str, into: Watch) -> None:
    """A key may be told as a whole or, where line ends are written otherwise, line by line."""
    for part in (text, *(line for line in text.splitlines() if not line.startswith("-----"))):
        into.know(name, part)


def look_at_metrics(name: str, environ: Mapping[str, str]) -> None:
    """What a service tells of itself, just before it ends."""
    port = environ.get("TROTH_HTTP_PORT")
    if port:
        for path in ("/metrics", "/readyz"):
            with suppress(httpx.HTTPError):
                answer = httpx.get(f"http://127.0.0.1:{port}{path}", trust_env=False, timeout=2)
                watch.look(f"{path} of {name}", answer.content)


async def look_at_topics(bootstrap: str, into: Watch = watch) -> int:
    """Keys, values and headers of everything on the broker; how many records there were."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, group_id=None, auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    try:
        names = sorted(name for name in await consumer.topics() if not name.startswith("__"))
        parts = [TopicPartition(n, p) for n in names for p in consumer.partitions_for_topic(n) or ()]
        if not parts:
            return 0
        consumer.assign(parts)
        ends, looked = await consumer.end_offsets(parts), 0
        while any([await consumer.position(part) < ends[part] for part in parts]):
            for part, records in (await consumer.getmany(timeout_ms=500)).items():
                looked += len(records)
                for raw in records:
                    headers = b" ".join(value for _, value in raw.headers)
                    into.look(f"topic {part.topic}", b" ".join((raw.key or b"", raw.value or b"", headers)))
        return looked
    finally:
        await consumer.stop()


def _watch_secrets(patch: pytest.MonkeyPatch) -> None:
    made = SecretStr.__init__

    def know(self: SecretStr, secret_value: str) -> None:
        made(self, secret_value)
        watch.know("a SecretStr", secret_value)

    patch.setattr(SecretStr, "__init__", know)


def _watch_errors(patch: pytest.MonkeyPatch) -> None:
    made = TrothError.__init__

    def look(self: TrothError, *parts: Any) -> None:
        made(self, *parts)
        watch.look(f"the text of {type(self).__name__}", " ".join(str(part) for part in parts))

    patch.setattr(TrothError, "__init__", look)


def _watch_children(patch: pytest.MonkeyPatch) -> None:
    made, stopped = ChildProcess.__init__, ChildProcess.stop

    def start(self: Any, name: str, module: str, arguments: Any = (), **more: Any) -> None:
        know_environ(more["environ"])
        listener = more.get("listener") or (lambda _name, _line: None)

        def listen(speaker: str, line: str) -> None:
            watch.look(f"the output of {speaker}", line)
            listener(speaker, line)

        made(self, name, module, arguments, **(more | {"listener": listen}))

    def stop(self: Any, patience: float = 10.0) -> int | None:
        if self.running:
            look_at_metrics(self.name, self._environ)
        return stopped(self, patience)

    patch.setattr(ChildProcess, "__init__", start)
    patch.setattr(ChildProcess, "stop", stop)


def _watch_registries(patch: pytest.MonkeyPatch) -> None:
    made = CollectorRegistry.__init__

    def keep(self: CollectorRegistry, *parts: Any, **more: Any) -> None:
        made(self, *parts, **more)
        _registries.add(self)

    patch.setattr(CollectorRegistry, "__init__", keep)


@pytest.fixture(scope="session", autouse=True)
def _watched() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        _watch_secrets(patch)
        _watch_errors(patch)
        _watch_children(patch)
        _watch_registries(patch)
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """After the last phase of a test: what it printed, logged and measured; a leak is its failure."""
    report: pytest.TestReport = yield
    if report.when != "teardown":
        return report
    for title, said in report.sections:
        watch.look(title, said)
    for registry in list(_registries):
        watch.look("a metric", generate_latest(registry))
    _registries.clear()
    leaks = watch.taken()
    if leaks and not report.failed:
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid}: a secret was told\n" + "\n".join(leaks)
    return report
