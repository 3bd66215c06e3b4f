"""Unit tests reach no network: whoever tries is told so."""

import asyncio
import socket

import pytest


def test_a_connection_is_refused_with_advice() -> None:
    with pytest.raises(RuntimeError, match="move it to tests/integration"):
        socket.create_connection(("127.0.0.1", 1))


async def test_an_event_loop_works_and_its_connections_are_refused() -> None:
    assert await asyncio.to_thread(lambda: 42) == 42
    with pytest.raises(RuntimeError, match="move it to tests/integration"):
        await asyncio.open_connection("127.0.0.1", 1)


@pytest.mark.network
def test_a_test_marked_network_may_connect() -> None:
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", 1))
