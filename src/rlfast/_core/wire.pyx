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
from rlfast._core.inflate cimport Inflater

cdef extern from "csrc/utf8.h" nogil:
    int64_t rl_utf8_prefix(const unsigned char* text, size_t n)

from asyncio import get_running_loop


cdef enum:
    # How much of a message over the limit is kept for its dead letter.
    MAX_REJECTED_PREFIX = 65536
    # Compressed messages up to this size are inflated in less time than it takes to get the GIL back.
    INFLATED_WITH_GIL = 4096

# RFC 7692 section 7.2.2: what a sender leaves out at the end of each message.
cdef char* MESSAGE_TAIL = b"\x00\x00\xff\xff"

cdef str NOT_UTF8 = "text message is not UTF-8"

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
        public Inflater inflater            #: Inflater | None, if permessage-deflate was agreed
        public object deflate               #: Callable[[bytes], bytes] | None, for messages that are sent
        readonly bint write_paused
        bytes _late_pong                    #: bytes | None, to be sent when the transport takes bytes again
        list _drain_waiters                 #: list[asyncio.Future], of senders

        # The fragmented message in progress (RFC 6455 section 5.4).
        char* _m_data
        size_t _m_size
        size_t _m_capacity
        bint _m_active
        bint _m_text                        # it is a text message: UTF-8 (RFC 6455 section 5.6)
        bint _m_compressed                  # its payload is a part of a DEFLATE stream (RFC 7692 section 6)
        size_t _m_valid                     # bytes of it that are known to be whole UTF-8 sequences

        bint _dead                          # the connection is being dropped: ignore what still arrives
        readonly uint64_t reads             # socket reads so far
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

    cpdef begin_read(self):
        """The transport is about to read from the socket: called by `BoundedReads`."""
        self.reads += 1
        if self.transport.is_close_frame_sent and not self.discarding and not self._dead:
            # picows refused a frame of an earlier read, drops the connection a little later, and until then
            # goes on behind some of the frames that it refuses. What failed takes nothing more (RFC 6455
            # section 7.1.7).
            self._dead = True
            get_running_loop().call_soon(self._finish_refusal)

    def _finish_refusal(self):
        if not self.lost:
            self.transport.disconnect()

    cpdef on_ws_frame(self, WSTransport transport, WSFrame frame):
        cdef bint data = frame.msg_type == WSMsgType.TEXT or frame.msg_type == WSMsgType.BINARY
        if (data and frame.fin and not self._m_active and not self._dead
                and not (frame.rsv1 | frame.rsv2 | frame.rsv3)):
            self._message(frame.msg_type, frame.payload_ptr, <size_t>frame.payload_size)
        elif not self._dead:
            self._other_frame(transport, frame)
        if frame.last_in_buffer:
            # Nothing of this frame is needed any more, so the consumer may run.
            self.queue.end_read(True)

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
        cdef bint first = opcode == WSMsgType.TEXT or opcode == WSMsgType.BINARY
        if frame.rsv2 or frame.rsv3 or (frame.rsv1 and (self.inflater is None or not first)):
            # RFC 6455 section 5.2: no extension was negotiated that defines a meaning for these bits. The first
            # one is the first frame's of a compressed message (RFC 7692 section 6).
            self._fail(WSCloseCode.PROTOCOL_ERROR, "frame with a reserved bit set")
        elif opcode == WSMsgType.PING:
            self._answer_ping(transport, frame.get_payload_as_bytes())
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
        elif frame.fin:
            self._compressed_message(opcode, frame.payload_ptr, <size_t>frame.payload_size)
        else:
            self._m_active = True
            self._m_size = self._m_valid = 0
            self._m_text = opcode == WSMsgType.TEXT
            self._m_compressed = frame.rsv1
            self._fragment(frame)
        return 0

    cdef int _answer_ping(self, WSTransport transport, bytes payload) except -1:
        if transport.is_close_frame_sent:
            return 0
        if self.write_paused:
            # A peer that sends pings and reads nothing must not fill our memory: the last one is answered
            # (RFC 6455 section 5.5.3).
            self._late_pong = payload
        else:
            transport.send_pong(payload)
        return 0

    cdef int _fragment(self, WSFrame frame) except -1:
        """Take one frame of a fragmented message."""
        cdef int64_t valid
        if self._m_compressed:
            if not self._inflate(frame.payload_ptr, <size_t>frame.payload_size, frame.fin, False):
                return 0
        elif not self._assemble(frame.payload_ptr, <size_t>frame.payload_size):
            return 0
        if self._m_text and not frame.fin and self._m_size and not self.discarding:
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

    cdef int _reserve(self, size_t n) except -1:
        """Room for n bytes of the message in progress; n may be one more than max_message_size."""
        cdef size_t capacity
        cdef char* grown
        if n <= self._m_capacity:
            return 0
        capacity = max(min(max(2 * self._m_capacity, <size_t>4096), self.max_message_size), n)
        grown = <char*>realloc(self._m_data, capacity)
        if grown == NULL:
            raise MemoryError(f"cannot assemble a message of {n} bytes")
        self._m_data = grown
        self._m_capacity = capacity
        return 0

    cdef bint _assemble(self, const char* payload, size_t n) except -1:
        """Append to the message in progress; False if it became too big."""
        if self._m_size + n > self.max_message_size:
            self._too_big(self._m_data, self._m_size + n)
            return False
        self._reserve(self._m_size + n)
        if n:
            memcpy(self._m_data + self._m_size, payload, n)
        self._m_size += n
        return True

    cdef int _compressed_message(self, WSMsgType opcode, const char* payload, size_t n) except -1:
        """A compressed message of one frame, as nearly all are: inflate it where it will stay, in the block."""
        cdef Inflater inflater = self.inflater
        cdef size_t room = 0
        cdef size_t left = n
        cdef size_t size
        cdef char* start = self.queue.room(&room)
        cdef char* space = start
        cdef bint in_tail = False
        cdef bint failed = False
        if self.discarding:
            self.discarded_messages += 1
            return 0
        room = min(room, self.max_message_size)
        while room and not failed:
            if n > INFLATED_WITH_GIL:
                with nogil:
                    failed = inflater.run(&payload, &left, &space, &room)
            else:
                failed = inflater.run(&payload, &left, &space, &room)
            if room == 0 or in_tail:
                break
            payload = MESSAGE_TAIL
            left = 4
            in_tail = True
        size = <size_t>(space - start)
        if failed or (room and not inflater.end_message()):
            return self._not_deflate()
        if room == 0:
            # The rest of the block is too small: assemble the message elsewhere and copy it.
            self._m_size = 0
            if size:
                self._assemble(start, size)
            if not self._inflate(payload, left, True, in_tail):
                return 0
            return self._message(opcode, self._m_data if self._m_data != NULL else EMPTY, self._m_size)
        if opcode == WSMsgType.BINARY:
            self.binary_messages += 1
        elif rl_utf8_prefix(<const unsigned char*>start, size) != <int64_t>size:
            self.queue.append_in_place(size)
            return self._fail(WSCloseCode.INVALID_TEXT, NOT_UTF8)
        return self.queue.append_in_place(size)

    cdef bint _inflate(self, const char* payload, size_t n, bint last, bint in_tail) except -1:
        """Append what the bytes stand for to the message in progress; False if the connection failed."""
        cdef Inflater inflater = self.inflater
        cdef char* space
        cdef size_t room
        cdef bint failed
        if self.discarding:
            self._m_size = 0
            return True
        while True:
            # One byte more than allowed tells a message that is too big from one that just fits.
            self._reserve(self._m_size + 1)
            space = self._m_data + self._m_size
            room = self._m_capacity - self._m_size
            with nogil:
                failed = inflater.run(&payload, &n, &space, &room)
            self._m_size = <size_t>(space - self._m_data)
            # What is too big comes first: it stands before what cannot be inflated.
            if self._m_size > self.max_message_size:
                self._m_active = False
                self._too_big(self._m_data, self._m_size)
                return False
            if failed:
                self._not_deflate()
                return False
            if room == 0:
                continue
            if not last:
                return True
            if in_tail:
                break
            payload = MESSAGE_TAIL
            n = 4
            in_tail = True
        if not inflater.end_message():
            self._not_deflate()
            return False
        return True

    cdef int _not_deflate(self) except -1:
        return self._fail(WSCloseCode.INVALID_TEXT, "compressed message is no DEFLATE data")

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
        return self._fail(WSCloseCode.INVALID_TEXT, NOT_UTF8)

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
        if self._late_pong is not None:
            if not self.lost and not self.transport.is_disconnected and not self.transport.is_close_frame_sent:
                self.transport.send_pong(self._late_pong)
            self._late_pong = None
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
        if self.sends:
            self.transport.send_ping()

    @property
    def sends(self):
        """Whether a message would still be sent: picows drops what comes after CLOSE without a word."""
        return not self.lost and not self._dead and not self.transport.is_close_frame_sent

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
        try:
            await waiter
        except BaseException:
            # A sender that gives up, again and again, must not leave a future each time.
            if waiter in self._drain_waiters:
                self._drain_waiters.remove(waiter)
            raise

    def send(self, payload, bint binary):
        """Send one message (bytes-like). Frames of one message are never interleaved with another's."""
        cdef WSMsgType opcode = WSMsgType.BINARY if binary else WSMsgType.TEXT
        if self.deflate is None:
            self.transport.send(opcode, payload)
        else:
            self.transport.send(opcode, self.deflate(payload), True, True)

    def start_close(self, int code, str reason not None):
        """Send CLOSE; from now on arriving messages are counted and discarded."""
        if not self.lost and self.transport.is_close_frame_sent and not self.discarding:
            # The connection has failed already: what is behind the fault does not count.
            self._dead = True
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
