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

    The frame loop is told when a read begins: picows does not say so, nor that it refused a frame.

    Args:
        protocol: what the transport would call.
        size: of a read at most, in bytes.
        begin_read: called before each read.
    """

    def __init__(self, protocol: Any, size: int, begin_read: Callable[[], None]) -> None:
        self._size = size
        self._begin_read = begin_read
        self._get_buffer = protocol.get_buffer
        # The transport's calls go past this object, except the one that matters.
        for name in ("buffer_updated", "connection_lost", "eof_received", "pause_writing", "resume_writing"):
            setattr(self, name, getattr(protocol, name))

    @classmethod
    def install(cls, frame_loop: FrameLoop, size: int) -> None:
        """Put a bound on the reads of a connection that has just been opened."""
        transport = frame_loop.transport.underlying_transport
        transport.set_protocol(cls(transport.get_protocol(), size, frame_loop.begin_read))

    def get_buffer(self, sizehint: int) -> Any:
        """Give the first part of picows' buffer."""
        self._begin_read()
        return self._get_buffer(sizehint)[: self._size]
