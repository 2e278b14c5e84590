"""A bound on what one socket read brings in."""

from __future__ import annotations

import asyncio
from typing import Any


class BoundedReads(asyncio.BufferedProtocol):
    """Stands between a transport and picows' protocol, whose buffer doubles while reads fill it.

    Without it one read takes all that the kernel holds (``tcp_rmem``, up to 32 MiB): more than the queue may
    hold, more than a core's cache, and long enough to keep everything else in the event loop waiting.

    Attributes:
        reads: socket reads so far.

    Args:
        protocol: what the transport would call.
        size: of a read at most, in bytes.
    """

    def __init__(self, protocol: Any, size: int) -> None:
        self.reads = 0
        self._size = size
        self._get_buffer = protocol.get_buffer
        # The transport's calls go past this object, except the one that matters.
        for name in ("buffer_updated", "connection_lost", "eof_received", "pause_writing", "resume_writing"):
            setattr(self, name, getattr(protocol, name))

    @classmethod
    def install(cls, transport: Any, size: int) -> None:
        """Put a bound on the reads of an asyncio transport, unless its connection is lost already."""
        protocol = transport.get_protocol()
        if protocol is not None:
            transport.set_protocol(cls(protocol, size))

    def get_buffer(self, sizehint: int) -> Any:
        """Give the first part of picows' buffer."""
        self.reads += 1
        return self._get_buffer(sizehint)[: self._size]
