"""Half-open connections: found by silence, a ping, and silence again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import NamedTuple

from rlfast._core.frame_handler import FrameHandler
from rlfast._core.queue import BlockQueue
from rlfast.websocket._options import ConnectionOptions

__all__ = ["Keepalive", "Silence"]

MAX_LOOKS = 256
"""Looks at the socket before a verdict: so many reads empty any kernel's buffer."""


class Silence(NamedTuple):
    """Why a connection counts as dead."""

    reason: str
    """``idle_timeout`` or ``data_timeout``."""
    since: int
    """Start of the gap, in nanoseconds since 1970-01-01 UTC: see `Gap.disconnected_at`."""
    error: str


class Keepalive:
    """Watches one connection after the other; one timer each.

    Without a message for ``idle_timeout`` seconds a ping is sent; without a single byte for ``pong_timeout``
    seconds after that, the connection is dead. Without a message for ``data_timeout`` seconds it is, too,
    whatever it answers. While the queue has paused the socket, silence is our own doing: no verdict then, and
    the time starts anew with `resumed`.

    No verdict either before a look at the socket has found it empty. When the process was stopped, or the
    event loop was busy, what has arrived waits in the kernel, and the timers come first.

    Costs nothing per message, and per socket read a count and a reading of the monotonic clock: the timer
    compares.

    Args:
        queue: where messages go.
        options: the three time-outs.
        on_dead: called once for a connection that is dead; it must drop it.
    """

    def __init__(
        self, queue: BlockQueue, options: ConnectionOptions, on_dead: Callable[[Silence], None]
    ) -> None:
        self._queue = queue
        self._idle = options.idle_timeout
        self._pong = options.pong_timeout
        self._data = options.data_timeout
        self._on_dead = on_dead
        self._frame_loop: FrameHandler | None = None
        self._timer: asyncio.Handle | None = None

    def start(self, frame_handler: FrameHandler) -> None:
        """Watch a connection that has just been opened."""
        self.stop()
        if self._idle is None and self._data is None:
            return
        self._loop = asyncio.get_running_loop()
        self._frame_loop = frame_handler
        self._opened_at = time.time_ns()
        #: of earlier connections: neither stamp may count for this one
        self._old_read_at = self._queue.last_read_at
        self._old_received_at = self._queue.last_received_at
        #: on the loop's clock: of the last message, of the ping that is not answered, of the next one
        self._silent_since = self._loop.time()
        self._pinged_at: float | None = None
        self._next_ping = 0.0
        self._reads_at_ping = 0
        self._schedule()

    def resumed(self) -> None:
        """Start the time anew: the socket was paused and is read again."""
        if self._timer is not None:
            self._silent_since, self._pinged_at = self._loop.time(), None

    def stop(self) -> None:
        """Watch no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._frame_loop = None

    def _schedule(self) -> None:
        due = []
        if self._data is not None:
            due.append(self._silent_since + self._data)
        if self._pinged_at is not None:
            due.append(self._pinged_at + self._pong)
        elif self._idle is not None:
            due.append(max(self._silent_since + self._idle, self._next_ping))
        self._timer = self._loop.call_at(min(due), self._look)

    def _look(self, reads_before: int = -1, looks: int = 0) -> None:
        """Compare with the limits, after `looks` at the socket, the last one behind read `reads_before`."""
        frame_handler = self._frame_loop
        if frame_handler is None or frame_handler.lost:
            return
        now = self._loop.time()
        if self._queue.paused:
            self._silent_since, self._pinged_at = now, None
        # As a difference: the loop's clock may count from another start, and the wall clock may be set.
        ago = time.monotonic() - self._queue.last_message_at
        self._silent_since = max(self._silent_since, now - ago)
        if self._pinged_at is not None and frame_handler.reads != self._reads_at_ping:
            self._next_ping = self._pinged_at + (self._idle or 0.0)
            self._pinged_at = None
        silence = self._check(now)
        if silence is not None:
            if frame_handler.reads == reads_before or looks == MAX_LOOKS:
                self.stop()
                self._on_dead(silence)
            else:
                self._timer = self._loop.call_soon(self._let_read, frame_handler.reads, looks + 1)
            return
        ping_at = max(self._silent_since + (self._idle or 0.0), self._next_ping)
        if self._idle is not None and self._pinged_at is None and now >= ping_at:
            self._pinged_at, self._reads_at_ping = now, frame_handler.reads
            frame_handler.ping()
        self._schedule()

    def _let_read(self, reads_before: int, looks: int) -> None:
        # asyncio runs what is ready before what its next poll finds, uvloop runs it before the poll: only in
        # the turn after the next one the socket has been read, if there was anything.
        self._timer = self._loop.call_soon(self._look, reads_before, looks)

    def _check(self, now: float) -> Silence | None:
        queue = self._queue
        if self._data is not None and now >= self._silent_since + self._data:
            received_at = queue.last_received_at
            return Silence(
                "data_timeout",
                received_at if received_at != self._old_received_at else self._opened_at,
                f"no message for {self._data:g} s (data_timeout), though it is connected; raise data_timeout "
                "if the stream may be quiet for so long",
            )
        if self._pinged_at is not None and now >= self._pinged_at + self._pong:
            return Silence(
                "idle_timeout",
                # TCP keeps the order: what was sent before a pong has arrived before it.
                queue.last_read_at if queue.last_read_at != self._old_read_at else self._opened_at,
                f"no message for {self._idle:g} s (idle_timeout) and no answer to a ping within "
                f"{self._pong:g} s (pong_timeout); check the network and any proxy on the way, or raise "
                "pong_timeout if the server is slow to answer",
            )
        return None
