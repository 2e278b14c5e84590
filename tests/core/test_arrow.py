from __future__ import annotations

import uuid
from typing import Any

import duckdb
import nanoarrow
import polars as pl
import pyarrow as pa
import pytest
from sample_events import UUID_A

from rlfast._core import arrow
from rlfast._core.columns import ColumnKind

from .exporting import ExportedColumn
from .wide import A16, VALUES, column_of, wide_table

BY_KIND = pytest.mark.parametrize("kind", list(VALUES), ids=lambda kind: kind.name)


def test_schema_of_every_kind() -> None:
    schema = pa.schema(wide_table())
    text = pa.field("item", pa.string(), nullable=False)
    ids = pa.field("item", pa.uuid(), nullable=False)
    assert {field.name: field.type for field in schema} == {
        "seq": pa.int64(),
        "epoch": pa.int64(),
        "received_at": pa.timestamp("ns", "UTC"),
        "int64": pa.int64(),
        "float64": pa.float64(),
        "bool": pa.bool_(),
        "utf8": pa.string(),
        "uuid": pa.uuid(),
        "dict_utf8": pa.dictionary(pa.int32(), pa.string()),
        "list_utf8": pa.list_(text),
        "list_uuid": pa.list_(ids),
        "binary": pa.binary(),
        "timestamp": pa.timestamp("ns", "UTC"),
        "_extra": pa.string(),
    }
    assert [field.name for field in schema if not field.nullable] == ["seq", "epoch", "received_at"]


@pytest.mark.parametrize("rows", [0, 1, 3, 1000])
def test_pyarrow_reads_batch_table_and_stream(rows: int) -> None:
    table = wide_table(rows)
    batch = pa.record_batch(table)
    batch.validate(full=True)
    assert batch.num_rows == rows
    whole = pa.table(table)
    whole.validate(full=True)
    assert whole.to_batches() == [batch] if rows else whole.num_rows == 0
    with pa.RecordBatchReader.from_stream(table) as reader:
        assert reader.schema == batch.schema
        assert reader.read_next_batch() == batch
        with pytest.raises(StopIteration):
            reader.read_next_batch()


def test_pyarrow_values_of_every_kind() -> None:
    batch = pa.record_batch(wide_table())
    columns = {
        name: batch.column(name).to_pylist()
        for name in batch.schema.names
        if name not in ("timestamp", "received_at")
    }
    columns |= {"timestamp": batch.column("timestamp").cast(pa.int64()).to_pylist()}
    assert columns["timestamp"] == VALUES[ColumnKind.TIMESTAMP]
    assert columns["int64"] == VALUES[ColumnKind.INT64]
    assert columns["float64"] == VALUES[ColumnKind.FLOAT64]
    assert columns["bool"] == VALUES[ColumnKind.BOOL]
    assert columns["utf8"] == VALUES[ColumnKind.UTF8]
    assert columns["uuid"] == [uuid.UUID(UUID_A), None, uuid.UUID(UUID_A)]
    assert columns["dict_utf8"] == VALUES[ColumnKind.DICT_UTF8]
    assert columns["list_utf8"] == VALUES[ColumnKind.LIST_UTF8]
    assert columns["list_uuid"] == [[uuid.UUID(UUID_A)], None, []]
    assert columns["binary"] == VALUES[ColumnKind.BINARY]
    assert columns["_extra"] == [None, None, None]


@pytest.mark.parametrize("rows", [0, 1, 3, 1000])
def test_polars_reads_the_same_values(rows: int) -> None:
    table = wide_table(rows)
    frame = pl.DataFrame(table)
    assert frame.height == rows
    assert frame.columns == pa.schema(table).names
    if rows:
        assert frame["utf8"].head(3).to_list() == VALUES[ColumnKind.UTF8][:rows]
        assert frame["int64"].head(3).to_list() == VALUES[ColumnKind.INT64][:rows]
        assert frame["dict_utf8"].cast(pl.String).head(3).to_list() == VALUES[ColumnKind.DICT_UTF8][:rows]
        assert frame["list_utf8"].head(3).to_list() == VALUES[ColumnKind.LIST_UTF8][:rows]
        assert frame["uuid"].to_list()[0] == A16
        assert frame["timestamp"].dtype == pl.Datetime("ns", "UTC")
        assert frame["timestamp"].to_physical().head(1).to_list() == [1_700_000_000_123_456_789]


def test_duckdb_reads_the_same_values() -> None:
    table = wide_table(1000)
    with duckdb.connect() as connection:
        connection.register("events", table)
        rows = connection.execute(
            'select seq, "int64", "float64", "bool", utf8, dict_utf8, list_utf8, "uuid", "binary" '
            "from events where seq < 3 order by seq"
        ).fetchall()
        [(count, total)] = connection.execute("select count(*), sum(seq) from events").fetchall()
        connection.unregister("events")
    assert (count, total) == (1000, sum(range(1000)))
    for i, (seq, *values) in enumerate(rows):
        assert seq == i
        for kind, value in zip(
            ("INT64", "FLOAT64", "BOOL", "UTF8", "DICT_UTF8", "LIST_UTF8"), values, strict=False
        ):
            assert value == VALUES[ColumnKind[kind]][i]
        assert values[6] == (None if i == 1 else uuid.UUID(UUID_A))
        assert values[7] == VALUES[ColumnKind.BINARY][i]


@BY_KIND
def test_nanoarrow_validates_the_buffers_in_full(kind: ColumnKind) -> None:
    column = column_of(kind)
    array = nanoarrow.c_array(ExportedColumn(column))
    assert array.is_valid()
    assert (array.length, array.null_count, array.offset) == (3, 1, 0)
    view = array.view()
    assert view.length == 3
    types: dict[ColumnKind, Any] = {
        ColumnKind.INT64: nanoarrow.int64(),
        ColumnKind.FLOAT64: nanoarrow.float64(),
        ColumnKind.BOOL: nanoarrow.bool_(),
        ColumnKind.UTF8: nanoarrow.string(),
        ColumnKind.UUID: nanoarrow.fixed_size_binary(16),
        ColumnKind.DICT_UTF8: nanoarrow.int32(),
        ColumnKind.BINARY: nanoarrow.binary(),
        ColumnKind.TIMESTAMP: nanoarrow.timestamp("ns", "UTC"),
    }
    if kind in types:
        buffers = [column.validity, column.offsets, column.data]
        if column.offsets is None:
            del buffers[1]
        rebuilt = nanoarrow.c_array_from_buffers(
            types[kind], column.length, buffers, column.null_count, validation_level="full"
        )
        assert rebuilt.length == 3
    else:
        item = nanoarrow.string() if kind == ColumnKind.LIST_UTF8 else nanoarrow.fixed_size_binary(16)
        buffers = [None, column.child_offsets, column.data]
        if column.child_offsets is None:
            del buffers[1]
        items = nanoarrow.c_array_from_buffers(
            item, array.child(0).length, buffers, 0, validation_level="full"
        )
        assert items.length > 0
        # nanoarrow validates arrays without children only, so the offsets go in as a text's offsets.
        filler = b"x" * items.length
        lists = nanoarrow.c_array_from_buffers(
            nanoarrow.string(),
            column.length,
            [column.validity, column.offsets, filler],
            column.null_count,
            validation_level="full",
        )
        assert lists.length == 3


@BY_KIND
@pytest.mark.filterwarnings("ignore:.*arrow.uuid:nanoarrow.iterator.UnregisteredExtensionWarning")
@pytest.mark.filterwarnings("ignore:.*nanoseconds discarded:nanoarrow.iterator.LossyConversionWarning")
def test_nanoarrow_reads_the_same_values(kind: ColumnKind) -> None:
    if kind == ColumnKind.DICT_UTF8:
        array = nanoarrow.c_array(ExportedColumn(column_of(kind)))
        assert nanoarrow.Array(array.dictionary).to_pylist() == ["added"]
        return
    values = nanoarrow.Array(ExportedColumn(column_of(kind))).to_pylist()
    assert len(values) == 3
    assert values[1] is None
    if kind in (ColumnKind.INT64, ColumnKind.FLOAT64, ColumnKind.BOOL, ColumnKind.UTF8, ColumnKind.LIST_UTF8):
        assert values == VALUES[kind]
    elif kind == ColumnKind.UUID:
        assert values[0] == A16
    elif kind == ColumnKind.LIST_UUID:
        assert values[0] == [A16]


def test_nanoarrow_reads_stream_and_schema() -> None:
    table = wide_table(10)
    assert nanoarrow.c_schema(table).n_children == 14
    stream = nanoarrow.ArrayStream(table).read_all()
    assert len(stream) == 10
    assert stream.child(0).to_pylist() == list(range(10))


def test_columns_of_another_length_are_refused() -> None:
    table = wide_table(3)
    for make in (arrow.array_capsule, arrow.stream_capsule):
        with pytest.raises(ValueError, match="column 'seq' has 3 rows, the table 4"):
            make(table.columns, 4)
        with pytest.raises(TypeError):
            make([object()], 3)  # type: ignore[list-item]
    with pytest.raises(TypeError):
        arrow.schema_capsule([None])  # type: ignore[list-item]


def test_kinds_are_all_covered() -> None:
    assert set(VALUES) == set(ColumnKind)
