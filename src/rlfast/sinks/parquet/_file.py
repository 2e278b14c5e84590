"""One Parquet file in the making, and its encodings."""

from __future__ import annotations

import os
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from xxhash import xxh3_64

from rlfast.sinks._files import ensure_folder, temporary_name, write_all
from rlfast.sinks.parquet._arrow import pa, pc, pq
from rlfast.sinks.parquet._column_types import UUID_KEY, as_written, encoding_of
from rlfast.sinks.parquet._nested import column_type, leaves
from rlfast.sinks.parquet._options import ParquetOptions

__all__ = ["ROW_GROUP_ROWS", "ParquetFile", "schema_fingerprint"]

ROW_GROUP_ROWS = 262_144
"""Rows that are collected for a row group: more cost memory and gain neither size nor speed."""

WRITE_BYTES = 1 << 18
"""What Arrow hands over at once, by a call that takes the GIL: some 40 us to be hashed and written."""

SAMPLE_ROWS = 4096
"""Rows of a file's beginning that tell whether the texts of a column repeat."""


class _HashedFile:
    """What Arrow writes to: a descriptor, which stays its owner's, and a digest of what passes."""

    closed = False

    def __init__(self, fd: int) -> None:
        self.digest = xxh3_64()
        self._fd = fd
        self._size = 0

    def write(self, data: bytes) -> int:
        write_all(self._fd, data)
        self.digest.update(data)
        self._size += len(data)
        return len(data)

    def tell(self) -> int:
        return self._size

    def flush(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True


class ParquetFile:
    """One table's file of a segment, from its first row to its final name.

    Owns the rows that wait for their row group, and from the first row group on a temporary file, until
    `sync` or `discard`. What it raises is OSError.

    Attributes:
        rows: rows added.
        pending_bytes: Arrow bytes of the rows that wait for their row group.
        flushed_bytes: Arrow bytes of the rows that were written.
        written_bytes: bytes in the temporary file so far; after `close`, the size of the file.
        final: the path that the file is to have.
        temporary: the path that it has, None before the first row group.
        checksum: XXH3 of the finished file, in hexadecimal digits; after `close`.
        schema: XXH3 of the Arrow schema, the same way.
    """

    def __init__(self, final: Path, options: ParquetOptions) -> None:
        """Keep the path; the file is created with its first row group."""
        self.final = final
        self.rows = 0
        self.pending_bytes = 0
        self.flushed_bytes = 0
        self.written_bytes = 0
        self._options = options
        self._pending: list[pa.RecordBatch] = []
        self._pending_rows = 0
        self.temporary: Path | None = None
        self.checksum = ""
        self.schema = ""
        self._fd = -1
        self._file: Any = None
        self._sink: Any = None
        self._writer: pq.ParquetWriter | None = None

    def add(self, batch: pa.RecordBatch, nbytes: int) -> None:
        """Append rows of `nbytes` Arrow bytes; writes a row group when there are enough of them."""
        self._pending.append(batch)
        self._pending_rows += batch.num_rows
        self.rows += batch.num_rows
        self.pending_bytes += nbytes
        if self._pending_rows >= ROW_GROUP_ROWS:
            self.flush()

    def flush(self) -> None:
        """Write the rows that wait as one row group, if there are any."""
        if not self._pending:
            return
        # One dictionary per row group: where it changes, the Parquet writer falls back to plain text.
        table = as_written(pa.Table.from_batches(self._pending).unify_dictionaries(), self._options)
        writer = self._writer or self._open(table)
        writer.write_table(table, row_group_size=max(table.num_rows, 1))
        self.written_bytes = self._sink.tell()
        self.flushed_bytes += self.pending_bytes
        self._pending.clear()
        self._pending_rows = self.pending_bytes = 0

    def _open(self, table: pa.Table) -> pq.ParquetWriter:
        ensure_folder(self.final.parent)
        path = self.final.with_name(temporary_name(self.final.name))
        # One descriptor for all: a write error between its close and a later open might go unnoticed.
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
        flags |= getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
        self._fd = os.open(path, flags, 0o666)
        self.temporary = path
        self._file = _HashedFile(self._fd)
        self._sink = pa.BufferedOutputStream(pa.PythonFile(self._file, mode="w"), WRITE_BYTES)
        self.schema = schema_fingerprint(table.schema)
        self._writer = pq.ParquetWriter(self._sink, table.schema, **_writer_settings(table, self._options))
        return self._writer

    def close(self, metadata: Mapping[str, str]) -> None:
        """Write what waits, and the footer with `metadata`. `sync` must follow."""
        self.flush()
        assert self._writer is not None
        self._writer.add_key_value_metadata({**metadata, UUID_KEY: self._options.uuid})
        self._writer.close()
        self._sink.close()
        self.written_bytes = self._file.tell()
        self.checksum = self._file.digest.hexdigest()

    def sync(self) -> None:
        """Make the temporary file durable. May be called by another thread."""
        os.fsync(self._fd)
        self._close_descriptor()

    def discard(self) -> None:
        """Remove the file, whatever state it is in; never raises."""
        self._pending.clear()
        if self.temporary is None:
            return
        if self._fd >= 0:
            _quietly(lambda: os.ftruncate(self._fd, 0))  # Makes room on a full disk for the footer.
        if self._writer is not None:
            _quietly(self._writer.close)
            self._writer.is_open = False  # Or its destructor would try once more, and complain.
        if self._sink is not None:
            _quietly(self._sink.close)
        _quietly(self._close_descriptor)
        _quietly(self.temporary.unlink)
        self.temporary = None

    def _close_descriptor(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def schema_fingerprint(schema: pa.Schema) -> str:
    """XXH3, 64 bits, of the names, types and nullability of all columns, in hexadecimal digits."""
    fields = [f"{field.name}\0{column_type(field)}\0{field.nullable}\n" for field in schema]
    return xxh3_64("".join(fields).encode()).hexdigest()


def _quietly(action: Any) -> None:
    try:
        action()
    except OSError:
        pass


def _writer_settings(table: pa.Table, options: ParquetOptions) -> dict[str, Any]:
    """Encodings by what the first rows hold, as measured.

    Dictionaries pay for text that repeats; deltas for integers and times, and for the lengths of other text,
    because the lengths between the texts would keep the codec busy. Statistics are kept where a reader can
    skip row groups by them; for ids and text they cost and serve nobody, but for the name of the stream.
    """
    dictionary: list[str] = []
    encodings: dict[str, str] = {}
    statistics: list[str] = ["stream"]
    columns = zip(table.schema.names, table.columns, strict=True)
    for path, values in chain.from_iterable(leaves(name, column) for name, column in columns):
        kind = values.type
        if isinstance(kind, pa.BaseExtensionType):
            kind = kind.storage_type
        if pa.types.is_dictionary(kind) or (pa.types.is_string(kind) and _repeats(values)):
            dictionary.append(path)
            continue
        encoding = encoding_of(kind)
        if encoding != "PLAIN":
            encodings[path] = encoding
        if pa.types.is_primitive(kind) and not pa.types.is_boolean(kind):
            statistics.append(path)
    return {
        "compression": options.compression,
        "compression_level": options.compression_level,
        "use_dictionary": dictionary,
        "column_encoding": encodings,
        "write_statistics": statistics,
    }


def _repeats(texts: Any) -> bool:
    """Whether at most half of the texts are distinct, judged by the first ones."""
    sample = texts.slice(0, SAMPLE_ROWS)
    if isinstance(sample.type, pa.BaseExtensionType):
        sample = sample.cast(sample.type.storage_type)
    distinct: int = pc.count_distinct(sample).as_py()
    valid: int = len(sample) - sample.null_count
    return 2 * distinct <= valid
