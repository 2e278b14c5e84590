"""What a capture reports: while it runs, and at its end."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

__all__ = ["CaptureProgress", "CaptureSummary", "StopReason", "TypeSummary"]

StopReason = Literal["stopped", "duration", "max_events", "end_of_stream", "connection_failed"]
"""Why a capture ended: the stop event, one of the two bounds, the server's close, or a network error."""


class TypeSummary(msgspec.Struct, frozen=True):
    """What a capture wrote for one type of event."""

    events: int
    """Rows."""
    bytes: int
    """Size of the files."""
    files: int


class CaptureProgress(msgspec.Struct, frozen=True):
    """State of a running capture."""

    seconds: float
    """Since its start."""
    connected: bool
    events: int
    """Events received and handed to the writer."""
    dead_letters: int
    payload_bytes: int
    """JSON of these events and dead letters."""
    backlog_bytes: int
    """Payload that waits: in the connection's blocks, or for the writing thread."""
    spilled_bytes: int
    """Payload that waits in the journal alone."""
    journal_bytes: int
    """Of the journal's files that hold something uncommitted."""
    paused: bool
    """Whether the socket is paused because of the backlog."""
    gaps: int
    """Disconnects, and the time since the last run."""
    sequence_gaps: int
    """Gaps in the numbers of messages: see `rlfast.Sequence`."""
    reconnects: int
    files: int
    """Files committed."""
    bytes: int
    """Their size."""


class CaptureSummary(msgspec.Struct, frozen=True):
    """Result of a capture. Everything it counts is committed to disk."""

    stream: str
    """Name of the stream."""
    reason: StopReason
    events: int
    """Events written."""
    dead_letters: int
    """Messages written that could not be decoded."""
    types: dict[str, TypeSummary]
    """Events by type, the most frequent first; dead letters are not in here."""
    payload_bytes: int
    """JSON received for what was written. Where `max_events` cut a batch, in proportion to its rows."""
    bytes: int
    """Size of all files, dead letters included."""
    files: int
    gaps: int
    """Times in which messages may have been missed: disconnects, and the time since the last run."""
    sequence_gaps: int
    """Gaps in the numbers of messages, as far as they are listed one by one: see `rlfast.Sequence`."""
    checked_numbers: int
    """Numbers in messages that were looked at for that; 0 if no message has one."""
    unchecked_numbers: int
    """Those that could not be compared: see `rlfast.ConnectionStats`."""
    gap_reasons: dict[str, int]
    """How many gaps of both kinds there were of each reason, with what the peer's close frame said; most
    frequent first."""
    reconnects: int
    discarded: int
    """Messages received beyond `max_events`, or after the close was sent, and not written."""
    receiving_seconds: float
    """From the open connection until nothing more was taken from it: the stop, or the end of the stream."""
    seconds: float
    """From the open connection to the last commit, the closing included."""
    first_seq: int | None
    """Sequence number of the first message written; None if there was none."""
    last_seq: int | None
    """Sequence number of the last message written."""
    error: str | None
    """The network error that ended the stream, with `reason` ``connection_failed``."""

    @property
    def interrupted(self) -> bool:
        """Whether the stop event ended the capture."""
        return self.reason == "stopped"

    def as_dict(self) -> dict[str, Any]:
        """Return the fields, and `interrupted`, as plain values for JSON."""
        values: dict[str, Any] = msgspec.to_builtins(self)
        return {**values, "interrupted": self.interrupted}
