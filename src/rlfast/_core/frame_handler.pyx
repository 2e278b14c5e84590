# cython: language_level=3
"""The connection itself: data frames to the assembler, control frames, sending, closing.

With its .pxd the only file that cimports picows; its struct layout is compiled in (rlfast checks the version at
import).
"""

cimport cython
from picows.picows cimport WSCloseCode, WSFrame, WSMsgType

from rlfast._core.block cimport wall_clock_ns

from asyncio import get_running_loop


def _retrieve(future):
    if not future.cancelled():
        future.exception()


cdef bint _may_be_sent(int code):
    """Whether a close frame may hold the code (RFC 6455 section 7.4 and the IANA registry)."""
    return 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999


# By state: those that may follow it.
cdef int[6] MOVES
MOVES[<int>CONNECTING] = 1 << <int>OPEN | 1 << <int>ABANDONED
MOVES[<int>OPEN] = 1 << <int>CLOSING | 1 << <int>DROPPING | 1 << <int>LOST
MOVES[<int>CLOSING] = 1 << <int>DROPPING | 1 << <int>LOST
MOVES[<int>DROPPING] = 1 << <int>LOST
MOVES[<int>LOST] = 0
MOVES[<int>ABANDONED] = 0


@cython.final
cdef class FrameHandler(WSListener):
    """One connection: hands data frames on, answers control frames, sends, closes.

    It never raises at picows: a fault of the peer sends a close code, is kept in `error`, and drops the connection.
    Borrows `frame.payload_ptr` during the callback only.

    picows opens the connection, and knows what a control frame may hold. The bytes of the socket pass by
    `SocketReader` first, which keeps whole messages from it: per message they cost one copy, and per socket
    read one look at each clock, wall and monotonic, and one wake-up.

    Args:
        queue: where messages go.
        max_message_size: bound in bytes on one message, all fragments together.
        epoch: number of this connection.
        on_open: callable, (frame loop) -> None, called once when the upgrade is done, before any message.
        on_lost: callable, (frame loop) -> None, called once when a connection that was open is gone.
    """

    def __cinit__(self, BlockQueue queue not None, size_t max_message_size, unsigned int epoch,
                  on_open, on_lost):
        self.queue = queue
        self.assembler = MessageAssembler(queue, max_message_size)
        self.max_frame_size = max_message_size
        self.epoch = epoch
        self._drain_waiters = []
        self._late_answers = {}
        self._on_open = on_open
        self._on_lost = on_lost

    @property
    def error(self):
        """Close code that was sent and why, as tuple[int, str]; None: no fault of the peer."""
        return self.assembler.error

    cdef int move(self, State state) except -1:
        """Change the state; nothing else does."""
        # In a debug build.
        assert MOVES[<int>self.state] >> <int>state & 1, f"state {<int>state} cannot follow state {<int>self.state}"
        self.state = state
        return 0

    cdef int drop(self) except -1:
        """What still arrives is to be ignored."""
        if self.state < DROPPING:
            self.move(DROPPING)
        return 0

    @property
    def lost(self):
        """Whether the connection is gone."""
        return self.state == LOST

    cpdef on_ws_connected(self, WSTransport transport):
        self.transport = transport
        # What ended the connection is told by `error`; nobody awaits this future, and asyncio would complain.
        transport.disconnected_future.add_done_callback(_retrieve)
        if self.state == ABANDONED:
            transport.disconnect(False)
            return
        self.move(OPEN)
        self.queue.begin_epoch(self.epoch)
        if self.queue.paused:
            self.pause()
        self._on_open(self)

    cpdef on_ws_frame(self, WSTransport transport, WSFrame frame):
        """Handle a control frame: picows gets no other ones."""
        self.frames += 1
        if frame.rsv1 or frame.rsv2 or frame.rsv3:
            # RFC 6455 section 5.2: no extension defines a meaning for these bits.
            self.fail_with(WSCloseCode.PROTOCOL_ERROR, "frame with a reserved bit set")
        elif frame.msg_type == WSMsgType.PING:
            self._answer_ping(transport, frame.get_payload_as_bytes())
        elif frame.msg_type == WSMsgType.CLOSE:
            self._close_frame(transport, frame)

    cdef int data_frame(self, int opcode, bint fin, int rsv, const char* payload, size_t n) except -1:
        if not self.assembler.take(opcode, fin, rsv, payload, n):
            self.fail()
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
            return self.fail_with(WSCloseCode.PROTOCOL_ERROR, "close frame with a code that may not be sent")
        self.close_received = True
        if frame.payload_size >= 2:
            self.close_code = int(frame.get_close_code())
            self.close_reason = frame.get_close_reason() or None
        if not transport.is_close_frame_sent:
            # RFC 6455 section 5.5.1: answer with the code received. An empty CLOSE has none to echo.
            transport.send_close(
                WSCloseCode.OK if self.close_code is None else <WSCloseCode><int>self.close_code)
        self.drop()
        transport.disconnect()
        return 0

    cdef int fail_with(self, int code, str reason) except -1:
        self.assembler.fail(code, reason)
        return self.fail()

    cdef int fail(self) except -1:
        """RFC 6455 section 7.1.7: fail the connection, with the assembler's error."""
        code, reason = self.assembler.error
        self.drop()
        if not self.transport.is_close_frame_sent:
            self.transport.send_close(<WSCloseCode><int>code, reason[:100])
        self.transport.disconnect()
        return 0

    cdef int refuse(self) except -1:
        """picows has refused a frame, and will drop the connection a little later. Do it now.

        What failed takes nothing more (RFC 6455 section 7.1.7).
        """
        self.drop()
        self.transport.disconnect()
        return 0

    cpdef on_ws_disconnected(self, WSTransport transport):
        self.resume_writing()
        if self.state == ABANDONED:
            return
        handshake = transport.close_handshake
        if (self.assembler.error is None and handshake is not None and handshake.sent is not None
                and not self.assembler.discarding):
            code = int(handshake.sent.code)
            if not self.close_received and code != WSCloseCode.OK:
                # picows itself refused a frame and sent the close code.
                self.assembler.fail(code, handshake.sent.reason or "protocol error")
        self.move(LOST)
        self.lost_at = wall_clock_ns()
        self.queue.end_read()
        self._on_lost(self)

    cpdef pause_writing(self):
        self.write_paused = True

    cpdef resume_writing(self):
        self.write_paused = False
        self._send_late()
        for waiter in self._drain_waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._drain_waiters.clear()

    cdef int _send_late(self) except -1:
        """Send what was to be said while the transport took no bytes."""
        if self._late_pong is None and not self._late_answers:
            return 0
        if self.state == LOST or self.transport.is_disconnected or self.transport.is_close_frame_sent:
            self._late_pong = None
            self._late_answers.clear()
            return 0
        if self._late_pong is not None:
            self.transport.send_pong(self._late_pong)
            self._late_pong = None
        while self._late_answers and not self.write_paused:
            which = next(iter(self._late_answers))
            payload, binary = self._late_answers.pop(which)
            self.answer(which, payload, binary)
        return 0

    # -- what the Python layer calls ---------------------------------------------------------------------

    def pause(self):
        """Stop reading the socket."""
        if self.state < LOST and self.transport is not None:
            self.transport.underlying_transport.pause_reading()

    def resume(self):
        """Read the socket again."""
        if self.state < LOST and self.transport is not None:
            self.transport.underlying_transport.resume_reading()

    def ping(self):
        """Send a ping, unless the connection is going down."""
        if self.sends:
            self.transport.send_ping()

    @property
    def sends(self):
        """Whether a message would still be sent: picows drops what comes after CLOSE without a word."""
        return self.state == OPEN and not self.transport.is_close_frame_sent

    def abandon(self):
        """The attempt to open it is over: drop it, also if it opens only later."""
        if self.state == CONNECTING:
            self.move(ABANDONED)
        else:
            self.drop()
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

    def answer(self, which, bytes payload not None, bint binary):
        """Send the answer number `which` to a message, unless the connection is going down.

        While the transport takes no bytes, the last one with this number is kept: as for pings, a peer that asks and
        reads nothing must not fill our memory.
        """
        if not self.sends:
            return
        if self.write_paused:
            self._late_answers.pop(which, None)
            self._late_answers[which] = payload, binary
        else:
            self.send(payload, binary)
            self.answers += 1

    def start_close(self, int code, str reason not None):
        """Send CLOSE; from now on arriving messages are counted and discarded."""
        if self.state == OPEN:
            # If CLOSE is sent already, the connection has failed: what is behind the fault does not count.
            self.move(DROPPING if self.transport.is_close_frame_sent else CLOSING)
        self.assembler.discarding = True
        if self.state < LOST and not self.transport.is_close_frame_sent:
            self.transport.send_close(<WSCloseCode>code, reason)
            # The peer's CLOSE stands behind everything that it has sent.
            if self.queue.paused:
                self.resume()

    def abort(self):
        """Drop the TCP connection now."""
        if self.state < LOST and self.transport is not None:
            self.transport.disconnect(False)

