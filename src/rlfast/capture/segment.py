"""Batches into committed segments. Blocking code, for one thread; `rlfast.capture.sink` runs it.

A segment is a span of sequence numbers. Its files, one per table, become visible together: each is written
under a temporary name and synced; then all are renamed, their folders synced, and one line is appended to
the manifest. Whatever fails before the manifest line takes the segment's files with it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from rlfast.capture.files import DEAD_LETTERS, explain, final_name, sync_folder
from rlfast.capture.manifest import ManifestEntry, ManifestFile, append_entry
from rlfast.capture.options import CaptureOptions
from rlfast.capture.parquet import ParquetFile
from rlfast.capture.rows import BatchRows, TableRows, uuids_as_text
from rlfast.capture.summary import TypeSummary
from rlfast.version import __version__

__all__ = ["DatasetWriter", "Segment"]

MAX_PENDING_BYTES = 96 << 20
"""Arrow bytes of all tables that may wait for their row groups; then the largest is written early."""

INITIAL_RATIO = 0.4
"""Expected size on disk per Arrow byte before anything was written."""


class Segment:
    """The files of one segment, until `commit` or `abort`.

    Attributes:
        first_seq, last_seq: the span so far, inclusive.
        rows: messages so far, dead letters included.
        opened_at: clock value of the first rows.
    """

    def __init__(self, out: Path, stream: str, options: CaptureOptions, opened_at: float) -> None:
        """Begin an empty segment; nothing is written yet."""
        self.first_seq = -1
        self.last_seq = -1
        self.rows = 0
        self.opened_at = opened_at
        self._out = out
        self._stream = stream
        self._options = options
        self._files: dict[str, ParquetFile] = {}
        self._epochs = (0, 0)
        self._received_at = (0, 0)

    def add(self, rows: BatchRows) -> None:
        """Append rows, which continue the span."""
        if self.rows == 0:
            self.first_seq = rows.first_seq
            self._epochs, self._received_at = rows.epochs, rows.received_at
        elif rows.first_seq != self.last_seq + 1:
            raise ValueError(f"batch starts at seq {rows.first_seq} behind {self.last_seq}")
        for table in rows.tables:
            self._add_table(table)
        self._epochs = _union(self._epochs, rows.epochs)
        self._received_at = _union(self._received_at, rows.received_at)
        self.last_seq = rows.last_seq
        self.rows = rows.last_seq - self.first_seq + 1
        while sum(file.pending_bytes for file in self._files.values()) > MAX_PENDING_BYTES:
            max(self._files.values(), key=lambda file: file.pending_bytes).flush()

    def _add_table(self, table: TableRows) -> None:
        folder, batch, nbytes = table
        file = self._files.get(folder)
        if file is None:
            path = self._out / folder / final_name(self._stream, self.first_seq)
            file = self._files[folder] = ParquetFile(path, self._options)
        if self._options.uuid == "text":
            batch = uuids_as_text(batch)
            nbytes = batch.nbytes
        file.add(batch, nbytes)

    def projected_bytes(self, ratio: float) -> int:
        """Size on disk so far, plus what waits at `ratio` disk bytes per Arrow byte."""
        written = sum(file.written_bytes for file in self._files.values())
        return written + int(ratio * sum(file.pending_bytes for file in self._files.values()))

    def measured_ratio(self) -> float | None:
        """Disk bytes per Arrow byte of what was written, None if that is nothing."""
        flushed = sum(file.flushed_bytes for file in self._files.values())
        return sum(file.written_bytes for file in self._files.values()) / flushed if flushed else None

    def commit(self) -> ManifestEntry:
        """Write what waits and make the segment visible, all of it or nothing.

        Raises:
            CaptureError: it cannot be written; the files are removed. Only if it is the manifest that cannot
                be written do the files, which are complete then, stay.
        """
        metadata = {
            "rlfast.stream": self._stream,
            "rlfast.first_seq": str(self.first_seq),
            "rlfast.last_seq": str(self.last_seq),
            "rlfast.version": __version__,
        }
        files = list(self._files.values())
        path = self._out
        try:
            for file in files:
                path = file.final
                file.finish(metadata)
            for file in files:
                path = file.final
                file.publish()
            for file in files:
                path = file.final.parent
                sync_folder(path)
        except OSError as error:
            self.abort()
            raise explain(error, path) from error
        entry = self._entry(files)
        try:
            append_entry(self._out, entry)
        except OSError as error:
            raise explain(error, self._out, "cannot write the manifest in") from error
        return entry

    def _entry(self, files: list[ParquetFile]) -> ManifestEntry:
        dead_letters = self._files[DEAD_LETTERS].rows if DEAD_LETTERS in self._files else 0
        return ManifestEntry(
            stream=self._stream,
            first_seq=self.first_seq,
            last_seq=self.last_seq,
            events=self.rows - dead_letters,
            dead_letters=dead_letters,
            epochs=self._epochs,
            received_at=self._received_at,
            files=tuple(
                ManifestFile(file.final.relative_to(self._out).as_posix(), file.rows, file.written_bytes)
                for file in files
            ),
            rlfast=__version__,
        )

    def files(self) -> dict[str, ParquetFile]:
        """The files by folder."""
        return self._files

    def abort(self) -> None:
        """Remove the segment's files, whatever state they are in; never raises."""
        for file in self._files.values():
            file.discard()


def _union(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    return min(one[0], other[0]), max(one[1], other[1])


class DatasetWriter:
    """Writes one stream into a data set folder, segment after segment.

    Attributes:
        tables: rows, bytes and files of all committed segments, by folder.
        files, nbytes: sums of these.
        first_seq, last_seq: span of all committed segments, None before the first one.
    """

    def __init__(
        self, out: Path, stream: str, options: CaptureOptions, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Keep the settings; nothing is written before the first rows."""
        self.tables: dict[str, TypeSummary] = {}
        self.files = 0
        self.nbytes = 0
        self.first_seq: int | None = None
        self.last_seq: int | None = None
        self._out = out
        self._stream = stream
        self._options = options
        self._clock = clock
        self._segment: Segment | None = None
        self._ratio = INITIAL_RATIO

    def add(self, rows: BatchRows) -> None:
        """Append rows; commits the segment if that fills it.

        Raises:
            CaptureError: a file cannot be written; the open segment's files are removed.
        """
        if self._segment is None:
            self._segment = Segment(self._out, self._stream, self._options, self._clock())
        segment = self._segment
        try:
            segment.add(rows)
        except OSError as error:
            self.abort()
            raise explain(error, self._out) from error
        self.commit_if_due()

    def seconds_to_commit(self) -> float | None:
        """Seconds until the open segment is due for its age; None if there is no open segment."""
        if self._segment is None:
            return None
        age = self._clock() - self._segment.opened_at
        return max(0.0, self._options.rotation.interval - age)

    def commit_if_due(self) -> None:
        """Commit the open segment if a bound of the rotation policy is reached."""
        segment = self._segment
        if segment is None:
            return
        self._ratio = segment.measured_ratio() or self._ratio
        size, age = segment.projected_bytes(self._ratio), self._clock() - segment.opened_at
        if self._options.rotation.due(size, segment.rows, age):
            self.commit()

    def commit(self) -> None:
        """Commit the open segment, if there is one.

        Raises:
            CaptureError: see `Segment.commit`.
        """
        segment, self._segment = self._segment, None
        if segment is None:
            return
        segment.commit()
        self._ratio = segment.measured_ratio() or self._ratio
        for folder, file in segment.files().items():
            total = self.tables.get(folder, TypeSummary(0, 0, 0))
            self.tables[folder] = TypeSummary(
                total.events + file.rows, total.bytes + file.written_bytes, total.files + 1
            )
            self.files += 1
            self.nbytes += file.written_bytes
        if self.first_seq is None:
            self.first_seq = segment.first_seq
        self.last_seq = segment.last_seq

    def abort(self) -> None:
        """Drop the open segment and its files; never raises."""
        segment, self._segment = self._segment, None
        if segment is not None:
            segment.abort()
