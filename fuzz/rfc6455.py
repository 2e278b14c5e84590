"""What a client must make of the bytes that a server sends: RFC 6455, read aloud.

The judge of the frame loop: no fast path, nothing shared with rlfast or picows. It is told what
happened in which order (bytes that one socket read brought in, calls of the client) and says what must have come
of it. Where reads begin and end does not matter.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

from fuzz.inflate import Inflate, NotDeflateError

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
CONTROL = (CLOSE, PING, PONG)
MESSAGE_TAIL = b"\x00\x00\xff\xff"
REJECTED_PREFIX = 65536


class RefusedError(Exception):
    """Bytes that are no frame, or a frame that no server may send.

    Attributes:
        code: to be sent.
        in_payload: what is wrong is the payload of a close frame, which is picows' business.
    """

    def __init__(self, code: int, in_payload: bool = False) -> None:
        self.code = code
        self.in_payload = in_payload


@dataclass
class Frame:
    fin: bool
    rsv: int
    opcode: int
    payload: bytes


@dataclass
class Outcome:
    """What must be seen of the client."""

    messages: list[tuple[bytes, bool]] = field(default_factory=list)
    """Payload, and whether it is only the beginning of a message that was too big."""
    sent: list[tuple[int, bytes]] = field(default_factory=list)
    """Opcode and payload of frames; of a close frame the code only."""
    error: int | None = None
    close_received: bool = False
    close_code: int | None = None
    close_reason: str = ""
    binary: int = 0
    oversized: int = 0
    discarded: int = 0
    either: set[int] = field(default_factory=set)
    """Codes of which one may stand for the other: see `Receiver._inflate`."""
    unheard: bool = False
    """picows refused bytes after the client had closed: nobody is told, and until the connection is dropped, what
    is discarded anyway may be counted."""


def may_be_sent(code: int) -> bool:
    """RFC 6455 section 7.4, and the IANA registry of close codes."""
    return code in (1000, 1001, 1002, 1003, *range(1007, 1015)) or 3000 <= code <= 4999


def known_to_framing(code: int) -> bool:
    """Close codes that picows lets pass; the others it refuses itself, as a part of framing."""
    return may_be_sent(code) or code in (0, 1006) or code >= 3000


def next_frame(data: memoryview, largest: int) -> tuple[Frame, int] | None:
    """The first frame of `data` and its size; None if more bytes are needed to say anything.

    Raises:
        RefusedError: the peer broke section 5.2 or 5.5, or the frame is too big.
    """
    if len(data) < 2:
        return None
    first, second = data[0], data[1]
    fin, rsv, opcode = first >> 7 == 1, first >> 4 & 7, first & 15
    # Section 5.2: an opcode that is not known fails the connection.
    if opcode not in (CONTINUATION, TEXT, BINARY, *CONTROL):
        raise RefusedError(1002)
    # Section 5.5: a control frame has at most 125 bytes of payload, and is never cut up.
    if opcode in CONTROL and (not fin or second & 127 > 125):
        raise RefusedError(1002)
    # Section 5.1: a server does not mask, and a client closes on a mask.
    if second & 128:
        raise RefusedError(1002)
    n, head = second & 127, 2
    # Section 5.2: a length takes as few bytes as it needs, and its highest bit is not used.
    if n == 126:
        head = 4
        if len(data) < head:
            return None
        n = int.from_bytes(data[2:4], "big")
        if n < 126:
            raise RefusedError(1002)
    elif n == 127:
        head = 10
        if len(data) < head:
            return None
        n = int.from_bytes(data[2:10], "big")
        if n >> 63 or n < 65536:
            raise RefusedError(1002)
    if n > largest and opcode not in CONTROL:
        raise RefusedError(1009)
    if len(data) < head + n:
        return None
    payload = bytes(data[head : head + n])
    if opcode == CLOSE:
        if n == 1 or (n and not known_to_framing(int.from_bytes(payload[:2], "big"))):
            raise RefusedError(1002, in_payload=True)
        # Section 5.5.1: the reason is UTF-8.
        if not is_utf8(payload[2:]):
            raise RefusedError(1007, in_payload=True)
    return Frame(fin, rsv, opcode, payload), head + n


def is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def may_become_utf8(data: bytes) -> bool:
    """Whether there is something to append that makes it UTF-8."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return error.reason == "unexpected end of data"
    return True


class Receiver:
    """One connection from the end of the upgrade to its loss.

    Args:
        max_message_size: of a message, all fragments together.
        max_frame_size: of a frame.
        inflate: the peer's compression context, if permessage-deflate was agreed.
        compress: of messages that the client sends; None: they are sent as they are.
    """

    def __init__(
        self,
        max_message_size: int,
        max_frame_size: int,
        inflate: Inflate | None = None,
        compress: zlib._Compress | None = None,
    ) -> None:
        self.out = Outcome()
        self.over = False
        self._max_message = max_message_size
        self._max_frame = max_frame_size
        self._inflater = inflate
        self._data = b""
        self._assembled: bytes | None = None  # of the fragmented message in progress
        self._opcode = TEXT
        self._compressed = False
        self._close_sent = False
        self._refusal: int | None = None
        self._closing = False  # the client called for it
        self._write_paused = False
        self._late_pong: bytes | None = None

    # -- what happened ---------------------------------------------------------------------------------

    def read(self, data: bytes) -> None:
        """A socket read."""
        self._data += data
        while not self.over:
            try:
                found = next_frame(memoryview(self._data), self._max_frame)
            except RefusedError as refused:
                self._refuse(refused)
                return
            if found is None:
                return
            frame, size = found
            self._data = self._data[size:]
            self._frame(frame)

    def _refuse(self, refused: RefusedError) -> None:
        if refused.in_payload:
            self._refused_by_picows(refused.code)
            self.over = True
        elif refused.code == 1009:
            self.out.oversized += 1
            if not self._closing:
                # What has arrived of it.
                head = 10 if self._data[1] == 127 else 4 if self._data[1] == 126 else 2
                self.out.messages.append((self._data[head:][:REJECTED_PREFIX], True))
            self._fail(1009)
        else:
            self._fail(refused.code)

    def _refused_by_picows(self, code: int) -> None:
        self.out.unheard = self._closing
        if not self._close_sent:
            self._refusal = code
        self._send_close(code)

    def start_close(self, code: int) -> None:
        """The client closes: what arrives from now on is counted, and not kept (section 1.4)."""
        self._closing = True
        self._send_close(code)

    def send(self, opcode: int, payload: bytes) -> None:
        """The client sends a message, or a ping."""
        if not self._close_sent and not self.over:
            self.out.sent.append((opcode, payload))

    def pause_writing(self) -> None:
        self._write_paused = True

    def resume_writing(self) -> None:
        self._write_paused = False
        if self._late_pong is not None and not self._close_sent and not self.over:
            self.out.sent.append((PONG, self._late_pong))
        self._late_pong = None

    def lost(self) -> Outcome:
        """The connection is gone: what must have come of it all."""
        self.over = True
        out = self.out
        if self._refusal is not None and out.error is None and not out.close_received and not self._closing:
            out.error = self._refusal
        return out

    # -- what follows from it --------------------------------------------------------------------------

    def _send_close(self, code: int) -> None:
        if not self._close_sent:
            self.out.sent.append((CLOSE, code.to_bytes(2, "big")))
            self._close_sent = True

    def _fail(self, code: int) -> None:
        """Section 7.1.7."""
        self.out.error = code
        self._send_close(code)
        self.over = True

    def _frame(self, frame: Frame) -> None:
        data = frame.opcode in (TEXT, BINARY)
        # Section 5.2: a reserved bit is 0, unless an extension was agreed to that gives it a meaning.
        # RFC 7692 section 6: RSV1 is set on the first frame of a compressed message, and on no other.
        allowed = 4 if self._inflater is not None and data else 0
        if frame.rsv & ~allowed:
            self._fail(1002)
        elif frame.opcode == PING:
            # Section 5.5.2: a ping is answered as long as the connection is not being closed. Section 5.5.3: the
            # latest ping will do, where there are several.
            if self._close_sent:
                pass
            elif self._write_paused:
                self._late_pong = frame.payload
            else:
                self.out.sent.append((PONG, frame.payload))
        elif frame.opcode == CLOSE:
            self._close(frame.payload)
        elif data and self._assembled is not None:
            self._fail(1002)  # Section 5.4: fragments of one message must not be interleaved with another's.
        elif frame.opcode == CONTINUATION and self._assembled is None:
            self._fail(1002)  # Section 5.4.
        elif frame.opcode != PONG:
            if data:
                self._assembled = b""
                self._opcode, self._compressed = frame.opcode, frame.rsv == 4
            self._fragment(frame)

    def _close(self, payload: bytes) -> None:
        # Section 7.4: which codes a close frame may hold.
        code = int.from_bytes(payload[:2], "big") if payload else None
        if code is not None and not may_be_sent(code):
            self._fail(1002)
            return
        self.out.close_received = True
        self.out.close_code, self.out.close_reason = code, payload[2:].decode()
        # Section 5.5.1: the code of a close frame is sent back.
        self._send_close(1000 if code is None else code)
        self.over = True

    def _fragment(self, frame: Frame) -> None:
        assert self._assembled is not None
        if self._closing:
            # Messages are counted only, so nothing can be wrong with them but their framing, and their size.
            self._assembled += b"" if self._compressed else frame.payload
            if len(self._assembled) > self._max_message and not (frame.opcode and frame.fin):
                self.out.oversized += 1
                self._fail(1009)
            elif frame.fin:
                self.out.discarded += 1
                self._assembled = None
            return
        if self._compressed:
            if not self._inflate(frame):
                return
        elif len(self._assembled) + len(frame.payload) > self._max_message:
            self._too_big(frame.payload if frame.opcode and frame.fin else self._assembled)
            return
        else:
            self._assembled += frame.payload
        if self._opcode == TEXT:
            # Section 8.1; as soon as it is certain, not only at the end.
            valid = is_utf8(self._assembled) if frame.fin else may_become_utf8(self._assembled)
            if not valid:
                # No decoder takes it, but it was received: it keeps its place in the stream.
                self.out.messages.append((self._assembled, False))
                self._fail(1007)
                return
        if frame.fin:
            self.out.binary += self._opcode == BINARY
            self.out.messages.append((self._assembled, False))
            self._assembled = None

    def _inflate(self, frame: Frame) -> bool:
        """RFC 7692 section 7.2.2."""
        inflater = self._inflater
        assert inflater is not None
        try:
            fits = inflater.feed(frame.payload, self._max_message)
            if fits and frame.fin:
                fits = inflater.feed(MESSAGE_TAIL, self._max_message)
        except NotDeflateError:
            self._fail(1007)
            return False
        if not fits:
            self._too_big(bytes(inflater.out))
            # zlib looks at what follows the last byte that it has room for: what is wrong there may be told
            # instead.
            try:
                inflater.feed(b"", self._max_message + 1)
            except NotDeflateError:
                self.out.either = {1007, 1009}
            return False
        self._assembled = bytes(inflater.out)
        if frame.fin and not inflater.end_message():
            self._fail(1007)
            return False
        return True

    def _too_big(self, prefix: bytes) -> None:
        self.out.oversized += 1
        self.out.messages.append((prefix[:REJECTED_PREFIX], True))
        self._fail(1009)
