"""A table with a column of every kind, and single columns of each."""

from __future__ import annotations

import datetime
import uuid
from decimal import Decimal
from typing import Any

import pyarrow as pa
from msgspec import Raw
from sample_events import UUID_A

from rlfast._core.columns import ColumnBuilder, ColumnData
from rlfast._core.tables import TableBuilder
from rlfast.decode._assembler import own_columns
from rlfast.schema import kinds
from rlfast.schema._columns import Column
from rlfast.schema._names import OwnNames

from .exporting import ExportedTable
from .oracle import expected_array, list_of, map_of, mirror, scalar_column, struct_of, union_of

A16 = uuid.UUID(UUID_A).bytes
TEXT, ID, INT = (scalar_column(kind, nullable=False) for kind in (kinds.UTF8, kinds.UUID, kinds.INT64))
UTC = datetime.timezone.utc


def texts(*values: str | None) -> list[Any]:
    return [None if value is None else Raw(value.encode()) for value in values]


class Sampled:
    """A column, what is pushed into it, and what it then holds (see `oracle`)."""

    def __init__(self, column: Column, pushed: list[Any], held: list[Any] | None = None) -> None:
        self.column = column
        self.pushed = pushed
        self.held = pushed if held is None else held

    @property
    def name(self) -> str:
        return self.column.name

    def __repr__(self) -> str:
        return self.name


def _kind(name: str) -> kinds.Kind:
    return next(kind for kind in kinds.KINDS if kind.name == name)


def scalar(name: str, pushed: list[Any], held: list[Any] | None = None) -> Sampled:
    return Sampled(scalar_column(_kind(name), name.lower()), pushed, held)


NOON = datetime.datetime(2026, 1, 1, 12, tzinfo=UTC)
NOON_MICROS = 1_767_268_800_000_000
NOON_TEXT = "2026-01-01T12:00:00"

SAMPLED: tuple[Sampled, ...] = (
    scalar("INT64", [1, None, -(2**63)]),
    scalar("INT32", [1, None, -(2**31)]),
    scalar("INT16", [1, None, -(2**15)]),
    scalar("INT8", [1, None, -(2**7)]),
    scalar("UINT64", [1, None, 2**64 - 1]),
    scalar("UINT32", [1, None, 2**32 - 1]),
    scalar("UINT16", [1, None, 2**16 - 1]),
    scalar("UINT8", [1, None, 2**8 - 1]),
    scalar("INT_CHOICE", [7, None, 2**63 - 1]),
    scalar("FLOAT64", [1.5, None, float("inf")]),
    scalar("FLOAT32", [1.5, None, float("inf")]),
    scalar("BOOL", [True, None, False]),
    scalar("UTF8", ["a", None, "été 🙂"]),
    scalar("UUID", [UUID_A, None, UUID_A.upper()], [A16, None, A16]),
    scalar("CATEGORY", ["added", None, "added"]),
    scalar("JSON", texts('{"a":1}', "null", "[]"), ['{"a":1}', None, "[]"]),
    scalar("FLOAT_TEXT", ["0.5", None, "-inf"], [0.5, None, float("-inf")]),
    scalar("INT_TEXT", ["42", None, "-1"], [42, None, -1]),
    scalar("DECIMAL_TEXT", texts('"1.50"', None, "-2e5"), ["1.50", None, "-2e5"]),
    scalar("DECIMAL128", texts('"1.500"', None, "-2"), [Decimal("1.500"), None, Decimal("-2.000")]),
    scalar("DECIMAL256", texts('"1.5"', None, "-2"), [Decimal("1.5"), None, Decimal("-2")]),
    scalar("DATETIME", [NOON, None, NOON], [NOON_MICROS, None, NOON_MICROS]),
    scalar(
        "DATETIME_NANOS",
        [NOON_TEXT + ".000000001Z", None, NOON_TEXT + "Z"],
        [NOON_MICROS * 1000 + 1, None, NOON_MICROS * 1000],
    ),
    scalar(
        "NAIVE_DATETIME",
        [NOON.replace(tzinfo=None), None, NOON.replace(tzinfo=None)],
        [NOON_MICROS, None, NOON_MICROS],
    ),
    scalar("DATE", [datetime.date(1970, 1, 2), None, datetime.date(1969, 12, 31)], [1, None, -1]),
    scalar("TIME", [datetime.time(1), None, datetime.time(0, 0, 0, 7)], [3_600_000_000, None, 7]),
    scalar("DURATION", [datetime.timedelta(seconds=-1), None, datetime.timedelta(0)], [-1_000_000, None, 0]),
    scalar("EPOCH_SECONDS", texts("1.5", None, '"-7"'), [1, None, -7]),
    scalar("EPOCH_MILLIS", texts("1.5", None, '"-7"'), [1, None, -7]),
    scalar("EPOCH_MICROS", texts("1.5", None, '"-7"'), [1, None, -7]),
    scalar("EPOCH_NANOS", texts("1.5", None, '"-7"'), [1, None, -7]),
    scalar("BASE64", [b"\x00\xff", None, b""]),
    scalar("BINARY", [b"\x00\xff", None, b""]),
    scalar("TIMESTAMP", [1_700_000_000_123_456_789, None, 0]),
    Sampled(list_of(TEXT, "list"), [["a", ""], None, []]),
    Sampled(list_of(ID, "ids"), [[UUID_A], None, []], [[A16], None, []]),
    Sampled(
        map_of(list_of(INT, nullable=False), "map"), [{"k": [1, 2]}, None, {}], [[("k", [1, 2])], None, []]
    ),
    Sampled(struct_of([INT, list_of(TEXT)], "struct"), [(1, ["x"]), None, (2, None)]),
    Sampled(struct_of([INT, TEXT], "tuple", kind=kinds.TUPLE), [(1, "x"), None, (2, "")]),
    Sampled(
        union_of([("a", [INT]), ("b", [TEXT, ID])], "union"),
        [mirror([1], "a"), None, mirror(["x", UUID_A], "b")],
        [("a", (1,)), None, ("b", ("x", A16))],
    ),
)
BY_NAME = {sampled.name: sampled for sampled in SAMPLED}


def column_of(sampled: Sampled, rows: int | None = None) -> ColumnData:
    builder = ColumnBuilder(sampled.column)
    for i in range(len(sampled.pushed) if rows is None else rows):
        builder.push(sampled.pushed[i % 3])
    return builder.finish()


def expected_of(sampled: Sampled, rows: int = 3) -> pa.Array:
    return expected_array(sampled.column, [sampled.held[i % 3] for i in range(rows)])


NOT_EVERYWHERE = ("decimal256",)
"""Columns that neither polars nor DuckDB can read."""


def wide_table(rows: int = 3, without: tuple[str, ...] = ()) -> ExportedTable:
    """A table with a column of every kind."""
    some = [sampled for sampled in SAMPLED if sampled.name not in without]
    fields = [sampled.column for sampled in some]
    extra = Column("_extra", kinds.JSON, nullable=True)
    builder = TableBuilder("wide", own_columns(OwnNames()), fields, extra)
    for i in range(rows):
        builder.push_row(mirror(sampled.pushed[i % 3] for sampled in some), i, 1, i)
    return ExportedTable(builder.finish(), rows)
