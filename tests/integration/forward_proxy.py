"""A forward proxy as companies have them: everything that leaves goes through it, by CONNECT or in the clear."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

END_OF_HEAD = b"\r\n\r\n"


class ForwardProxy:
    """Keeps the method and target of every request line it was sent."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.url = ""
        self._open: set[asyncio.Task[None]] = set()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A new connection."""
        self._open.add(asyncio.create_task(self._serve(reader, writer)))

    async def close(self) -> None:
        """Ends every connection."""
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError), contextlib.closing(writer):
            head = await reader.readuntil(END_OF_HEAD)
            line, rest = head.split(b"\r\n", 1)
            method, target, version = line.decode().split()
            self.asked.append(f"{method} {target}")
            place = urlsplit(target if "//" in target else f"//{target}")
            server, away = await asyncio.open_connection(place.hostname, place.port)
            with contextlib.closing(away):
                if method == "CONNECT":
                    writer.write(b"HTTP/1.1 200 Connection established" + END_OF_HEAD)
                else:
                    path = target.split(place.netloc, 1)[1] or "/"
                    away.write(
                        f"{method} {path} {version}\r\nConnection: close\r\n".encode() + _lasting(rest)
                    )
                await asyncio.gather(_pour(reader, away), _pour(server, writer))


def _lasting(headers: bytes) -> bytes:
    """Without the client's wish to go on with the connection: the next request may have another target."""
    lines = headers.split(b"\r\n")
    return b"\r\n".join(line for line in lines if not line.lower().startswith(b"connection:"))


async def _pour(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while some := await source.read(65_536):
            sink.write(some)
            await sink.drain()
    sink.close()


@contextlib.asynccontextmanager
async def a_proxy() -> AsyncIterator[ForwardProxy]:
    """A running proxy on loopback."""
    proxy = ForwardProxy()
    server = await asyncio.start_server(proxy.accept, "127.0.0.1", 0)
    proxy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()
        await proxy.close()
