"""Data sets at rest: opened, looked at, and changed with what a capture left in its log in its place."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from rlfast.capture._recovery import recover_into
from rlfast.capture._wal import stored_wal_files, wal_end, wal_folders
from rlfast.errors import CaptureError, UsageError, check_int, check_path, check_type
from rlfast.schema._decoding import Decoding, DecodingArguments
from rlfast.schema._names import distinct_names
from rlfast.sinks._base import StreamState
from rlfast.sinks.parquet._arrow import pa, pq
from rlfast.sinks.parquet._compaction import Compaction, CompactionReport
from rlfast.sinks.parquet._dataset import DatasetFolder
from rlfast.sinks.parquet._dead_letters import DeadLetterGroup, Redrive, RedriveReport, group_dead_letters
from rlfast.sinks.parquet._footer import read_footer
from rlfast.sinks.parquet._inspect import DatasetReport, inspect
from rlfast.sinks.parquet._layout import DEAD_LETTERS, GAPS, is_type_folder, type_of_folder
from rlfast.sinks.parquet._manifest import ManifestEntry, ManifestFile
from rlfast.sinks.parquet._options import Compression, Timestamps, UUIDFormat
from rlfast.sinks.parquet._sink import ParquetSink
from rlfast.websocket._gaps import Gap

if TYPE_CHECKING:
    import duckdb
    import polars as pl
    from typing_extensions import Unpack

__all__ = ["Dataset", "Table", "compact", "inspect_dataset", "list_dead_letters", "open_dataset", "redrive"]


class Table(NamedTuple):
    """The files of one event type, of the dead letters, or of the gaps."""

    paths: tuple[Path, ...]
    """In the order of the commits."""
    rows: int
    bytes: int


class Dataset(DatasetFolder):
    """The folder of a capture, as readers see it; made by `open_dataset`.

    What it tells is what the manifest lists: files of a commit that is not complete, or that were merged into
    others, are none of it. It is as of when it was opened; what a capture commits later is seen by opening it
    again.

    Attributes:
        path: the folder.
        manifest: what is committed.
    """

    # -- for those who read -------------------------------------------------------------------------------

    @property
    def streams(self) -> dict[str, StreamState]:
        """Every stream by name, with up to where it is committed."""
        names = dict.fromkeys(entry.stream for entry in self.manifest.entries)
        return {name: self.committed(name) for name in names}

    @property
    def segments(self) -> tuple[ManifestEntry, ...]:
        """The commits that brought messages, gaps or the end of a run, in their order."""
        return tuple(entry for entry in self.manifest.entries if entry.is_segment)

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """Every time in which messages may have been missed, in the order of the commits."""
        return tuple(gap for entry in self.segments for gap in entry.gaps)

    @property
    def tables(self) -> dict[str, Table]:
        """The files of each event type.

        Those of a type that was given a field with one of our names later are in two folders, and our own
        columns have two names, until ``compact(unify=True)`` has made them one.

        Raises:
            CaptureError: a file cannot be read.
        """
        by_folder: dict[str, list[ManifestFile]] = defaultdict(list)
        for file in self.manifest.files.values():
            by_folder[file.path.partition("/")[0]].append(file)
        by_type: dict[str, list[ManifestFile]] = defaultdict(list)
        for folder, files in by_folder.items():
            if is_type_folder(folder):
                try:
                    # A long name is cut in the folder's; the footer has it in full.
                    type_ = read_footer(pq.read_metadata(self.path / files[0].path).metadata).type
                except (OSError, ValueError, pa.ArrowException) as error:
                    raise CaptureError(f"cannot read {self.path / files[0].path}: {error}") from error
                by_type[type_of_folder(folder) if type_ is None else type_] += files
        return {type_: self._table(files) for type_, files in by_type.items()}

    def _table(self, files: list[ManifestFile]) -> Table:
        return Table(
            tuple(self.path / file.path for file in files),
            sum(file.rows for file in files),
            sum(file.bytes for file in files),
        )

    def _of_folder(self, folder: str) -> Table:
        files = self.manifest.files.items()
        return self._table([file for path, file in files if path.startswith(f"{folder}/")])

    def _named(self, type_: str) -> Table:
        """The files of an event type, or of "_dead_letters" or "_gaps", unless a type is called so."""
        check_type("type", type_, str)
        tables = self.tables
        if type_ not in tables and type_ in (DEAD_LETTERS, GAPS):
            return self._of_folder(type_)
        if type_ not in tables:
            raise UsageError(
                f"{self.path} has no type {type_}; it has: {', '.join(sorted(tables)) or 'none'}"
            )
        return tables[type_]

    def to_arrow(self, type: str) -> pa.Table:
        """Read all rows of an event type, or of ``_dead_letters`` or ``_gaps``.

        Columns that some files do not have are null there.

        Raises:
            UsageError: there is no such type.
            CaptureError: a file cannot be read.
        """
        try:
            tables = [pq.ParquetFile(path).read() for path in self._named(type).paths]
            tables = [table.replace_schema_metadata(None) for table in tables]
            return pa.concat_tables(tables, promote_options="permissive") if tables else pa.table({})
        except (OSError, pa.ArrowException) as error:
            raise CaptureError(f"cannot read the files of {type} in {self.path}: {error}") from error

    def scan_polars(self, type: str) -> pl.LazyFrame:
        """Return a lazy frame of an event type, or of ``_dead_letters`` or ``_gaps``; needs polars.

        Raises:
            UsageError: there is no such type.
        """
        import polars

        paths = list(self._named(type).paths)
        if not paths:
            return polars.LazyFrame()
        frames = [polars.scan_parquet(path, hive_partitioning=False, glob=False) for path in paths]
        return polars.concat(frames, how="diagonal_relaxed")

    def duckdb(self, connection: duckdb.DuckDBPyConnection | None = None) -> duckdb.DuckDBPyConnection:
        """Make a view of each event type, and of ``_dead_letters`` and ``_gaps``, in DuckDB; needs duckdb.

        Args:
            connection: where; None: in a new database, in memory.

        Returns:
            The connection. The views are of the files that there are now. DuckDB takes names that differ in
            case only as the same: the view of a second such type ends in ``_1``, of a third in ``_2``.
        """
        import duckdb

        connection = connection or duckdb.connect()
        tables = {name: self._of_folder(name) for name in (DEAD_LETTERS, GAPS)} | self.tables
        for name, table in zip(distinct_names(tables), tables.values(), strict=True):
            if table.paths:
                view = '"' + name.replace('"', '""') + '"'
                paths = ", ".join("'" + str(path).replace("'", "''") + "'" for path in table.paths)
                connection.execute(
                    f"create or replace view {view} as select * from "  # noqa: S608 - both are quoted
                    f"read_parquet([{paths}], union_by_name = true, hive_partitioning = false)"
                )
        return connection

    # -- what is wrong with it, and what can be made better ------------------------------------------------

    @property
    def dead_letters(self) -> list[DeadLetterGroup]:
        """The messages that could not be decoded, by reason, the most frequent first, with samples.

        All of them are ``to_arrow("_dead_letters")``.

        Raises:
            CaptureError: a file cannot be read.
        """
        return group_dead_letters(self)

    def compact(self, **options: Any) -> CompactionReport:
        """Merge files of one table, one partition and one stream that follow each other.

        Each merge is one commit: who goes by the manifest sees either the old files or the new one. Who goes
        by the names in the folders may, for the moment between the two, see both. May be killed, and called
        again.

        Args:
            target_bytes: size of the new files at most, as a sum of the old ones'; 128 MiB by default.
            compression: codec of the new files; ``zstd`` by default.
            unify: also write files anew whose columns differ from those of other files of their type, so that
                the type has one schema, where that loses nothing; and those in folders whose name hides a
                column.
            progress: called with the files merged so far, and to merge in all.

        Raises:
            CaptureError: a capture is running, or a file cannot be read or written.
        """
        report: CompactionReport = self._change("compaction", Compaction(**options).run)
        return report

    def redrive(self, type: Any, **options: Any) -> RedriveReport:
        """Decode the dead letters of a stream again, with `type`, and commit what now fits; the rest stays.

        Events keep the seq, epoch and received_at of their dead letter. Each file of dead letters is one
        commit: either its old state or its new one is there. May be killed, and called again.

        Args:
            type: what a message is, as in msgspec; None for any JSON.
            uuid: as in `ParquetOptions`; None, the default, for what the newest files have.
            timestamps: the same.
            stream: whose dead letters; needed if there are some of several streams, because the type of one
                can take those of another for its own.
            events_at, framing, strict, dec_hook, nan, surrogates: how they are decoded, as in
                `rlfast.connect`.

        Raises:
            CaptureError: a capture is running, a file cannot be read or written, there are dead letters of
                several streams and none is named, or there is no such stream.
            UnsupportedFieldError: the type is none that msgspec can decode.
        """
        report: RedriveReport = self._change("redrive", _redrive(type, options).run)
        return report

    def inspect(self) -> DatasetReport:
        """Look at every file, at the manifest and at the log.

        Raises:
            CaptureError: there is nothing of a data set, or it cannot be read.
        """
        return inspect(self, lambda: _uncommitted(self))

    def _change(self, work: str, change: Callable[[DatasetFolder], Any]) -> Any:
        """Make a change, as the only one who writes, with what a capture left in its log in its place."""
        self._acquire(work)
        try:
            sink = ParquetSink(self.path)
            sink.use(self)
            recover_into(sink, self.opened)
            return change(self)
        finally:
            self.close()


def open_dataset(path: str | Path) -> Dataset:
    """Open the folder of a capture, to read it, or to change it as a whole.

    Reading needs no lock and works while a capture is running: it goes by what was committed when the folder
    was opened.

    Raises:
        CaptureError: it is not a folder, or cannot be read.
        MissingExtraError: pyarrow is not installed.
    """
    return Dataset(check_path("path", path))


def compact(
    out: str | Path,
    target_bytes: int = Compaction.target_bytes,
    compression: Compression = Compaction.compression,
    *,
    unify: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> CompactionReport:
    """Merge small files; see `Dataset.compact`."""
    out = check_path("out", out)
    arguments = {
        "target_bytes": target_bytes,
        "compression": compression,
        "unify": unify,
        "progress": progress,
    }
    Compaction(**arguments)  # type: ignore[arg-type]
    return open_dataset(out).compact(**arguments)


def redrive(
    out: str | Path,
    type: Any,
    uuid: UUIDFormat | None = None,
    timestamps: Timestamps | None = None,
    *,
    stream: str | None = None,
    **arguments: Unpack[DecodingArguments],
) -> RedriveReport:
    """Decode the dead letters of a stream again; see `Dataset.redrive`."""
    out = check_path("out", out)
    options = {"uuid": uuid, "timestamps": timestamps, "stream": stream, **arguments}
    _redrive(type, options)
    return open_dataset(out).redrive(type, **options)


def _redrive(type_: Any, options: Mapping[str, Any]) -> Redrive:
    how = DecodingArguments.__optional_keys__
    rest = {key: value for key, value in options.items() if key not in how}
    return Redrive(Decoding(type_, **{key: options[key] for key in options.keys() & how}), **rest)


def list_dead_letters(out: str | Path, samples: int = 3, raw_chars: int = 200) -> list[DeadLetterGroup]:
    """Return the dead letters of a data set by reason, the most frequent first, with some of each.

    Raises:
        CaptureError: a file cannot be read.
    """
    out = check_path("out", out)
    check_int("samples", samples, 0)
    check_int("raw_chars", raw_chars, 0)
    return group_dead_letters(DatasetFolder(out), samples, raw_chars)


def inspect_dataset(out: str | Path) -> DatasetReport:
    """Look at every file of a data set, at its manifest and at its log.

    Raises:
        CaptureError: it is not the folder of a data set, or cannot be read.
        MissingExtraError: pyarrow is not installed.
    """
    return Dataset(check_path("out", out)).inspect()


def _uncommitted(dataset: DatasetFolder) -> dict[str, int]:
    """Messages in the logs that are not committed, by stream."""
    found = {}
    for folder in wal_folders(dataset.path):
        segments = stored_wal_files(folder)
        if segments:
            stream = segments[-1].info.stream
            entries = dataset.manifest.segments(stream)
            committed = max((entry.last_seq for entry in entries), default=-1) + 1
            found[stream] = max(0, wal_end(dataset.path, stream) - committed)
    return {stream: count for stream, count in found.items() if count}
