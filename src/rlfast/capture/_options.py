"""What a capture is told to do. Plain values and pure functions; nothing here touches a file or a clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from rlfast.errors import ConfigError, check_choice, check_int, check_number, check_type

__all__ = [
    "CaptureOptions",
    "Compression",
    "Durability",
    "Partition",
    "RotationPolicy",
    "SchemaChange",
    "Timestamps",
    "UUIDFormat",
]

Compression = Literal["zstd", "lz4", "none"]
Timestamps = Literal["us", "ns"]
UUIDFormat = Literal["text", "binary"]
Durability = Literal["none", "process", "machine"]
Partition = Literal["hour", "day"]
SchemaChange = Literal["refuse", "allow"]

MIB = 1 << 20
LONGEST_INTERVAL = 366 * 86_400.0


@dataclass(frozen=True, slots=True)
class RotationPolicy:
    """When a segment is committed and the next one begun: at the first of three bounds.

    Attributes:
        max_bytes: size of all files of a segment, compressed, in bytes. Rows that are collected for the next
            row group count with their expected size, so the files come close to this bound.
        max_rows: rows in a segment, dead letters included.
        interval: seconds from a segment's first row to its commit. It holds when no events arrive, too: the
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
        """Tell whether a segment with this size, row count and age in seconds is to be committed."""
        return nbytes >= self.max_bytes or rows >= self.max_rows or age >= self.interval


@dataclass(frozen=True, slots=True)
class CaptureOptions:
    """Settings of a capture.

    Attributes:
        rotation: when files are closed and become visible.
        compression: codec of the Parquet pages; ``none`` writes fastest, ``zstd`` smallest.
        compression_level: level of the codec, None for its default (1 for zstd).
        timestamps: ``us`` writes times in whole microseconds, rounded down, which every reader takes; ``ns``
            as they were measured, in nanoseconds, which Spark and Delta refuse.
        uuid: ``text`` writes UUIDs as canonical text of 36 characters, which every reader takes and compares
            with text; ``binary`` as 16 bytes with Parquet's UUID type, which is smaller and faster, and
            which pandas, Spark and Delta refuse or take for bytes.
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
        partition_by: makes folders of the hour or the day (UTC) of receipt below those of the types.
        schema_change: whether a capture may begin whose files would have other columns than those of its
            types that the folder holds: readers take the columns of one file for all.

    Raises:
        ConfigError: a value is out of range.
    """

    rotation: RotationPolicy = field(default_factory=RotationPolicy)
    compression: Compression = "zstd"
    compression_level: int | None = None
    timestamps: Timestamps = "us"
    uuid: UUIDFormat = "text"
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
    partition_by: Partition | None = None
    schema_change: SchemaChange = "refuse"

    def __post_init__(self) -> None:
        """Check types and ranges."""
        check_type("rotation", self.rotation, RotationPolicy)
        check_choice("compression", self.compression, get_args(Compression))
        check_choice("timestamps", self.timestamps, get_args(Timestamps))
        check_choice("uuid", self.uuid, get_args(UUIDFormat))
        if self.compression_level is not None:
            if self.compression != "zstd":
                raise ConfigError(
                    f"compression_level has a meaning for zstd only, not for {self.compression}"
                )
            check_int("compression_level", self.compression_level, 1, 22)
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
        check_choice("partition_by", self.partition_by, get_args(Partition), optional=True)
        check_choice("schema_change", self.schema_change, get_args(SchemaChange))


def _check_seconds(name: str, value: float | None, *, optional: bool = False) -> None:
    check_number(name, value, 0, LONGEST_INTERVAL, above=True, note="seconds", optional=optional)
