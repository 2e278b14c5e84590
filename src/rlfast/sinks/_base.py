"""Where the batches of a capture go: what a sink must do, and what it is told.

A sink keeps rows and gaps of streams, and with each commit a `StreamState`, which says up to where. The
capture does the rest: it keeps a write-ahead log of what is received and not committed yet, decides when to
commit, and after a crash replays the log into the sink, as if it came from the network. All that a sink has
to promise is that a commit is one: its rows, its gaps and its state are there together, for good, or none of
them is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec

from rlfast.websocket._resume import Mark

if TYPE_CHECKING:
    from rlfast.decode._batch import EventBatch
    from rlfast.schema._decoding import Decoding
    from rlfast.websocket._gaps import Gap

__all__ = ["Opened", "Rows", "RunEnd", "Sink", "StreamState", "StreamWriter"]


class RunEnd(NamedTuple):
    """When the run of a capture ended, and how: for the gap between it and the next one."""

    ended_at: int
    """Nanoseconds since 1970-01-01 UTC."""
    reason: str
    """``capture_stopped`` or ``crashed``."""


class Opened(NamedTuple):
    """What was mended when a sink was opened."""

    commit: Literal["completed", "taken_back"] | None = None
    """What became of a commit that was under way; None if none was."""
    removed: tuple[str, ...] = ()
    """Temporary files that were removed."""


class StreamState(msgspec.Struct, frozen=True):
    """Up to where a stream is committed: a sink's to keep, the capture's to make and to understand."""

    next_seq: int = 0
    """Sequence number of the next message; 0 if there was none."""
    next_epoch: int = 1
    """Number of the next connection."""
    commits: int = 0
    """So far."""
    alive_at: int = 0
    """Last sign of life in what is committed, in nanoseconds since 1970-01-01 UTC."""
    end: RunEnd | None = None
    """How the run ended, if that is committed. A run without an end is at work, or has crashed."""
    resume: Mark | None = None
    """Where the stream goes on with the server, for ``connect(resume=…)``: behind the last message that is
    committed."""

    @property
    def last_end(self) -> RunEnd | None:
        """How the last run ended, if none is at work; None if there was none."""
        if not self.commits:
            return None
        return self.end or RunEnd(self.alive_at, "crashed")


class Rows(NamedTuple):
    """What a batch, or a part of one, becomes in a sink: all messages of a span of sequence numbers."""

    first_seq: int
    last_seq: int
    """Inclusive."""
    counts: Mapping[str | None, int]
    """Rows by event type; None stands for the dead letters."""
    epochs: tuple[int, int]
    """Number of the first and of the last connection."""
    received_at: tuple[int, int]
    """Earliest and latest, in nanoseconds since 1970-01-01 UTC."""
    content: Any
    """What the sink writes."""
    unit: str = ""
    """Rows of another unit, such as the next hour, begin another commit."""
    resume: Mark | None = None
    """The capture's: where the stream goes on with the server, behind the last one."""

    @classmethod
    def of(cls, batch: EventBatch, last_seq: int, content: Any) -> Rows:
        """Describe the messages of a batch up to `last_seq`, for sinks that need no more of it."""
        import numpy as np

        counts: dict[str | None, int] = {}
        epochs: list[int] = []
        times: list[int] = []
        for type_, table in (*batch.items(), (None, batch.dead_letters)):
            names = table.own_names
            rows = int(np.searchsorted(table[names.seq], last_seq, side="right")) if table.num_rows else 0
            if rows:
                counts[type_] = rows
                epochs += (int(table[names.epoch][0]), int(table[names.epoch][rows - 1]))
                received = table[names.received_at][:rows].view(np.int64)
                # The wall clock may be set back while events arrive.
                times += (int(received.min()), int(received.max()))
        return cls(
            batch.first_seq, last_seq, counts, (min(epochs), max(epochs)), (min(times), max(times)), content
        )


class StreamWriter(ABC):
    """Writes one stream into a sink. Every method but `prepare` is called by one thread, which may wait.

    What a method raises ends the capture, as a `CaptureError` best; what is not committed stays in the log.
    """

    #: Bytes and files that were committed, in all and by event type; zero where a sink has no files.
    nbytes = 0
    files = 0
    sizes: Mapping[str, tuple[int, int]] = {}

    @abstractmethod
    def prepare(self, batch: EventBatch, last_seq: int) -> Sequence[Rows]:
        """Return what is to be written of a batch: its messages up to `last_seq`, in order.

        Called on the event loop, and to be quick.
        """

    @abstractmethod
    def write(self, rows: Rows) -> int:
        """Take rows, which continue those before. Returns the size in bytes of the open commit."""

    @abstractmethod
    def add_gap(self, gap: Gap) -> None:
        """Take a gap; it belongs between the rows before it and those behind it."""

    @abstractmethod
    def commit(self, state: StreamState) -> Callable[[], None] | None:
        """Make everything since the last commit visible, together with `state`; all of it or nothing.

        What has to wait for a disk, or a network, may be returned as a function: it is called by another
        thread, after that of the commit before, while this one goes on. A writer returns one for each commit,
        or for none.
        """

    @abstractmethod
    def abort(self) -> None:
        """Forget what was written since the last commit; never raises."""


class Sink(ABC):
    """Where the batches of a capture go; give one to `rlfast.capture.capture`.

    Attributes:
        folder: on a local disk, for the write-ahead log and a lock. The capture makes it before it calls
            `open`.
    """

    folder: Path

    @abstractmethod
    def open(self, work: str) -> Opened:
        """Become the only one who writes there; complete, or take back, a commit that was under way.

        Args:
            work: what for, such as "capture of host/path", for the error that another one gets.

        Raises:
            CaptureError: another one is at work, or something cannot be read or written.
        """

    @abstractmethod
    def close(self) -> None:
        """Let others write there; does nothing the second time, or when `open` has failed."""

    @abstractmethod
    def state(self, stream: str) -> StreamState:
        """Return the state of a stream's last commit; ``StreamState()`` if there was none."""

    @abstractmethod
    def gaps(self, stream: str) -> Collection[Gap]:
        """Return every gap of a stream that is committed."""

    @abstractmethod
    def writer(self, stream: str, settings: Mapping[str, Any] | None = None) -> StreamWriter:
        """Return what writes a stream from its `state` on.

        Args:
            stream: its name.
            settings: None, or, after a crash, those of the sink that the log is from.
        """

    def streams(self) -> Collection[str]:
        """Return the names of the streams that are there, for error texts."""
        return ()

    def how_to_recover(self, folder: Path) -> str:
        """Return what a user does about a log that was left, for error texts; `folder` is where it is now."""
        return "pass the sink to rlfast.capture.recover"

    def settings(self) -> dict[str, Any]:
        """Return, as plain values for JSON, what a crash must not change: it is kept in the log."""
        return {}

    def check(self, stream: str, decoding: Decoding) -> None:  # noqa: B027 - most sinks take whatever comes
        """Refuse a stream that does not fit what is there, before its connection is opened.

        Raises:
            CaptureError: it does not fit.
        """
