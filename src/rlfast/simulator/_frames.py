"""Payloads as ready-made WebSocket frames, so that sending a million of them is a few hundred writes."""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_right
from collections.abc import Sequence

from rlfast.errors import ConfigError

__all__ = ["FrameSequence", "text_frame"]

SLICE_BYTES = 256 * 1024
"""How much one write takes: large enough that the cost of the call vanishes, small enough to stay fair."""

_MIN_BLOB_BYTES = 2 * SLICE_BYTES
"""A small pool is laid out several times over, or each write would carry only that pool."""


def text_frame(payload: bytes) -> bytes:
    """Return one unfragmented, unmasked text frame (RFC 6455 section 5.2)."""
    size = len(payload)
    if size < 126:
        return bytes((0x81, size)) + payload
    if size < 1 << 16:
        return struct.pack("!BBH", 0x81, 126, size) + payload
    return struct.pack("!BBQ", 0x81, 127, size) + payload


class FrameSequence:
    """An endless sequence of frames: a pool, repeated.

    Owns the encoded bytes and lends views of them; the bytes are immutable, so a view stays valid for ever.
    Positions count frames from 0.
    """

    __slots__ = ("_blob", "_count", "_offsets")

    def __init__(self, payloads: Sequence[bytes]) -> None:
        """Encode the pool.

        Raises:
            ConfigError: there are no payloads.
        """
        if not payloads:
            raise ConfigError("a frame sequence needs at least one payload")
        frames = [text_frame(payload) for payload in payloads]
        frames *= max(1, -(-_MIN_BLOB_BYTES // sum(map(len, frames))))
        offsets = array("Q", [0])
        end = 0
        for frame in frames:
            end += len(frame)
            offsets.append(end)
        self._count = len(frames)
        self._offsets = offsets
        self._blob = memoryview(b"".join(frames))

    def take(self, position: int, limit: int | None) -> tuple[memoryview, int]:
        """Return whole frames from a position on, about `SLICE_BYTES` at most.

        Args:
            position: the first frame wanted.
            limit: the largest number of frames, at least 1; None means no limit.

        Returns:
            The bytes, and how many frames they are: at least one, even if it is larger than a slice.
        """
        offsets = self._offsets
        first = position % self._count
        last = max(first + 1, bisect_right(offsets, offsets[first] + SLICE_BYTES) - 1)
        if limit is not None:
            last = min(last, first + limit)
        return self._blob[offsets[first] : offsets[last]], last - first
