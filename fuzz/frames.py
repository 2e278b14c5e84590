"""One execution of the frame loop's fuzzer: bytes of a server through picows and the frame loop, and the judge.

No network and no waiting: the transport and the event loop are those below. What is driven is the real
thing otherwise: the upgrade, picows' protocol, `SocketReader`, the frame loop, the queue.

An input is six bytes of settings (see `Settings`) and the server's bytes. In these, 0xFE 0xFE, a count of two
bytes and a byte stand for that byte twice `count` times over, so that a small input can hold large frames.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import heapq
import re
import socket
import zlib
from collections import deque
from collections.abc import Callable
from typing import Any

from picows import WSProtocolError
from picows.url import parse_url

from fuzz.inflate import Inflate
from fuzz.rfc6455 import BINARY, CLOSE, PING, TEXT, Receiver
from rlfast import ConnectionOptions, Deflate
from rlfast._core.frame_handler import FrameHandler
from rlfast._core.messages import MessageReader
from rlfast._core.queue import BlockQueue
from rlfast._core.socket_reader import SocketReader
from rlfast.errors import ConnectError, UsageError
from rlfast.websocket._handshake import _Opening
from rlfast.websocket._settings import Settings as ConnectionSettings
from rlfast.websocket._upgrade import Upgrade, UpgradeError

HEAD = 6
REPEAT = re.compile(rb"\xfe\xfe(..)(.)", re.DOTALL)
LARGEST = 1 << 20
OVERHEAD = 24  # what a queued message counts beside its payload
MAX_READS = 700

MESSAGE_SIZES = (1, 16, 125, 126, 200, 1000, 4096, 65535, 65536, 70_000, 200_000)
READ_SIZES = (1 << 18, 1, 5, 300, 4096)
QUEUES = ((1 << 16, 1 << 20, 1 << 19), (64, 256, 128), (1024, 4096, 0))
NOTHING, CLOSES, PAUSES_WRITING, RESUMES_WRITING, PINGS, SENDS_TEXT, SENDS_BINARY, ABORTS = range(8)


class FindingError(AssertionError):
    """The frame loop and the judge differ, or something happened that must not."""


class Settings:
    """The first six bytes of an input."""

    def __init__(self, data: bytes) -> None:
        flags, self.seed, sizes, *calls = data[:HEAD].ljust(HEAD, b"\0")
        self.split = flags & 3
        self.deflate = bool(flags & 4)
        self.resets = bool(flags & 8)
        #: the input holds the answer to the upgrade, too; {accept} in it stands for the right key
        self.own_answer = bool(flags & 16)
        self.reset = bool(flags & 32)
        self.slow = bool(flags & 64)
        self.compresses = bool(flags & 128)
        self.max_message_size = MESSAGE_SIZES[sizes % len(MESSAGE_SIZES)]
        sizes //= len(MESSAGE_SIZES)
        self.read_size = READ_SIZES[sizes % len(READ_SIZES)]
        self.queue = QUEUES[sizes // len(READ_SIZES) % len(QUEUES)]
        #: what the client does before its n-th read after the upgrade
        self.calls: dict[int, list[int]] = {}
        for call in calls:
            self.calls.setdefault(call & 31, []).append(call >> 5)


def expand(data: bytes) -> bytes:
    """Write the repetitions out."""
    return REPEAT.sub(lambda match: match[2] * (2 * int.from_bytes(match[1], "big")), data)[:LARGEST]


class Loop:
    """An event loop whose clock stands still until it is told to move."""

    def __init__(self) -> None:
        self.now = 0.0
        self.errors: list[dict[str, Any]] = []
        self._ready: deque[tuple[Callable[..., Any], tuple[Any, ...]]] = deque()
        self._timers: list[Timer] = []

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def time(self) -> float:
        return self.now

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)  # type: ignore[arg-type]

    def call_soon(self, callback: Callable[..., Any], *args: Any, context: Any = None) -> None:
        self._ready.append((callback, args))

    def call_later(
        self, delay: float, callback: Callable[..., Any], *args: Any, context: Any = None
    ) -> Timer:
        timer = Timer(self.now + delay, len(self._timers), callback, args)
        heapq.heappush(self._timers, timer)
        return timer

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.errors.append(context)

    def run(self) -> None:
        """What is ready; what raises here would reach the event loop's handler of exceptions."""
        while self._ready:
            callback, args = self._ready.popleft()
            callback(*args)

    def advance(self, seconds: float) -> None:
        self.run()
        self.now += seconds
        while self._timers and self._timers[0].when <= self.now:
            timer = heapq.heappop(self._timers)
            if not timer.cancelled:
                timer.callback(*timer.args)
            self.run()


class Timer:
    def __init__(self, when: float, number: int, callback: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self.when, self.number, self.callback, self.args = when, number, callback, args
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True

    def __lt__(self, other: Timer) -> bool:
        return (self.when, self.number) < (other.when, other.number)


class Transport:
    """A socket whose peer takes everything at once; its owner feeds it."""

    _socket = socket.socket()

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.protocol: Any = None
        self.written = bytearray()
        self.reading = True
        self.closing = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        # As with TLS: picows writes to a plain socket past its transport.
        return {"socket": self._socket, "ssl_object": True}.get(name, default)

    def get_write_buffer_size(self) -> int:
        return 0

    def get_protocol(self) -> Any:
        return self.protocol

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def is_closing(self) -> bool:
        return self.closing

    def write(self, data: bytes) -> None:
        if not self.closing:
            self.written += data

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def close(self) -> None:
        self.lose(None)

    abort = close

    def lose(self, error: Exception | None) -> None:
        if not self.closing:
            self.closing = True
            self.loop.call_soon(self._lost, error)

    def _lost(self, error: Exception | None) -> None:
        self.protocol.connection_lost(error)

    def feed(self, data: memoryview) -> int:
        """One socket read of `data`; returns how much of it was taken."""
        buffer = self.protocol.get_buffer(-1)
        n = min(len(buffer), len(data))
        if n == 0:
            raise FindingError("an empty buffer to read into")
        buffer[:n] = data[:n]
        self.protocol.buffer_updated(n)
        return n


def client_frames(data: bytes) -> list[tuple[int, bytes]]:
    """Opcode and payload of what the client sent; every frame must be whole and masked (section 5.3)."""
    frames = []
    inflater = zlib.decompressobj(-15)
    while data:
        first, second = data[0], data[1]
        n, head = second & 127, 2
        if n > 125:
            head = 4 if n == 126 else 10
            n = int.from_bytes(data[2:head], "big")
        if not second & 128 or not first & 128 or first & 0x30 or len(data) < head + 4 + n:
            raise FindingError(f"the client sent no proper frame: {data[:40]!r}")
        mask = data[head : head + 4]
        payload = bytes(byte ^ mask[i & 3] for i, byte in enumerate(data[head + 4 : head + 4 + n]))
        if first & 0x40:
            payload = inflater.decompress(payload + b"\0\0\xff\xff")
        frames.append((first & 15, payload[:2] if first & 15 == CLOSE else payload))
        data = data[head + 4 + n :]
    return frames


def find_frames(data: bytes, accept: bytes) -> int | None:
    """Where the frames begin behind an answer that is an upgrade; None: it is none, or not complete.

    RFC 6455 section 4.1, and what the websockets and aiohttp clients let pass.
    """
    at, status = 0, 100
    while 100 <= status < 200 and status != 101:
        while data[at : at + 1] in (b"\r", b"\n"):
            at += 1
        lines: list[bytes] = []
        while True:
            end = data.find(b"\n", at)
            if end < 0:
                return None
            line, at = data[at:end].removesuffix(b"\r"), end + 1
            if not line:
                break
            if lines and line[:1] in (b" ", b"\t"):
                lines[-1] = lines[-1].rstrip(b"\r") + b" " + line
            else:
                lines.append(line)
        words = lines[0].split(b" ", 2)
        if len(words) < 2 or not re.fullmatch(rb"(?i)http/\d\.\d", words[0]):
            return None
        if not re.fullmatch(rb"0*[1-9]\d\d", words[1].rstrip(b"\r")):
            return None
        status = int(words[1])
        headers: dict[bytes, list[bytes]] = {}
        for line in lines[1:]:
            name, colon, value = line.rstrip(b"\r").partition(b":")
            if not colon or not re.fullmatch(rb"[!#-'*+.0-9A-Z^-z|~-]+", name):
                return None
            if b"\0" in value or b"\r" in value:
                return None
            headers.setdefault(name.lower(), []).append(value.strip(b" \t"))
    named = [part.strip() for part in b",".join(headers.get(b"connection", [])).lower().split(b",")]
    return (
        at
        if status == 101
        and headers.get(b"upgrade", [b""])[0].lower().strip(b", \t") == b"websocket"
        and b"upgrade" in named
        and headers.get(b"sec-websocket-accept", [b""])[0] == accept
        and not any(headers.get(b"sec-websocket-protocol", []))
        and not any(headers.get(b"sec-websocket-extensions", []))
        else None
    )


class Execution:
    """One connection, from its first byte to its loss."""

    def __init__(self, data: bytes) -> None:
        self.settings = settings = Settings(data)
        self.random = settings.seed
        self.loop = Loop()
        self.opened = self.was_lost = False
        self.reads = 0
        self.first = 0  # bytes of the first read, if that is not left to chance
        self.got: list[tuple[bytes, bool]] = []
        self.options = ConnectionOptions(
            max_message_size=settings.max_message_size, read_buffer_size=settings.read_size
        )
        self.compression = Deflate() if settings.deflate and not settings.own_answer else None
        asyncio._set_running_loop(self.loop)  # type: ignore[arg-type]
        try:
            self._connect()
            self._feed(expand(data[HEAD:]))
        finally:
            asyncio._set_running_loop(None)

    def _connect(self) -> None:
        block_size, high_water, low_water = self.settings.queue
        self.queue = BlockQueue(block_size, high_water, low_water)
        self.transport = Transport(self.loop)
        self.queue.bind(self.transport.pause_reading, self.transport.resume_reading)
        self.reader = MessageReader(
            self.queue,
            lambda payload: (bytes(memoryview(payload)), False),
            lambda error, raw, seq, rejection: (raw, rejection is not None),
            UsageError,
        )
        self.frame_handler = FrameHandler(
            self.queue,
            self.options.max_message_size,
            1,
            self._on_open,
            self._on_lost,
        )
        url = "ws://localhost/stream"
        settings = ConnectionSettings(url, compression=self.compression, options=self.options)
        opening = _Opening(settings, self.frame_handler)
        self.max_frame_size = opening.max_frame_size
        self.picows = opening._make_picows(parse_url(url), {})
        self.transport.protocol = upgrade = Upgrade(self.picows, opening._accept)
        upgrade.connection_made(self.transport)
        key = re.search(rb"Sec-WebSocket-Key: (\S+)", self.transport.written)
        assert key is not None
        digest = hashlib.sha1(key[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
        self.accept = base64.b64encode(digest)
        self.transport.written.clear()
        self.answered = upgrade.answered

    def _on_open(self, frame_handler: FrameHandler) -> None:
        if self.opened:
            raise FindingError("opened twice")
        self.opened = True
        SocketReader.install(frame_handler, self.settings.read_size)

    def _on_lost(self, frame_handler: FrameHandler) -> None:
        if self.was_lost or not self.opened:
            raise FindingError("lost twice, or before it was open")
        self.was_lost = True

    def _draw(self, n: int) -> int:
        """A number below n: the same ones for the same input."""
        self.random = (self.random * 1103515245 + 12345) & 0x7FFFFFFF
        return (self.random >> 12) % n

    def _size(self, at: int, left: int) -> int:
        if at < self.first:
            return self.first - at
        if self.settings.split == 0 or self.reads > MAX_READS:
            return left
        return 1 if self.settings.split == 1 else 1 + self._draw(9 if self.settings.split == 2 else 1500)

    def _answer(self, data: bytes) -> tuple[bytes, int]:
        """All bytes of the server, and how many of them belong to the answer: more than all, if it is none."""
        if self.settings.own_answer:
            data = data.replace(b"{accept}", self.accept, 1)
            head = find_frames(data, self.accept)
            return data, len(data) + 1 if head is None else head
        answer = (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + self.accept + b"\r\n"
        )
        if self.compression is not None:
            answer += b"Sec-WebSocket-Extensions: permessage-deflate"
            answer += b"; server_no_context_takeover\r\n" if self.settings.resets else b"\r\n"
        answer += b"\r\n"
        return answer + data, len(answer)

    def _feed(self, data: bytes) -> None:
        settings, transport, loop = self.settings, self.transport, self.loop
        data, head = self._answer(data)
        compress = self.compression is not None
        receiver = Receiver(
            settings.max_message_size, self.max_frame_size, Inflate(settings.resets) if compress else None
        )
        view = memoryview(data)
        at = n_frames = 0
        while at < len(data) and not transport.closing and self.reads < 2 * MAX_READS:
            if at >= head:
                for call in settings.calls.get(n_frames, ()):
                    self._call(call, receiver)
                    loop.run()
                n_frames += 1
                if transport.closing:
                    break
            queued, messages = self.queue.queued_bytes, len(receiver.out.messages)
            n = transport.feed(view[at : at + self._size(at, len(data) - at)])
            self.reads += 1
            if self.opened and at + n > head:
                receiver.read(data[max(at, head) : at + n])
            at += n
            loop.run()
            if settings.slow:
                loop.advance(0.02)
            self._check_bounds(queued, receiver.out.messages[messages:])
            self._consume(self._draw(40))
            if not transport.reading and not transport.closing:
                self._consume(1 << 30)
                if not transport.reading:
                    raise FindingError("the queue is empty and the socket is still paused")
        if not transport.closing:
            if settings.reset:
                transport.lose(ConnectionResetError("reset by peer"))
            elif not transport.protocol.eof_received():
                transport.close()
        loop.advance(1.0)
        self._consume(1 << 30)
        self._check(receiver, data, head)

    def _call(self, call: int, receiver: Receiver) -> None:
        frame_handler = self.frame_handler
        if frame_handler.lost or call == NOTHING:
            return
        if call == CLOSES:
            frame_handler.start_close(1001, "bye")
            receiver.start_close(1001)
        elif call == PAUSES_WRITING:
            self.transport.protocol.pause_writing()
            receiver.pause_writing()
        elif call == RESUMES_WRITING:
            self.transport.protocol.resume_writing()
            receiver.resume_writing()
        elif call == PINGS:
            frame_handler.ping()
            receiver.send(PING, b"")
        elif call == ABORTS:
            frame_handler.abort()
            receiver.over = True
        else:
            opcode, payload = (TEXT, b'"text"') if call == SENDS_TEXT else (BINARY, bytes(range(200)))
            if not self.settings.compresses:
                frame_handler.deflate = None
            frame_handler.send(payload, opcode == BINARY)
            receiver.send(opcode, payload)

    def _consume(self, n: int) -> None:
        # What is refused ends a list, or stands alone in it.
        while n > 0 and (part := self.reader.take_nowait(n)):
            self.got += part
            n -= len(part)

    def _check_bounds(self, queued: int, arrived: list[tuple[bytes, bool]]) -> None:
        """What one read brought in may exceed the bound, and the place of a message that was refused."""
        bound = queued + sum(len(payload) + OVERHEAD for payload, _ in arrived) + OVERHEAD
        if self.queue.queued_bytes > bound or queued >= self.queue.high_water + bound:
            raise FindingError(f"{self.queue.queued_bytes} bytes are queued, where {bound} arrived")
        largest = self.queue.high_water + bound + self.settings.max_message_size + OVERHEAD
        if self.queue.allocated_bytes > 2 * largest + 2 * self.queue.block_size:
            raise FindingError(f"{self.queue.allocated_bytes} bytes are allocated")
        room = len(self.picows.get_buffer(-1))
        if room > 4096:
            raise FindingError(f"picows has a buffer with room for {room} bytes")
        if isinstance(self.transport.protocol, SocketReader):
            room = self.transport.protocol.capacity
            if room > max(self.max_frame_size + 10 + 2 * self.settings.read_size, 8192):
                raise FindingError(f"a buffer with room for {room} bytes")

    def _check(self, receiver: Receiver, data: bytes, head: int) -> None:
        upgraded = self._upgraded()
        if self.loop.errors:
            raise FindingError(f"an exception reached the event loop: {self.loop.errors}")
        if upgraded != self.opened:
            raise FindingError("the upgrade and the frame loop disagree")
        if self.opened != (head <= len(data)):
            raise FindingError(f"an answer was taken that is none, or the other way: {data[:2000]!r}")
        if not self.opened:
            self._compare("sent", bytes(self.transport.written), b"")
            self._compare("messages", self.got, [])
            return
        frame_handler, out = self.frame_handler, receiver.lost()
        if not self.was_lost or not frame_handler.lost:
            raise FindingError("the connection is gone, and nobody was told")
        try:
            frame_handler.transport.wait_disconnected().send(None)
        except (StopIteration, WSProtocolError):
            pass
        except Exception as error:
            raise FindingError(f"the frame loop raised at picows: {error!r}") from error
        self._compare("messages", self.got, out.messages)
        self._compare("binary", frame_handler.assembler.binary_messages, out.binary)
        self._compare("numbers", (self.queue.messages, self.queue.next_seq), (len(self.got),) * 2)
        error = frame_handler.error[0] if frame_handler.error is not None else None
        sent = client_frames(bytes(self.transport.written))
        if out.either and error in out.either:
            error = out.error
            sent = [(CLOSE, b"\x03\xf1") if item == (CLOSE, b"\x03\xef") else item for item in sent]
            out.sent = [(CLOSE, b"\x03\xf1") if item == (CLOSE, b"\x03\xef") else item for item in out.sent]
        self._compare("sent", sent, out.sent)
        if out.unheard:
            return
        self._compare("error", error, out.error)
        self._compare("oversized", frame_handler.assembler.oversized_messages, out.oversized)
        self._compare("discarded", frame_handler.assembler.discarded_messages, out.discarded)
        close = (frame_handler.close_received, frame_handler.close_code, frame_handler.close_reason or "")
        self._compare("close", close, (out.close_received, out.close_code, out.close_reason))

    def _upgraded(self) -> bool:
        """What whoever waits for the upgrade is told."""
        if not self.answered.done():
            raise FindingError("the connection is gone, and the upgrade still pending")
        try:
            answer = self.answered.result()
        except (UpgradeError, ConnectError):  # what opening.py makes a ConnectError of
            return False
        return answer is not None and answer.status == 101

    def _compare(self, what: str, got: object, expected: object) -> None:
        if got != expected:
            raise FindingError(f"{what}: {got!r:.2000}, and the judge says {expected!r:.2000}")


def execute(data: bytes) -> Execution:
    """Execute an input.

    Raises:
        FindingError: something is wrong.
    """
    return Execution(data)
