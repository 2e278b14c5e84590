"""The HTTP upgrade on an open transport: the request, the answer, and who gets the bytes from then on.

The answer is read here and not by picows (2.3), which compares whole header values where RFC 6455 section
4.1 asks for a token of a list. Whatever the websockets or the aiohttp client takes for an upgrade is taken;
picows then gets the one form that it takes, and exactly up to the first frame.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from rlfast._core.socket_reader import SocketReader

__all__ = ["MAX_ANSWER", "TOKEN", "Answer", "Upgrade", "UpgradeError", "read_head"]

TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 section 5.6.2
MAX_ANSWER = 2 << 20
"""Bytes of everything before the first frame. The websockets client takes 128 headers of 8 KiB."""

READ_SIZE = 4096
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 4.2.2
# A line may end without CR, and a reason phrase may be missing (RFC 9112 sections 2.2 and 4).
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_FOLD = re.compile(rb"\r?\n[ \t]+")  # Obsolete, and stands for a space (RFC 9112 section 5.2).
_STATUS_LINE = re.compile(rb"HTTP/\d\.\d 0*([1-9]\d\d)(?: .*)?", re.IGNORECASE | re.DOTALL)


class UpgradeError(Exception):
    """What the server answered is not an upgrade to WebSocket. The text holds no header's value."""


class Answer(NamedTuple):
    """The head of an HTTP response."""

    status: int
    headers: dict[str, list[str]]
    """Values by name in lower case, in the order in which they came; Latin-1, no white space around them."""

    def get(self, name: str) -> str | None:
        """The first value of a header."""
        return self.headers[name][0] if name in self.headers else None

    def tokens(self, name: str) -> list[str]:
        """What the lists in the headers of one name hold, in lower case."""
        values = ",".join(self.headers.get(name, ())).lower().split(",")
        return [token for token in map(str.strip, values) if token]


def read_head(head: bytes) -> Answer:
    """Read the head of a response, without the empty line at its end.

    Raises:
        UpgradeError: it is not HTTP.
    """
    status_line, *lines = (line.rstrip(b"\r") for line in _FOLD.sub(b" ", head).split(b"\n"))
    match = _STATUS_LINE.fullmatch(status_line)
    if match is None:
        raise _no_http(status_line)
    headers: dict[str, list[str]] = {}
    for line in lines:
        name, colon, value = line.decode("latin-1").partition(":")
        if not colon or not TOKEN.fullmatch(name):
            raise UpgradeError("a line of it is not HTTP header")
        if re.search(r"[\r\0]", value):
            raise UpgradeError(f"its header {name} holds CR or NUL")
        headers.setdefault(name.lower(), []).append(value.strip(" \t"))
    return Answer(int(match[1]), headers)


def _no_http(start: bytes) -> UpgradeError:
    return UpgradeError(f"it is not HTTP: it begins with {start[:40]!r}")


def _check(answer: Answer, accept: str) -> None:
    """RFC 6455 section 4.1, "the client MUST validate the server's response"."""
    first = answer.get("upgrade") or ""
    # The first header counts, as with aiohttp; empty elements of a list do not (RFC 9110 section 5.6.1).
    if first.lower().strip(", \t") != "websocket":
        raise UpgradeError("its Upgrade header is not websocket")
    if "upgrade" not in answer.tokens("connection"):
        raise UpgradeError("its Connection header does not name upgrade")
    if answer.get("sec-websocket-accept") != accept:
        raise UpgradeError("its Sec-WebSocket-Accept header does not belong to the key of the request")


class Upgrade(asyncio.BufferedProtocol):
    """The transport's protocol until the answer is there.

    Args:
        picows: picows.picows.WSProtocol. It makes and sends the request; when the answer is an upgrade, it
            gets the transport, and what its listener puts between the two gets the bytes behind the answer.
        accept: called with an answer that is an upgrade, before picows knows of it; what it raises ends the
            attempt.

    Attributes:
        answered: done with the answer, of any status but 1xx; the connection is open only with 101. None: the
            server hung up instead. Raises UpgradeError, or what `accept` raised.
    """

    def __init__(self, picows: Any, accept: Callable[[Answer], None]) -> None:
        self.answered: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()
        # Whoever asked may have gone meanwhile, and asyncio would complain.
        self.answered.add_done_callback(lambda future: future.cancelled() or future.exception())
        self._picows = picows
        self._accept = accept
        self._transport: Any = None
        self._buffer = memoryview(bytearray(READ_SIZE))
        self._data = bytearray()
        self._size = 0  # of all that was read

    def connection_made(self, transport: Any) -> None:
        """Send the request."""
        self._transport = transport
        self._picows.connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        """The server hung up, or we did."""
        if not self.answered.done():
            self.answered.set_result(None)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the transport reads to."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take what one socket read has brought in."""
        if self.answered.done():
            return
        searched = max(0, len(self._data) - 3)
        self._data += self._buffer[:nbytes]
        self._size += nbytes
        try:
            answer = self._read(searched)
            if answer is not None and answer.status == 101:
                self._open(answer)
        except Exception as error:
            self.answered.set_exception(error)
            self._transport.abort()
            return
        if answer is not None:
            self.answered.set_result(answer)
            if answer.status != 101:
                self._transport.abort()

    def _read(self, searched: int) -> Answer | None:
        """The answer, if its head is complete; `searched` bytes hold no end of a head."""
        while True:
            if self._data.startswith((b"\r", b"\n")):
                self._data = self._data.lstrip(b"\r\n")
                searched = 0
            start = bytes(self._data[:40])
            if not b"HTTP/".startswith(start[:5].upper()):
                raise _no_http(start)
            end = _HEAD_END.search(self._data, searched)
            if end is None:
                if self._size > MAX_ANSWER:
                    raise UpgradeError(f"its head is too large: over {MAX_ANSWER:,} bytes")
                return None
            answer = read_head(bytes(self._data[: end.start()]))
            del self._data[: end.end()]
            if answer.status >= 200 or answer.status == 101:
                return answer
            # An interim response: the answer comes behind it (RFC 9110 section 15.2).
            searched = 0

    def _open(self, answer: Answer) -> None:
        picows, transport = self._picows, self._transport
        key = picows.transport.request.headers["Sec-WebSocket-Key"].encode()
        accept = base64.b64encode(hashlib.sha1(key + GUID, usedforsecurity=False).digest())
        _check(answer, accept.decode())
        self._accept(answer)
        transport.set_protocol(picows)
        head = (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        picows.get_buffer(-1)[: len(head)] = head
        picows.buffer_updated(len(head))
        reads = transport.get_protocol()
        # Otherwise the listener has dropped the connection.
        if isinstance(reads, SocketReader):
            reads.feed(bytes(self._data))
