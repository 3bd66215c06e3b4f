"""The jars of the pinned Apache Kafka: copied once by Maven into `build/`, reused from then on."""

import fcntl
import shutil
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from troth_sandbox.errors import BrokerUnavailableError

PROJECT = Path(__file__).resolve().parents[3]
POM = PROJECT / "pom.xml"
BUILD = PROJECT.parents[1] / "build" / "kafka"
COMPLETE = "complete"  # written last, so a copy that was cut short is not taken for a whole one
MAVEN_SECONDS = 600


def pinned_version(pom: Path = POM) -> str:
    """Return the Kafka version that the pom names: it is written down nowhere else."""
    namespace = {"m": "http://maven.apache.org/POM/4.0.0"}
    try:
        root = ET.parse(pom).getroot()  # noqa: S314 - our own file
    except FileNotFoundError:
        raise BrokerUnavailableError(f"{pom} is missing: run from a clone of the repository.") from None
    for dependency in root.iterfind(".//m:dependency", namespace):
        if dependency.findtext("m:artifactId", "", namespace).startswith("kafka_"):
            return dependency.findtext("m:version", "", namespace)
    raise BrokerUnavailableError(f"{pom} names no Kafka.")


def kafka_jars(
    environ: Mapping[str, str], *, pom: Path = POM, build: Path = BUILD, say: Callable[[str], None] = print
) -> Path:
    """Return the folder of all jars, copying them with Maven first when they are not there yet.

    Safe when several processes ask at once. Raises BrokerUnavailableError.
    """
    place = build / pinned_version(pom)
    libs = place / "libs"
    if (place / COMPLETE).exists():
        return libs
    maven = shutil.which("mvn", path=environ.get("PATH", ""))
    if maven is None:
        raise BrokerUnavailableError("Apache Kafka's jars are not here yet and Maven (mvn) is not installed.")
    place.mkdir(parents=True, exist_ok=True)
    with _alone(place / "lock"):
        if not (place / COMPLETE).exists():
            say(f"copying Apache Kafka {place.name} with Maven, once (about 45 MB)")
            _copy(maven, pom, libs, environ)
            (place / COMPLETE).touch()
    return libs


def _copy(maven: str, pom: Path, libs: Path, environ: Mapping[str, str]) -> None:
    shutil.rmtree(libs, ignore_errors=True)
    command = [maven, "-q", "-B", "-f", str(pom), "dependency:copy-dependencies", "-DincludeScope=runtime"]
    try:
        told = subprocess.run(
            [*command, f"-DoutputDirectory={libs}"],
            env=dict(environ),
            capture_output=True,
            text=True,
            timeout=MAVEN_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise BrokerUnavailableError(f"Maven did not finish within {MAVEN_SECONDS} s.") from None
    if told.returncode != 0:
        reason = next((line for line in told.stdout.splitlines() if "ERROR" in line), "it gave no reason")
        raise BrokerUnavailableError(f"Maven could not fetch Apache Kafka: {reason}")


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
