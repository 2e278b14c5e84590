"""What a capture is told to do. Plain values and pure functions; nothing here touches a file or a clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from rlfast.errors import ConfigError, check_choice, check_int, check_number, check_type

__all__ = [
    "CaptureOptions",
    "Durability",
    "RotationPolicy",
]

Durability = Literal["none", "process", "machine"]

MIB = 1 << 20
LONGEST_INTERVAL = 366 * 86_400.0


@dataclass(frozen=True, slots=True)
class RotationPolicy:
    """When what was written is committed: at the first of three bounds.

    Attributes:
        max_bytes: size of a commit, in bytes: of Parquet, that of all its files, compressed. Rows that are
            collected for the next row group count with their expected size, so the files come close to it.
        max_rows: rows in a commit, dead letters included.
        interval: seconds from the first row to the commit. It holds when no events arrive, too: the
            longest time that a received event stays invisible to readers.

    Raises:
        ConfigError: a value is out of range.
    """

    max_bytes: int = 128 * MIB
    max_rows: int = 10_000_000
    interval: float = 60.0

    def __post_init__(self) -> None:
        """Check types and ranges."""
        check_int("RotationPolicy.max_bytes", self.max_bytes, 1)
        check_int("RotationPolicy.max_rows", self.max_rows, 1)
        _check_seconds("RotationPolicy.interval", self.interval)

    def due(self, nbytes: int, rows: int, age: float) -> bool:
        """Tell whether what has this size, row count and age in seconds is to be committed."""
        return nbytes >= self.max_bytes or rows >= self.max_rows or age >= self.interval


@dataclass(frozen=True, slots=True)
class CaptureOptions:
    """Settings of a capture.

    Attributes:
        rotation: when what was written is committed, and becomes visible.
        max_events: events to write, then stop; None for no bound. Dead letters do not count.
        duration: seconds to capture, then stop; None for no bound.
        batch_rows: most messages per batch, which is the unit of work of the writing thread.
        batch_wait: longest time in seconds that a message waits for its batch to fill.
        progress_interval: seconds between two calls of the progress callback.
        durability: what received messages survive before they are committed: ``process`` the end of the
            process, however it ends; ``machine`` a loss of power too, up to `sync_interval`; ``none``
            neither.
        sync_interval: seconds between two syncs of the journal, with ``machine``.
        journal_bytes: bound of the journal's files. At half of it the open segment is committed; when it is
            reached, the socket is paused.
        max_backlog: bytes of messages that may wait in the journal alone when those in memory have reached
            ``high_water``; then the socket is paused. 0 pauses it at once. Needs a journal.
        min_free: bytes of the file system that are left free: with less, a capture does not begin, and one
            that is running ends with an error while there still is room to commit.

    Raises:
        ConfigError: a value is out of range.
    """

    rotation: RotationPolicy = field(default_factory=RotationPolicy)
    max_events: int | None = None
    duration: float | None = None
    batch_rows: int = 65_536
    batch_wait: float = 0.25
    progress_interval: float = 0.5
    durability: Durability = "process"
    sync_interval: float = 0.1
    journal_bytes: int = 1024 * MIB
    max_backlog: int = 0
    min_free: int = 256 * MIB

    def __post_init__(self) -> None:
        """Check types and ranges."""
        check_type("rotation", self.rotation, RotationPolicy)
        check_int("max_events", self.max_events, 1, optional=True)
        _check_seconds("duration", self.duration, optional=True)
        check_int("batch_rows", self.batch_rows, 1)
        _check_seconds("batch_wait", self.batch_wait)
        _check_seconds("progress_interval", self.progress_interval)
        check_choice("durability", self.durability, get_args(Durability))
        _check_seconds("sync_interval", self.sync_interval)
        check_int("journal_bytes", self.journal_bytes, 4 * MIB)
        check_int("max_backlog", self.max_backlog, 0)
        check_int("min_free", self.min_free, 0)
        if self.max_backlog and self.durability == "none":
            raise ConfigError("max_backlog needs a journal; set durability to process or machine")
        if self.max_backlog >= self.journal_bytes // 2 and self.max_backlog:
            raise ConfigError("max_backlog must be less than half of journal_bytes")


def _check_seconds(name: str, value: float | None, *, optional: bool = False) -> None:
    check_number(name, value, 0, LONGEST_INTERVAL, above=True, note="seconds", optional=optional)
