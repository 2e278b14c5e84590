"""One client's connection: sends the stream, paced or flat out, and keeps to the WebSocket protocol."""

from __future__ import annotations

import asyncio
import socket
from bisect import insort
from collections.abc import Callable
from typing import TYPE_CHECKING

from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

from rlfast.simulator._endpoints import Route, Stream
from rlfast.simulator._frames import FrameSequence
from rlfast.simulator._inbound import (
    MAX_ECHO_BYTES,
    MAX_MESSAGE_BYTES,
    Inbox,
    Violation,
    acknowledgement,
    close_reply,
)

if TYPE_CHECKING:
    from rlfast.simulator._options import SimulatorOptions

__all__ = ["StreamConnection"]

SLICES_PER_TURN = 16
"""Slices (4 MiB) that one connection writes before the other connections get their turn."""

TICK = 0.002
"""Least time between two writes of a paced stream, in seconds: bounds the CPU that a high rate costs."""

MAX_QUEUED_REPLIES = 1 << 20
"""Bytes waiting to be written above which a connection stops reading: this bounds pongs and replies."""

RECEIVE_BUFFER = 64 * 1024
"""The kernel's receive buffer, bytes. All that one read returns is answered before reading can stop, and the
buffer of picows grows to whatever the kernel holds: this bound is what bounds both."""


class StreamConnection(WSListener):
    """The server's side of one connection.

    Owns its position in the stream and its timers; borrows the frames, which the simulator shares between
    connections. Everything runs on the event loop's thread.

    Nothing is queued beyond one slice of frames: the transport reports the first byte that the kernel did
    not take, and the stream waits until all of it is gone.

    A behaviour at an exact place of the stream is an action registered with `at`; the end of a stream after
    ``SimulatorOptions.events`` payloads is one.

    Attributes:
        route: what the client asked for.
        sent: payloads of the stream handed to the transport; replies do not count.
    """

    def __init__(
        self,
        options: SimulatorOptions,
        route: Route,
        head: FrameSequence | None,
        frames: FrameSequence,
        opened: Callable[[StreamConnection], None],
        closed: Callable[[StreamConnection], None],
    ) -> None:
        """Prepare the stream; it starts with the connection."""
        super().__init__()
        self.route = route
        self.sent = 0
        self._options = options
        self._head = head
        self._frames = frames
        self._opened = opened
        self._closed = closed
        self._loop = asyncio.get_running_loop()
        self._transport: WSTransport | None = None
        self._actions: list[tuple[int, int, Callable[[StreamConnection], None]]] = []
        self._inbox = Inbox(MAX_ECHO_BYTES if options.echo else MAX_MESSAGE_BYTES)
        self._acknowledged = 0
        self._started = 0.0
        self._write_paused = False
        self._read_paused = False
        self._over = False
        self._pump_handle: asyncio.Handle | None = None
        self._close_handle: asyncio.Handle | None = None

    # What the simulator, and whoever is handed a connection, may do

    @property
    def buffered(self) -> int:
        """Bytes that were written but not yet taken by the kernel."""
        if self._transport is None:
            return 0
        return self._transport.underlying_transport.get_write_buffer_size()

    def at(self, position: int, action: Callable[[StreamConnection], None]) -> None:
        """Call an action when exactly ``position`` payloads were sent, before the next one.

        Actions at one position run in the order of their registration. A position in the past never comes.
        """
        insort(self._actions, (position, len(self._actions), action))

    def close(self, code: int = 1000, reason: str = "") -> None:
        """End the stream with a CLOSE frame; the client's CLOSE, or a time-out, then ends the connection."""
        transport = self._transport
        if transport is None or transport.is_close_frame_sent:
            return
        self._stop_sending()
        transport.send_close(WSCloseCode(code), reason)
        if not self._write_paused:
            self._await_client()

    def abort(self) -> None:
        """Drop the connection at once, without a closing handshake and without what is yet to be written."""
        self._stop_sending()
        if self._transport is not None:
            self._transport.disconnect(graceful=False)

    # Called by picows

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Start the stream."""
        self._transport = transport
        # Any byte left over pauses the stream, and only an empty buffer resumes it.
        transport.underlying_transport.set_write_buffer_limits(high=0)
        connected = transport.underlying_transport.get_extra_info("socket")
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        events, rate = self._options.events, self._options.rate
        # A cycle stream that was given neither a pace nor an end is a pure conversation.
        self._over = self.route.stream is Stream.CYCLE and events is None and rate is None
        if events is not None:
            self.at(events, StreamConnection.close)
        self._started = self._loop.time()
        self._opened(self)
        if not self._over:
            self._pump_handle = self._loop.call_soon(self._pump)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Answer what the client sends."""
        kind = frame.msg_type
        if (frame.rsv1 or frame.rsv2 or frame.rsv3) and not transport.is_close_frame_sent:
            self.close(1002, "no extension was negotiated")
        elif kind == WSMsgType.CLOSE:
            self._finish(transport, frame)
        elif transport.is_close_frame_sent:
            return  # RFC 6455 section 5.5.1: nothing follows our CLOSE, so nothing can be answered any more.
        elif kind == WSMsgType.PING:
            # Not left to picows, which would queue pongs without bound for a client that does not read.
            transport.send_pong(frame.get_payload_as_bytes())
            self._bound_replies(transport)
        elif kind != WSMsgType.PONG:
            self._receive(transport, frame)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Forget the connection."""
        self._stop_sending()
        if self._close_handle is not None:
            self._close_handle.cancel()
        self._closed(self)

    def pause_writing(self) -> None:
        """Hold the stream: the kernel's buffer is full."""
        self._write_paused = True

    def resume_writing(self) -> None:
        """Go on: everything that was written has left."""
        self._write_paused = False
        transport = self._transport
        if transport is None:
            return
        if self._read_paused:
            self._read_paused = False
            transport.underlying_transport.resume_reading()
        if transport.is_close_frame_sent:
            self._await_client()
        elif not self._over and self._pump_handle is None:
            self._pump_handle = self._loop.call_soon(self._pump)

    # Sending

    def _pump(self) -> None:
        """Write slices until the pace, the kernel, an action or fairness says stop."""
        self._pump_handle = None
        transport = self._transport
        if transport is None:
            return
        for _ in range(SLICES_PER_TURN):
            while self._actions and self._actions[0][0] <= self.sent:
                position, _, action = self._actions.pop(0)
                if position == self.sent:
                    action(self)
            # picows sends CLOSE by itself when a client breaks the framing.
            if self._over or self._write_paused or transport.is_close_frame_sent:
                return
            limit = self._due()
            if limit == 0:
                self._wait_until_due()
                return
            if self._actions:
                ahead = self._actions[0][0] - self.sent
                limit = ahead if limit is None else min(limit, ahead)
            if not self._send_next(limit):
                return
        self._pump_handle = self._loop.call_soon(self._pump)

    def _send_next(self, limit: int | None) -> bool:
        """Write the next slice, ``limit`` frames at most; return whether another one may follow at once."""
        assert self._transport is not None
        frames, count = self._take(limit)
        self.sent += count
        self._transport.underlying_transport.write(frames)
        return True

    def _take(self, limit: int | None) -> tuple[memoryview, int]:
        if self._head is None:
            return self._frames.take(self.sent, limit)
        if self.sent == 0:
            return self._head.take(0, 1)
        return self._frames.take(self.sent - 1, limit)

    def _due(self) -> int | None:
        """How many payloads the pace allows now: payload k is due k/rate seconds after the start."""
        rate = self._options.rate
        if rate is None:
            return None
        # The nudge outweighs the rounding of k/rate, or a timer would fire just before what it waits for.
        return max(0, int((self._loop.time() - self._started) * rate + 1e-6) + 1 - self.sent)

    def _wait_until_due(self) -> None:
        assert self._options.rate is not None
        due = self._started + self.sent / self._options.rate
        self._pump_handle = self._loop.call_at(max(due, self._loop.time() + TICK), self._pump)

    def _stop_sending(self) -> None:
        self._over = True
        if self._pump_handle is not None:
            self._pump_handle.cancel()
            self._pump_handle = None

    # Receiving

    def _receive(self, transport: WSTransport, frame: WSFrame) -> None:
        try:
            message = self._inbox.add(frame)
        except Violation as violation:
            self.close(violation.close_code, violation.reason)
            return
        if message is None or self.route.stream is not Stream.CYCLE:
            return  # The other two streams are one-way: what a client says there has no meaning.
        payload, is_text = message
        if self._options.echo:
            transport.send(WSMsgType.TEXT if is_text else WSMsgType.BINARY, payload)
        else:
            transport.send(WSMsgType.TEXT, acknowledgement(self._acknowledged, payload, is_text))
        self._acknowledged += 1
        self._bound_replies(transport)

    def _bound_replies(self, transport: WSTransport) -> None:
        if not self._read_paused and self.buffered > MAX_QUEUED_REPLIES:
            self._read_paused = True
            transport.underlying_transport.pause_reading()

    # Closing

    def _finish(self, transport: WSTransport, frame: WSFrame) -> None:
        """Answer the client's CLOSE, unless it is the answer to ours, and close the TCP connection."""
        self._stop_sending()
        if not transport.is_close_frame_sent:
            code = close_reply(frame.payload_size, frame.get_close_code().value)
            transport.send_close(WSCloseCode(code))
        # RFC 6455 section 7.1.1: the server closes the TCP connection first.
        transport.disconnect()
        if self._close_handle is not None:
            self._close_handle.cancel()
        self._close_handle = self._loop.call_later(self._options.close_timeout, self.abort)

    def _await_client(self) -> None:
        """Give the client `close_timeout` to answer, from when our CLOSE was handed to the kernel.

        Before that the client is merely slow, and a slow client loses nothing.
        """
        if self._transport is not None and self._close_handle is None:
            self._close_handle = self._loop.call_later(
                self._options.close_timeout, self._transport.disconnect
            )
