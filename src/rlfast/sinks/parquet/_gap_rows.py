"""Gaps as rows of ``_gaps``: when messages may have been missed, and why."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rlfast.sinks.parquet._arrow import pa
from rlfast.websocket._gaps import Gap

__all__ = ["GAPS_SCHEMA", "gap_rows"]

_TIME = pa.timestamp("ns", "UTC")

_FIELDS: list[pa.Field[Any]] = [
    pa.field("stream", pa.utf8(), nullable=False),
    pa.field("epoch", pa.int64(), nullable=False),
    pa.field("last_seq", pa.int64(), nullable=False),
    pa.field("disconnected_at", _TIME, nullable=False),
    pa.field("reconnected_at", _TIME),
    pa.field("reason", pa.utf8(), nullable=False),
    pa.field("close_code", pa.int32()),
    pa.field("close_reason", pa.utf8()),
    pa.field("attempts", pa.int64(), nullable=False),
]

# Integers are signed: Spark's and Delta's formats have no others.
GAPS_SCHEMA = pa.schema(_FIELDS)
"""Columns: the connection that was lost; the last message before the gap (-1: none); from when to when, with
null where no connection followed in that run; see `rlfast.Gap` for the reasons."""


def gap_rows(stream: str, gaps: Iterable[Gap]) -> pa.RecordBatch:
    """Return gaps as rows with `GAPS_SCHEMA`."""
    rows = [
        {
            "stream": stream,
            "epoch": gap.epoch,
            "last_seq": gap.last_seq,
            "disconnected_at": gap.disconnected_at,
            "reconnected_at": gap.reconnected_at,
            "reason": gap.reason,
            "close_code": gap.close_code,
            "close_reason": gap.close_reason,
            "attempts": gap.attempts,
        }
        for gap in gaps
    ]
    return pa.RecordBatch.from_pylist(rows, schema=GAPS_SCHEMA)
