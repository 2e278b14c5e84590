"""Columns as objects of the Arrow PyCapsule interface, for consumers in tests."""

from __future__ import annotations

import pyarrow as pa

from rlfast._core import arrow
from rlfast._core.columns import ColumnData


class ExportedColumn:
    def __init__(self, column: ColumnData) -> None:
        self.column = column

    def __arrow_c_schema__(self) -> object:
        return arrow.column_schema_capsule(self.column)

    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]:
        return arrow.column_schema_capsule(self.column), arrow.column_array_capsule(self.column)


class ExportedTable:
    def __init__(self, columns: list[ColumnData], length: int) -> None:
        self.columns = columns
        self.length = length

    def __arrow_c_schema__(self) -> object:
        return arrow.schema_capsule(self.columns)

    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]:
        return arrow.schema_capsule(self.columns), arrow.array_capsule(self.columns, self.length)

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return arrow.stream_capsule(self.columns, self.length)


def to_pyarrow(column: ColumnData) -> pa.Array:
    array = pa.array(ExportedColumn(column))
    array.validate(full=True)
    return array
