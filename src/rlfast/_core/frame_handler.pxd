# cython: language_level=3
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint64_t
from picows.picows cimport WSFrame, WSListener, WSTransport

from rlfast._core.assembly cimport MessageAssembler
from rlfast._core.queue cimport BlockQueue


cdef enum State:
    # In the order in which they can follow each other; docs/design.md has the picture.
    CONNECTING      # the upgrade is not done
    OPEN
    CLOSING         # we have sent CLOSE, and what still arrives is counted
    DROPPING        # the connection is being dropped: what still arrives is ignored
    LOST            # it is gone
    ABANDONED       # nobody waits for the upgrade any more


cdef class FrameHandler(WSListener):
    cdef:
        State state
        BlockQueue queue
        readonly MessageAssembler assembler
        readonly WSTransport transport
        object _on_open
        object _on_lost
        readonly unsigned int epoch
        public object deflate               #: Callable[[bytes], bytes] | None, for messages that are sent
        public str subprotocol              #: str | None, that the server chose
        public size_t max_frame_size        # of the payload, in bytes; with compression more than of a message
        readonly bint write_paused
        bytes _late_pong                    #: bytes | None, to be sent when the transport takes bytes again
        dict _late_answers                  #: dict[int, tuple[bytes, bool]], the same
        readonly uint64_t answers           # that were sent
        list _drain_waiters                 #: list[asyncio.Future], of senders

        uint64_t frames                     # that picows has delivered
        readonly uint64_t reads             # socket reads since the upgrade
        readonly object close_code          #: int | None, what the peer's CLOSE frame said (None: no code)
        readonly str close_reason           #: str | None, its text (None: no text)
        readonly bint close_received
        readonly int64_t lost_at            # ns since 1970

    cdef int move(self, State state) except -1
    cdef int drop(self) except -1
    cpdef on_ws_connected(self, WSTransport transport)
    cpdef on_ws_frame(self, WSTransport transport, WSFrame frame)
    cpdef on_ws_disconnected(self, WSTransport transport)
    cpdef pause_writing(self)
    cpdef resume_writing(self)

    cdef int data_frame(self, int opcode, bint fin, int rsv, const char* payload, size_t n) except -1
    cdef int fail(self) except -1
    cdef int fail_with(self, int code, str reason) except -1
    cdef int refuse(self) except -1
    cdef int _answer_ping(self, WSTransport transport, bytes payload) except -1
    cdef int _send_late(self) except -1
    cdef int _close_frame(self, WSTransport transport, WSFrame frame) except -1
