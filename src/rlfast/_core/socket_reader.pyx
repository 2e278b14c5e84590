# cython: language_level=3
"""Socket reads to frames: whole messages into blocks in one loop in C, control frames to picows."""

cimport cython
from cpython.memoryview cimport PyMemoryView_FromMemory
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy, memmove

from rlfast._core.assembly cimport MessageAssembler
from rlfast._core.queue cimport BlockQueue
from rlfast._core.frame_handler cimport DROPPING, FrameHandler

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

cdef extern from "csrc/poll.h" nogil:
    bint RL_CAN_POLL
    int64_t rl_monotonic_ns()
    int64_t rl_poll_socket(int fd, void* to, size_t n, int64_t until)

cdef extern from "Python.h":
    enum:
        PyBUF_READ
        PyBUF_WRITE

import asyncio

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
    # Nanoseconds that the event loop's other work waits at most while sockets are polled.
    LONGEST_POLL = 1_000_000
    # RFC 6455 section 7.4.1.
    PROTOCOL_ERROR = 1002
    INTERNAL_ERROR = 1011


cdef class _Protocol:
    """First base of `SocketReader`: a compiled class may have others behind one that is compiled, too."""


@cython.final
cdef class SocketReader(_Protocol, asyncio.BufferedProtocol):
    """Stands between the transport and picows' protocol: socket reads to frames.

    Whole messages are copied from the read buffer into a block, one after the other, and fragments to the
    assembler. Control frames are handed to picows, one at a time.

    One read takes at most `read_size` bytes: more than that does not stay in the core's cache until it is in a
    block, and keeps everything else in the event loop waiting.

    Owns the read buffer, freed in __dealloc__. It starts small, grows with what reads bring in to `read_size` and one
    incomplete frame, and becomes small again.

    Args:
        frame_handler: where frames go.
        picows: its protocol, what the transport would call.
        read_size: of one socket read at most, in bytes.
        busy_poll: nanoseconds that the socket is polled after a read while a task waits for a message; 0: it is not,
            and neither is one with TLS.
    """

    cdef:
        FrameHandler frame_handler
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
        int64_t _busy_poll              # nanoseconds
        int _socket                     # borrowed from the transport, to be polled while that is not closing
        bint _polling
        bytes _held                     #: bytes | None, of what waits for `release`
        object _wanted                  #: asyncio.Future | None, done with the next read

    def __cinit__(self, FrameHandler frame_handler not None, picows, size_t read_size, int64_t busy_poll=0):
        self.frame_handler = frame_handler
        self._picows = picows
        self._read_size = max(read_size, <size_t>1)
        if busy_poll and RL_CAN_POLL and not frame_handler.transport.is_secure:
            self._socket = frame_handler.transport.underlying_transport.get_extra_info("socket").fileno()
            self._busy_poll = busy_poll

    @classmethod
    def install(cls, FrameHandler frame_handler not None, size_t read_size, int64_t busy_poll=0, bint hold=False):
        """Put one between a connection and its transport, and return it: what comes next is a frame's first byte.

        With `hold`, nothing is taken, and nothing more is read, before `release`.
        """
        cdef SocketReader reader
        transport = frame_handler.transport.underlying_transport
        reader = cls(frame_handler, transport.get_protocol(), read_size, busy_poll)
        if hold:
            reader._held = b""
            frame_handler.pause()
        transport.set_protocol(reader)
        return reader

    def release(self):
        """Take what was held, and read on."""
        cdef bytes held = self._held
        self._held = None
        self.feed(held)
        if not self.frame_handler.queue.paused:
            self.frame_handler.resume()

    async def read_once(self):
        """Take what was held, or else one socket read, and hold what comes behind it.

        Also while the queue is paused. Returns when the connection is lost, too.
        """
        cdef bytes held = self._held
        if held or self.frame_handler.state >= DROPPING:
            self._held = b""
            self._take_bytes(held)
            return
        self._wanted = asyncio.get_running_loop().create_future()
        self.frame_handler.resume()
        try:
            await self._wanted
        finally:
            self._wanted = None
            if self._held is not None:
                self.frame_handler.pause()

    cdef int _has_read(self) except -1:
        """Tell whoever wants a read."""
        if self._wanted is not None and not self._wanted.done():
            self.frame_handler.pause()
            self._wanted.set_result(None)
        return 0

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
        self._offer()
        return self._view

    cdef int _offer(self) except -1:
        """Have room for a read, and a view of it."""
        cdef size_t offered
        self._make_room()
        offered = min(self._capacity - self._filled, self._read_size)
        if self._view is None or self._offered != offered or self._view_at != self._data + self._filled:
            self._view_at = self._data + self._filled
            self._view = PyMemoryView_FromMemory(<char*>self._view_at, <Py_ssize_t>offered, PyBUF_WRITE)
        self._offered = offered
        return 0

    def buffer_updated(self, Py_ssize_t nbytes):
        """Take what one socket read has brought in."""
        self._update(nbytes)
        self._has_read()
        if self._busy_poll and not self._polling and self._held is None:
            self._polling = True
            try:
                self._poll()
            finally:
                self._polling = False

    def feed(self, bytes data not None):
        """Take what was read with the answer to the upgrade; comes before anything else."""
        if self._held is not None:
            self._held = data
        else:
            self._take_bytes(data)

    cdef int _take_bytes(self, bytes data) except -1:
        cdef size_t n = <size_t>len(data)
        if n == 0:
            return 0
        self._make_room()
        if self._capacity < n:
            self._resize(n)
        memcpy(self._data, <const char*>data, n)
        self._update(<Py_ssize_t>n)
        return 0

    cdef int _poll(self) except -1:
        """Read on as long as somebody waits for a message and the next one is not far.

        A processor that sleeps takes some ten microseconds to wake up, and more under a hypervisor.
        """
        cdef FrameHandler frame_handler = self.frame_handler
        cdef BlockQueue queue = frame_handler.queue
        cdef int64_t now = rl_monotonic_ns()
        cdef int64_t end = now + LONGEST_POLL
        cdef int64_t until, n
        # Its consumer may have done anything, in the meantime.
        while (now < end and queue.waiter is not None and not queue.paused and frame_handler.state < DROPPING
               and not frame_handler.transport.underlying_transport.is_closing()):
            self._offer()
            until = min(now + self._busy_poll, end)
            with nogil:
                n = rl_poll_socket(self._socket, self._view_at, self._offered, until)
            if n == 0:
                break
            self._update(n)
            now = rl_monotonic_ns()
        return 0

    cdef int _update(self, Py_ssize_t nbytes) except -1:
        cdef FrameHandler frame_handler = self.frame_handler
        cdef const uint8_t* end = self._data + self._filled + nbytes
        cdef const uint8_t* p = self._data
        cdef bint complete = False
        self._was_filled = <size_t>nbytes == self._offered
        frame_handler.reads += 1
        try:
            p = self._take(p, end, &complete)
        except Exception as error:
            # Out of memory: nothing else is raised.
            frame_handler.fail_with(INTERNAL_ERROR, f"{type(error).__name__}: {error}")
        self._filled = <size_t>(end - p) if frame_handler.state < DROPPING else 0
        if self._filled and p != self._data:
            memmove(self._data, p, self._filled)
        # What fails a connection may have left its message in the queue, and may have come before a whole frame.
        if complete or frame_handler.state >= DROPPING:
            frame_handler.queue.end_read(True)
        return 0

    cdef const uint8_t* _take(self, const uint8_t* p, const uint8_t* end, bint* complete) except NULL:
        """Take all frames that are whole; returns where the first one stands that is not."""
        cdef FrameHandler frame_handler = self.frame_handler
        cdef MessageAssembler assembler = frame_handler.assembler
        cdef const uint8_t* start
        cdef Header header
        cdef int head
        cdef size_t n
        while p < end and frame_handler.state < DROPPING:
            start = p
            p = assembler.take_plain(p, end)
            complete[0] |= p != start
            head = rl_read_header(p, end, &header)
            if head == RL_HEADER_INCOMPLETE:
                return p
            if head < 0:
                frame_handler.fail_with(PROTOCOL_ERROR, REFUSALS[head])
            elif header.size > frame_handler.max_frame_size and header.opcode < RL_OP_FIRST_CONTROL:
                assembler.reject(<const char*>p + head, <size_t>(end - p) - head, header.size)
                frame_handler.fail()
            elif <uint64_t>(end - p) < <uint64_t>head + header.size:
                return p
            else:
                n = <size_t>head + <size_t>header.size
                if header.opcode >= RL_OP_FIRST_CONTROL:
                    self._hand_on(p, n)
                else:
                    frame_handler.data_frame(
                        header.opcode, header.fin, header.rsv, <const char*>p + head, <size_t>header.size)
                complete[0] = True
                p += n
        return p

    cdef int _hand_on(self, const uint8_t* p, size_t n) except -1:
        """Give picows one control frame, of n bytes."""
        cdef FrameHandler frame_handler = self.frame_handler
        cdef uint64_t before = frame_handler.frames
        self._picows.get_buffer(-1)[:n] = PyMemoryView_FromMemory(<char*>p, <Py_ssize_t>n, PyBUF_READ)
        self._picows.buffer_updated(n)
        if frame_handler.frames == before and frame_handler.state < DROPPING:
            frame_handler.refuse()
        return 0

    def eof_received(self):
        """The peer will send no more."""
        return self._picows.eof_received()

    def connection_lost(self, error):
        """The connection is gone."""
        self._picows.connection_lost(error)
        self._has_read()

    def pause_writing(self):
        """The transport's buffer is full."""
        self._picows.pause_writing()

    def resume_writing(self):
        """It is not full any more."""
        self._picows.resume_writing()
