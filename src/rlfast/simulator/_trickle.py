"""Sending slowly: how many bytes of a frame may leave now."""

from __future__ import annotations

__all__ = ["Trickle"]

CATCH_UP = 0.1
"""Seconds of bytes that may follow at once after a pause; more would be a burst and no longer slow."""


class Trickle:
    """Cuts frames into pieces that leave at a number of bytes per second.

    Owns the part of one frame that is yet to be sent. Times are seconds of the event loop's clock.

    Attributes:
        rest: what of the current frame was not taken yet; empty between two frames.
        due: when the next byte may leave.
    """

    __slots__ = ("_rate", "due", "rest")

    def __init__(self, bytes_per_second: float, now: float) -> None:
        """Begin without a frame; its first byte may leave at once."""
        self.rest = memoryview(b"")
        self.due = now
        self._rate = bytes_per_second

    def take(self, now: float) -> memoryview:
        """Return the bytes of the frame that may leave now, perhaps none."""
        self.due = max(self.due, now - CATCH_UP)
        # The nudge outweighs the rounding of the sum, or a timer would fire just before what it waits for.
        return self._cut(max(0, int((now - self.due) * self._rate + 1e-6) + 1) if now >= self.due else 0)

    def take_all(self) -> memoryview:
        """Return the rest of the frame, early; what comes next waits so much longer."""
        return self._cut(len(self.rest))

    def _cut(self, count: int) -> memoryview:
        piece, self.rest = self.rest[:count], self.rest[count:]
        self.due += len(piece) / self._rate
        return piece
