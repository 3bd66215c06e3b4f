"""Sends requests at a steady rate, whatever becomes of the ones before: a late answer delays no other request.

A request's time runs from when it was due, so a server that falls behind cannot hide it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

CONNECTIONS = 64


@dataclass(frozen=True, slots=True)
class Call:
    """One POST; ``kind`` says which figure it belongs to."""

    kind: str
    body: bytes
    headers: tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Answers:
    """What came back: seconds by kind, and how often each status came, 0 for none at all."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    statuses: dict[tuple[str, int], int] = field(default_factory=dict)

    def note(self, kind: str, status: int, seconds: float) -> None:
        """One more answer."""
        self.seconds.setdefault(kind, []).append(seconds)
        self.statuses[kind, status] = self.statuses.get((kind, status), 0) + 1


class Sender:
    """Keep-alive connections to one address, used in turn."""

    def __init__(self, url: str, connections: int = CONNECTIONS) -> None:
        parts = urlsplit(url)
        self._host, self._port, self._path = parts.hostname or "", parts.port or 80, parts.path
        self._free: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter] | None] = asyncio.Queue()
        for _ in range(connections):
            self._free.put_nowait(None)

    async def send(self, call: Call) -> int:
        """The status of the answer; 0 when the connection failed."""
        connection = await self._free.get()
        try:
            reader, writer = connection or await asyncio.open_connection(self._host, self._port)
            writer.write(self._head(call) + call.body)
            status, keep = await _answer(reader)
        except (OSError, asyncio.IncompleteReadError, ValueError):
            self._free.put_nowait(None)
            return 0
        self._free.put_nowait((reader, writer) if keep else None)
        if not keep:
            writer.close()
        return status

    def _head(self, call: Call) -> bytes:
        lines = [f"POST {self._path} HTTP/1.1", f"host: {self._host}", f"content-length: {len(call.body)}"]
        lines += [f"{name}: {value}" for name, value in call.headers]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    async def close(self) -> None:
        """Closes every connection."""
        while not self._free.empty():
            connection = self._free.get_nowait()
            if connection is not None:
                connection[1].close()


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bool]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    length = next((int(line[15:]) for line in head.splitlines() if line.startswith("content-length:")), 0)
    await reader.readexactly(length)
    return int(head.split(" ", 2)[1]), "connection: close" not in head


async def steadily(url: str, calls: Sequence[Call], per_second: float) -> Answers:
    """Sends every call at its time; returns when all are answered."""
    sender, answers = Sender(url), Answers()
    began = time.monotonic()

    async def one(number: int, call: Call) -> None:
        due = began + number / per_second
        status = await sender.send(call)
        answers.note(call.kind, status, time.monotonic() - due)

    tasks = []
    for number, call in enumerate(calls):
        wait = began + number / per_second - time.monotonic()
        if wait > 0:
            await asyncio.sleep(wait)
        tasks.append(asyncio.create_task(one(number, call)))
    await asyncio.gather(*tasks)
    await sender.close()
    return answers
