"""A server of the websockets library that counts: every client hears the same number at the same time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from websockets.asyncio.server import ServerConnection, broadcast, serve


class Counting:
    """A feed.

    Attributes:
        silent: sends nothing, but answers pings, while this is set.
        port: where it listens, on loopback.
        connections: that were accepted so far.
    """

    def __init__(self) -> None:
        self.silent = False
        self.port = 0
        self.connections = 0
        self._open: set[ServerConnection] = set()
        self._next = 0

    async def accept(self, connection: ServerConnection) -> None:
        self.connections += 1
        self._open.add(connection)
        try:
            await connection.wait_closed()
        finally:
            self._open.discard(connection)

    async def count(self) -> None:
        """Some thousand numbers per second."""
        while True:
            for _ in range(10 * (not self.silent)):
                broadcast(self._open, b'{"n":%d}' % self._next)
                self._next += 1
            await asyncio.sleep(0.002)


@contextlib.asynccontextmanager
async def counting() -> AsyncIterator[Counting]:
    feed = Counting()
    # It sends no pings of its own: what keeps a connection alive is the client's work.
    async with serve(feed.accept, "127.0.0.1", 0, ping_interval=None) as server:
        feed.port = next(iter(server.sockets)).getsockname()[1]
        count = asyncio.create_task(feed.count())
        try:
            yield feed
        finally:
            count.cancel()
