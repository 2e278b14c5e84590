"""One Parquet file in the making, and its encodings."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any

from xxhash import xxh3_64

from rlfast.sinks._files import ensure_folder, temporary_name, write_all
from rlfast.sinks.parquet._arrow import pa, pc
from rlfast.sinks.parquet._column_types import UUID_KEY, as_written, encoding_of
from rlfast.sinks.parquet._nested import column_type, leaves
from rlfast.sinks.parquet._options import ParquetOptions
from rlfast.sinks.parquet._row_groups import MAGIC, FileFooter, RowGroup, encode

__all__ = ["MAX_ENCODING_BYTES", "ParquetFile", "encoding_threads", "schema_fingerprint"]

ROW_GROUP_ROWS = 262_144
"""Rows that are collected for a row group: more cost memory and gain neither size nor speed."""

ROW_GROUP_BYTES = 32 << 20
"""Arrow bytes that are. The last row group of a file is encoded when nothing else is left to do: larger ones
keep a capture waiting at its end, smaller ones repeat the dictionaries of wide tables too often."""

MAX_ENCODING_BYTES = 64 << 20
"""Arrow bytes that may be in row groups that are being encoded; then the first of them is waited for."""

SAMPLE_ROWS = (4096, 16_384)
"""Rows of a file's beginning that tell whether the texts of a column repeat: more where the first are not
enough, for names of thousands of users."""


class ParquetFile:
    """One table's file of a segment, from its first row to its final name.

    Owns the rows that wait for their row group, the row groups that are being encoded, and from the first one
    that is written on a temporary file, until `sync` or `discard`. What it raises is OSError.

    Attributes:
        rows: rows added.
        pending_bytes: Arrow bytes of the rows that wait for their row group.
        encoding_bytes: Arrow bytes of the rows that are being encoded.
        flushed_bytes: Arrow bytes of the rows that were written.
        written_bytes: bytes in the temporary file so far; after `close`, the size of the file.
        final: the path that the file is to have.
        temporary: the path that it has, None before the first row group.
        checksum: XXH3 of the finished file, in hexadecimal digits; after `close`.
        schema: XXH3 of the Arrow schema, the same way.
    """

    def __init__(self, final: Path, options: ParquetOptions, encoders: Executor) -> None:
        """Keep the path; the file is created with its first row group. `encoders` are threads."""
        self.final = final
        self.rows = 0
        self.pending_bytes = 0
        self.encoding_bytes = 0
        self.flushed_bytes = 0
        self.written_bytes = 0
        self._options = options
        self._encoders = encoders
        self._pending: list[pa.RecordBatch] = []
        self._pending_rows = 0
        self._settings: dict[str, Any] | None = None
        self._encoding: deque[tuple[Future[RowGroup], int]] = deque()
        self.temporary: Path | None = None
        self.checksum = ""
        self.schema = ""
        self._fd = -1
        self._digest = xxh3_64()
        self._footer = FileFooter()

    def add(self, batch: pa.RecordBatch, nbytes: int) -> None:
        """Append rows of `nbytes` Arrow bytes; begins a row group when there are enough of them."""
        self._pending.append(batch)
        self._pending_rows += batch.num_rows
        self.rows += batch.num_rows
        self.pending_bytes += nbytes
        if self._pending_rows >= ROW_GROUP_ROWS or self.pending_bytes >= ROW_GROUP_BYTES:
            self.flush()

    def flush(self) -> None:
        """Have the rows that wait encoded as one row group, if there are any."""
        if not self._pending:
            return
        # One dictionary per row group: where it changes, the Parquet writer falls back to plain text.
        table = as_written(pa.Table.from_batches(self._pending).unify_dictionaries(), self._options)
        if self._settings is None:
            self._settings = _writer_settings(table, self._options)
            self.schema = schema_fingerprint(table.schema)
        encoding = self._encoders.submit(encode, table, self._settings)
        self._encoding.append((encoding, self.pending_bytes))
        self.encoding_bytes += self.pending_bytes
        self._pending.clear()
        self._pending_rows = self.pending_bytes = 0

    def write_encoded(self, *, wait: bool = False) -> None:
        """Write the row groups that are encoded, in order; with `wait`, at least the first one."""
        while self._encoding and (wait or self._encoding[0][0].done()):
            encoding, nbytes = self._encoding.popleft()
            group = encoding.result()
            if self.temporary is None:
                self._open()
            self._footer.add(group, self.written_bytes)
            self._write(group.pages)
            self.encoding_bytes -= nbytes
            self.flushed_bytes += nbytes
            wait = False

    def _open(self) -> None:
        ensure_folder(self.final.parent)
        path = self.final.with_name(temporary_name(self.final.name))
        # One descriptor for all: a write error between its close and a later open might go unnoticed.
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
        flags |= getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
        self._fd = os.open(path, flags, 0o666)
        self.temporary = path
        self._write(MAGIC)

    def _write(self, data: bytes | memoryview) -> None:
        write_all(self._fd, data)
        self._digest.update(data)
        self.written_bytes += len(data)

    def close(self, metadata: Mapping[str, str]) -> None:
        """Write what is left, and the footer with `metadata`. `sync` must follow."""
        self.flush()
        while self._encoding:
            self.write_encoded(wait=True)
        self._write(self._footer.to_bytes({**metadata, UUID_KEY: self._options.uuid}))
        self.checksum = self._digest.hexdigest()

    def sync(self) -> None:
        """Make the temporary file durable. May be called by another thread."""
        os.fsync(self._fd)
        self._close_descriptor()

    def discard(self) -> None:
        """Remove the file, whatever state it is in; never raises."""
        self._pending.clear()
        while self._encoding:
            self._encoding.pop()[0].cancel()
        if self.temporary is None:
            return
        _quietly(self._close_descriptor)
        _quietly(self.temporary.unlink)
        self.temporary = None

    def _close_descriptor(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def encoding_threads() -> ThreadPoolExecutor:
    """Return threads that encode row groups, as many as there are cores, up to four."""
    return ThreadPoolExecutor(min(4, os.cpu_count() or 1), "rlfast-encode")


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
    for rows in SAMPLE_ROWS:
        sample = texts.slice(0, rows)
        if isinstance(sample.type, pa.BaseExtensionType):
            sample = sample.cast(sample.type.storage_type)
        distinct: int = pc.count_distinct(sample).as_py()
        valid: int = len(sample) - sample.null_count
        if 2 * distinct <= valid:
            return True
        if 10 * distinct > 9 * valid:
            break
    return False
