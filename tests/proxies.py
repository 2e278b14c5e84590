"""Proxies on loopback, of the three kinds: HTTP CONNECT, the same over TLS, SOCKS5."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
from collections.abc import AsyncIterator

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Proxy:
    """What a proxy saw.

    Attributes:
        targets: "host:port" of each tunnel.
        refuse: HTTP status, or SOCKS reply, instead of a tunnel.
    """

    def __init__(self, user: str | None, password: str | None) -> None:
        self.port = 0
        self.user = user
        self.password = password
        self.targets: list[str] = []
        self.refuse: int | None = None

    async def http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Streams | None:
        """RFC 9110 section 9.3.6."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        method, target, _ = head.split(" ", 2)
        assert method == "CONNECT"
        expected = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        if self.user is not None and f"Proxy-Authorization: Basic {expected}\r\n" not in head:
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n")
            return None
        if self.refuse is not None:
            writer.write(f"HTTP/1.1 {self.refuse} No\r\n\r\n".encode())
            return None
        self.targets.append(target)
        host, _, port = target.rpartition(":")
        far = await asyncio.open_connection(host.strip("[]"), int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        return far

    async def socks5(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Streams | None:
        """RFC 1928, with the passwords of RFC 1929."""
        version, count = await reader.readexactly(2)
        assert version == 5
        methods = await reader.readexactly(count)
        method = 0 if self.user is None else 2
        if method not in methods:
            writer.write(b"\x05\xff")
            return None
        writer.write(bytes([5, method]))
        if method == 2:
            _, n = await reader.readexactly(2)
            user = (await reader.readexactly(n)).decode()
            (n,) = await reader.readexactly(1)
            password = (await reader.readexactly(n)).decode()
            right = (user, password) == (self.user, self.password)
            writer.write(b"\x01\x00" if right else b"\x01\x01")
            if not right:
                return None
        _, _, _, kind = await reader.readexactly(4)
        if kind == 3:
            (n,) = await reader.readexactly(1)
            host = (await reader.readexactly(n)).decode()
        else:
            assert kind == 1
            host = ".".join(map(str, await reader.readexactly(4)))
        port = int.from_bytes(await reader.readexactly(2), "big")
        if self.refuse is not None:
            writer.write(bytes([5, self.refuse, 0, 1, 0, 0, 0, 0, 0, 0]))
            return None
        self.targets.append(f"{host}:{port}")
        far = await asyncio.open_connection(host, port)
        writer.write(bytes([5, 0, 0, 1, 127, 0, 0, 1, 0, 0]))
        return far


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.write_eof()


@contextlib.asynccontextmanager
async def serve_proxy(
    kind: str,
    *,
    user: str | None = None,
    password: str | None = None,
    ssl_context: ssl.SSLContext | None = None,
) -> AsyncIterator[Proxy]:
    """Run a proxy: kind is "http" or "socks5"."""
    proxy = Proxy(user, password)
    tasks: set[asyncio.Task[None]] = set()

    async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        far = None
        try:
            far = await getattr(proxy, kind)(reader, writer)
            if far is not None:
                await asyncio.gather(_pipe(reader, far[1]), _pipe(far[0], writer))
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError, NotImplementedError):
            pass
        finally:
            tasks.discard(task)
            writer.close()
            if far is not None:
                far[1].close()

    listener = await asyncio.start_server(run, "127.0.0.1", 0, ssl=ssl_context)
    proxy.port = listener.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        listener.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await listener.wait_closed()
