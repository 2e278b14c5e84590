"""A WebSocket server that does exactly what a test tells it, down to the bytes of a frame.

Nothing of picows or rlfast is in it: it is the independent peer of the tests.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import re
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable

TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10


def frame(payload: bytes, opcode: int = TEXT, *, fin: bool = True, rsv: int = 0) -> bytes:
    """One unmasked frame (RFC 6455 section 5.2)."""
    head = bytes([(fin << 7) | (rsv << 4) | opcode])
    n = len(payload)
    if n < 126:
        return head + bytes([n]) + payload
    if n < 65536:
        return head + b"\x7e" + struct.pack("!H", n) + payload
    return head + b"\x7f" + struct.pack("!Q", n) + payload


def close_frame(code: int | None = 1000, reason: bytes = b"") -> bytes:
    return frame(b"" if code is None else struct.pack("!H", code) + reason, CLOSE)


def upgrade_answer(request: bytes) -> bytes:
    """The answer that accepts an upgrade (RFC 6455 section 4.2.2)."""
    match = re.search(rb"(?im)^Sec-WebSocket-Key: *(.*?)\r$", request)
    assert match is not None
    digest = hashlib.sha1(match[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n\r\n"
    )


class Peer:
    """The server's end of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> None:
        self.reader = reader
        self.writer = writer
        self.request = request

    @property
    def path(self) -> str:
        return self.request.split(b" ", 2)[1].decode()

    def header(self, name: str) -> str | None:
        match = re.search(rb"(?im)^" + re.escape(name.encode()) + rb": *(.*?)\r$", self.request)
        return match[1].decode() if match else None

    async def accept(self, *behind: bytes) -> None:
        await self.write(upgrade_answer(self.request), *behind)

    async def write(self, *data: bytes) -> None:
        self.writer.write(b"".join(data))
        await self.writer.drain()

    async def text(self, *messages: str) -> None:
        await self.write(*(frame(message.encode()) for message in messages))

    async def read_frame(self) -> tuple[int, bytes]:
        """Opcode and unmasked payload of the client's next frame; IncompleteReadError at the end."""
        first, second = await self.reader.readexactly(2)
        n = second & 0x7F
        if n == 126:
            (n,) = struct.unpack("!H", await self.reader.readexactly(2))
        elif n == 127:
            (n,) = struct.unpack("!Q", await self.reader.readexactly(8))
        assert second & 0x80, "a client must mask (RFC 6455 section 5.3)"
        mask = await self.reader.readexactly(4)
        payload = await self.reader.readexactly(n)
        key = (mask * (n // 4 + 1))[:n]
        unmasked = int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")
        return first & 0x0F, unmasked.to_bytes(n, "big")

    async def close(self, code: int | None = 1000) -> None:
        """Send CLOSE and wait for the client to answer and hang up."""
        await self.write(close_frame(code))
        await self.hang()

    async def hang(self) -> None:
        """Read, and answer nothing, until the client hangs up."""
        with contextlib.suppress(OSError):
            while await self.reader.read(65536):
                pass

    async def wait_closed(self) -> None:
        """Read until the client sends CLOSE, and answer it; or until it hangs up."""
        while True:
            opcode, payload = await self.read_frame()
            if opcode == CLOSE:
                await self.write(frame(payload, CLOSE))
                return

    def reset(self) -> None:
        """Drop the connection with RST."""
        sock = self.writer.get_extra_info("socket")
        with contextlib.suppress(OSError):  # The client may be gone already.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


async def until(condition: Callable[[], object]) -> None:
    """Let the event loop run until `condition` holds, for state that no event announces."""
    while not condition():
        await asyncio.sleep(0)


async def turns(count: int) -> None:
    """Let the event loop run `count` times."""
    for _ in range(count):
        await asyncio.sleep(0)


Handler = Callable[[Peer], Awaitable[None]]


class Server:
    def __init__(self, port: int, scheme: str) -> None:
        self.port = port
        self.url = (
            f"{scheme}://localhost:{port}/stream" if scheme == "wss" else f"ws://127.0.0.1:{port}/stream"
        )
        self.requests: list[Peer] = []


@contextlib.asynccontextmanager
async def serve(
    *handlers: Handler, ssl_context: ssl.SSLContext | None = None, accept: bool = True
) -> AsyncIterator[Server]:
    """Serve connections one handler after the other; the last handler takes all that follow.

    With `accept` the upgrade is answered before the handler runs. An exception in a handler fails the test.
    """
    tasks: set[asyncio.Task[None]] = set()
    failures: list[BaseException] = []

    async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            request = await reader.readuntil(b"\r\n\r\n")
            peer = Peer(reader, writer, request)
            handler = handlers[min(len(server.requests), len(handlers) - 1)]
            server.requests.append(peer)
            if accept:
                await peer.accept()
            await handler(peer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        except BaseException as error:
            failures.append(error)
        finally:
            tasks.discard(task)
            writer.close()

    listener = await asyncio.start_server(run, "127.0.0.1", 0, ssl=ssl_context)
    server = Server(listener.sockets[0].getsockname()[1], "wss" if ssl_context else "ws")
    try:
        yield server
    finally:
        listener.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await listener.wait_closed()
    if failures:
        raise failures[0]
