"""What is in a data set folder: for ``rlfast inspect``.

Everything is read from the Parquet files themselves, segment by segment, so that memory stays bounded by
one segment's sequence numbers (8 bytes each); the manifest is compared with what is found.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from rlfast.errors import CaptureError
from rlfast.sinks._files import explain
from rlfast.sinks.parquet._arrow import pa, pq
from rlfast.sinks.parquet._dataset import DatasetFolder
from rlfast.sinks.parquet._footer import Footer, read_footer
from rlfast.sinks.parquet._layout import (
    DEAD_LETTERS,
    GAPS,
    MANIFEST,
    part_files,
    temporary_files,
    type_of_folder,
)
from rlfast.sinks.parquet._manifest import Manifest
from rlfast.sinks.parquet._schemas import column_changes
from rlfast.websocket._gaps import Gap

__all__ = ["DatasetReport", "StreamReport", "TypeReport", "UnreadableFile", "inspect"]

_READ_ERRORS = (pa.ArrowException, OSError, KeyError, ValueError)

MAX_GAPS = 1_000
"""Gaps that a report lists; all of them are counted."""

MAX_HOLES = 1_000
"""Holes that a report lists per stream; all of them are counted."""


class TypeReport(msgspec.Struct, frozen=True):
    """One type of event."""

    events: int
    """Rows."""
    bytes: int
    """Size of the files."""
    files: int


class StreamReport(msgspec.Struct, frozen=True):
    """One stream: its sequence numbers, dead letters included."""

    messages: int
    """Rows: events and dead letters."""
    first_seq: int
    last_seq: int
    holes: int
    """Runs of sequence numbers between these two that no file has."""
    missing: int
    """Sequence numbers in all holes."""
    hole_list: tuple[tuple[int, int], ...]
    """First and last missing number of each hole, inclusive; the first `MAX_HOLES` of them."""
    duplicates: int
    """Rows whose sequence number, and element of a message, another row has, too."""


class UnreadableFile(msgspec.Struct, frozen=True):
    """A file under a final name that cannot be read, or that rlfast did not write."""

    path: str
    error: str


class DatasetReport(msgspec.Struct, frozen=True):
    """What is in a data set folder."""

    events: int
    dead_letters: int
    dead_letter_reasons: dict[str, int]
    """Dead letters by reason, the most frequent first."""
    bytes: int
    """Size of all readable Parquet files."""
    files: int
    segments: int
    types: dict[str, TypeReport]
    """The most frequent first."""
    received_at: tuple[int, int] | None
    """Earliest and latest time of receipt, in nanoseconds since 1970-01-01 UTC and as exact as the files have
    it; None if there are no rows."""
    streams: dict[str, StreamReport]
    unreadable: tuple[UnreadableFile, ...]
    unfinished: tuple[str, ...]
    """Temporary files: of a capture that is running, or that was killed."""
    unlisted: tuple[str, ...]
    """Readable files that the manifest does not list."""
    lost: tuple[str, ...]
    """Files that the manifest lists and that do not exist."""
    damaged_manifest_lines: tuple[int, ...]
    gaps: tuple[Gap, ...]
    """Times in which messages may have been missed, the first `MAX_GAPS` of them, in the order of the
    commits; without those that the numbers in the messages show."""
    num_gaps: int
    sequence_gaps: tuple[Gap, ...]
    """Those that the numbers in the messages show, the first `MAX_GAPS` of them: see `rlfast.Sequence`."""
    num_sequence_gaps: int
    gap_reasons: dict[str, int]
    """Gaps of both kinds by reason, the most frequent first."""
    schemas: dict[str, tuple[str, ...]]
    """How the columns of their newest file differ from another's, by type (or ``_dead_letters``), for types
    with several schemas: readers take the columns of one file for all."""
    hidden: tuple[str, ...]
    """Folders whose name hides a column from readers that take Hive's keys for columns."""
    uncommitted: dict[str, int]
    """Messages in the journal that are not committed, by stream: of a running capture, or of one that was
    killed, for `recover`."""

    @property
    def healthy(self) -> bool:
        """Whether all files can be read, and no message occurs twice."""
        return not self.unreadable and not any(stream.duplicates for stream in self.streams.values())


class _Part(msgspec.Struct, frozen=True):
    path: Path
    folder: str
    type: str
    stored: Footer
    rows: int
    size: int
    received_at: tuple[int, int] | None
    schema: pa.Schema


def inspect(dataset: DatasetFolder, uncommitted: Callable[[], dict[str, int]]) -> DatasetReport:
    """Look at every file of a data set; `uncommitted` tells what its log has beyond that.

    Raises:
        CaptureError: it cannot be read, or there is nothing of a data set.
    """
    try:
        return _inspect(dataset.path, dataset.manifest, uncommitted)
    except OSError as error:
        raise explain(error, dataset.path, "cannot read") from error


def _inspect(out: Path, manifest: Manifest, uncommitted: Callable[[], dict[str, int]]) -> DatasetReport:
    listed = set(manifest.files)
    parts, unreadable = _read_footers(out)
    paths = {_relative(part.path, out) for part in parts} | {file.path for file in unreadable}
    paths |= {_relative(path, out) for path in (out / GAPS).glob("part-*.parquet")}
    unfinished = tuple(_relative(path, out) for path in temporary_files(out))
    if not paths and not listed and not unfinished:
        raise CaptureError(
            f"{out} holds no data set (no type=*/part-*.parquet, no {MANIFEST}); name the --out of a capture"
        )
    streams, failed = _check_streams(out, parts)
    reasons, failed_too = _count_reasons(out, parts)
    bad = {file.path: file for file in (*unreadable, *failed, *failed_too)}
    parts = [part for part in parts if _relative(part.path, out) not in bad]
    all_gaps = [gap for entry in manifest.entries for gap in entry.gaps]
    gaps = tuple(gap for gap in all_gaps if not gap.is_sequence_gap)
    sequence_gaps = tuple(gap for gap in all_gaps if gap.is_sequence_gap)
    spans = [part.received_at for part in parts if part.received_at is not None]
    dead = [part for part in parts if part.folder == DEAD_LETTERS]
    return DatasetReport(
        events=sum(part.rows for part in parts) - sum(part.rows for part in dead),
        dead_letters=sum(part.rows for part in dead),
        dead_letter_reasons=reasons,
        bytes=sum(part.size for part in parts),
        files=len(parts),
        segments=len({(part.stored.stream, part.stored.first_seq) for part in parts}),
        types=_count_types(parts),
        received_at=(min(low for low, _ in spans), max(high for _, high in spans)) if spans else None,
        streams=streams,
        unreadable=tuple(bad[path] for path in sorted(bad)),
        unfinished=unfinished,
        unlisted=tuple(sorted(paths - listed - set(bad))),
        lost=tuple(sorted(listed - paths)),
        damaged_manifest_lines=manifest.damaged_lines,
        gaps=gaps[:MAX_GAPS],
        num_gaps=len(gaps),
        sequence_gaps=sequence_gaps[:MAX_GAPS],
        num_sequence_gaps=len(sequence_gaps),
        gap_reasons=dict(Counter(gap.reason for gap in all_gaps).most_common()),
        schemas=_several_schemas(parts, manifest, out),
        hidden=tuple(sorted({name for part in parts for name in _hiding(part, out)})),
        uncommitted=uncommitted(),
    )


def _relative(path: Path, out: Path) -> str:
    return path.relative_to(out).as_posix()


def _unreadable(path: Path, out: Path, error: Exception) -> UnreadableFile:
    return UnreadableFile(_relative(path, out), " ".join(str(error).split()))


def _read_footers(out: Path) -> tuple[list[_Part], list[UnreadableFile]]:
    parts: list[_Part] = []
    unreadable: list[UnreadableFile] = []
    for path in part_files(out):
        try:
            footer = pq.read_metadata(path)
            stored = read_footer(footer.metadata)
            folder = path.relative_to(out).parts[0]
            parts.append(
                _Part(
                    path=path,
                    folder=folder,
                    type=type_of_folder(folder) if stored.type is None else stored.type,
                    stored=stored,
                    rows=footer.num_rows,
                    size=path.stat().st_size,
                    received_at=_received_span(footer, stored.names.received_at),
                    schema=footer.schema.to_arrow_schema(),
                )
            )
        except _READ_ERRORS as error:
            unreadable.append(_unreadable(path, out, error))
    return parts, unreadable


def _received_span(footer: Any, name: str) -> tuple[int, int] | None:
    """Range of the times in column `name`, in nanoseconds, from the statistics of all row groups."""
    names = [footer.schema.column(i).path for i in range(footer.num_columns)]
    column = names.index(name)
    groups = [footer.row_group(i).column(column).statistics for i in range(footer.num_row_groups)]
    lows = [group.min_raw for group in groups if group is not None and group.has_min_max]
    highs = [group.max_raw for group in groups if group is not None and group.has_min_max]
    unit = footer.schema.to_arrow_schema().field(name).type.unit
    scale = 1 if unit == "ns" else 1000
    return (scale * min(lows), scale * max(highs)) if lows else None


def _count_types(parts: Iterable[_Part]) -> dict[str, TypeReport]:
    by_type: dict[str, list[_Part]] = defaultdict(list)
    for part in parts:
        if part.folder != DEAD_LETTERS:
            by_type[part.type].append(part)
    reports = {
        name: TypeReport(sum(part.rows for part in found), sum(part.size for part in found), len(found))
        for name, found in by_type.items()
    }
    return dict(sorted(reports.items(), key=lambda item: -item[1].events))


def _several_schemas(parts: Iterable[_Part], manifest: Manifest, out: Path) -> dict[str, tuple[str, ...]]:
    order = {path: i for i, path in enumerate(manifest.files)}
    by_type: dict[str, list[_Part]] = defaultdict(list)
    for part in sorted(parts, key=lambda part: order.get(_relative(part.path, out), -1)):
        by_type[DEAD_LETTERS if part.folder == DEAD_LETTERS else part.type].append(part)
    found = {}
    for name, files in by_type.items():
        changes = (column_changes(part.schema, files[-1].schema) for part in reversed(files))
        found[name] = tuple(next(filter(None, changes), ()))
    return {name: changes for name, changes in found.items() if changes}


def _hiding(part: _Part, out: Path) -> Iterator[str]:
    """Folders of a file that are called like one of its columns."""
    columns = {name.lower() for name in part.schema.names}
    for folder in part.path.relative_to(out).parent.parts:
        key, equals, _ = folder.partition("=")
        if equals and key.lower() in columns:
            yield folder


def _count_reasons(out: Path, parts: Iterable[_Part]) -> tuple[dict[str, int], list[UnreadableFile]]:
    reasons: Counter[str] = Counter()
    unreadable: list[UnreadableFile] = []
    for part in parts:
        if part.folder == DEAD_LETTERS:
            try:
                reasons.update(_read_column(part.path, "reason").to_pylist())
            except _READ_ERRORS as error:
                unreadable.append(_unreadable(part.path, out, error))
    return dict(reasons.most_common()), unreadable


def _read_column(path: Path, name: str) -> Any:
    # ParquetFile, because pyarrow's read functions make a column of the folder's name.
    with pq.ParquetFile(path) as file:
        return file.read(columns=[name])[name]


def _check_streams(out: Path, parts: Iterable[_Part]) -> tuple[dict[str, StreamReport], list[UnreadableFile]]:
    """Merge the sequence numbers of each segment's files, and follow them from segment to segment."""
    by_stream: dict[str, list[_Part]] = defaultdict(list)
    for part in parts:
        by_stream[part.stored.stream].append(part)
    unreadable: list[UnreadableFile] = []
    reports = {}
    for stream, found in sorted(by_stream.items()):
        check = _SequenceCheck()
        for group in _overlapping(found):
            check.add(*_read_places(out, group, unreadable))
        if check.messages:
            reports[stream] = check.report()
    return reports, unreadable


def _overlapping(parts: Iterable[_Part]) -> Iterator[list[_Part]]:
    """Yield the parts in groups whose spans overlap: the files of one segment, as a rule."""
    group: list[_Part] = []
    end = -1
    for part in sorted(parts, key=lambda part: part.stored.first_seq):
        if group and part.stored.first_seq > end:
            yield group
            group = []
        group.append(part)
        end = max(end, part.stored.last_seq)
    if group:
        yield group


def _read_places(out: Path, parts: Iterable[_Part], unreadable: list[UnreadableFile]) -> tuple[Any, Any]:
    """Sequence number of each row, sorted, and which element of its message it is; -1: the whole message."""
    import numpy as np

    seqs, items = [], []
    for part in parts:
        name = "item" if part.folder == DEAD_LETTERS else part.stored.names.item
        try:
            seqs.append(_read_column(part.path, part.stored.names.seq).to_numpy())
            if name is not None and name in part.schema.names:
                items.append(_read_column(part.path, name).fill_null(-1).to_numpy())
            else:
                items.append(np.full(len(seqs[-1]), -1, np.int32))
        except _READ_ERRORS as error:
            del seqs[len(items) :]
            unreadable.append(_unreadable(part.path, out, error))
    seq = np.concatenate(seqs) if seqs else np.zeros(0, np.int64)
    item = np.concatenate(items) if items else np.zeros(0, np.int32)
    if (item < 0).all():
        seq.sort(kind="stable")  # Runs that are sorted already: a merge.
        return seq, item
    order = np.lexsort((item, seq))
    return seq[order], item[order]


class _SequenceCheck:
    """Follows the sorted sequence numbers of one stream, segment by segment."""

    def __init__(self) -> None:
        self.messages = 0
        self._first = 0
        self._last = -1
        self._holes = 0
        self._missing = 0
        self._duplicates = 0
        self._list: list[tuple[int, int]] = []

    def add(self, seqs: Any, items: Any) -> None:
        """Take the next sorted numbers, which lie behind those before, and elements of their messages."""
        import numpy as np

        if len(seqs) == 0:
            return
        if self.messages == 0:
            self._first = int(seqs[0])
            self._last = self._first - 1
        self.messages += len(seqs)
        steps = np.diff(seqs, prepend=self._last)
        self._duplicates += int(((steps == 0) & (np.diff(items, prepend=-2) == 0)).sum())
        after = np.flatnonzero(steps > 1)
        self._holes += len(after)
        self._missing += int((steps[after] - 1).sum())
        for i in after[: MAX_HOLES - len(self._list)]:
            self._list.append((int(seqs[i] - steps[i]) + 1, int(seqs[i]) - 1))
        self._last = int(seqs[-1])

    def report(self) -> StreamReport:
        return StreamReport(
            messages=self.messages,
            first_seq=self._first,
            last_seq=self._last,
            holes=self._holes,
            missing=self._missing,
            hole_list=tuple(self._list),
            duplicates=self._duplicates,
        )
