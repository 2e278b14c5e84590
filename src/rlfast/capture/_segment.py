"""Batches into committed segments. Blocking code, for one thread; `rlfast.capture._sink` runs it.

A segment is a span of sequence numbers, with the gaps that were recorded meanwhile. Its files, one per table,
become visible together: each is written under a temporary name and synced, and then all are committed as one
change (`rlfast.capture._transaction`).
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from pathlib import Path
from typing import Literal

from rlfast._core import __version__
from rlfast.capture._file import ParquetFile
from rlfast.capture._files import DEAD_LETTERS, GAPS, explain, final_name, gaps_name
from rlfast.capture._footer import span_metadata
from rlfast.capture._gap_rows import gap_rows
from rlfast.capture._manifest import ManifestEntry, ManifestFile, RunEnd
from rlfast.capture._options import CaptureOptions
from rlfast.capture._rows import BatchRows, TableRows
from rlfast.capture._summary import TypeSummary
from rlfast.capture._transaction import Change, commit, is_under_way
from rlfast.errors import CaptureError
from rlfast.websocket._gaps import Gap

__all__ = ["DatasetWriter", "Segment"]

MAX_PENDING_BYTES = 96 << 20
"""Arrow bytes of all tables that may wait for their row groups; then the largest is written early."""

INITIAL_RATIO = 0.4
"""Expected size on disk per Arrow byte before anything was written."""

Kind = Literal["capture", "recovery"]


class Segment:
    """The files of one segment, until `commit` or `abort`.

    Attributes:
        first_seq, last_seq: the span so far, inclusive.
        rows: messages so far, dead letters included.
        opened_at: clock value of the first rows.
        partition: folders below those of the types, or "".
    """

    def __init__(
        self,
        out: Path,
        stream: str,
        options: CaptureOptions,
        opened_at: float,
        first_seq: int,
        epoch: int = 1,
        partition: str = "",
    ) -> None:
        """Begin an empty segment; nothing is written yet. `epoch` is that of the messages before."""
        self.first_seq = first_seq
        self.last_seq = first_seq - 1
        self.rows = 0
        self.opened_at = opened_at
        self.partition = partition
        self._out = out
        self._stream = stream
        self._options = options
        self._files: dict[str, ParquetFile] = {}
        self._gaps: list[Gap] = []
        self._epochs = (epoch, epoch)
        self._received_at = (0, 0)

    def add(self, rows: BatchRows) -> None:
        """Append rows, which continue the span."""
        if self.rows == 0:
            # Only recovery from a damaged journal leaves numbers out.
            self.first_seq, self.last_seq = rows.first_seq, rows.first_seq - 1
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

    def add_gap(self, gap: Gap) -> None:
        """Append a gap."""
        self._gaps.append(gap)

    def _add_table(self, table: TableRows) -> None:
        folder, _, batch, nbytes = table
        file = self._files.get(folder)
        if file is None:
            path = self._out / folder
            if folder != DEAD_LETTERS:
                path /= self.partition
            path /= final_name(self._stream, self.first_seq)
            file = self._files[folder] = ParquetFile(path, self._options)
        file.add(batch, nbytes)

    def projected_bytes(self, ratio: float) -> int:
        """Size on disk so far, plus what waits at `ratio` disk bytes per Arrow byte."""
        written = sum(file.written_bytes for file in self._files.values())
        return written + int(ratio * sum(file.pending_bytes for file in self._files.values()))

    def measured_ratio(self) -> float | None:
        """Disk bytes per Arrow byte of what was written, None if that is nothing."""
        flushed = sum(file.flushed_bytes for file in self._files.values())
        return sum(file.written_bytes for file in self._files.values()) / flushed if flushed else None

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
                file = self._files[GAPS] = ParquetFile(self._out / GAPS / name, self._options)
                rows = gap_rows(self._stream, self._gaps)
                file.add(rows, rows.nbytes)
            for file in self._files.values():
                path = file.final
                file.close(metadata)
        except OSError as error:
            self.abort()
            raise explain(error, path) from error

    def commit(self, kind: Kind = "capture", end: RunEnd | None = None) -> ManifestEntry:
        """Make the closed segment visible, all of it or nothing. May be called by another thread.

        Raises:
            CaptureError: it cannot be written. Its files are removed, unless the commit was under way
                already: then the next recovery completes it.
        """
        path = self._out
        try:
            for file in self._files.values():
                path = file.final
                file.sync()
        except OSError as error:
            self.abort()
            raise explain(error, path) from error
        entry = self._entry(kind, end)
        temporary = [file.temporary for file in self._files.values()]
        change = Change(entry, tuple(self._relative(path) for path in temporary if path is not None))
        try:
            commit(self._out, change)
        except CaptureError:
            if not is_under_way(self._out):
                self.abort()
            raise
        return entry

    def _entry(self, kind: Kind, end: RunEnd | None) -> ManifestEntry:
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
                ManifestFile(
                    self._relative(file.final), file.rows, file.written_bytes, file.checksum, file.schema
                )
                for file in self._files.values()
            ),
            rlfast=__version__,
            id=secrets.token_hex(8),
            kind=kind,
            gaps=tuple(self._gaps),
            ended_at=end.ended_at if end is not None else None,
            end_reason=end.reason if end is not None else None,
        )

    def _relative(self, path: Path) -> str:
        return path.relative_to(self._out).as_posix()

    def files(self) -> dict[str, ParquetFile]:
        """The files by folder of their table."""
        return self._files

    def abort(self) -> None:
        """Remove the segment's temporary files, whatever state they are in; never raises."""
        for file in self._files.values():
            file.discard()


def _union(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    return min(one[0], other[0]), max(one[1], other[1])


class DatasetWriter:
    """Writes one stream into a data set folder, segment after segment.

    Args:
        out: folder of the data set.
        stream: name of the stream.
        options: rotation and format.
        next_seq: sequence number that the stream goes on with.
        clock: monotonic seconds.
        kind: what is written into the manifest.
        on_commit: called, on the writing thread, with the last sequence number that is committed.
        commits: a thread for what a commit must wait for, the disk; None: the caller's.
        is_pressed: whether the open segment is to be committed whatever its size, because the journal fills
            up.

    Attributes:
        tables: rows, bytes and files of all committed segments, by folder.
        types: event type of each folder.
        files, nbytes: sums of these.
        first_seq, last_seq: span of the messages of all committed segments, None before the first one.
        gaps: gaps committed.
    """

    def __init__(
        self,
        out: Path,
        stream: str,
        options: CaptureOptions,
        clock: Callable[[], float] = time.monotonic,
        *,
        next_seq: int = 0,
        kind: Kind = "capture",
        on_commit: Callable[[int], None] | None = None,
        commits: Executor | None = None,
        is_pressed: Callable[[], bool] | None = None,
    ) -> None:
        """Keep the settings; nothing is written before the first rows."""
        self.tables: dict[str, TypeSummary] = {}
        self.types: dict[str, str] = {}
        self.files = 0
        self.nbytes = 0
        self.first_seq: int | None = None
        self.last_seq: int | None = None
        self.gaps = 0
        self._out = out
        self._stream = stream
        self._options = options
        self._clock = clock
        self._next_seq = next_seq
        self._epoch = 1
        self._kind = kind
        self._on_commit = on_commit
        self._is_pressed = is_pressed
        self._commits = commits
        self._committing: Future[None] | None = None
        self._segment: Segment | None = None
        self._ratio = INITIAL_RATIO

    def add(self, rows: BatchRows) -> None:
        """Append rows; commits the segment if that fills it.

        Raises:
            CaptureError: a file cannot be written; the open segment's files are removed.
        """
        if self._segment is not None and self._segment.rows and self._segment.partition != rows.partition:
            self.commit()
        segment = self._open(rows.partition)
        try:
            segment.add(rows)
            self.types.update((table.folder, table.type) for table in rows.tables if table.type is not None)
        except OSError as error:
            self.abort()
            raise explain(error, self._out) from error
        self._next_seq, self._epoch = rows.last_seq + 1, rows.epochs[1]
        if self._committing is not None and self._committing.done():
            self.wait()
        self.commit_if_due()

    def add_gap(self, gap: Gap) -> None:
        """Append a gap to the open segment."""
        self._open(self._segment.partition if self._segment is not None else "").add_gap(gap)

    def _open(self, partition: str) -> Segment:
        if self._segment is None:
            self._segment = Segment(
                self._out, self._stream, self._options, self._clock(), self._next_seq, self._epoch, partition
            )
        elif not self._segment.rows:
            self._segment.partition = partition
        return self._segment

    def seconds_to_commit(self) -> float | None:
        """Seconds until the open segment is due for its age; None if there is no open segment."""
        if self._segment is None:
            return None
        age = self._clock() - self._segment.opened_at
        return max(0.0, self._options.rotation.interval - age)

    def commit_if_due(self) -> None:
        """Commit the open segment if a bound of the rotation policy is reached, or the journal fills up."""
        segment = self._segment
        if segment is None:
            return
        self._ratio = segment.measured_ratio() or self._ratio
        size, age = segment.projected_bytes(self._ratio), self._clock() - segment.opened_at
        is_free = self._committing is None or self._committing.done()
        if self._options.rotation.due(size, segment.rows, age) or (
            is_free and self._is_pressed is not None and self._is_pressed()
        ):
            self.commit()

    def commit(self, end: RunEnd | None = None) -> None:
        """Commit the open segment, if there is one; with `end`, a segment there must be.

        With a thread for commits, this returns when everything is written and that thread has the rest;
        `wait` waits for it.

        Raises:
            CaptureError: see `Segment.commit`; of this segment, or of the one before.
        """
        if end is not None:
            self._open("")
        segment, self._segment = self._segment, None
        if segment is None:
            return
        segment.close()
        self._ratio = segment.measured_ratio() or self._ratio
        self.wait()
        if self._commits is None:
            self._publish(segment, end)
        else:
            self._committing = self._commits.submit(self._publish, segment, end)

    def wait(self) -> None:
        """Wait for the commit that is under way. Raises its CaptureError."""
        committing, self._committing = self._committing, None
        if committing is not None:
            committing.result()

    def _publish(self, segment: Segment, end: RunEnd | None) -> None:
        entry = segment.commit(self._kind, end)
        for folder, file in segment.files().items():
            total = self.tables.get(folder, TypeSummary(0, 0, 0))
            self.tables[folder] = TypeSummary(
                total.events + file.rows, total.bytes + file.written_bytes, total.files + 1
            )
            self.files += 1
            self.nbytes += file.written_bytes
        self.gaps += len(entry.gaps)
        if segment.rows:
            if self.first_seq is None:
                self.first_seq = segment.first_seq
            self.last_seq = segment.last_seq
        if self._on_commit is not None:
            self._on_commit(segment.last_seq)

    def abort(self) -> None:
        """Drop the open segment and its files, when no commit is under way any more; never raises."""
        with suppress(Exception):
            self.wait()
        segment, self._segment = self._segment, None
        if segment is not None:
            segment.abort()
