"""A WebSocket client down to the frames, for what no library's client would do."""

from __future__ import annotations

import asyncio
import base64
import socket
import struct
from dataclasses import dataclass
from urllib.parse import urlsplit

TEXT, BINARY, CLOSE, PING, PONG, CONTINUATION = 0x1, 0x2, 0x8, 0x9, 0xA, 0x0


def client_frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, masked: bool = True
) -> bytes:
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    flag = 0x80 if masked else 0
    size = len(payload)
    if size < 126:
        header = struct.pack("!BB", first, flag | size)
    elif size < 1 << 16:
        header = struct.pack("!BBH", first, flag | 126, size)
    else:
        header = struct.pack("!BBQ", first, flag | 127, size)
    # A mask of zeros is allowed and leaves the payload as it is.
    return header + (b"\0\0\0\0" if masked else b"") + payload


@dataclass
class RawClient:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    status: int
    headers: dict[str, str]
    body: bytes

    async def frame(self) -> tuple[int, bytes] | None:
        """The next frame's opcode and payload, or None at the end of the connection."""
        try:
            first, second = await self.reader.readexactly(2)
            assert second < 0x80, "a server must not mask"
            assert first & 0x70 == 0, "no extension was negotiated"
            size = second
            if size == 126:
                (size,) = struct.unpack("!H", await self.reader.readexactly(2))
            elif size == 127:
                (size,) = struct.unpack("!Q", await self.reader.readexactly(8))
            return first & 0xF, await self.reader.readexactly(size)
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    async def until_close(self) -> tuple[list[bytes], int | None]:
        """The payloads up to the CLOSE frame or the end, and the CLOSE frame's code."""
        payloads = []
        while (frame := await self.frame()) is not None:
            opcode, payload = frame
            if opcode == CLOSE:
                return payloads, int.from_bytes(payload[:2], "big")
            payloads.append(payload)
        return payloads, None

    def send(self, *frames: bytes) -> None:
        self.writer.write(b"".join(frames))

    async def close(self) -> None:
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except ConnectionError:
            pass


async def open_raw(
    url: str, headers: dict[str, str] | None = None, *, method: str = "GET", receive_buffer: int | None = None
) -> RawClient:
    parts = urlsplit(url)
    plain = socket.socket()
    if receive_buffer is not None:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    plain.setblocking(False)
    await asyncio.get_running_loop().sock_connect(plain, (parts.hostname, parts.port))
    reader, writer = await asyncio.open_connection(sock=plain)
    fields = {
        "Host": parts.netloc,
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(b"sixteen bytes ok").decode(),
        **(headers or {}),
    }
    lines = [f"{method} {parts.path}{'?' + parts.query if parts.query else ''} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in fields.items()]
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    status = int(head[0].split()[1])
    answer = dict(line.lower().split(": ", 1) for line in head[1:] if line)
    body = b"" if status == 101 else await reader.read()
    return RawClient(reader, writer, status, answer, body)
