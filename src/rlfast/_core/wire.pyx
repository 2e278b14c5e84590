# cython: language_level=3
"""The frame loop: a picows listener that turns frames into messages and messages into blocks.

The only file that cimports picows; its struct layout is compiled in (rlfast checks the version at import).
"""

cimport cython
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy
from picows.picows cimport WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

from rlfast._core.block cimport BlockQueue, wall_clock_ns

cdef extern from "csrc/utf8.h" nogil:
    int64_t rl_utf8_prefix(const unsigned char* text, size_t n)

from asyncio import get_running_loop


cdef enum:
    # How much of a message over the limit is kept for its dead letter.
    MAX_REJECTED_PREFIX = 65536

# Stands for the payload of an empty message: a null pointer may not be copied from, not even zero bytes.
cdef char* EMPTY = b""


def _retrieve(future):
    if not future.cancelled():
        future.exception()


cdef bint _may_be_sent(int code):
    """Whether a close frame may hold the code (RFC 6455 section 7.4 and the IANA registry)."""
    return 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999


@cython.final
cdef class FrameLoop(WSListener):
    """One connection: polices messages, answers control frames, appends payloads to the queue.

    Per frame it costs a copy of the payload and no Python object beyond picows' own; per socket read one look
    at each clock, wall and monotonic, and one wake-up. It never raises at picows: a fault of the peer sends a
    close code, is kept in `error`, and drops the connection.

    Owns the buffer of the fragmented message in progress (`_m_*`), freed in __dealloc__. Borrows
    `frame.payload_ptr` during the callback only.

    Args:
        queue: where messages go.
        max_message_size: bound in bytes on one message, all fragments together.
        epoch: number of this connection.
        on_open: callable, (frame loop) -> None, called once when the upgrade is done, before any message.
        on_lost: callable, (frame loop) -> None, called once when a connection that was open is gone.
    """

    cdef:
        BlockQueue queue
        readonly WSTransport transport
        object _on_open
        object _on_lost
        size_t max_message_size
        readonly unsigned int epoch
        bint _abandoned                     # nobody waits for this connection any more
        readonly bint write_paused
        list _drain_waiters                 #: list[asyncio.Future], of senders

        # The fragmented message in progress (RFC 6455 section 5.4).
        char* _m_data
        size_t _m_size
        size_t _m_capacity
        bint _m_active
        bint _m_text                        # it is a text message: UTF-8 (RFC 6455 section 5.6)
        size_t _m_valid                     # bytes of it that are known to be whole UTF-8 sequences

        bint _dead                          # the connection is being dropped: ignore what still arrives
        readonly bint discarding            # close() was called: count messages, keep none
        readonly uint64_t discarded_messages
        readonly uint64_t binary_messages
        readonly uint64_t oversized_messages
        readonly uint64_t first_seq         # of this connection
        readonly object close_code          #: int | None, what the peer's CLOSE frame said (None: no code)
        readonly str close_reason
        readonly bint close_received
        readonly bint lost
        readonly int64_t lost_at            # ns since the epoch
        readonly object error               #: tuple[int, str] | None, close code we sent and why

    def __cinit__(self, BlockQueue queue not None, size_t max_message_size, unsigned int epoch,
                  on_open, on_lost):
        self.queue = queue
        self.max_message_size = max_message_size
        self.epoch = epoch
        self._drain_waiters = []
        self._on_open = on_open
        self._on_lost = on_lost
        self.close_reason = ""

    def __dealloc__(self):
        free(self._m_data)

    cpdef on_ws_connected(self, WSTransport transport):
        self.transport = transport
        # What ended the connection is told by `error`; nobody awaits this future, and asyncio would complain.
        transport.disconnected_future.add_done_callback(_retrieve)
        if self._abandoned:
            transport.disconnect(False)
            return
        self.first_seq = self.queue.next_seq
        self.queue.begin_epoch(self.epoch)
        if self.queue.paused:
            self.pause()
        self._on_open(self)

    cpdef on_ws_frame(self, WSTransport transport, WSFrame frame):
        cdef bint data = frame.msg_type == WSMsgType.TEXT or frame.msg_type == WSMsgType.BINARY
        if (data and frame.fin and not self._m_active and not self._dead
                and not (frame.rsv1 | frame.rsv2 | frame.rsv3)):
            self._message(frame.msg_type, frame.payload_ptr, <size_t>frame.payload_size)
        elif not self._dead:
            self._other_frame(transport, frame)
        if frame.last_in_buffer:
            self.queue.end_read()

    cdef int _message(self, WSMsgType opcode, const char* payload, size_t n) except -1:
        if self.discarding:
            self.discarded_messages += 1
            return 0
        if n > self.max_message_size:
            return self._too_big(payload, n)
        if opcode == WSMsgType.BINARY:
            self.binary_messages += 1
        elif rl_utf8_prefix(<const unsigned char*>payload, n) != <int64_t>n:
            return self._not_utf8(payload, n)
        return self.queue.append(payload, n)

    cdef int _other_frame(self, WSTransport transport, WSFrame frame) except -1:
        cdef WSMsgType opcode = frame.msg_type
        if frame.rsv1 or frame.rsv2 or frame.rsv3:
            # RFC 6455 section 5.2: no extension was negotiated that defines a meaning for these bits.
            self._fail(WSCloseCode.PROTOCOL_ERROR, "frame with a reserved bit set")
        elif opcode == WSMsgType.PING:
            if not transport.is_close_frame_sent:
                transport.send_pong(frame.get_payload_as_bytes())
        elif opcode == WSMsgType.PONG:
            pass
        elif opcode == WSMsgType.CLOSE:
            self._close_frame(transport, frame)
        elif opcode == WSMsgType.CONTINUATION:
            if self._m_active:
                self._fragment(frame)
            else:
                # RFC 6455 section 5.4
                self._fail(WSCloseCode.PROTOCOL_ERROR, "continuation frame without a message to continue")
        elif self._m_active:
            self._fail(WSCloseCode.PROTOCOL_ERROR, "new message inside a fragmented one")
        else:
            self._m_active = True
            self._m_size = self._m_valid = 0
            self._m_text = opcode == WSMsgType.TEXT
            self._fragment(frame)
        return 0

    cdef int _fragment(self, WSFrame frame) except -1:
        cdef size_t n = <size_t>frame.payload_size
        cdef size_t capacity
        cdef int64_t valid
        cdef char* grown
        if self._m_size + n > self.max_message_size:
            self._too_big(self._m_data, self._m_size + n)
            return 0
        if self._m_size + n > self._m_capacity:
            capacity = min(max(2 * self._m_capacity, self._m_size + n, <size_t>4096), self.max_message_size)
            grown = <char*>realloc(self._m_data, capacity)
            if grown == NULL:
                raise MemoryError(f"cannot assemble a fragmented message of {self._m_size + n} bytes")
            self._m_data = grown
            self._m_capacity = capacity
        if n:
            memcpy(self._m_data + self._m_size, frame.payload_ptr, n)
        self._m_size += n
        if self._m_text and not frame.fin and self._m_size:
            # Not only at the end: nothing that follows can mend it (RFC 6455 section 8.1).
            valid = rl_utf8_prefix(<unsigned char*>self._m_data + self._m_valid, self._m_size - self._m_valid)
            if valid < 0:
                self._m_active = False
                return self._not_utf8(self._m_data, self._m_size)
            self._m_valid += <size_t>valid
        if frame.fin:
            self._m_active = False
            self._message(
                WSMsgType.TEXT if self._m_text else WSMsgType.BINARY,
                self._m_data if self._m_data != NULL else EMPTY, self._m_size)
            # One large message must not hold its memory for the rest of the connection.
            if self._m_capacity > (1 << 20):
                free(self._m_data)
                self._m_data = NULL
                self._m_capacity = 0
        return 0

    cdef int _too_big(self, const char* prefix, size_t n) except -1:
        """Keep a prefix of the message in its place in the stream and drop the connection with 1009."""
        cdef size_t kept = min(n, <size_t>MAX_REJECTED_PREFIX)
        cdef str text = f"message of {n} bytes or more exceeds max_message_size={self.max_message_size}"
        if self._m_active:
            kept = min(self._m_size, <size_t>MAX_REJECTED_PREFIX)
        self.oversized_messages += 1
        if not self.discarding:
            self.queue.append_rejected(prefix if prefix != NULL else EMPTY, kept, text)
        self._fail(WSCloseCode.MESSAGE_TOO_BIG, text)
        return 0

    cdef int _not_utf8(self, const char* payload, size_t n) except -1:
        """Keep the message, which no decoder will take, in its place in the stream; drop the connection."""
        if not self.discarding:
            self.queue.append(payload, n)
        return self._fail(WSCloseCode.INVALID_TEXT, "text message is not UTF-8")

    cdef int _close_frame(self, WSTransport transport, WSFrame frame) except -1:
        if frame.payload_size >= 2 and not _may_be_sent(int(frame.get_close_code())):
            return self._fail(WSCloseCode.PROTOCOL_ERROR, "close frame with a code that may not be sent")
        self.close_received = True
        if frame.payload_size >= 2:
            self.close_code = int(frame.get_close_code())
            self.close_reason = frame.get_close_reason()
        if not transport.is_close_frame_sent:
            # RFC 6455 section 5.5.1: answer with the code received. An empty CLOSE has none to echo.
            transport.send_close(
                WSCloseCode.OK if self.close_code is None else <WSCloseCode><int>self.close_code)
        self._dead = True
        transport.disconnect()
        return 0

    cdef int _fail(self, WSCloseCode code, str reason) except -1:
        """RFC 6455 section 7.1.7: fail the connection."""
        self._dead = True
        self.error = (int(code), reason)
        if not self.transport.is_close_frame_sent:
            self.transport.send_close(code, reason[:100])
        self.transport.disconnect()
        return 0

    cpdef on_ws_disconnected(self, WSTransport transport):
        self.resume_writing()
        if self._abandoned:
            return
        handshake = transport.close_handshake
        if self.error is None and handshake is not None and handshake.sent is not None and not self.discarding:
            code = int(handshake.sent.code)
            if not self.close_received and code != WSCloseCode.OK:
                # picows itself refused a frame and sent the close code.
                self.error = (code, handshake.sent.reason or "protocol error")
                if code == WSCloseCode.MESSAGE_TOO_BIG:
                    self.oversized_messages += 1
                    self.queue.append_rejected(b"", 0, self.error[1])
        self._dead = True
        self.lost = True
        self.lost_at = wall_clock_ns()
        self.queue.end_read()
        self._on_lost(self)

    cpdef pause_writing(self):
        self.write_paused = True

    cpdef resume_writing(self):
        self.write_paused = False
        for waiter in self._drain_waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._drain_waiters.clear()

    # -- what the Python layer calls ---------------------------------------------------------------------

    def pause(self):
        """Stop reading the socket."""
        if not self.lost and self.transport is not None:
            self.transport.underlying_transport.pause_reading()

    def resume(self):
        """Read the socket again."""
        if not self.lost and self.transport is not None:
            self.transport.underlying_transport.resume_reading()

    def ping(self):
        """Send a ping, unless the connection is going down."""
        if not self.lost and not self._dead and not self.transport.is_close_frame_sent:
            self.transport.send_ping()

    @property
    def reads(self):
        """Socket reads so far."""
        protocol = None if self.lost else self.transport.underlying_transport.get_protocol()
        return getattr(protocol, "reads", 0)

    def abandon(self):
        """The attempt to open it is over: drop it, also if it opens only later."""
        if self.transport is None:
            self._abandoned = True
        self._dead = True
        if self.transport is not None and not self.transport.is_disconnected:
            self.transport.disconnect(False)

    async def drained(self):
        """Return once the transport takes more bytes, or is gone."""
        if not self.write_paused:
            return
        waiter = get_running_loop().create_future()
        self._drain_waiters.append(waiter)
        await waiter

    def send(self, payload, bint binary):
        """Send one message (bytes-like). Frames of one message are never interleaved with another's."""
        self.transport.send(WSMsgType.BINARY if binary else WSMsgType.TEXT, payload)

    def start_close(self, int code, str reason not None):
        """Send CLOSE; from now on arriving messages are counted and discarded."""
        self.discarding = True
        if not self.lost and not self.transport.is_close_frame_sent:
            self.transport.send_close(<WSCloseCode>code, reason)
            # The peer's CLOSE stands behind everything that it has sent.
            if self.queue.paused:
                self.resume()

    def abort(self):
        """Drop the TCP connection now."""
        if not self.lost and self.transport is not None:
            self.transport.disconnect(False)
