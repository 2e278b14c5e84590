"""Gaps as rows of ``_gaps``: when messages may have been missed, and why."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from rlfast._core.columns import ColumnBuilder
from rlfast.decode._batch import EventTable
from rlfast.schema import kinds
from rlfast.schema._columns import Column
from rlfast.sinks.parquet._arrow import pa
from rlfast.websocket._gaps import Gap

__all__ = ["gap_rows"]

# Integers are signed: Spark's and Delta's formats have no others.
_COLUMNS = (
    Column("epoch", kinds.INT64),
    Column("last_seq", kinds.INT64),
    Column("disconnected_at", kinds.TIMESTAMP),
    Column("reconnected_at", kinds.TIMESTAMP, nullable=True),
    Column("reason", kinds.UTF8),
    Column("close_code", kinds.INT32, nullable=True),
    Column("close_reason", kinds.UTF8, nullable=True),
    Column("attempts", kinds.INT64),
    Column("from", kinds.UTF8, nullable=True),
    Column("to", kinds.UTF8, nullable=True),
    Column("key", kinds.UTF8, nullable=True),
    Column("filled", kinds.BOOL, nullable=True),
)


def gap_rows(stream: str, gaps: Iterable[Gap]) -> pa.RecordBatch:
    """Return gaps as rows: the stream; the connection that was lost; the last message before the gap
    (-1: none); from when to when, with null where no connection followed in that run; see `rlfast.Gap` for
    the reasons, and for what may have been missed.

    They are made without `pyarrow.array`, which loads pandas where that is installed.
    """
    of_stream = ColumnBuilder(Column("stream", kinds.UTF8))
    builders = [ColumnBuilder(column) for column in _COLUMNS]
    for gap in gaps:
        of_stream.push(stream)
        values = msgspec.to_builtins(gap)
        for builder in builders:
            builder.push(values[builder.name])
    columns = [builder.finish() for builder in (of_stream, *builders)]
    return pa.record_batch(EventTable("_gaps", columns[0].length, columns))
