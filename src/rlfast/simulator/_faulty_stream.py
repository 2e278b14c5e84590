"""One client's connection, with the faults that a network, a proxy or a platform has."""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from collections.abc import Callable

from picows import WSFrame, WSMsgType, WSTransport

from rlfast.simulator._delivery import unacknowledged
from rlfast.simulator._endpoints import Route
from rlfast.simulator._frames import FrameSequence, text_frame
from rlfast.simulator._options import SimulatorOptions
from rlfast.simulator._stream import TICK, StreamConnection
from rlfast.simulator._trickle import Trickle

__all__ = ["MALFORMED", "FaultyConnection"]

MALFORMED = b'{"type":"heartbeat","timestamp":'
"""A payload that is text, and no JSON."""

_LINGER_NOT = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
"""Value of SO_LINGER with which closing a socket sends RST."""


class FaultyConnection(StreamConnection):
    """A connection that can be told to misbehave; until then it is a `StreamConnection`.

    Each method is one fault and does nothing once the stream has ended. Those that end the connection are
    exact: the client gets every payload sent before, however slowly it reads.
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
        super().__init__(options, route, head, frames, opened, closed)
        self._is_silent = False
        self._is_mute = False
        self._is_half_closed = False
        self._instead: bytes | None = None
        self._trickle: Trickle | None = None
        self._delivery_handle: asyncio.Handle | None = None

    # The faults

    def drop(self) -> None:
        """Close the TCP connection in order, without a CLOSE frame, between two frames."""
        transport = self._transport
        if transport is None or self._over:
            return
        self._fall_silent()
        if self._options.ssl is not None:
            transport.disconnect()  # TLS transports cannot close one half.
            return
        # Not closed altogether: with something unread, a ping perhaps, that would be RST instead of FIN.
        transport.underlying_transport.write_eof()
        self._is_half_closed = True
        if not self._write_paused:
            self._await_client()

    def reset(self) -> None:
        """Send half of the next frame; when that has arrived, drop the TCP connection with RST."""
        transport = self._transport
        if transport is None or self._over:
            return
        self._fall_silent()
        frame, _ = self._take(1)
        transport.underlying_transport.write(frame[: len(frame) // 2])
        # RST overtakes: the kernels throw away what they have not handed over.
        self._when_delivered(self._reset_now)

    def fall_silent(self) -> None:
        """Send nothing any more and answer nothing, not even CLOSE; TCP is open until the client ends it."""
        if not self._over:
            self._fall_silent()

    def fall_mute(self) -> None:
        """Send no data any more; PING and CLOSE are still answered."""
        if not self._over:
            self._is_mute = True
            self._stop_sending()

    def slow_down(self, bytes_per_second: float) -> None:
        """Send the rest of the stream in small pieces, so many bytes per second on average.

        Answers are not cut: a frame begun is completed at once when the client is to be answered.
        """
        if not self._over:
            self._trickle = Trickle(bytes_per_second, self._loop.time())

    def spoil_next(self) -> None:
        """Send `MALFORMED` instead of the next payload, which is left out."""
        if not self._over:
            self._instead = MALFORMED

    def expire(self) -> bool:
        """Close with code 1008, as for a token that has run out; return False if the stream had ended."""
        if self._over:
            return False
        self.close(1008, "the token has expired")
        return True

    def stop_then(self, action: Callable[[], None]) -> None:
        """End the stream; call an action once the client has all of it."""
        if not self._over:
            self._stop_sending()
            self._when_delivered(action)

    # What a StreamConnection does otherwise

    def close(self, code: int = 1000, reason: str = "") -> None:
        """End the stream with a CLOSE frame; a connection that fell silent is cut off."""
        if self._is_silent:
            self.abort()
            return
        self._complete_frame()
        super().close(code, reason)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Answer what the client sends, unless the connection fell silent."""
        if self._is_silent:
            return
        if frame.msg_type != WSMsgType.PONG:
            self._complete_frame()
        super().on_ws_frame(transport, frame)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Forget the connection."""
        if self._delivery_handle is not None:
            self._delivery_handle.cancel()
        super().on_ws_disconnected(transport)

    def resume_writing(self) -> None:
        """Go on: everything that was written has left."""
        super().resume_writing()
        if self._is_half_closed:
            self._await_client()

    def _take(self, limit: int | None) -> tuple[memoryview, int]:
        if self._instead is None:
            return super()._take(limit)
        frame, self._instead = text_frame(self._instead), None
        return memoryview(frame), 1

    def _send_next(self, limit: int | None) -> bool:
        trickle = self._trickle
        if trickle is None:
            return super()._send_next(limit)
        # After a pause of the kernel a frame may be under way already.
        if not trickle.rest:
            trickle.rest, _ = self._take(1)
        self._send_piece()
        return False

    def _receive(self, transport: WSTransport, frame: WSFrame) -> None:
        if not self._is_mute:
            super()._receive(transport, frame)

    # Helpers

    def _fall_silent(self) -> None:
        self._complete_frame()
        self._is_silent = True
        self._stop_sending()

    def _send_piece(self) -> None:
        """Write what of the current frame may leave now, and set the timer for the next piece."""
        self._pump_handle = None
        transport, trickle = self._transport, self._trickle
        # picows sends CLOSE by itself when a client breaks the framing.
        if transport is None or trickle is None or transport.is_close_frame_sent or self._over:
            return
        if trickle.rest:
            if self._write_paused:
                return  # resume_writing goes on.
            now = self._loop.time()
            transport.underlying_transport.write(trickle.take(now))
            if trickle.rest:
                self._pump_handle = self._loop.call_at(max(trickle.due, now + TICK), self._send_piece)
                return
            self.sent += 1
        self._pump_handle = self._loop.call_soon(self._pump)

    def _complete_frame(self) -> None:
        """Send the rest of a frame begun, because nothing else may come before it."""
        transport, trickle = self._transport, self._trickle
        if transport is None or trickle is None or not trickle.rest or transport.is_close_frame_sent:
            return
        transport.underlying_transport.write(trickle.take_all())
        self.sent += 1

    def _when_delivered(self, action: Callable[[], None]) -> None:
        """Call an action once the client's kernel has everything. No event tells that, so ask repeatedly."""
        self._delivery_handle = None
        transport = self._transport
        if transport is None or transport.is_disconnected:
            return
        connected = transport.underlying_transport.get_extra_info("socket")
        if self.buffered or unacknowledged(connected):
            self._delivery_handle = self._loop.call_later(TICK, self._when_delivered, action)
        else:
            action()

    def _reset_now(self) -> None:
        assert self._transport is not None
        connected = self._transport.underlying_transport.get_extra_info("socket")
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
        self.abort()
