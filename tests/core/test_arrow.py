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
from rlfast._core.columns import ColumnData
from rlfast.schema import kinds
from rlfast.schema.kinds import Layout

from .exporting import ExportedColumn
from .oracle import arrow_field, assert_same, plain_values
from .wide import A16, BY_NAME, NOT_EVERYWHERE, SAMPLED, Sampled, column_of, expected_of, wide_table

BY_SAMPLE = pytest.mark.parametrize("sampled", SAMPLED, ids=lambda sampled: sampled.name)


def test_schema_of_every_kind() -> None:
    schema = pa.schema(wide_table())
    own = [
        pa.field("seq", pa.int64(), False),
        pa.field("epoch", pa.int64(), False),
        pa.field("received_at", pa.timestamp("ns", "UTC"), False),
    ]
    fields = [arrow_field(sampled.column) for sampled in SAMPLED]
    assert schema == pa.schema([*own, *fields, pa.field("_extra", pa.json_())])
    # Spelled out where the oracle could be wrong together with us.
    assert str(schema.field("list").type) == "list<item: string not null>"
    assert str(schema.field("ids").type) == "list<item: extension<arrow.uuid> not null>"
    assert str(schema.field("map").type) == "map<string, list<item: int64 not null>>"
    assert not schema.field("map").type.item_field.nullable
    assert str(schema.field("struct").type) == "struct<f0: int64, f1: list<item: string not null>>"
    assert str(schema.field("union").type) == (
        "struct<kind: dictionary<values=string, indices=int32, ordered=0>, ma: struct<f0: int64>, "
        "mb: struct<f0: string, f1: extension<arrow.uuid>>>"
    )
    assert str(schema.field("decimal128").type) == "decimal128(20, 3)"
    assert str(schema.field("decimal256").type) == "decimal256(76, 38)"
    assert str(schema.field("naive_datetime").type) == "timestamp[us]"


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


@BY_SAMPLE
@pytest.mark.parametrize("rows", [0, 1, 3, 1000])
def test_pyarrow_values_of_every_kind(sampled: Sampled, rows: int) -> None:
    batch = pa.record_batch(wide_table(rows))
    assert_same(batch.column(sampled.name), expected_of(sampled, rows))
    assert batch.column("_extra").null_count == rows


@pytest.mark.parametrize("rows", [0, 1, 3, 1000])
def test_polars_reads_the_same_values(rows: int) -> None:
    table = wide_table(rows, NOT_EVERYWHERE)
    frame = pl.DataFrame(table)
    assert frame.height == rows
    assert frame.columns == pa.schema(table).names
    if rows:
        for name in ("int64", "int8", "uint64", "float64", "bool", "utf8", "list", "decimal128", "binary"):
            assert frame[name].head(3).to_list() == BY_NAME[name].held[:rows]
        assert frame["category"].cast(pl.String).head(3).to_list() == BY_NAME["category"].held[:rows]
        assert frame["struct"].to_list()[0] == {"f0": 1, "f1": ["x"]}
        # Polars had no maps, but lists of structs, until not long ago.
        assert frame["map"].to_list()[0] in ({"k": [1, 2]}, [{"key": "k", "value": [1, 2]}])
        assert frame["union"].to_list()[0] == {"kind": "a", "ma": {"f0": 1}, "mb": None}
        assert frame["uuid"].to_list()[0] == A16
        assert frame["timestamp"].dtype == pl.Datetime("ns", "UTC")
        assert frame["timestamp"].to_physical().head(1).to_list() == [1_700_000_000_123_456_789]


def test_duckdb_reads_the_same_values() -> None:
    table = wide_table(1000, NOT_EVERYWHERE)
    plain = (
        "int64",
        "int8",
        "uint64",
        "float64",
        "bool",
        "utf8",
        "category",
        "list",
        "binary",
        "decimal128",
        "int_text",
    )
    with duckdb.connect() as connection:
        connection.register("events", table)
        names = ", ".join(
            f'"{name}"' for name in (*plain, "uuid", "map", "struct", "union", "date", "datetime")
        )
        rows = connection.execute(f"select {names} from events where seq < 3 order by seq").fetchall()
        [(count, total)] = connection.execute("select count(*), sum(seq) from events").fetchall()
        connection.unregister("events")
    assert (count, total) == (1000, sum(range(1000)))
    for i, row in enumerate(rows):
        values = dict(zip((*plain, "uuid", "map", "struct", "union", "date", "datetime"), row, strict=True))
        for name in plain:
            assert values[name] == BY_NAME[name].held[i], name
        assert values["uuid"] == (None if i == 1 else uuid.UUID(UUID_A))
        assert values["date"] == BY_NAME["date"].pushed[i]
        assert values["datetime"] == BY_NAME["datetime"].pushed[i]
        assert values["map"] == ({"k": [1, 2]}, None, {})[i]
        assert values["struct"] == ({"f0": 1, "f1": ["x"]}, None, {"f0": 2, "f1": None})[i]
        assert (
            values["union"]
            == (
                {"kind": "a", "ma": {"f0": 1}, "mb": None},
                None,
                {"kind": "b", "ma": None, "mb": {"f0": "x", "f1": uuid.UUID(UUID_A)}},
            )[i]
        )


def validate(column: ColumnData) -> None:
    """Have nanoarrow validate the buffers of a column, and of the columns inside of it, in full."""
    buffers: list[Any] = [column.validity]
    if column.offsets is not None:
        buffers.append(column.offsets)
    if column.data is not None:
        buffers.append(column.data)
    type_: Any = nanoarrow.c_schema(ExportedColumn(column))
    if column.layout == Layout.DICTIONARY:
        type_ = nanoarrow.int32()
        assert column.dictionary is not None
        validate(column.dictionary)
    elif column.layout == Layout.OFFSETS:
        # nanoarrow validates arrays without children only, so the offsets go in as a text's offsets.
        type_ = nanoarrow.string()
        buffers.append(b"x" * column.children[0].length)
    elif column.layout == Layout.CHILDREN:
        type_ = nanoarrow.bool_()
        buffers.append(bytes((column.length + 7) // 8))
        assert {child.length for child in column.children} == {column.length}
    rebuilt = nanoarrow.c_array_from_buffers(
        type_, column.length, buffers, column.null_count, validation_level="full"
    )
    assert rebuilt.length == column.length
    for child in column.children:
        validate(child)


@BY_SAMPLE
def test_nanoarrow_validates_the_buffers_in_full(sampled: Sampled) -> None:
    for rows in (0, 1, 3, 1000):
        column = column_of(sampled, rows)
        array = nanoarrow.c_array(ExportedColumn(column))
        assert array.is_valid()
        assert (array.length, array.null_count, array.offset) == (rows, (rows + 1) // 3, 0)
        assert array.n_children == len(column.children)
        assert array.view().length == rows
        validate(column)


@BY_SAMPLE
def test_buffers_are_as_long_as_their_values_and_no_longer(sampled: Sampled) -> None:
    def check(column: ColumnData) -> None:
        rows = column.length
        assert (column.validity is None) == (column.null_count == 0)
        assert column.validity is None or len(column.validity) == (rows + 7) // 8
        assert (column.offsets is None) == (column.layout not in (Layout.BYTES, Layout.OFFSETS))
        if column.offsets is not None:
            assert len(column.offsets) == 4 * (rows + 1)
            last = int.from_bytes(bytes(column.offsets)[-4:], "little")
            assert last == (
                len(column.data or b"") if column.layout == Layout.BYTES else column.children[0].length
            )
        if column.layout == Layout.FIXED_WIDTH:
            assert len(column.data or b"") == rows * column.spec.kind.width
        for child in column.children:
            check(child)

    for rows in (0, 1, 3, 100):
        check(column_of(sampled, rows))


@BY_SAMPLE
@pytest.mark.filterwarnings("ignore:.*:nanoarrow.iterator.UnregisteredExtensionWarning")
@pytest.mark.filterwarnings("ignore:.*nanoseconds discarded:nanoarrow.iterator.LossyConversionWarning")
def test_nanoarrow_reads_the_same_values(sampled: Sampled) -> None:
    array = nanoarrow.c_array(ExportedColumn(column_of(sampled)))
    kind = sampled.column.kind
    if kind is kinds.CATEGORY:
        assert nanoarrow.Array(array.dictionary).to_pylist() == ["added"]
        return
    if kind is kinds.UNION:
        assert nanoarrow.Array(array.child(0).dictionary).to_pylist() == ["a", "b"]
        assert nanoarrow.Array(array.child(1)).to_pylist() == [{"f0": 1}, None, None]
        return
    if kind is kinds.MAP:
        # nanoarrow cannot iterate over maps; below zero it misreads decimals.
        assert nanoarrow.Array(array.child(0).child(0)).to_pylist() == ["k"]
        return
    if kind in (kinds.DATE, kinds.DURATION) or any(
        word in kind.name for word in ("TIME", "EPOCH", "DECIMAL1", "DECIMAL2")
    ):
        assert nanoarrow.Array(array).to_pylist()[1] is None
        return
    values = nanoarrow.Array(array).to_pylist()
    if kind in (kinds.STRUCT, kinds.TUPLE):
        values = [None if value is None else tuple(value.values()) for value in values]
    assert values == sampled.held


def test_nanoarrow_reads_stream_and_schema() -> None:
    table = wide_table(10)
    assert nanoarrow.c_schema(table).n_children == 4 + len(SAMPLED)
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
    assert {sampled.column.kind for sampled in SAMPLED} == set(kinds.KINDS)


def test_values_of_an_array_are_compared_by_their_bits() -> None:
    nans = pa.array([float("nan"), -0.0, None])
    assert plain_values(nans) == plain_values(nans)
    assert plain_values(nans) != plain_values(pa.array([float("nan"), 0.0, None]))
