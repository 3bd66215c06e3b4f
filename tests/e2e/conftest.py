"""The stage most end-to-end tests share: built on first use, settled, and photographed before anybody changes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest
from tests.conftest import missing
from tests.e2e.first_read import VENDORS, FirstRead, first_read
from tests.e2e.play import Play, open_play
from tests.e2e.snapshot import Snapshot, take_snapshot

from troth_sandbox.errors import BrokerUnavailableError, DatabaseStartError


@dataclass(frozen=True)
class Settled:
    """A play after the planted stories were told, and what it looked like then."""

    play: Play
    snapshot: Snapshot
    first_reads: Mapping[str, FirstRead]
    """By sync service."""


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Play]:
    """A play of which no service was started."""
    try:
        with open_play(tmp_path_factory.mktemp("servers")) as play:
            yield play
    except (BrokerUnavailableError, DatabaseStartError) as error:
        missing(str(error))


@pytest.fixture(scope="session")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settled]:
    """An undisturbed run on the generated world; tests may go on changing its vendors."""
    try:
        with open_play(tmp_path_factory.mktemp("undisturbed")) as play:
            play.stage.start_services()
            play.settle()
            yield Settled(play, take_snapshot(play), {name: first_read(play, name) for name in VENDORS})
    except (BrokerUnavailableError, DatabaseStartError) as error:
        missing(str(error))
