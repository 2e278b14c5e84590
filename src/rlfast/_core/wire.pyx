# cython: language_level=3
"""The connection itself: socket reads to frames, control frames, sending, closing.

The only file that cimports picows; its struct layout is compiled in (rlfast checks the version at import).
"""

cimport cython
from cpython.memoryview cimport PyMemoryView_FromMemory
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memmove
from picows.picows cimport WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

from rlfast._core.assembly cimport MessageAssembler
from rlfast._core.block cimport BlockQueue, wall_clock_ns

cdef extern from "csrc/frames.h" nogil:
    enum:
        RL_OP_FIRST_CONTROL
        RL_HEADER_INCOMPLETE
        RL_BAD_OPCODE
        RL_CUT_CONTROL
        RL_MASKED
        RL_LONG_CONTROL
        RL_BAD_LENGTH
    ctypedef struct Header "rl_frame":
        int opcode
        bint fin
        int rsv
        uint64_t size
    int rl_read_header(const uint8_t* p, const uint8_t* end, Header* header)

cdef extern from "Python.h":
    enum:
        PyBUF_READ
        PyBUF_WRITE

import asyncio
import logging
from asyncio import get_running_loop

cdef object _log = logging.getLogger("rlfast.wire")

cdef dict REFUSALS = {
    RL_BAD_OPCODE: "frame with an opcode that is not defined",
    RL_CUT_CONTROL: "control frame that is fragmented",
    RL_MASKED: "masked frame from a server",
    RL_LONG_CONTROL: "control frame of more than 125 bytes",
    RL_BAD_LENGTH: "frame whose length is not written in the shortest way",
}

cdef enum:
    # An idle connection stays small.
    FIRST_CAPACITY = 8192
    # So many reads without a large frame, and the buffer is made small again.
    READS_UNTIL_SMALL = 256


def _retrieve(future):
    if not future.cancelled():
        future.exception()


cdef bint _may_be_sent(int code):
    """Whether a close frame may hold the code (RFC 6455 section 7.4 and the IANA registry)."""
    return 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999


@cython.final
cdef class FrameLoop(WSListener):
    """One connection: hands data frames on, answers control frames, sends, closes.

    It never raises at picows: a fault of the peer sends a close code, is kept in `error`, and drops the connection.
    Borrows `frame.payload_ptr` during the callback only.

    picows opens the connection, and knows what a control frame may hold. The bytes of the socket pass by
    `SocketReads` first, which keeps whole messages from it: per message they cost one copy, and per socket
    read one look at each clock, wall and monotonic, and one wake-up.

    Args:
        queue: where messages go.
        max_message_size: bound in bytes on one message, all fragments together.
        read_size: of one socket read at most, in bytes.
        epoch: number of this connection.
        on_open: callable, (frame loop) -> None, called once when the upgrade is done, before any message.
        on_lost: callable, (frame loop) -> None, called once when a connection that was open is gone.
    """

    cdef:
        BlockQueue queue
        readonly MessageAssembler assembler
        readonly WSTransport transport
        object _on_open
        object _on_lost
        size_t _read_size
        readonly unsigned int epoch
        bint _abandoned                     # nobody waits for this connection any more
        public object deflate               #: Callable[[bytes], bytes] | None, for messages that are sent
        public size_t max_frame_size        # of the payload, in bytes; with compression more than of a message
        readonly bint write_paused
        bytes _late_pong                    #: bytes | None, to be sent when the transport takes bytes again
        list _drain_waiters                 #: list[asyncio.Future], of senders

        bint _dead                          # the connection is being dropped: ignore what still arrives
        bint _reading                       # `SocketReads` is at work, and will end the read
        uint64_t _frames                    # that picows has delivered
        size_t _tail                        # bytes that picows holds behind the last one
        readonly uint64_t reads             # socket reads since the upgrade
        readonly uint64_t first_seq         # of this connection
        readonly object close_code          #: int | None, what the peer's CLOSE frame said (None: no code)
        readonly str close_reason
        readonly bint close_received
        readonly bint lost
        readonly int64_t lost_at            # ns since the epoch

    def __cinit__(self, BlockQueue queue not None, size_t max_message_size, size_t read_size, unsigned int epoch,
                  on_open, on_lost):
        self.queue = queue
        self.assembler = MessageAssembler(queue, max_message_size)
        self.max_frame_size = max_message_size
        self._read_size = read_size
        self.epoch = epoch
        self._drain_waiters = []
        self._on_open = on_open
        self._on_lost = on_lost
        self.close_reason = ""

    @property
    def error(self):
        """Close code that was sent and why, as tuple[int, str]; None: no fault of the peer."""
        return self.assembler.error

    cpdef on_ws_connected(self, WSTransport transport):
        self.transport = transport
        # What ended the connection is told by `error`; nobody awaits this future, and asyncio would complain.
        transport.disconnected_future.add_done_callback(_retrieve)
        if self._abandoned:
            transport.disconnect(False)
            return
        self.first_seq = self.queue.next_seq
        self.queue.begin_epoch(self.epoch)
        underlying = transport.underlying_transport
        underlying.set_protocol(SocketReads(self, underlying.get_protocol(), self._read_size))
        if self.queue.paused:
            self.pause()
        self._on_open(self)

    cpdef on_ws_frame(self, WSTransport transport, WSFrame frame):
        self._frames += 1
        self._tail = <size_t>frame.tail_size
        if self._dead:
            pass
        elif <int>frame.msg_type >= <int>RL_OP_FIRST_CONTROL:
            self._control_frame(transport, frame)
        else:
            self._data_frame(
                frame.msg_type, frame.fin, frame.rsv1 << 2 | frame.rsv2 << 1 | frame.rsv3,
                frame.payload_ptr, <size_t>frame.payload_size)
        if frame.last_in_buffer and not self._reading:
            # Nothing of this frame is needed any more, so the consumer may run.
            self.queue.end_read(True)

    cdef int _data_frame(self, int opcode, bint fin, int rsv, const char* payload, size_t n) except -1:
        if not self.assembler.take(opcode, fin, rsv, payload, n):
            self._fail()
        return 0

    cdef int _control_frame(self, WSTransport transport, WSFrame frame) except -1:
        if frame.rsv1 or frame.rsv2 or frame.rsv3:
            # RFC 6455 section 5.2: no extension defines a meaning for these bits.
            self._fail_with(WSCloseCode.PROTOCOL_ERROR, "frame with a reserved bit set")
        elif frame.msg_type == WSMsgType.PING:
            self._answer_ping(transport, frame.get_payload_as_bytes())
        elif frame.msg_type == WSMsgType.CLOSE:
            self._close_frame(transport, frame)
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

    cdef int _close_frame(self, WSTransport transport, WSFrame frame) except -1:
        if frame.payload_size >= 2 and not _may_be_sent(int(frame.get_close_code())):
            return self._fail_with(WSCloseCode.PROTOCOL_ERROR, "close frame with a code that may not be sent")
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

    cdef int _fail_with(self, int code, str reason) except -1:
        self.assembler.fail(code, reason)
        return self._fail()

    cdef int _fail(self) except -1:
        """RFC 6455 section 7.1.7: fail the connection, with the assembler's error."""
        code, reason = self.assembler.error
        self._dead = True
        if not self.transport.is_close_frame_sent:
            self.transport.send_close(<WSCloseCode><int>code, reason[:100])
        self.transport.disconnect()
        return 0

    cdef bint _has_refused(self) noexcept:
        """Whether picows has refused a frame: it does not say so, but sends a close frame."""
        return self.transport.is_close_frame_sent and not self.assembler.discarding and not self._dead

    cdef int _refuse(self) except -1:
        """picows has refused a frame, and will drop the connection a little later. Do it now.

        What failed takes nothing more (RFC 6455 section 7.1.7), and picows goes on behind some frames.
        """
        self._dead = True
        self.transport.disconnect()
        return 0

    cpdef on_ws_disconnected(self, WSTransport transport):
        self.resume_writing()
        if self._abandoned:
            return
        handshake = transport.close_handshake
        if (self.assembler.error is None and handshake is not None and handshake.sent is not None
                and not self.assembler.discarding):
            code = int(handshake.sent.code)
            if not self.close_received and code != WSCloseCode.OK:
                # picows itself refused a frame and sent the close code.
                reason = handshake.sent.reason or "protocol error"
                if code == WSCloseCode.MESSAGE_TOO_BIG:
                    self.assembler.reject(NULL, 0, self.max_frame_size + 1)
                else:
                    self.assembler.fail(code, reason)
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
        if not self.lost and self.transport.is_close_frame_sent and not self.assembler.discarding:
            # The connection has failed already: what is behind the fault does not count.
            self._dead = True
        self.assembler.discarding = True
        if not self.lost and not self.transport.is_close_frame_sent:
            self.transport.send_close(<WSCloseCode>code, reason)
            # The peer's CLOSE stands behind everything that it has sent.
            if self.queue.paused:
                self.resume()

    def abort(self):
        """Drop the TCP connection now."""
        if not self.lost and self.transport is not None:
            self.transport.disconnect(False)


cdef class _Protocol:
    """First base of `SocketReads`: a compiled class may have others behind one that is compiled, too."""


@cython.final
cdef class SocketReads(_Protocol, asyncio.BufferedProtocol):
    """Stands between the transport and picows' protocol: socket reads to frames.

    Whole messages are copied from the read buffer into a block, one after the other, and fragments to the
    assembler. Control frames are handed to picows, one at a time. Until it is known where a frame begins,
    which is when picows has delivered the first one, picows gets everything.

    One read takes at most `read_size` bytes: more than that does not stay in the core's cache until it is in a
    block, and keeps everything else in the event loop waiting.

    Owns the read buffer, freed in __dealloc__. It starts small, grows with what reads bring in to `read_size` and one
    incomplete frame, and becomes small again.
    """

    cdef:
        FrameLoop frame_loop
        object _picows                  #: picows.picows.WSProtocol
        uint8_t* _data
        size_t _capacity
        size_t _filled                  # bytes of an incomplete frame, at the beginning
        size_t _offered                 # room that the transport was last given
        object _view                    #: memoryview | None, of that room; made again when it is another
        uint8_t* _view_at
        size_t _read_size
        bint _was_filled                # by the last read, all that was offered
        unsigned int _small_reads       # since the buffer was last larger than usual for a reason
        bint _in_step                   # where the next frame begins is known
        uint64_t _owed                  # bytes of a frame whose beginning picows has got
        uint64_t _unseen                # bytes that picows got before it delivered a frame

    def __cinit__(self, FrameLoop frame_loop not None, picows, size_t read_size):
        self.frame_loop = frame_loop
        self._picows = picows
        self._read_size = max(read_size, <size_t>1)

    def __dealloc__(self):
        free(self._data)

    @property
    def capacity(self):
        """Of the read buffer, in bytes."""
        return self._capacity

    cdef int _resize(self, size_t capacity) except -1:
        cdef uint8_t* data = <uint8_t*>realloc(self._data, capacity)
        if data == NULL:
            raise MemoryError(f"cannot make a read buffer of {capacity} bytes")
        self._data = data
        self._capacity = capacity
        self._view = None
        return 0

    cdef int _make_room(self) except -1:
        cdef size_t most = self._filled + self._read_size
        if self._capacity > 2 * self._read_size + FIRST_CAPACITY:
            self._small_reads = self._small_reads + 1 if self._filled == 0 else 0
            if self._small_reads > READS_UNTIL_SMALL:
                self._resize(self._read_size)
        if self._capacity == 0:
            self._resize(max(min(<size_t>FIRST_CAPACITY, most), self._filled + 1))
        elif self._capacity < most and (self._was_filled or self._filled == self._capacity):
            self._resize(min(2 * self._capacity, most))
        return 0

    def get_buffer(self, Py_ssize_t sizehint):
        """Where the transport reads to."""
        cdef FrameLoop frame_loop = self.frame_loop
        if frame_loop.reads == 0:
            # A frame may have ended the read that brought the answer to the upgrade.
            self._in_step = frame_loop._frames != 0 and frame_loop._tail == 0
        cdef size_t offered
        self._make_room()
        offered = min(self._capacity - self._filled, self._read_size)
        if not self._in_step:
            # What picows gets at a time, because the place of a frame is told from the end of its bytes.
            offered = min(offered, <size_t>len(self._picows.get_buffer(-1)))
        if self._view is None or self._offered != offered or self._view_at != self._data + self._filled:
            self._view_at = self._data + self._filled
            self._view = PyMemoryView_FromMemory(<char*>self._view_at, <Py_ssize_t>offered, PyBUF_WRITE)
        self._offered = offered
        return self._view

    def buffer_updated(self, Py_ssize_t nbytes):
        """Take what one socket read has brought in."""
        cdef FrameLoop frame_loop = self.frame_loop
        cdef const uint8_t* end = self._data + self._filled + nbytes
        cdef const uint8_t* p = self._data
        cdef bint complete = False
        self._was_filled = <size_t>nbytes == self._offered
        frame_loop.reads += 1
        frame_loop._reading = True
        try:
            p = self._take(p, end, &complete)
        except Exception as error:
            # Out of memory: nothing else is raised.
            frame_loop._fail_with(WSCloseCode.INTERNAL_ERROR, f"{type(error).__name__}: {error}")
        finally:
            frame_loop._reading = False
        self._filled = <size_t>(end - p) if not frame_loop._dead else 0
        if self._filled and p != self._data:
            memmove(self._data, p, self._filled)
        if complete:
            frame_loop.queue.end_read(True)

    cdef const uint8_t* _take(self, const uint8_t* p, const uint8_t* end, bint* complete) except NULL:
        """Take all frames that are whole; returns where the first one stands that is not."""
        cdef FrameLoop frame_loop = self.frame_loop
        cdef MessageAssembler assembler = frame_loop.assembler
        cdef const uint8_t* start
        cdef Header header
        cdef int head
        cdef size_t n
        while p < end and not frame_loop._dead:
            if self._owed or not self._in_step:
                n = <size_t>min(self._owed, <uint64_t>(end - p)) if self._owed else <size_t>(end - p)
                complete[0] |= self._hand_on(p, n)
                p += n
                continue
            start = p
            p = assembler.take_plain(p, end)
            complete[0] |= p != start
            head = rl_read_header(p, end, &header)
            if head == RL_HEADER_INCOMPLETE:
                return p
            if head < 0:
                frame_loop._fail_with(WSCloseCode.PROTOCOL_ERROR, REFUSALS[head])
            elif header.size > frame_loop.max_frame_size and header.opcode < RL_OP_FIRST_CONTROL:
                assembler.reject(<const char*>p + head, <size_t>(end - p) - head, header.size)
                frame_loop._fail()
            elif <uint64_t>(end - p) < <uint64_t>head + header.size:
                return p
            else:
                n = <size_t>head + <size_t>header.size
                if header.opcode >= RL_OP_FIRST_CONTROL:
                    self._owed = n
                    self._hand_on(p, n)
                else:
                    frame_loop._data_frame(
                        header.opcode, header.fin, header.rsv, <const char*>p + head, <size_t>header.size)
                complete[0] = True
                p += n
        return p

    cdef bint _hand_on(self, const uint8_t* p, size_t n) except -1:
        """Give picows n bytes. Returns whether it has delivered a frame.

        Nothing but a frame's last byte makes it deliver one, if it was not in step before.
        """
        cdef FrameLoop frame_loop = self.frame_loop
        cdef uint64_t before = frame_loop._frames
        cdef size_t done = 0
        cdef size_t size
        if not self._in_step and frame_loop._has_refused():
            # It was in the read with the answer to the upgrade, which went past this object.
            frame_loop._refuse()
            return False
        while done < n:
            buffer = self._picows.get_buffer(-1)
            size = min(n - done, <size_t>len(buffer))
            buffer[:size] = PyMemoryView_FromMemory(<char*>p + done, <Py_ssize_t>size, PyBUF_READ)
            self._picows.buffer_updated(size)
            done += size
        cdef bint delivered = frame_loop._frames != before
        if frame_loop._dead:
            return delivered
        if self._in_step:
            self._owed -= n
            if self._owed == 0 and not delivered:
                frame_loop._refuse()
        elif frame_loop._has_refused():
            frame_loop._refuse()
        elif not delivered:
            # It may have refused a frame behind our own CLOSE, which does not show.
            self._unseen += n
            if self._unseen > frame_loop.max_frame_size + 65536:
                frame_loop.abort()
        else:
            self._look_behind(p + n, frame_loop._tail)
        return delivered

    cdef int _look_behind(self, const uint8_t* end, size_t tail) except -1:
        """picows holds the last `tail` bytes of what it got, the beginning of a frame: how long is it?"""
        cdef Header header
        cdef int head
        self._unseen = 0
        if tail == 0:
            self._in_step = True
            return 0
        head = rl_read_header(end - tail, end, &header)
        if head > 0:
            self._in_step = True
            self._owed = <uint64_t>head + header.size - tail
        return 0

    def eof_received(self):
        """The peer will send no more."""
        return self._picows.eof_received()

    def connection_lost(self, error):
        """The connection is gone."""
        self._picows.connection_lost(error)

    def pause_writing(self):
        """The transport's buffer is full."""
        self._picows.pause_writing()

    def resume_writing(self):
        """It is not full any more."""
        self._picows.resume_writing()
