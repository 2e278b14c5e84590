"""A table with a column of every kind, and single columns of each."""

from __future__ import annotations

import uuid
from types import SimpleNamespace
from typing import Any

from sample_events import UUID_A

from rlfast._core.columns import ColumnBuilder, ColumnData, ColumnKind, TableBuilder

from .exporting import ExportedTable

VALUES: dict[ColumnKind, list[Any]] = {
    ColumnKind.INT64: [1, None, -(2**63)],
    ColumnKind.FLOAT64: [1.5, None, float("inf")],
    ColumnKind.BOOL: [True, None, False],
    ColumnKind.UTF8: ["a", None, "été 🙂"],
    ColumnKind.UUID: [UUID_A, None, UUID_A.upper()],
    ColumnKind.DICT_UTF8: ["added", None, "added"],
    ColumnKind.LIST_UTF8: [["a", ""], None, []],
    ColumnKind.LIST_UUID: [[UUID_A], None, []],
    ColumnKind.BINARY: [b"\x00\xff", None, b""],
    ColumnKind.TIMESTAMP: [1_700_000_000_123_456_789, None, 0],
}
A16 = uuid.UUID(UUID_A).bytes


def column_of(kind: ColumnKind, values: list[Any] | None = None) -> ColumnData:
    builder = ColumnBuilder("c", kind, True)
    for value in VALUES[kind] if values is None else values:
        builder.push(value)
    return builder.finish()


def wide_table(rows: int = 3) -> ExportedTable:
    """A table with a column of every kind."""
    fields = [(kind.name.lower(), kind.name.lower(), kind, True) for kind in VALUES]
    builder = TableBuilder("wide", fields)
    for i in range(rows):
        values = {kind.name.lower(): VALUES[kind][i % 3] for kind in VALUES}
        builder.push_row(SimpleNamespace(**values), i, 1, i)
    return ExportedTable(builder.finish(), rows)
