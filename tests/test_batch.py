from __future__ import annotations

import copy
import datetime
import pickle
import uuid
from collections.abc import Mapping
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from sample_events import EVENTS, PAYLOADS, UUID_A, UUID_B, assemble

from rlfast._core.columns import ColumnBuilder
from rlfast.decode._batch import EventBatch, EventTable
from rlfast.reasoning_layer._events import AgentEvent
from rlfast.schema import kinds
from rlfast.schema._columns import Column
from rlfast.schema.kinds import Layout

A16, B16 = uuid.UUID(UUID_A).bytes, uuid.UUID(UUID_B).bytes


@pytest.fixture
def batch() -> EventBatch:
    return assemble(AgentEvent, [*PAYLOADS, b"bad"], first_seq=1000, epoch=4)


def table_of(column: Column, values: list[Any]) -> EventTable:
    builder = ColumnBuilder(column)
    for value in values:
        builder.push(value)
    return EventTable("t", len(values), [builder.finish()])


# -- the batch as a mapping ------------------------------------------------------------------------------


def test_batch_is_a_mapping_of_the_types_that_occur(batch: EventBatch) -> None:
    assert isinstance(batch, Mapping)
    assert set(batch) == {event["type"] for event in EVENTS}
    assert len(batch) == 9
    assert "kb_change" in batch
    assert "_dead_letters" not in batch
    assert dict(batch.items())["error"] is batch["error"]
    assert batch.get("nothing") is None
    with pytest.raises(KeyError, match="'nothing'"):
        batch["nothing"]
    assert list(assemble(AgentEvent, PAYLOADS[:1])) == ["connected"]


def test_batch_counts(batch: EventBatch) -> None:
    assert (batch.first_seq, batch.last_seq) == (1000, 1011)
    assert (batch.num_rows, batch.num_events, batch.dead_letters.num_rows) == (12, 11, 1)
    assert batch.payload_bytes == sum(map(len, PAYLOADS)) + 3
    assert sum(table.num_rows for table in batch.values()) == batch.num_events


def test_every_table_starts_with_the_columns_of_the_stream(batch: EventBatch) -> None:
    for name, table in batch.items():
        assert table.name == name
        assert table.column_names[:3] == ["seq", "epoch", "received_at"]
        assert table.column_names[-1] == "_extra"
        assert set(table["epoch"].tolist()) == {4}
    seqs = sorted(seq for table in batch.values() for seq in table["seq"].tolist())
    assert seqs == list(range(1000, 1011))
    assert batch["attention_shift"].column_names[3:-1] == ["from", "priority", "to"]


def test_all_messages_of_one_read_have_its_time(batch: EventBatch) -> None:
    times = {time for table in batch.values() for time in table["received_at"].tolist()}
    assert len(times) == 1


def test_dead_letters_are_a_table_also_when_there_are_none(batch: EventBatch) -> None:
    columns = ["seq", "epoch", "received_at", "reason", "error", "raw"]
    assert batch.dead_letters.column_names == columns
    assert batch.dead_letters["raw"].tolist() == [b"bad"]
    empty = assemble(AgentEvent, PAYLOADS).dead_letters
    assert (empty.num_rows, empty.column_names) == (0, columns)
    assert [len(empty[name]) for name in columns] == [0] * 6
    assert pa.record_batch(empty).num_rows == 0
    assert pa.record_batch(empty).schema == pa.record_batch(batch.dead_letters).schema


def test_representations(batch: EventBatch) -> None:
    assert repr(batch["heartbeat"]) == (
        "<EventTable 'heartbeat' rows=1 columns=[seq, epoch, received_at, timestamp, _extra]>"
    )
    two = assemble(AgentEvent, [PAYLOADS[9], PAYLOADS[9], b""], first_seq=7)
    assert repr(two) == "<EventBatch seq=7..9 {heartbeat: 2} dead_letters=1>"


# -- the table as a collection of columns ----------------------------------------------------------------


def test_table_names_its_columns(batch: EventBatch) -> None:
    table = batch["heartbeat"]
    assert len(table) == table.num_rows == 1
    assert list(table) == table.column_names == ["seq", "epoch", "received_at", "timestamp", "_extra"]
    assert "timestamp" in table
    assert "nothing" not in table
    assert 5 not in table
    assert table.column("timestamp").spec.kind is kinds.UTF8


def test_unknown_column_is_an_error_that_lists_the_columns(batch: EventBatch) -> None:
    text = "heartbeat has no column 'from', only seq, epoch, received_at, timestamp, _extra"
    for ask in (batch["heartbeat"].column, batch["heartbeat"].__getitem__):
        with pytest.raises(KeyError) as caught:
            ask("from")
        assert caught.value.args == (text,)


# -- numpy -----------------------------------------------------------------------------------------------

UTC = datetime.timezone.utc


def seconds(count: int) -> datetime.datetime:
    return datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=count)


def decimals(*texts: str) -> list[Decimal]:
    return list(map(Decimal, texts))


def member(tag: int, value: Any) -> SimpleNamespace:
    """As `rlfast.schema._reference` has it."""
    return SimpleNamespace(f0=value, __struct_config__=SimpleNamespace(tag=tag))


NOON = datetime.datetime(2026, 1, 1, 12, tzinfo=UTC)


def of(kind: kinds.Kind, **more: Any) -> Column:
    return Column("c", kind, nullable=True, **more)


def raws(*texts: str) -> list[msgspec.Raw]:
    return [msgspec.Raw(text.encode()) for text in texts]


ID, TEXT = (Column("item", kind) for kind in (kinds.UUID, kinds.UTF8))
FIELDS = (Column("a", kinds.INT64, nullable=True), Column("b", kinds.UTF8, nullable=True))
MEMBERS = tuple(
    Column(f"m{tag}", kinds.STRUCT, nullable=True, children=(FIELDS[tag],), tag_field="t", tag=tag)
    for tag in (0, 1)
)
VIEWS = [
    (of(kinds.INT64), [1, -(2**63), 2**63 - 1], "int64", None),
    (of(kinds.INT32), [1, -(2**31), 2**31 - 1], "int32", None),
    (of(kinds.INT16), [1, -(2**15), 2**15 - 1], "int16", None),
    (of(kinds.INT8), [1, -(2**7), 2**7 - 1], "int8", None),
    (of(kinds.UINT64), [1, 0, 2**64 - 1], "uint64", None),
    (of(kinds.UINT32), [1, 0, 2**32 - 1], "uint32", None),
    (of(kinds.UINT16), [1, 0, 2**16 - 1], "uint16", None),
    (of(kinds.UINT8), [1, 0, 2**8 - 1], "uint8", None),
    (of(kinds.INT_CHOICE, choices=(1, 2)), [1, 2, 1], "int64", None),
    (of(kinds.FLOAT64), [1.5, -0.0, float("inf")], "float64", None),
    (of(kinds.FLOAT32), [1.5, -0.0, float("inf")], "float32", None),
    (of(kinds.FLOAT_TEXT), ["1.5", "-0.0", "inf"], "float64", [1.5, -0.0, float("inf")]),
    (of(kinds.INT_TEXT), ["1", "-5", "007"], "int64", [1, -5, 7]),
    (of(kinds.TIMESTAMP), [0, 1, 1_700_000_000_123_456_789], "datetime64[ns]", None),
    (of(kinds.DATETIME), [NOON] * 3, "datetime64[us]", [NOON.replace(tzinfo=None)] * 3),
    (of(kinds.NAIVE_DATETIME), [NOON.replace(tzinfo=None)] * 3, "datetime64[us]", None),
    (of(kinds.DATETIME_NANOS), ["1970-01-01T00:00:00.000000001Z"] * 3, "datetime64[ns]", [1] * 3),
    (of(kinds.TIME), [datetime.time(0, 0, 1)] * 3, "timedelta64[us]", [datetime.timedelta(seconds=1)] * 3),
    (of(kinds.DURATION), [datetime.timedelta(-1)] * 3, "timedelta64[us]", None),
    (of(kinds.EPOCH_SECONDS), raws("1", "2", "3"), "datetime64[s]", [seconds(n) for n in (1, 2, 3)]),
    (of(kinds.EPOCH_MILLIS), raws("1000", "2000", "3000"), "datetime64[ms]", [seconds(n) for n in (1, 2, 3)]),
    (of(kinds.EPOCH_MICROS), raws("1e6", "2e6", "3e6"), "datetime64[us]", [seconds(n) for n in (1, 2, 3)]),
    (of(kinds.EPOCH_NANOS), raws("1", "2", "3"), "datetime64[ns]", [1, 2, 3]),
    (of(kinds.UUID), [UUID_A, UUID_B.upper(), UUID_A], "V16", [A16, B16, A16]),
]
COPIES = [
    (of(kinds.BOOL), [True, False, True], "bool", None),
    (of(kinds.DATE), [datetime.date(2026, 1, 1)] * 3, "datetime64[D]", None),
    (of(kinds.UTF8), ["a", "", "é🙂"], "object", None),
    (of(kinds.JSON), raws("1", "[]", '"x"'), "object", ["1", "[]", '"x"']),
    (of(kinds.DECIMAL_TEXT), raws("1.50", '"1"', "2e5"), "object", ["1.50", "1", "2e5"]),
    (
        of(kinds.DECIMAL128, precision=5, scale=2),
        raws("1.5", "-0.01", "999.99"),
        "object",
        decimals("1.50", "-0.01", "999.99"),
    ),
    (
        of(kinds.DECIMAL256, precision=76, scale=2),
        raws("1.5", "-0.01", "999.99"),
        "object",
        decimals("1.50", "-0.01", "999.99"),
    ),
    (of(kinds.BINARY), [b"a", b"", b"\xff"], "object", None),
    (of(kinds.BASE64), [b"a", b"", b"\xff"], "object", None),
    (of(kinds.CATEGORY), ["a", "b", "a"], "object", None),
    (of(kinds.CATEGORY, categories=("b", "a")), ["a", "b", "a"], "object", None),
    (of(kinds.LIST, children=(TEXT,)), [["a", ""], [], ["é"]], "object", None),
    (of(kinds.LIST, children=(ID,)), [[UUID_A, UUID_B], [], [UUID_A]], "object", [[A16, B16], [], [A16]]),
    (
        of(kinds.MAP, children=(Column("value", kinds.INT64),)),
        [{"a": 1}, {}, {"b": 2, "a": 3}],
        "object",
        None,
    ),
    (
        of(kinds.STRUCT, children=FIELDS),
        [(1, "x"), (2, None), (None, None)],
        "object",
        [{"a": 1, "b": "x"}, {"a": 2, "b": None}, {"a": None, "b": None}],
    ),
    (of(kinds.TUPLE, children=FIELDS), [(1, "x")] * 3, "object", [{"a": 1, "b": "x"}] * 3),
    (
        of(kinds.UNION, children=MEMBERS, tag_field="t"),
        [member(0, 5), member(1, "x"), member(0, 6)],
        "object",
        [
            {"t": 0, "m0": {"a": 5}, "m1": None},
            {"t": 1, "m0": None, "m1": {"b": "x"}},
            {"t": 0, "m0": {"a": 6}, "m1": None},
        ],
    ),
]
ALL = VIEWS + COPIES


def test_every_kind_is_here() -> None:
    assert {column.kind for column, *_ in ALL} == set(kinds.KINDS)


def ids(column: Any) -> str:
    return column.kind.name if isinstance(column, Column) else ""


@pytest.mark.parametrize(("column", "values", "dtype", "expected"), ALL, ids=ids)
def test_column_has_the_dtype_and_the_values(
    column: Column, values: list[Any], dtype: str, expected: list[Any] | None
) -> None:
    array = table_of(column, values)["c"]
    assert array.dtype == np.dtype(dtype)
    assert array.shape == (3,)
    assert array.tolist() == (values if expected is None else expected)
    if column.kind in (kinds.FLOAT64, kinds.FLOAT32):
        assert np.signbit(array[1])


@pytest.mark.parametrize(("column", "values", "dtype", "expected"), VIEWS, ids=ids)
def test_fixed_width_columns_are_read_only_views_of_the_buffer(
    column: Column, values: list[Any], dtype: str, expected: list[Any] | None
) -> None:
    for rows in (values, [*values, None]):
        table = table_of(column, rows)
        array = table["c"]
        whole = np.frombuffer(memoryview(table.column("c").data), dtype=np.uint8)
        assert np.shares_memory(np.ma.getdata(array), whole)
        assert np.shares_memory(np.ma.getdata(array), np.ma.getdata(table["c"]))
        assert np.ma.getdata(array).ctypes.data == whole.ctypes.data
        assert not np.ma.getdata(array).flags.writeable
        with pytest.raises(ValueError, match="read-only"):
            array[0] = array[1]


@pytest.mark.parametrize(("column", "values", "dtype", "expected"), COPIES, ids=ids)
def test_other_columns_are_copies(
    column: Column, values: list[Any], dtype: str, expected: list[Any] | None
) -> None:
    table = table_of(column, values)
    first, second = table["c"], table["c"]
    assert not np.shares_memory(first, second)
    first[0] = first[1]
    assert second.tolist() == (values if expected is None else expected)


@pytest.mark.parametrize(("column", "values", "dtype", "expected"), ALL, ids=ids)
def test_nulls_are_masked_or_none(
    column: Column, values: list[Any], dtype: str, expected: list[Any] | None
) -> None:
    plain = values if expected is None else expected
    nulled = [values[0], None, values[2], None]
    array = table_of(column, nulled)["c"]
    assert array.dtype == np.dtype(dtype)
    if dtype == "object":
        assert not isinstance(array, np.ma.MaskedArray)
    else:
        assert isinstance(array, np.ma.MaskedArray)
        assert array.mask.tolist() == [False, True, False, True]
        assert array.compressed().tolist() == [plain[0], plain[2]]
        assert "--" in repr(array)
    assert array.tolist() == [plain[0], None, plain[2], None]


@pytest.mark.parametrize(("column", "values", "dtype", "expected"), ALL, ids=ids)
@pytest.mark.parametrize("rows", [0, 1, 7, 8, 9, 64, 65])
def test_any_number_of_rows(
    column: Column, values: list[Any], dtype: str, expected: list[Any] | None, rows: int
) -> None:
    plain = values if expected is None else expected
    array = table_of(column, [values[i % 3] for i in range(rows)])["c"]
    assert (array.dtype, array.shape) == (np.dtype(dtype), (rows,))
    assert array.tolist() == [plain[i % 3] for i in range(rows)]
    nulls = table_of(column, [None] * rows)["c"]
    assert (nulls.dtype, nulls.shape) == (np.dtype(dtype), (rows,))
    assert nulls.tolist() == [None] * rows


def test_lists_of_equal_length_stay_one_dimensional() -> None:
    array = table_of(of(kinds.LIST, children=(TEXT,)), [["a", "b"], ["c", "d"]])["c"]
    assert array.shape == (2,)
    assert array.tolist() == [["a", "b"], ["c", "d"]]


def test_numpy_and_arrow_see_the_same_values(batch: EventBatch) -> None:
    for table in (*batch.values(), batch.dead_letters):
        record_batch = pa.record_batch(table)
        record_batch.validate(full=True)
        assert record_batch.schema.names == table.column_names
        for name in table.column_names:
            column = record_batch.column(name)
            if isinstance(column, pa.ExtensionArray):
                column = column.storage
            if pa.types.is_timestamp(column.type):
                column = column.cast(pa.int64())
            expected = [
                [item.bytes if isinstance(item, uuid.UUID) else item for item in value]
                if isinstance(value, list)
                else value
                for value in column.to_pylist()
            ]
            assert table[name].tolist() == expected


def test_batches_are_not_copied_or_pickled(batch: EventBatch) -> None:
    for thing in (batch, batch["heartbeat"]):
        with pytest.raises(TypeError):
            copy.deepcopy(thing)
        with pytest.raises(TypeError):
            pickle.dumps(thing)


# -- text columns: dictionaries in some batches, plain in others -------------------------------------------


def heartbeats(texts: list[str]) -> EventTable:
    payloads = [b'{"type":"heartbeat","timestamp":"%s"}' % text.encode() for text in texts]
    return assemble(AgentEvent, payloads)["heartbeat"]


REPEATED, DISTINCT = heartbeats(["noon"] * 100), heartbeats([str(i) for i in range(100)])
PLAIN = pa.schema(
    [
        pa.field("seq", pa.int64(), False),
        pa.field("epoch", pa.int64(), False),
        pa.field("received_at", pa.timestamp("ns", "UTC"), False),
        pa.field("timestamp", pa.utf8(), False),
        pa.field("_extra", pa.json_()),
    ]
)


def test_the_form_of_a_text_column_follows_its_texts() -> None:
    assert pa.types.is_dictionary(pa.record_batch(REPEATED).column("timestamp").type)
    assert pa.record_batch(DISTINCT).column("timestamp").type == pa.utf8()
    # numpy does not see the difference.
    assert REPEATED["timestamp"].tolist() == ["noon"] * 100
    assert DISTINCT["timestamp"].tolist() == [str(i) for i in range(100)]


@pytest.mark.parametrize("table", [REPEATED, DISTINCT], ids=["repeated", "distinct"])
def test_plain_text_can_be_asked_for(table: EventTable) -> None:
    plain = table.with_plain_text()
    assert pa.record_batch(plain).schema == PLAIN
    assert plain["timestamp"].tolist() == table["timestamp"].tolist()
    # Other columns are the same ones.
    assert plain.column("seq") is table.column("seq")
    assert (plain.name, plain.num_rows) == (table.name, table.num_rows)
    # The way of the PyCapsule interface.
    assert pa.record_batch(table, schema=PLAIN).schema == PLAIN
    assert pa.table(table, schema=PLAIN).column("timestamp").to_pylist() == table["timestamp"].tolist()


def test_batches_with_either_form_make_one_table() -> None:
    whole = pa.concat_tables(pa.table(table, schema=PLAIN) for table in (REPEATED, DISTINCT, REPEATED))
    assert whole.num_rows == 300
    frames = pl.concat([pl.DataFrame(table.with_plain_text()) for table in (REPEATED, DISTINCT)])
    assert frames["timestamp"].to_list()[99:101] == ["noon", "0"]


def test_nulls_stay_nulls_in_plain_text() -> None:
    payloads = [
        b'{"type":"goal_completed","goal_id":"%s","success":true,"result":%s}' % (UUID_A.encode(), result)
        for result in [b'"ok"', b"null", b'"ok"', b'"ok"', b"null"] * 5
    ]
    table = assemble(AgentEvent, payloads)["goal_completed"]
    assert table.column("result").layout == Layout.DICTIONARY
    plain = pa.record_batch(table.with_plain_text()).column("result")
    assert plain.type == pa.utf8()
    assert plain.to_pylist() == ["ok", None, "ok", "ok", None] * 5
    plain.validate(full=True)


def test_a_consumed_schema_is_refused() -> None:
    capsule = PLAIN.__arrow_c_schema__()
    pa.Schema._import_from_c_capsule(capsule)
    with pytest.raises(ValueError, match="released"):
        REPEATED.__arrow_c_array__(capsule)
    with pytest.raises(ValueError, match="PyCapsule"):
        REPEATED.__arrow_c_array__(object())
