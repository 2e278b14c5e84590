"""Dead letters listed, and decoded again with a newer type: ``rlfast dead-letters``, ``rlfast redrive``."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, get_args

import msgspec
import numpy as np

from rlfast._core.block import Block
from rlfast.decode._assembler import BatchAssembler
from rlfast.decode._dead_letters import REJECTED
from rlfast.errors import CaptureError, check_choice, check_int, check_type
from rlfast.schema._decoding import Decoding
from rlfast.schema._envelope import plan_of
from rlfast.schema._names import OwnNames
from rlfast.sinks._files import explain
from rlfast.sinks.parquet._arrow import pa, pc, pq
from rlfast.sinks.parquet._column_types import options_of
from rlfast.sinks.parquet._dataset import DatasetFolder
from rlfast.sinks.parquet._layout import DEAD_LETTERS, GAPS, OTHER, is_type_folder
from rlfast.sinks.parquet._manifest import Manifest
from rlfast.sinks.parquet._options import ParquetOptions, Partition, Timestamps, UUIDFormat
from rlfast.sinks.parquet._rewrite import Rewrite
from rlfast.sinks.parquet._rows import RowMaker, partition_name

__all__ = ["DeadLetterGroup", "Redrive", "RedriveReport", "Sample", "group_dead_letters"]

BLOCK_BYTES = 16 << 20
"""Payload that is decoded at once."""


class Sample(msgspec.Struct, frozen=True):
    """One dead letter."""

    stream: str
    seq: int
    received_at: int
    """Nanoseconds since 1970-01-01 UTC."""
    error: str
    raw: str
    """Beginning of the payload; bytes that are not UTF-8 are escaped."""


class DeadLetterGroup(msgspec.Struct, frozen=True):
    """Dead letters of one reason."""

    reason: str
    count: int
    samples: tuple[Sample, ...]


class RedriveReport(msgspec.Struct, frozen=True):
    """What a redrive did.

    Attributes:
        read: dead letters that were decoded again.
        events: those that are events now, by type.
        left: those that are still dead letters, by reason.
    """

    read: int
    events: dict[str, int]
    left: dict[str, int]


def group_dead_letters(
    dataset: DatasetFolder, samples: int = 3, raw_chars: int = 200
) -> list[DeadLetterGroup]:
    """Return the dead letters of a data set by reason, the most frequent first, with some of each.

    Raises:
        CaptureError: a file cannot be read.
    """
    check_int("samples", samples, 0)
    check_int("raw_chars", raw_chars, 0)
    counts: Counter[str] = Counter()
    found: dict[str, list[Sample]] = defaultdict(list)
    for _, table in _tables(dataset, _streams(dataset.manifest, DEAD_LETTERS)):
        reasons: list[Any] = table["reason"].to_pylist()
        counts.update(reasons)
        for reason in sorted(set(reasons)):
            some = table.filter(pc.equal(table["reason"], reason)).slice(0, samples - len(found[reason]))
            found[reason] += [_sample(row, raw_chars) for row in _plain_times(some).to_pylist()]
    return [DeadLetterGroup(reason, count, tuple(found[reason])) for reason, count in counts.most_common()]


def _plain_times(table: pa.Table) -> pa.Table:
    place = table.column_names.index("received_at")
    return table.set_column(place, "received_at", _nanoseconds(table["received_at"]))


def _nanoseconds(times: Any) -> Any:
    return times.cast(pa.timestamp("ns", "UTC")).cast(pa.int64())


def _sample(row: dict[str, Any], raw_chars: int) -> Sample:
    raw: bytes = row["raw"]
    text = raw[: 4 * raw_chars].decode("utf-8", "backslashreplace")
    shown = text[:raw_chars] + ("…" if len(text) > raw_chars or len(raw) > 4 * raw_chars else "")
    return Sample(row["stream"], row["seq"], row["received_at"], row["error"], shown)


def _tables(dataset: DatasetFolder, paths: Iterable[str]) -> Iterator[tuple[str, pa.Table]]:
    """Yield path and content of files of dead letters."""
    out = dataset.path
    try:
        for path in sorted(paths):
            with pq.ParquetFile(out / path) as file:
                table = file.read()
            yield path, table if path.startswith(f"{DEAD_LETTERS}/") else _as_letters(table)
    except OSError as error:
        raise explain(error, out, "cannot read the dead letters in") from error
    except pa.ArrowException as error:
        raise CaptureError(f"cannot read the dead letters in {out}: {error}") from error


def _as_letters(others: pa.Table) -> pa.Table:
    """Messages of other kinds, in the form of dead letters."""
    json: Any = others["json"].combine_chunks()
    text = json.storage if isinstance(json, pa.ExtensionArray) else json
    reasons = pa.array([OTHER.lstrip("_")] * others.num_rows, pa.utf8())
    table = others.append_column("error", others["reason"]).append_column("raw", text.cast(pa.binary()))
    return table.set_column(table.column_names.index("reason"), "reason", reasons)


def _items(letters: pa.Table) -> Any:
    """Which element of its message each one is; null: the whole message."""
    if "item" in letters.column_names:
        return letters["item"].combine_chunks()
    return pa.nulls(letters.num_rows, pa.int32())


def _streams(manifest: Manifest, *folders: str) -> dict[str, str]:
    """The stream of each file in one of the folders, by path."""
    streams = {file.path: entry.stream for entry in manifest.entries for file in entry.files}
    return {path: streams[path] for path in manifest.files if path.partition("/")[0] in folders}


@dataclass(frozen=True)
class Redrive:
    """The dead letters of a stream, decoded again; see `Dataset.redrive`.

    Raises:
        ConfigError: an argument cannot work.
    """

    decoding: Decoding
    uuid: UUIDFormat | None = None
    timestamps: Timestamps | None = None
    stream: str | None = None

    def __post_init__(self) -> None:
        """Check types and ranges."""
        check_choice("uuid", self.uuid, get_args(UUIDFormat), optional=True)
        check_choice("timestamps", self.timestamps, get_args(Timestamps), optional=True)
        check_type("stream", self.stream, str, optional=True)

    def run(self, dataset: DatasetFolder) -> RedriveReport:
        """Decode, and commit what now fits; each file of dead letters is one commit.

        Raises:
            CaptureError: a file cannot be read or written, there are dead letters of several streams and none
                is named, there is no such stream, or dead letters are elements of messages and the type is no
                list.
            UnsupportedFieldError: the type is none that msgspec can decode.
        """
        events: Counter[str] = Counter()
        left: Counter[str] = Counter()
        read = 0
        splits = self.decoding.type is not None and plan_of(self.decoding).splits
        has_items = splits or self.decoding.framing is not None
        out, manifest = dataset.path, dataset.manifest
        newest = (out / path for path in reversed(manifest.files) if not path.startswith(f"{GAPS}/"))
        options = ParquetOptions(partition_by=_partition_of(manifest), **options_of(newest))
        uuid, timestamps = self.uuid or options.uuid, self.timestamps or options.timestamps
        options = replace(options, uuid=uuid, timestamps=timestamps)
        for path, table in _tables(dataset, _files_of(manifest, self.stream)):
            if not has_items and _items(table).null_count < table.num_rows:
                raise CaptureError(
                    f"dead letters in {out} are elements of messages: the type must be a list of events, or, "
                    "where they are documents of messages, the framing be named"
                )
            assembler = BatchAssembler(self.decoding, other=True)
            assembler.keeps_hook_errors = True
            # Of an envelope, an element's dead letter is a whole message.
            bare = splits and not self.decoding.events_at
            work = _RedriveFile(dataset, path, table, assembler, options, bare)
            work.run()
            read += table.num_rows
            events.update(work.events)
            left.update(work.left)
        dataset.remove_empty_folders()
        return RedriveReport(read, dict(events.most_common()), dict(left.most_common()))


def _files_of(manifest: Manifest, stream: str | None) -> list[str]:
    """The files of dead letters and other messages of a stream, or of the only one that has some."""
    streams = _streams(manifest, DEAD_LETTERS, OTHER)
    names = sorted(set(streams.values()))
    if stream is None and len(names) > 1:
        raise CaptureError(
            f"there are dead letters of several streams: {', '.join(names)}; name the one whose events have "
            "this type (--stream NAME)"
        )
    if stream is not None and all(entry.stream != stream for entry in manifest.entries):
        raise CaptureError(
            f"there is no stream {stream}; those with dead letters: {', '.join(names) or 'none'}"
        )
    return [path for path, name in streams.items() if stream in (None, name)]


def _partition_of(manifest: Manifest) -> Partition | None:
    depth = max((path.count("/") for path in manifest.files if is_type_folder(path)), default=1)
    return ("day", "hour")[min(depth, 3) - 2] if depth > 1 else None


class _RedriveFile:
    """One file of dead letters, decoded again."""

    def __init__(
        self,
        dataset: DatasetFolder,
        path: str,
        table: pa.Table,
        assembler: BatchAssembler,
        options: ParquetOptions,
        bare: bool,
    ) -> None:
        self.events: Counter[str] = Counter()
        self.left: Counter[str] = Counter()
        self._dataset = dataset
        self._path = path
        self._table = table.combine_chunks()
        self._assembler = assembler
        self._options = options
        self._seq = table["seq"].to_numpy()
        self._received_at = _nanoseconds(table["received_at"]).to_numpy()
        self._items = _items(self._table)
        self._bare = bare

    def run(self) -> None:
        stream = str(self._table["stream"][0].as_py())
        batch = self._decode()
        rewrite = Rewrite(self._dataset, stream, "redrive", self._options)
        rows = RowMaker(stream).make(batch, batch.last_seq)
        dead = 0
        try:
            for folder, type_, found, _ in rows.content:
                names = batch.own_names if type_ not in (None, OTHER) else batch.dead_letters.own_names
                # Numbers of the redriven batch are places in the file.
                places = found.column(names.seq).to_numpy()
                if type_ is None:
                    dead = found.num_rows
                    reasons: list[Any] = found.column("reason").to_pylist()
                    self.left.update(reasons)
                elif type_ == OTHER:
                    self.left[OTHER.lstrip("_")] += found.num_rows
                else:
                    self.events[type_] += found.num_rows
                for where, chosen in self._partitions(folder, names, places):
                    part = self._restore(found.take(pa.array(chosen)), names, places[chosen])
                    seqs = self._seq[places[chosen]]
                    rewrite.write(where, [part], int(seqs.min()), int(seqs.max()))
            if not self.events:
                rewrite.discard()
                return
            rewrite.commit([self._path], dead_letters=dead)
        except OSError as error:
            rewrite.discard()
            raise explain(error, self._dataset.path, "cannot redrive in") from error

    def _decode(self) -> Any:
        raws: list[Any] = self._table["raw"].to_pylist()
        reasons: list[Any] = self._table["reason"].to_pylist()
        errors: list[Any] = self._table["error"].to_pylist()
        # An element of a message is decoded as the only one of another.
        for i in np.flatnonzero(self._items.is_valid()) if self._bare else ():
            raws[i] = b"[%b]" % raws[i]
        start = 0
        while start < len(raws):
            stop, size = start, 0
            while stop < len(raws) and (stop == start or size + len(raws[stop]) <= BLOCK_BYTES):
                size += len(raws[stop])
                stop += 1
            block = Block(size)
            cut = {i - start: errors[i] for i in range(start, stop) if reasons[i] in REJECTED}
            block.fill(raws[start:stop], start, cut)
            self._assembler.add(block, 0, block.count)
            start = stop
        return self._assembler.finish()

    def _partitions(self, folder: str, own: OwnNames, places: Any) -> Iterator[tuple[str, Any]]:
        """Folder, and places in the table, of each partition."""
        everything = np.arange(len(places))
        by = self._options.partition_by
        if by is None or folder == DEAD_LETTERS:
            yield folder, everything
            return
        names = np.array([partition_name(int(time), by, own) for time in self._received_at[places]])
        for name in np.unique(names):
            yield f"{folder}/{name}", everything[names == name]

    def _restore(self, batch: pa.RecordBatch, names: OwnNames, places: Any) -> pa.RecordBatch:
        """The rows with seq, epoch, received_at and item of their dead letters."""
        source = self._table.take(pa.array(places))
        columns = list(batch.columns)
        for own in ("seq", "epoch", "received_at"):
            i = batch.schema.get_field_index(getattr(names, own))
            columns[i] = source[own].combine_chunks().cast(batch.schema.field(i).type)
        if names.item is not None:
            i = batch.schema.get_field_index(names.item)
            columns[i] = pc.coalesce(self._items.take(pa.array(places)), columns[i])
        return pa.RecordBatch.from_arrays(columns, schema=batch.schema)
