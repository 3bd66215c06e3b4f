"""The life of a service as its operator sees it: exit codes, sentences, probes and the order of its end."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

PROGRAM = Path(__file__).with_name("chassis_service.py")
DEADLINE = 30.0
Probe = tuple[int, dict[str, Any]]


class Service:
    """The child process and what can be asked of it."""

    def __init__(self, port: int, **settings: str) -> None:
        self.port = port
        environ = {
            "PATH": os.environ["PATH"],
            "KAFKA_BOOTSTRAP_SERVERS": "kafka:9092",
            "TROTH_HTTP_PORT": str(port),
            **settings,
        }
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAM)],
            env={name: value for name, value in environ.items() if value != "unset"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def get(self, path: str) -> Probe:
        try:
            answer = httpx.get(f"http://127.0.0.1:{self.port}{path}", trust_env=False)
        except httpx.TransportError:
            return 0, {}
        return answer.status_code, answer.json() if answer.headers["content-type"].endswith("json") else {}

    def until(self, path: str, condition: Callable[[Probe], bool]) -> Probe:
        """Asks until the answer is as wished; fails with the last answer when time is up or the process ended."""
        end = time.monotonic() + DEADLINE
        while not condition(answer := self.get(path)):
            if time.monotonic() > end or self.process.poll() is not None:
                pytest.fail(f"{path} last answered {answer}; exit code {self.process.poll()}")
            time.sleep(0.02)
        return answer

    def until_ready(self) -> None:
        self.until("/readyz", lambda answer: answer[0] == 200)

    def end(self, number: signal.Signals | None = None) -> tuple[int, list[str], str]:
        """Exit code, lines of standard output, standard error."""
        if number is not None:
            self.process.send_signal(number)
        out, err = self.process.communicate(timeout=DEADLINE)
        return self.process.returncode, out.splitlines(), err


Start = Callable[..., Service]


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture
def start(port: int) -> Iterator[Start]:
    """`start(behaviour, SETTING=...)`: the service; it is killed after the test if it still runs."""
    started: list[Service] = []

    def begin(behaviour: str = "work", **settings: str) -> Service:
        started.append(Service(port, TROTH_CRM_BEHAVIOUR=behaviour, **settings))
        return started[-1]

    yield begin
    for service in started:
        if service.process.poll() is None:
            service.process.kill()
            service.process.communicate(timeout=DEADLINE)


class TestStart:
    def test_bad_settings_end_with_78_and_one_clear_sentence(self, start: Start) -> None:
        service = start(KAFKA_BOOTSTRAP_SERVERS="unset", TROTH_CRM_TYPO="1", TROTH_TIMEZONE="Mars/Olympus")
        code, _, said = service.end()
        assert code == 78
        assert said.count("\n") == 1
        assert said.startswith("test-service: settings: ")
        assert "KAFKA_BOOTSTRAP_SERVERS: is required" in said
        assert "TROTH_CRM_TYPO is not a setting of this service" in said
        assert "TROTH_TIMEZONE: not an IANA time zone" in said

    def test_a_port_in_use_ends_with_78_and_says_which(self, start: Start, port: int) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", port))
            taken.listen()
            code, _, said = start().end()
        assert code == 78
        assert f"cannot listen on 127.0.0.1:{port}: choose another TROTH_HTTP_PORT" in said
        assert "Traceback" not in said

    def test_what_cannot_be_built_ends_with_78_and_its_sentence(self, start: Start) -> None:
        code, _, said = start("unbuildable").end()
        assert code == 78
        assert "stopped: the org refuses our name: check TROTH_CRM_CLIENT_ID" in said
        assert "Traceback" not in said

    def test_it_answers_while_it_is_being_built_and_is_not_ready(self, start: Start) -> None:
        service = start("never-built")
        _, answer = service.until("/readyz", lambda answer: answer[0] == 503)
        assert answer["checks"]["running"] == {"ok": False, "detail": "starting"}
        assert service.get("/healthz")[0] == 200

    def test_a_signal_while_it_is_being_built_ends_it(self, start: Start) -> None:
        service = start("never-built")
        service.until("/readyz", lambda answer: answer[0] == 503)
        code, _, said = service.end(signal.SIGTERM)
        assert code == 0
        assert "Traceback" not in said

    def test_it_is_not_ready_before_its_loops_made_progress(self, start: Start) -> None:
        service = start("silent")
        _, answer = service.until("/readyz", lambda answer: "poll" in answer[1].get("checks", {}))
        assert answer["ready"] is False
        assert answer["checks"]["poll"]["detail"] == "has made no progress yet"

    def test_a_service_adds_routes_of_its_own(self, start: Start) -> None:
        service = start()
        service.until("/own", lambda answer: answer[0] == 200)


class TestEnd:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_a_signal_ends_it_in_order_and_with_0(self, start: Start, number: signal.Signals) -> None:
        """Readiness off, loops cancelled, resources closed, HTTP last."""
        service = start()
        service.until_ready()
        code, lines, said = service.end(number)
        assert code == 0
        assert lines == [
            "loop cancelled, readiness off",
            "resources closed while HTTP 503",
            "exit 0",
        ]
        assert json.loads(said.splitlines()[-1])["event"] == "stopped"
        assert service.get("/healthz")[0] == 0

    def test_a_loop_that_fails_while_it_is_cancelled_does_not_start_again(self, start: Start) -> None:
        service = start("broken-goodbye")
        service.until_ready()
        code, lines, _ = service.end(signal.SIGTERM)
        assert code == 0
        assert len([line for line in lines if line.startswith("loop cancelled")]) == 1

    def test_a_newer_instance_ends_it_with_75(self, start: Start) -> None:
        code, _, said = start("fenced").end()
        assert code == 75
        assert "stopped: another instance writes crm-sync.org: stop one of the two" in said

    def test_what_only_a_person_can_mend_ends_it_with_78(self, start: Start) -> None:
        code, _, said = start("misconfigured").end()
        assert code == 78
        assert "stopped: the account may not read deals: grant View All on Opportunity" in said
        assert "Traceback" not in said

    def test_a_defect_ends_it_with_1_and_its_trace_without_secrets(self, start: Start) -> None:
        code, _, said = start("defect").end()
        assert code == 1
        assert "LookupError" in said
        assert "canary-secret-value" not in said

    def test_a_loop_that_ends_by_itself_is_a_defect(self, start: Start) -> None:
        """Without it the service would only look alive."""
        code, _, said = start("ends").end()
        assert code == 1
        assert "the loop poll ended by itself" in said

    @pytest.mark.parametrize("behaviour", ["fenced", "misconfigured", "defect"])
    def test_however_it_ends_resources_are_closed_before_http(self, start: Start, behaviour: str) -> None:
        _, lines, _ = start(behaviour).end()
        assert lines[0] == "resources closed while HTTP 503"


class TestWhileItRuns:
    def test_a_transient_fault_is_told_by_readiness_and_the_loop_tried_again(self, start: Start) -> None:
        service = start("transient")
        _, answer = service.until(
            "/readyz",
            lambda answer: "reachable" in answer[1].get("checks", {}).get("poll", {}).get("detail", ""),
        )
        assert answer["checks"]["poll"] == {"ok": False, "detail": "Kafka at kafka:9092 is not reachable"}
        assert service.get("/healthz")[0] == 200
        code, _, said = service.end(signal.SIGTERM)
        assert code == 0
        assert "will retry" in said
        assert "Traceback" not in said

    def test_it_becomes_ready_again_when_the_fault_is_over_and_waits_grew(self, start: Start) -> None:
        service = start("fails-thrice")
        service.until_ready()
        _, lines, _ = service.end(signal.SIGTERM)
        gaps = [float(gap) for gap in lines[0].removeprefix("gaps ").split()]
        assert len(gaps) == 3
        assert all(gap >= least for gap, least in zip(gaps, (0.4, 0.8, 1.6), strict=True))

    def test_a_cancellation_nobody_asked_for_is_a_transient_fault(self, start: Start) -> None:
        """Client libraries let those of their own tasks out; it must not look like an ordered end."""
        service = start("cancels-itself")
        service.until_ready()
        code, _, said = service.end(signal.SIGTERM)
        assert code == 0
        assert "a library let the cancellation of a task of its own out" in said

    def test_a_stuck_loop_makes_healthz_fail_and_names_it(self, start: Start) -> None:
        service = start("stuck")
        _, answer = service.until("/healthz", lambda answer: answer[0] == 503)
        assert answer["alive"] is False
        assert list(answer["stuck"]) == ["poll"]

    def test_logs_are_json_lines_outside_a_terminal(self, start: Start) -> None:
        service = start()
        service.until_ready()
        _, _, said = service.end(signal.SIGTERM)
        entries = [json.loads(line) for line in said.splitlines()]
        assert [entry["event"] for entry in entries] == ["listening", "stopped"]
        assert {entry["service"] for entry in entries} == {"test-service"}
