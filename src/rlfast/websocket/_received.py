"""What was received, for whoever opens a connection: plain values, whatever the type of the stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from rlfast._core.queue import BlockQueue

__all__ = ["LastReceived", "find_last_received", "plain"]


@dataclass(frozen=True, slots=True)
class LastReceived:
    """The last message of a stream when its next connection is about to be opened.

    Attributes:
        seq: its sequence number.
        epoch: number of the connection that it came by.
        received_at: nanoseconds since 1970-01-01 UTC.
        message: plain Python values if it is JSON, otherwise str, or bytes if it is no UTF-8.
    """

    seq: int
    epoch: int
    received_at: int
    message: Any


def find_last_received(queue: BlockQueue) -> LastReceived | None:
    """The last message of a queue that keeps it; None: there was none."""
    payload = queue.last_payload
    if payload is None:
        return None
    return LastReceived(queue.last_seq, queue.last_epoch, queue.last_received_at, plain(payload))


def plain(payload: bytes) -> Any:
    """JSON as plain Python values, otherwise the text, or the payload itself if it is no UTF-8."""
    try:
        return msgspec.json.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass
    try:
        return payload.decode()
    except UnicodeDecodeError:
        return payload
