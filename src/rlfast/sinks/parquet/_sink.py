"""The sink that writes a data set of Parquet files."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlfast.errors import check_path, check_type
from rlfast.sinks._base import Opened, Rows, Sink, StreamState, StreamWriter
from rlfast.sinks._files import explain
from rlfast.sinks.parquet._dataset import DatasetFolder
from rlfast.sinks.parquet._options import ParquetOptions
from rlfast.sinks.parquet._rows import RowMaker, partition_spans
from rlfast.sinks.parquet._schemas import check_columns
from rlfast.sinks.parquet._segment import Kind, Segment
from rlfast.websocket._gaps import Gap

if TYPE_CHECKING:
    from rlfast.decode._batch import EventBatch
    from rlfast.schema._decoding import Decoding

__all__ = ["ParquetSink"]

INITIAL_RATIO = 0.4
"""Expected size on disk per Arrow byte before anything was written."""


class ParquetSink(Sink):
    """A data set of Parquet files in a local folder: one file per event type and commit.

    Args:
        out: the folder; made if it does not exist.
        options: how the files are written.

    Raises:
        ConfigError: an argument cannot work.
    """

    def __init__(self, out: str | Path, options: ParquetOptions | None = None) -> None:
        check_type("options", options, ParquetOptions, optional=True)
        self.folder = check_path("out", out)
        self.options = options or ParquetOptions()
        self._dataset: DatasetFolder | None = None

    @property
    def dataset(self) -> DatasetFolder:
        """The data set; between `open` and `close`."""
        assert self._dataset is not None
        return self._dataset

    def open(self, work: str) -> Opened:
        self._dataset = DatasetFolder(self.folder, work)
        return self._dataset.opened

    def use(self, dataset: DatasetFolder) -> None:
        """Write into a data set that is open already, and stays so."""
        self._dataset = dataset

    def close(self) -> None:
        if self._dataset is not None:
            self._dataset.close()

    def state(self, stream: str) -> StreamState:
        return self.dataset.state(stream)

    def gaps(self, stream: str) -> Collection[Gap]:
        entries = self.dataset.manifest.segments(stream)
        return [gap for entry in entries for gap in entry.gaps]

    def streams(self) -> Collection[str]:
        return {entry.stream for entry in self.dataset.manifest.entries}

    def how_to_recover(self, folder: Path) -> str:
        return f"run: rlfast recover {folder}"

    def settings(self) -> dict[str, Any]:
        options = self.options
        return {
            "timestamps": options.timestamps,
            "uuid": options.uuid,
            "compression": options.compression,
            "partition_by": options.partition_by,
        }

    def check(self, stream: str, decoding: Decoding) -> None:
        try:
            check_columns(self.dataset, decoding, self.options)
        except OSError as error:
            raise explain(error, self.folder, "cannot read the data set in") from error

    def writer(self, stream: str, settings: Mapping[str, Any] | None = None) -> ParquetWriter:
        options = self.options if settings is None else replace(ParquetOptions(), **settings)
        return ParquetWriter(self.dataset, stream, options, "capture" if settings is None else "recovery")


class ParquetWriter(StreamWriter):
    """Writes one stream into a data set, segment after segment. A commit is one segment.

    Args:
        dataset: opened to be written.
        stream: name of the stream.
        options: format of the files.
        kind: what the manifest will say.
    """

    def __init__(
        self, dataset: DatasetFolder, stream: str, options: ParquetOptions, kind: Kind = "capture"
    ) -> None:
        state = dataset.state(stream)
        self.nbytes = 0
        self.files = 0
        self.sizes: dict[str, tuple[int, int]] = {}
        self._dataset = dataset
        self._stream = stream
        self._options = options
        self._kind: Kind = kind
        self._next_seq = state.next_seq
        self._epoch = max(1, state.next_epoch - 1)
        self._row_maker = RowMaker(stream)
        self._segment: Segment | None = None
        self._ratio = INITIAL_RATIO

    def prepare(self, batch: EventBatch, last_seq: int) -> Sequence[Rows]:
        spans = partition_spans(batch, last_seq, self._options.partition_by)
        return [self._row_maker.make(batch, last, first, partition) for first, last, partition in spans]

    def write(self, rows: Rows) -> int:
        """Take rows.

        Raises:
            CaptureError: a file cannot be written; the open segment's files are removed.
        """
        segment = self._open(rows.unit)
        try:
            segment.add(rows)
        except OSError as error:
            self.abort()
            raise explain(error, self._dataset.path) from error
        self._next_seq, self._epoch = rows.last_seq + 1, rows.epochs[1]
        self._ratio = segment.measured_ratio() or self._ratio
        return segment.projected_bytes(self._ratio)

    def add_gap(self, gap: Gap) -> None:
        self._open(self._segment.partition if self._segment is not None else "").add_gap(gap)

    def _open(self, partition: str) -> Segment:
        if self._segment is None:
            self._segment = Segment(
                self._dataset, self._stream, self._options, self._next_seq, self._epoch, partition
            )
        elif not self._segment.rows:
            self._segment.partition = partition
        return self._segment

    def commit(self, state: StreamState) -> Callable[[], None]:
        """Finish the files; what is returned makes them durable and commits them.

        Raises:
            CaptureError: a file cannot be written; the files of the segment are removed.
        """
        segment = self._open("")
        self._segment = None
        segment.close()
        self._ratio = segment.measured_ratio() or self._ratio
        return partial(self._publish, segment, state)

    def _publish(self, segment: Segment, state: StreamState) -> None:
        segment.commit(self._kind, state.end, state.resume)
        for folder, file in segment.files.items():
            self.nbytes += file.written_bytes
            self.files += 1
            type_ = segment.types.get(folder)
            if type_ is not None:
                nbytes, files = self.sizes.get(type_, (0, 0))
                self.sizes[type_] = nbytes + file.written_bytes, files + 1

    def abort(self) -> None:
        segment, self._segment = self._segment, None
        if segment is not None:
            with suppress(Exception):
                segment.abort()
