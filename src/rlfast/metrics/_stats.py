"""Counters of a connection."""

from __future__ import annotations

import msgspec

__all__ = ["ConnectionStats"]


class ConnectionStats(msgspec.Struct, frozen=True):
    """Counters of a connection since its start, over all epochs."""

    messages: int
    """Messages received and kept."""
    payload_bytes: int
    """Their payloads, in bytes."""
    epoch: int
    """Number of the current or last connection, from ``options.first_epoch``."""
    reconnects: int
    queued_bytes: int
    """Waiting to be read: payload, plus 24 bytes for each message."""
    peak_queued_bytes: int
    spilled_bytes: int
    """Waiting to be read, but in a capture's journal only, counted the same way."""
    allocated_bytes: int
    """Memory of all blocks: queued, handed out and free."""
    paused: bool
    """Whether the socket is paused because too much is waiting."""
    pauses: int
    decode_errors: int
    """Messages that raised in message mode."""
    unknown_events: int
    """Messages that came as `UnknownEvent` in message mode."""
    fast_events: int
    """Messages that the compiled decoder took in batch mode."""
    fallback_events: int
    """Messages that it left to msgspec, five to twenty times slower; dead letters are among them."""
    dead_letters: int
    """Messages that became dead letters in batch mode."""
    binary_messages: int
    oversized_messages: int
    duplicate_messages: int
    """Messages that were left out because they had been received: see `Resume`."""
    discarded_messages: int
    """Messages that arrived after `close`."""
    ignored_messages: int
    """Keep-alives that are no part of the stream: those of `ignore`, and of a `Reply` with ``ignore``."""
    replies: int
    """Answers that were sent by `reply`."""
    checked_numbers: int
    """Numbers in messages that were compared with the one before, or were the first: see `Sequence`."""
    sequence_gaps: int
    """Those of them that did not follow."""
    skipped_numbers: int
    """Numbers that were jumped over: so many messages are missing, unless they come later."""
    unchecked_numbers: int
    """Numbers that could not be compared: no integers, of a name beyond the first 65,536, or of one that
    has more than 256 bytes."""
