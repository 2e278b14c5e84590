"""The files of one commit of a stream. Blocking code.

A segment is a span of sequence numbers, with the gaps that were recorded meanwhile. Its files, one per table,
become visible together: each is written under a temporary name and synced, and then all are committed as one
change (`Dataset.commit`).
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Literal

from rlfast._core import __version__
from rlfast.errors import CaptureError
from rlfast.sinks._base import Rows, RunEnd
from rlfast.sinks._files import explain
from rlfast.sinks.parquet._dataset import DatasetFolder
from rlfast.sinks.parquet._file import MAX_ENCODING_BYTES, ParquetFile, encoding_threads
from rlfast.sinks.parquet._footer import span_metadata
from rlfast.sinks.parquet._gap_rows import gap_rows
from rlfast.sinks.parquet._layout import DEAD_LETTERS, GAPS, OTHER, final_name, gaps_name
from rlfast.sinks.parquet._manifest import ManifestEntry, ManifestFile
from rlfast.sinks.parquet._options import ParquetOptions
from rlfast.sinks.parquet._rows import TableRows
from rlfast.sinks.parquet._transaction import Change
from rlfast.websocket._gaps import Gap
from rlfast.websocket._resume import Mark

__all__ = ["Segment"]

MAX_PENDING_BYTES = 64 << 20
"""Arrow bytes of all tables that may wait for their row groups; then the largest begins early."""
Kind = Literal["capture", "recovery"]


class Segment:
    """The files of one segment, until `commit` or `abort`.

    Attributes:
        first_seq, last_seq: the span so far, inclusive.
        rows: messages so far, dead letters included.
        partition: folders below those of the types, or "".
        files: by folder of their table.
        types: event type of each folder.
    """

    def __init__(
        self,
        dataset: DatasetFolder,
        stream: str,
        options: ParquetOptions,
        first_seq: int,
        epoch: int = 1,
        partition: str = "",
    ) -> None:
        """Begin an empty segment; nothing is written yet. `epoch` is that of the messages before."""
        self.first_seq = first_seq
        self.last_seq = first_seq - 1
        self.rows = 0
        self.partition = partition
        self._dataset = dataset
        self._out = dataset.path
        self._stream = stream
        self._options = options
        self._encoders = encoding_threads()
        self.files: dict[str, ParquetFile] = {}
        self.types: dict[str, str] = {}
        self._gaps: list[Gap] = []
        self._epochs = (epoch, epoch)
        self._received_at = (0, 0)

    def add(self, rows: Rows) -> None:
        """Append rows, which continue the span."""
        if self.rows == 0:
            # Only recovery from a damaged journal leaves numbers out.
            self.first_seq, self.last_seq = rows.first_seq, rows.first_seq - 1
            self._epochs, self._received_at = rows.epochs, rows.received_at
        elif rows.first_seq != self.last_seq + 1:
            raise ValueError(f"batch starts at seq {rows.first_seq} behind {self.last_seq}")
        for table in rows.content:
            self._add_table(table)
        self._epochs = _union(self._epochs, rows.epochs)
        self._received_at = _union(self._received_at, rows.received_at)
        self.last_seq = rows.last_seq
        self.rows = rows.last_seq - self.first_seq + 1
        files = self.files.values()
        while sum(file.pending_bytes for file in files) > MAX_PENDING_BYTES:
            max(files, key=lambda file: file.pending_bytes).flush()
        for file in files:
            file.write_encoded()
        while sum(file.encoding_bytes for file in files) > MAX_ENCODING_BYTES:
            max(files, key=lambda file: file.encoding_bytes).write_encoded(wait=True)

    def add_gap(self, gap: Gap) -> None:
        """Append a gap."""
        self._gaps.append(gap)

    def _add_table(self, table: TableRows) -> None:
        folder, type_, batch, nbytes = table
        if type_ is not None:
            self.types[folder] = type_
        file = self.files.get(folder)
        if file is None:
            path = self._out / folder
            if folder != DEAD_LETTERS:
                path /= self.partition
            path /= final_name(self._stream, self.first_seq)
            file = self.files[folder] = ParquetFile(path, self._options, self._encoders)
        file.add(batch, nbytes)

    def projected_bytes(self, ratio: float) -> int:
        """Size on disk so far, plus what waits at `ratio` disk bytes per Arrow byte."""
        files = self.files.values()
        waiting = sum(file.pending_bytes + file.encoding_bytes for file in files)
        return sum(file.written_bytes for file in files) + int(ratio * waiting)

    def measured_ratio(self) -> float | None:
        """Disk bytes per Arrow byte of what was written, None if that is nothing."""
        flushed = sum(file.flushed_bytes for file in self.files.values())
        return sum(file.written_bytes for file in self.files.values()) / flushed if flushed else None

    def close(self) -> None:
        """Write what waits. `commit` must follow.

        Raises:
            CaptureError: it cannot be written; its files are removed.
        """
        metadata = span_metadata(self._stream, self.first_seq, self.last_seq)
        path = self._out
        try:
            if self._gaps:
                name = gaps_name(self._stream, self.first_seq, self._gaps[0].disconnected_at)
                file = self.files[GAPS] = ParquetFile(self._out / GAPS / name, self._options, self._encoders)
                rows = gap_rows(self._stream, self._gaps)
                file.add(rows, rows.nbytes)
            for file in self.files.values():
                file.flush()
            for file in self.files.values():
                path = file.final
                file.close(metadata)
            self._encoders.shutdown()
        except OSError as error:
            self.abort()
            raise explain(error, path) from error

    def commit(self, kind: Kind = "capture", end: RunEnd | None = None, resume: Mark | None = None) -> None:
        """Make the closed segment visible, all of it or nothing. May be called by another thread.

        Raises:
            CaptureError: it cannot be written. Its files are removed, unless the commit was under way
                already: then the next recovery completes it.
        """
        path = self._out
        try:
            for file in self.files.values():
                path = file.final
                file.sync()
        except OSError as error:
            self.abort()
            raise explain(error, path) from error
        entry = self._entry(kind, end, resume)
        temporary = [file.temporary for file in self.files.values()]
        change = Change(entry, tuple(self._relative(path) for path in temporary if path is not None))
        try:
            self._dataset.commit(change)
        except CaptureError:
            if not self._dataset.is_under_way:
                self.abort()
            raise

    def _entry(self, kind: Kind, end: RunEnd | None, resume: Mark | None) -> ManifestEntry:
        rows = {folder: file.rows for folder, file in self.files.items() if folder != GAPS}
        dead_letters = rows.pop(DEAD_LETTERS, 0)
        rows.pop(OTHER, None)
        return ManifestEntry(
            stream=self._stream,
            first_seq=self.first_seq,
            last_seq=self.last_seq,
            events=sum(rows.values()),
            dead_letters=dead_letters,
            epochs=self._epochs,
            received_at=self._received_at,
            files=tuple(
                ManifestFile(
                    self._relative(file.final), file.rows, file.written_bytes, file.checksum, file.schema
                )
                for file in self.files.values()
            ),
            rlfast=__version__,
            id=secrets.token_hex(8),
            kind=kind,
            gaps=tuple(self._gaps),
            ended_at=end.ended_at if end is not None else None,
            end_reason=end.reason if end is not None else None,
            resume=resume,
        )

    def _relative(self, path: Path) -> str:
        return path.relative_to(self._out).as_posix()

    def abort(self) -> None:
        """Remove the segment's temporary files, whatever state they are in; never raises."""
        for file in self.files.values():
            file.discard()
        self._encoders.shutdown(wait=False)


def _union(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    return min(one[0], other[0]), max(one[1], other[1])
