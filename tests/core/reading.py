"""A reader of queues for tests."""

from __future__ import annotations

from rlfast._core.messages import MessageReader
from rlfast._core.queue import BlockQueue
from rlfast.errors import UsageError

OVERHEAD = 24  # what a queued message counts beside its payload


def reader_of(queue: BlockQueue) -> MessageReader:
    """A reader whose messages are (payload, rejection or None)."""
    return MessageReader(
        queue,
        lambda payload: (bytes(memoryview(payload)), None),
        lambda error, raw, seq, rejection: (raw, rejection),
        UsageError,
    )
