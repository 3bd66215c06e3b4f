"""Child processes of the supervisor: start, listen, wait until ready, stop, kill.

Two layers: `spawn` and `end` are for anything with a log file (Kafka, PostgreSQL); `ChildProcess` is one of
our own Python programs, whose lines go into the common log and whose `ready` line is waited for.
"""

import contextlib
import ctypes
import os
import pwd
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Self

from troth_sandbox.errors import ProcessDeadlineError, ProcessExitedError

TAIL_LINES = 20
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
# Linux sends the death signal when the *thread* that forked ends, so one thread that lives as long as the
# program starts every child.
_spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")


def spawn(
    argv: Sequence[str],
    *,
    environ: Mapping[str, str],
    output: int | IO[bytes],
    cwd: Path | None = None,
    user: str | None = None,
    death_signal: signal.Signals = signal.SIGKILL,
) -> subprocess.Popen[bytes]:
    """Start a program in its own process group; on Linux it gets `death_signal` when we die."""
    parent = os.getpid()

    def die_with_parent() -> None:
        if _libc is not None:
            _libc.prctl(_PR_SET_PDEATHSIG, int(death_signal))
            if os.getppid() != parent:
                os._exit(1)

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            argv,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            user=user,
            group=None if user is None else pwd.getpwnam(user).pw_gid,
            extra_groups=None if user is None else [],
            process_group=0,
            preexec_fn=die_with_parent,  # noqa: PLW1509 - one system call, library loaded before
        )

    return _spawner.submit(start).result()


def end(
    process: subprocess.Popen[bytes], *, with_signal: signal.Signals = signal.SIGTERM, patience: float = 10.0
) -> int:
    """Ask a process group to stop, kill it after `patience` seconds, and return the exit code."""
    if process.poll() is None:
        _signal_group(process.pid, with_signal)
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            _signal_group(process.pid, signal.SIGKILL)
    return process.wait()


def wait_for(probe: Callable[[], bool], *, deadline: float, pause: float = 0.02) -> bool:
    """Ask `probe` again and again until it is true (True) or `deadline` seconds are over (False)."""
    until = time.monotonic() + deadline
    while not probe():
        if time.monotonic() > until:
            return False
        time.sleep(pause)
    return True


def tail(log: Path, lines: int = TAIL_LINES) -> str:
    """Return the last lines of a log file without the frames of Java stack traces, or a sentence for none."""
    if not log.exists():
        return "(no log was written)"
    told = [line for line in log.read_text(errors="replace").splitlines() if not line.startswith("\tat ")]
    return "\n".join(told[-lines:]) or "(the log is empty)"


class ChildProcess:
    """One of our own programs as a child: `python -m <module> <arguments>`."""

    def __init__(
        self,
        name: str,
        module: str,
        arguments: Sequence[str] = (),
        *,
        environ: Mapping[str, str],
        listener: Callable[[str, str], None] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.name = name
        self._argv = [sys.executable, "-u", "-m", module, *arguments]
        self._environ = environ
        self._listener = listener or (lambda _name, _line: None)
        self._cwd = cwd
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._heard = threading.Condition()
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._ready_line: str | None = None
        self._silent = False

    def start(self) -> None:
        """Start the program; its lines go to the listener as (name, line) from a thread of ours."""
        if self.running:
            raise RuntimeError(f"{self.name} is already running")
        self._tail.clear()
        self._ready_line, self._silent = None, False
        self._process = spawn(self._argv, environ=self._environ, output=subprocess.PIPE, cwd=self._cwd)
        self._reader = threading.Thread(
            target=self._read, args=(self._process,), name=f"log-{self.name}", daemon=True
        )
        self._reader.start()

    def wait_ready(self, deadline: float = 30.0) -> dict[str, str]:
        """Wait for the line `ready key=value ...` and return its pairs.

        Raises ProcessExitedError when the program ended first, ProcessDeadlineError after `deadline` seconds.
        """
        with self._heard:
            self._heard.wait_for(lambda: self._ready_line is not None or self._silent, timeout=deadline)
            line, ended = self._ready_line, self._silent
        if line is not None:
            return dict(pair.split("=", 1) for pair in line.split()[1:] if "=" in pair)
        if ended:
            raise ProcessExitedError(
                f"{self.name} ended with code {self.wait(5)} before it was ready:\n{self.last_lines}"
            )
        raise ProcessDeadlineError(f"{self.name} was not ready within {deadline:g} s:\n{self.last_lines}")

    def stop(self, patience: float = 10.0) -> int | None:
        """SIGTERM, then SIGKILL after `patience` seconds; the exit code, None if never started."""
        if self._process is None:
            return None
        code = end(self._process, patience=patience)
        self._join_reader()
        return code

    def kill(self) -> None:
        """End the program at once, as `kill -9` does."""
        if self._process is not None:
            _signal_group(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._join_reader()

    def restart(self) -> None:
        """Stop the program if it runs, and start it again with the same arguments."""
        self.stop()
        self.start()

    def wait(self, timeout: float | None = None) -> int:
        """Wait until the program ends by itself and return its code; raises ProcessDeadlineError."""
        if self._process is None:
            raise RuntimeError(f"{self.name} was never started")
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise ProcessDeadlineError(f"{self.name} still runs after {timeout:g} s") from None

    @property
    def running(self) -> bool:
        """True between start and the end of the program, however it ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """The code of the last run, negative for a signal; None while it runs or before the first start."""
        return None if self._process is None else self._process.poll()

    @property
    def pid(self) -> int | None:
        """The process id of the last run."""
        return None if self._process is None else self._process.pid

    @property
    def last_lines(self) -> str:
        """The end of what the program printed, for an error message."""
        return "\n".join(self._tail) or "(it printed nothing)"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None  # noqa: S101 - spawned with a pipe
        with process.stdout as lines:
            for raw in lines:
                self._hear(raw.decode(errors="replace").rstrip("\r\n"))
        with self._heard:
            self._silent = True
            self._heard.notify_all()

    def _hear(self, line: str) -> None:
        with self._heard:
            self._tail.append(line)
            if self._ready_line is None and line.split(" ", 1)[0] == "ready":
                self._ready_line = line
            self._heard.notify_all()
        self._listener(self.name, line)

    def _join_reader(self) -> None:
        # A grandchild may keep the pipe open; its lines are not worth waiting for.
        if self._reader is not None and self._reader is not threading.current_thread():
            self._reader.join(2.0)


def _signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, number)
