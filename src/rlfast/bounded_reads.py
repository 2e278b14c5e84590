"""A bound on what one socket read brings in, and a word to the frame loop before each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from rlfast._core.wire import FrameLoop


class BoundedReads(asyncio.BufferedProtocol):
    """Stands between a transport and picows' protocol, whose buffer doubles while reads fill it.

    Without it one read takes all that the kernel holds (``tcp_rmem``, up to 32 MiB): more than the queue may
    hold, more than a core's cache, and long enough to keep everything else in the event loop waiting.

    The frame loop is told when a read begins: picows does not say so, nor that it refused a frame. Where that
    is not to be seen, because a CLOSE frame of ours had gone out before, the buffer shows it: picows goes on
    filling and doubling it, and parses no more. Then the connection is dropped.

    Args:
        protocol: what the transport would call.
        size: of a read at most, in bytes.
        most: room that the buffer has at most while frames are taken from it, in bytes.
        begin_read: called before each read.
        drop: called instead if there is more.
    """

    def __init__(
        self, protocol: Any, size: int, most: int, begin_read: Callable[[], None], drop: Callable[[], None]
    ) -> None:
        self._size = size
        self._most = most
        self._begin_read = begin_read
        self._drop = drop
        self._get_buffer = protocol.get_buffer
        # The transport's calls go past this object, except the one that matters.
        for name in ("buffer_updated", "connection_lost", "eof_received", "pause_writing", "resume_writing"):
            setattr(self, name, getattr(protocol, name))

    @classmethod
    def install(cls, frame_loop: FrameLoop, size: int, max_message_size: int) -> None:
        """Put a bound on the reads of a connection that has just been opened.

        Args:
            size: of a read at most, in bytes.
            max_message_size: in bytes; picows refuses frames that are much larger.
        """
        transport = frame_loop.transport.underlying_transport
        # The buffer holds an incomplete frame and one read; picows doubles it when nine tenths are in use.
        most = 3 * (max_message_size + size) + 65536
        transport.set_protocol(
            cls(transport.get_protocol(), size, most, frame_loop.begin_read, frame_loop.abort)
        )

    def get_buffer(self, sizehint: int) -> Any:
        """Give the first part of picows' buffer."""
        self._begin_read()
        buffer = self._get_buffer(sizehint)
        if len(buffer) > self._most:
            self._drop()
        return buffer[: self._size]
