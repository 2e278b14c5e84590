"""How the files of a data set are written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from rlfast.errors import ConfigError, check_choice, check_int

__all__ = ["Compression", "ParquetOptions", "Partition", "SchemaChange", "Timestamps", "UUIDFormat"]

Compression = Literal["zstd", "lz4", "none"]
Timestamps = Literal["us", "ns"]
UUIDFormat = Literal["text", "binary"]
Partition = Literal["hour", "day"]
SchemaChange = Literal["refuse", "allow"]

DEFAULT_COMPRESSION: Compression = "zstd"
TARGET_BYTES = 128 << 20
"""Of a merged file, at most."""


@dataclass(frozen=True, slots=True)
class ParquetOptions:
    """How the files of a data set are written.

    Attributes:
        compression: codec of the Parquet pages; ``none`` writes fastest, ``zstd`` smallest.
        compression_level: level of the codec, None for its default (1 for zstd).
        timestamps: ``us`` writes times in whole microseconds, rounded down, which every reader takes; ``ns``
            as they were measured, in nanoseconds, which Spark and Delta refuse.
        uuid: ``text`` writes UUIDs as canonical text of 36 characters, which every reader takes and compares
            with text; ``binary`` as 16 bytes with Parquet's UUID type, which is smaller and faster, and
            which pandas, Spark and Delta refuse or take for bytes.
        partition_by: makes folders of the hour or the day (UTC) of receipt below those of the types.
        schema_change: whether a capture may begin whose files would have other columns than those of its
            types that the folder holds: readers take the columns of one file for all.

    Raises:
        ConfigError: a value is out of range.
    """

    compression: Compression = DEFAULT_COMPRESSION
    compression_level: int | None = None
    timestamps: Timestamps = "us"
    uuid: UUIDFormat = "text"
    partition_by: Partition | None = None
    schema_change: SchemaChange = "refuse"

    def __post_init__(self) -> None:
        """Check types and ranges."""
        check_choice("compression", self.compression, get_args(Compression))
        check_choice("timestamps", self.timestamps, get_args(Timestamps))
        check_choice("uuid", self.uuid, get_args(UUIDFormat))
        if self.compression_level is not None:
            if self.compression != "zstd":
                raise ConfigError(
                    f"compression_level has a meaning for zstd only, not for {self.compression}"
                )
            check_int("compression_level", self.compression_level, 1, 22)
        check_choice("partition_by", self.partition_by, get_args(Partition), optional=True)
        check_choice("schema_change", self.schema_change, get_args(SchemaChange))
