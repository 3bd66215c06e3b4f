"""The supervisor's children: ready or a clear reason, stopped or killed, and never left behind."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from troth_sandbox.errors import ProcessDeadlineError, ProcessExitedError
from troth_sandbox.processes import ChildProcess, wait_for

Program = Callable[[str], ChildProcess]
FOREVER = "import threading; threading.Event().wait()"


@pytest.fixture
def heard() -> list[tuple[str, str]]:
    return []


@pytest.fixture
def program(tmp_path: Path, heard: list[tuple[str, str]]) -> Program:
    """A child whose source is given; it is called `sim` in the log."""

    def make(source: str) -> ChildProcess:
        (tmp_path / "program.py").write_text(source)
        return ChildProcess(
            "sim",
            "program",
            ["--port", "0"],
            environ=os.environ,
            cwd=tmp_path,
            listener=lambda *line: heard.append(line),
        )

    return make


def gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return True
    return state == "Z"


def test_the_ready_line_gives_its_pairs_and_all_lines_go_to_the_listener(
    program: Program, heard: list[tuple[str, str]]
) -> None:
    with program(f"print('starting'); print('ready api=8443 admin=8444'); {FOREVER}") as child:
        assert child.wait_ready(20) == {"api": "8443", "admin": "8444"}
    assert heard == [("sim", "starting"), ("sim", "ready api=8443 admin=8444")]


def test_arguments_and_environment_reach_the_program(program: Program, heard: list[tuple[str, str]]) -> None:
    with program("import sys; print(sys.argv[1:])") as child:
        assert child.wait(20) == 0
        assert wait_for(lambda: bool(heard), deadline=5)
    assert heard == [("sim", "['--port', '0']")]


def test_a_program_that_ends_before_it_is_ready_shows_its_code_and_last_lines(program: Program) -> None:
    with program("import sys; print('TROTH_X is unknown'); sys.exit(78)") as child:
        with pytest.raises(ProcessExitedError, match=r"(?s)sim ended with code 78.*TROTH_X is unknown"):
            child.wait_ready(20)
        assert child.exit_code == 78


def test_a_program_that_never_gets_ready_misses_its_deadline(program: Program) -> None:
    with program(FOREVER) as child, pytest.raises(ProcessDeadlineError, match=r"not ready within 0\.2 s"):
        child.wait_ready(0.2)


def test_stop_lets_the_program_end_in_order(program: Program, heard: list[tuple[str, str]]) -> None:
    source = "import signal, sys\nsignal.signal(signal.SIGTERM, lambda *_: (print('bye'), sys.exit(0)))\nprint('ready')\n"
    child = program(source + FOREVER)
    child.start()
    child.wait_ready(20)
    assert child.stop() == 0
    assert heard[-1] == ("sim", "bye")
    assert not child.running


def test_stop_kills_a_program_that_does_not_listen(program: Program) -> None:
    child = program(
        f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready'); {FOREVER}"
    )
    child.start()
    child.wait_ready(20)
    assert child.stop(patience=0.2) == -signal.SIGKILL


def test_kill_is_immediate_and_a_restart_is_a_new_process(program: Program) -> None:
    with program(f"print('ready'); {FOREVER}") as child:
        child.wait_ready(20)
        first = child.pid
        child.kill()
        assert child.exit_code == -signal.SIGKILL
        child.restart()
        assert child.wait_ready(20) == {}
        assert child.pid != first


def test_stop_takes_the_grandchildren_along(program: Program) -> None:
    source = "import subprocess, sys\ngrandchild = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
    with program(f"{source}print(f'ready pid={{grandchild.pid}}'); {FOREVER}") as child:
        grandchild = int(child.wait_ready(20)["pid"])
    assert wait_for(lambda: gone(grandchild), deadline=10)


@pytest.mark.skipif(sys.platform != "linux", reason="the death signal is Linux's")
def test_children_die_with_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(FOREVER)
    supervisor = (
        "import os, threading\n"
        "from troth_sandbox.processes import ChildProcess\n"
        "child = ChildProcess('sim', 'program', environ=os.environ)\n"
        # The thread that starts a child may end long before the child does.
        "starter = threading.Thread(target=child.start); starter.start(); starter.join()\n"
        "assert child.running\n"
        "print(child.pid, flush=True); threading.Event().wait()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", supervisor], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert not gone(child)
        parent.kill()
    assert wait_for(lambda: gone(child), deadline=10)
