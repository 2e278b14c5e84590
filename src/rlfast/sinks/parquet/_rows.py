"""Event batches as rows of the files: record batches with the column `stream`.

pyarrow gives up the GIL in nearly every call, and a thread that wants it back waits for milliseconds while
the event loop decodes. So the many small calls here are made on the event loop, which has the GIL, and the
writing thread is left with few and long ones.
"""

from __future__ import annotations

from datetime import datetime, timezone
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rlfast._core.columns import ColumnBuilder
from rlfast.decode._batch import EventTable
from rlfast.schema import kinds
from rlfast.schema._columns import Column
from rlfast.schema._names import OwnNames, distinct_names
from rlfast.sinks._base import Rows
from rlfast.sinks.parquet._arrow import pa
from rlfast.sinks.parquet._footer import table_metadata
from rlfast.sinks.parquet._layout import DEAD_LETTERS, type_folder
from rlfast.sinks.parquet._nested import distinct_type, retyped

if TYPE_CHECKING:
    from rlfast.decode._batch import EventBatch

__all__ = [
    "RowMaker",
    "TableRows",
    "partition_name",
    "partition_spans",
]

STREAM_COLUMN = 3
"""Place of the column `stream`: behind seq, epoch and received_at."""


class TableRows(NamedTuple):
    """Rows of one table."""

    folder: str
    """Of the data set: where the table's files are."""
    type: str | None
    """Event type; None for dead letters."""
    rows: pa.RecordBatch
    nbytes: int
    """Arrow bytes of the rows."""


def partition_name(received_at: int, partition_by: str, names: OwnNames) -> str:
    """Return the folders of the hour or day of a time, in nanoseconds since 1970-01-01 UTC."""
    time = datetime.fromtimestamp(received_at // 1_000_000_000, timezone.utc)
    day = f"{names.date}={time:%Y-%m-%d}"
    return f"{day}/{names.hour}={time:%H}" if partition_by == "hour" else day


def partition_spans(batch: EventBatch, last_seq: int, partition_by: str | None) -> list[tuple[int, int, str]]:
    """Cut a batch, up to `last_seq`, into spans of sequence numbers that each belong to one partition."""
    if partition_by is None:
        return [(batch.first_seq, last_seq, "")]
    width = 3_600_000_000_000 * (24 if partition_by == "day" else 1)
    tables = [table for table in (*batch.values(), batch.dead_letters) if table.num_rows]
    seqs = np.concatenate([table[table.own_names.seq] for table in tables])
    times = [table[table.own_names.received_at].view(np.int64) for table in tables]
    numbers = np.concatenate(times) // width
    names = batch.own_names
    if (numbers == numbers[0]).all():
        return [(batch.first_seq, last_seq, partition_name(int(numbers[0]) * width, partition_by, names))]
    order = np.argsort(seqs, kind="stable")
    order = order[: np.searchsorted(seqs[order], last_seq, side="right")]
    seqs, numbers = seqs[order], numbers[order]
    starts = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(seqs)]
    return [
        (int(seqs[a]), int(seqs[b - 1]), partition_name(int(numbers[a]) * width, partition_by, names))
        for a, b in pairwise(starts)
    ]


class RowMaker:
    """Makes the rows of one stream. Borrows the batches' buffers without a copy; the rows keep them alive."""

    def __init__(self, stream: str) -> None:
        """Keep the name of the stream."""
        # Not `pyarrow.array`, which loads pandas where that is installed: a tenth of a second at least.
        name = ColumnBuilder(Column("stream", kinds.CATEGORY, categories=(stream,)))
        name.push(stream)
        self._stream = pa.record_batch(EventTable("", 1, [name.finish()]))[0][0]
        self._schemas: dict[str | None, pa.Schema] = {}

    def make(
        self, batch: EventBatch, last_seq: int, first_seq: int | None = None, partition: str = ""
    ) -> Rows:
        """Return the rows of the batch's messages from `first_seq` (None: the first one) up to `last_seq`."""
        begin = batch.first_seq if first_seq is None else first_seq
        tables = []
        epochs: list[int] = []
        received: list[int] = []
        for type_, table in (*batch.items(), (None, batch.dead_letters)):
            names = table.own_names
            start, stop = 0, table.num_rows
            if begin != batch.first_seq:
                start = int(np.searchsorted(table[names.seq], begin))
            if last_seq != batch.last_seq:
                stop = int(np.searchsorted(table[names.seq], last_seq, side="right"))
            if start == stop:
                continue
            folder = DEAD_LETTERS if type_ is None else type_folder(type_, names.type)
            epoch, times = table[names.epoch], table[names.received_at][start:stop].view(np.int64)
            epochs += (int(epoch[start]), int(epoch[stop - 1]))
            # The wall clock may be set back while events arrive.
            received += (int(times.min()), int(times.max()))
            rows = self.convert(type_, table).slice(start, stop - start)
            tables.append(TableRows(folder, type_, rows, rows.nbytes))
        return Rows(
            begin,
            last_seq,
            {table.type: table.rows.num_rows for table in tables},
            (min(epochs), max(epochs)),
            (min(received), max(received)),
            tables,
            partition,
        )

    def convert(self, type_: str | None, table: EventTable) -> pa.RecordBatch:
        """Return all rows of an event type's table, or, with None, of dead letters."""
        # All files of a table have one schema, however the texts of a batch happened to be.
        batch = pa.record_batch(table.with_plain_text())
        columns: list[Any] = batch.columns
        columns.insert(STREAM_COLUMN, pa.repeat(self._stream, batch.num_rows))
        schema = self._schemas.get(type_)
        if schema is None:
            names = table.own_names
            # What not every table has is nullable, so that readers can put null where they read several at
            # once, or files of a type that had fewer fields.
            fields = [field.with_nullable(i >= STREAM_COLUMN) for i, field in enumerate(batch.schema)]
            fields.insert(STREAM_COLUMN, pa.field(names.stream, columns[STREAM_COLUMN].type, nullable=False))
            files_names = distinct_names(field.name for field in fields)
            schema = self._schemas[type_] = pa.schema(
                [
                    field.with_name(name).with_type(distinct_type(field.type))
                    for field, name in zip(fields, files_names, strict=True)
                ],
                table_metadata(type_, names) if type_ is not None else None,
            )
        columns = [retyped(column, field.type) for column, field in zip(columns, schema, strict=True)]
        return pa.RecordBatch.from_arrays(columns, schema=schema)
