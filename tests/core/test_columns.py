from __future__ import annotations

import copy
import pickle
import re
import uuid
from types import SimpleNamespace
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rlfast._core.columns import ColumnBuilder, ColumnData, OwnedBuffer
from rlfast._core.tables import TableBuilder
from rlfast.decode._assembler import own_columns
from rlfast.schema import kinds
from rlfast.schema._columns import Column
from rlfast.schema._names import OwnNames
from rlfast.schema.kinds import Kind, Layout

from .exporting import ExportedTable, to_pyarrow
from .oracle import (
    CATEGORIES,
    SCALARS,
    WIDE_INTS,
    CannotSpoilError,
    assert_same,
    columns,
    expected_array,
    list_of,
    map_of,
    mirror,
    samples,
    scalar_column,
    spoiled,
    struct_of,
    union_of,
)

GOOD_UUID = "0b5c6f0e-6e55-4e6c-a9a5-4f5a0f6f1c11"
REFUSALS = (ValueError, OverflowError, TypeError)
INT, TEXT = (scalar_column(kind, nullable=False) for kind in (kinds.INT64, kinds.UTF8))
NESTED = (
    list_of(TEXT),
    list_of(scalar_column(kinds.UUID, nullable=False)),
    list_of(list_of(scalar_column(kinds.INT64))),
    list_of(struct_of([INT, list_of(TEXT)], nullable=False)),
    map_of(scalar_column(kinds.FLOAT64)),
    map_of(list_of(union_of([("a", [INT]), ("b", [])]))),
    struct_of([INT, TEXT, scalar_column(kinds.BOOL)]),
    struct_of([struct_of([map_of(INT), scalar_column(kinds.CATEGORY)]), TEXT], kind=kinds.TUPLE),
    union_of([("a", [INT, TEXT]), ("b", [list_of(INT)]), ("empty", [])]),
    union_of([(1, [TEXT]), (-7, [struct_of([INT])])]),
)
ALL = (*map(scalar_column, SCALARS), scalar_column(kinds.CATEGORY, fixed=True), *NESTED)


def name_of(column: Column) -> str:
    inside = ",".join(map(name_of, column.children))
    return column.kind.name + (f"({inside})" if inside else "") + ("!" if column.categories else "")


BY_COLUMN = pytest.mark.parametrize("column", ALL, ids=name_of)
SETTINGS = settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def build(column: Column, pushed: list[Any]) -> ColumnData:
    builder = ColumnBuilder(column)
    for value in pushed:
        builder.push(value)
    return builder.finish()


def unzip(pairs: list[tuple[Any, Any]]) -> tuple[list[Any], list[Any]]:
    return [pushed for pushed, _ in pairs], [held for _, held in pairs]


# -- values against the oracle ---------------------------------------------------------------------------


@BY_COLUMN
@given(data=st.data())
@SETTINGS
def test_column_equals_oracle(column: Column, data: st.DataObject) -> None:
    check_column(column, data)


@given(data=st.data())
@settings(SETTINGS, max_examples=150)
def test_any_column_equals_oracle(data: st.DataObject) -> None:
    check_column(data.draw(columns()), data)


def check_column(column: Column, data: st.DataObject) -> None:
    pushed, held = unzip(data.draw(st.lists(samples(column), max_size=30)))
    built = build(column, pushed)
    assert (built.name, built.spec, built.nullable) == ("c", column, column.nullable)
    assert built.layout == built.declared == column.kind.layout
    assert built.length == len(held)
    assert built.null_count == held.count(None)
    assert [child.name for child in built.children] == [child.name for child in column.physical_children]
    assert_same(to_pyarrow(built), expected_array(column, held))


@BY_COLUMN
@given(data=st.data())
@SETTINGS
def test_any_history_of_pushes_refusals_and_truncations_equals_oracle(
    column: Column, data: st.DataObject
) -> None:
    check_history(column, data)


@given(data=st.data())
@settings(SETTINGS, max_examples=150)
def test_any_history_of_any_column_equals_oracle(data: st.DataObject) -> None:
    check_history(data.draw(columns()), data)


def check_history(column: Column, data: st.DataObject) -> None:
    builder = ColumnBuilder(column)
    moves = st.lists(st.sampled_from(["push", "push", "push", "refuse", "take back"]), max_size=25)
    for history in data.draw(st.lists(moves, min_size=1, max_size=3)):
        held: list[Any] = []
        for move in history:
            if move == "push":
                pushed, value = data.draw(samples(column))
                builder.push(pushed)
                held.append(value)
            elif move == "refuse":
                try:
                    bad = data.draw(spoiled(column))
                except CannotSpoilError:
                    continue
                with pytest.raises(REFUSALS):
                    builder.push(bad)
            else:
                length = data.draw(st.integers(0, 25))
                builder.take_back(length)
                del held[length:]
            assert len(builder) == len(held)
        # The same builder starts anew after every finish.
        assert_same(to_pyarrow(builder.finish()), expected_array(column, held))
    assert len(builder) == 0


SAMPLES: dict[Kind, Any] = {
    kinds.INT64: lambda i: i * 2**40 - 2**52,
    kinds.INT16: lambda i: i - 5000,
    kinds.FLOAT64: lambda i: i / 7,
    kinds.BOOL: lambda i: i % 3 == 0,
    kinds.UTF8: lambda i: "é" * (i % 50),
    kinds.BINARY: lambda i: bytes([i % 256]) * (i % 50),
    kinds.UUID: lambda i: uuid.UUID(int=i**9).bytes,
    kinds.CATEGORY: lambda i: f"word {i % 1000}",
}


def long_sample(column: Column, i: int) -> tuple[Any, Any]:
    if column.nullable and i % 11 == 10:
        return None, None
    if column.kind in SAMPLES:
        value = SAMPLES[column.kind](i)
        return (uuid.UUID(bytes=value), value) if column.kind is kinds.UUID else (value, value)
    if column.kind is kinds.UNION:
        member = column.children[i % len(column.children)]
        pushed, held = unzip([long_sample(child, i + j) for j, child in enumerate(member.children)])
        return mirror(pushed, member.tag), (member.tag, tuple(held) if held else None)
    if column.kind.layout is Layout.CHILDREN:
        pushed, held = unzip([long_sample(child, i + j) for j, child in enumerate(column.children)])
        return tuple(pushed), tuple(held)
    pushed, held = unzip([long_sample(column.children[0], i + j) for j in range(i % 6)])
    if column.kind is kinds.LIST:
        return pushed, held
    keys = [f"key {i + j}" for j in range(i % 6)]
    return dict(zip(keys, pushed, strict=True)), list(zip(keys, held, strict=True))


@pytest.mark.parametrize("column", [*map(scalar_column, SAMPLES), *NESTED], ids=name_of)
def test_long_columns_grow_through_many_reallocations(column: Column) -> None:
    pushed, held = unzip([long_sample(column, i) for i in range(10_000)])
    builder = ColumnBuilder(column)
    for _ in range(2):
        for value in pushed:
            builder.push(value)
        builder.take_back(9_000)
        for value in pushed[9_000:]:
            builder.push(value)
        assert_same(to_pyarrow(builder.finish()), expected_array(column, held))


@BY_COLUMN
def test_empty_column_is_valid(column: Column) -> None:
    built = build(column, [])
    assert built.length == 0
    assert_same(to_pyarrow(built), expected_array(column, []))


@BY_COLUMN
@pytest.mark.parametrize("rows", [1, 9, 200])
def test_column_of_nulls_only_is_valid(column: Column, rows: int) -> None:
    assert_same(to_pyarrow(build(column, [None] * rows)), expected_array(column, [None] * rows))


@BY_COLUMN
def test_null_is_refused_where_none_is_allowed(column: Column) -> None:
    builder = ColumnBuilder(not_null(column))
    with pytest.raises(TypeError, match="takes no nulls"):
        builder.push(None)
    assert len(builder) == 0
    assert builder.finish().length == 0


def not_null(column: Column) -> Column:
    return msgspec.structs.replace(column, nullable=False, accepts_null=False)


def test_dictionary_codes_follow_first_occurrence_and_start_anew_after_finish() -> None:
    builder = ColumnBuilder(scalar_column(kinds.CATEGORY))
    for word in ("b", "a", None, "b", "c"):
        builder.push(word)
    first = to_pyarrow(builder.finish())
    assert first.dictionary.to_pylist() == ["b", "a", "c"]
    assert first.indices.to_pylist() == [0, 1, None, 0, 2]
    builder.push("c")
    second = to_pyarrow(builder.finish())
    assert second.dictionary.to_pylist() == ["c"]
    assert second.indices.to_pylist() == [0]


def test_word_of_a_row_taken_back_keeps_its_code() -> None:
    builder = ColumnBuilder(scalar_column(kinds.CATEGORY, nullable=False))
    builder.push("a")
    builder.push("b")
    builder.take_back(1)
    builder.push("b")
    array = to_pyarrow(builder.finish())
    assert array.to_pylist() == ["a", "b"]
    assert array.dictionary.to_pylist() == ["a", "b"]


# -- refusals --------------------------------------------------------------------------------------------


@BY_COLUMN
def test_refused_values_change_nothing(column: Column) -> None:
    refusals = SCALARS[column.kind].refused if column.kind in SCALARS else REFUSED[column.kind]
    for refused in refusals:
        builder = ColumnBuilder(column)
        builder.push(None)
        with pytest.raises(REFUSALS):
            builder.push(refused)
        builder.push(None)
        assert_same(to_pyarrow(builder.finish()), expected_array(column, [None, None]))


REFUSED: dict[Kind, tuple[Any, ...]] = {
    kinds.LIST: ("abc", 5, {1, 2}),
    kinds.MAP: ("abc", [("a", "b", "c")], {"\ud800": 1}, {1: 1}),
    kinds.STRUCT: ((), (1,) * 9),
    kinds.TUPLE: ((), (1,) * 9),
    kinds.UNION: (),  # what it refuses depends on its members
}


@pytest.mark.parametrize("value", WIDE_INTS)
def test_integers_over_64_bits_are_refused_not_wrapped(value: int) -> None:
    builder = ColumnBuilder(scalar_column(kinds.INT64, nullable=False))
    with pytest.raises(OverflowError, match="64 bits"):
        builder.push(value)
    assert len(builder) == 0


@pytest.mark.parametrize("position", range(36))
@pytest.mark.parametrize("char", ["g", "G", "-", "/", ":", "@", "`", " ", "\0", "é", "x"])
def test_uuid_with_one_wrong_character_is_refused(position: int, char: str) -> None:
    text = GOOD_UUID[:position] + char + GOOD_UUID[position + 1 :]
    if text == GOOD_UUID:
        return
    builder = ColumnBuilder(scalar_column(kinds.UUID, nullable=False))
    with pytest.raises(ValueError, match="not a UUID"):
        builder.push(text)
    builder.push(GOOD_UUID)
    assert to_pyarrow(builder.finish()).to_pylist() == [uuid.UUID(GOOD_UUID)]


@given(
    text=st.text(alphabet="0123456789abcdefABCDEFg-é", min_size=30, max_size=38)
    | st.from_regex(r"\A[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\Z")
    | st.from_regex(r"\A[0-9a-fA-F]{32}\Z")
)
@settings(deadline=None, max_examples=300)
def test_uuid_text_is_taken_with_all_hyphens_or_none(text: str) -> None:
    forms = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32}"
    canonical = re.fullmatch(forms, text, re.IGNORECASE | re.ASCII)
    builder = ColumnBuilder(scalar_column(kinds.UUID, nullable=False))
    if canonical:
        builder.push(text)
        assert bytes(builder.finish().data) == uuid.UUID(text).bytes
    else:
        with pytest.raises(ValueError, match="not a UUID"):
            builder.push(text)


def test_take_back_refuses_a_negative_length() -> None:
    with pytest.raises(ValueError, match="negative"):
        ColumnBuilder(scalar_column(kinds.INT64, nullable=False)).take_back(-1)


# -- the validity bitmap ---------------------------------------------------------------------------------


@BY_COLUMN
@given(data=st.data())
@settings(SETTINGS, max_examples=20)
def test_bitmap_exists_only_when_something_is_null(column: Column, data: st.DataObject) -> None:
    pushed, _ = unzip(data.draw(st.lists(samples(column), max_size=40)))
    present = [value for value in pushed if value is not None]
    if column.kind is not kinds.JSON:
        assert build(column, present).validity is None
    position = data.draw(st.integers(0, len(present)))
    present.insert(position, None)
    built = build(column, present)
    assert built.validity is not None
    assert built.validity.nbytes == (len(present) + 7) // 8
    octets = bytes(built.validity)
    bits = [bool(octets[i >> 3] >> (i & 7) & 1) for i in range(len(present))]
    assert bits.count(False) == built.null_count
    if column.kind is not kinds.JSON:
        assert bits == [value is not None for value in present]


def test_bitmap_is_gone_when_its_only_null_is_taken_back() -> None:
    builder = ColumnBuilder(scalar_column(kinds.INT64))
    for value in (1, 2, None, 4):
        builder.push(value)
    builder.take_back(2)
    builder.push(3)
    column = builder.finish()
    assert column.null_count == 0
    assert column.validity is None
    assert to_pyarrow(column).to_pylist() == [1, 2, 3]


# -- buffers ---------------------------------------------------------------------------------------------


def test_buffers_are_read_only_and_cannot_be_copied_or_pickled() -> None:
    column = build(scalar_column(kinds.INT64), [1, 2, 3])
    view = memoryview(column.data)
    assert view.readonly
    assert (view.nbytes, len(column.data), column.data.nbytes) == (24, 24, 24)
    with pytest.raises(TypeError):
        view[0] = 1
    for thing in (column, column.data, ColumnBuilder(scalar_column(kinds.INT64, nullable=False))):
        # A second owner of the same memory would free it twice.
        with pytest.raises(TypeError):
            copy.copy(thing)
        with pytest.raises(TypeError):
            pickle.dumps(thing)


def test_empty_buffer_object_is_empty() -> None:
    assert bytes(OwnedBuffer()) == b""


def test_finished_column_is_untouched_by_what_the_builder_does_next() -> None:
    builder = ColumnBuilder(scalar_column(kinds.UTF8, nullable=False))
    builder.push("first")
    first = builder.finish()
    for _ in range(1000):
        builder.push("second")
    second = builder.finish()
    assert to_pyarrow(first).to_pylist() == ["first"]
    assert to_pyarrow(second).to_pylist() == ["second"] * 1000


# -- tables ----------------------------------------------------------------------------------------------

FIELDS = [
    scalar_column(kinds.UUID, "id", nullable=False),
    scalar_column(kinds.UTF8, "from"),
    scalar_column(kinds.INT64, "count", nullable=False),
    list_of(TEXT, "tags"),
]
EXTRA = scalar_column(kinds.JSON, "_extra")


def row(**changes: Any) -> SimpleNamespace:
    return SimpleNamespace(**({"id": GOOD_UUID, "from_": "x", "count": 1, "tags": ["a"]} | changes))


def events() -> TableBuilder:
    attributes = ["id", "from_", "count", "tags"]
    return TableBuilder("events", own_columns(OwnNames()), FIELDS, EXTRA, attributes)


def record_batch(builder: TableBuilder) -> pa.RecordBatch:
    rows = builder.num_rows
    batch = pa.record_batch(ExportedTable(builder.finish(), rows))
    batch.validate(full=True)
    return batch


def test_table_has_the_leading_columns_the_fields_and_extra() -> None:
    builder = events()
    builder.push_row(row(), 7, 2, 1_700_000_000_000_000_000)
    builder.push_row(row(from_=None, tags=None), 8, 2, 1_700_000_000_000_000_001, '{"x":1}')
    batch = record_batch(builder)
    assert batch.schema.names == ["seq", "epoch", "received_at", "id", "from", "count", "tags", "_extra"]
    assert [field.nullable for field in batch.schema] == [False] * 4 + [True, False, True, True]
    assert batch.column("seq").to_pylist() == [7, 8]
    assert batch.column("epoch").to_pylist() == [2, 2]
    assert batch.column("received_at").cast(pa.int64()).to_pylist() == [
        1_700_000_000_000_000_000,
        1_700_000_000_000_000_001,
    ]
    assert batch.column("from").to_pylist() == ["x", None]
    assert batch.column("tags").to_pylist() == [["a"], None]
    assert batch.column("_extra").to_pylist() == [None, '{"x":1}']


def test_table_without_extra() -> None:
    builder = TableBuilder(
        "letters", own_columns(OwnNames()), [Column("raw", kinds.BINARY)], attributes=["raw"]
    )
    builder.push_row(SimpleNamespace(raw=b"\xff"), 0, 1, 0)
    assert record_batch(builder).to_pydict()["raw"] == [b"\xff"]


def test_table_without_extra_refuses_unknown_fields() -> None:
    builder = TableBuilder(
        "letters", own_columns(OwnNames()), [Column("raw", kinds.BINARY)], attributes=["raw"]
    )
    with pytest.raises(TypeError, match="table 'letters' has no column for unknown fields"):
        builder.push_row(SimpleNamespace(raw=b""), 0, 1, 0, "{}")
    assert builder.num_rows == 0


@pytest.mark.parametrize(
    ("changes", "extra", "text"),
    [
        ({"id": "nonsense"}, None, r"not a UUID: 'nonsense' - at `\$\.id`"),
        ({"from_": "\ud800"}, None, r"surrogates not allowed - at `\$\.from`"),
        ({"count": 2**63}, None, r"integer over 64 bits - at `\$\.count`"),
        ({"count": -(2**63) - 1}, None, r"integer over 64 bits - at `\$\.count`"),
        ({"count": None}, None, r"takes no nulls - at `\$\.count`"),
        ({"count": "1"}, None, r" - at `\$\.count`"),
        ({"tags": ["a", "\udfff"]}, None, r"surrogates not allowed - at `\$\.tags`"),
        ({"tags": "abc"}, None, r"expected a list, got str - at `\$\.tags`"),
        ({}, "\ud800", r"surrogates not allowed - at `\$\._extra`"),
    ],
)
def test_row_that_does_not_fit_names_its_column_and_changes_nothing(
    changes: dict[str, Any], extra: str | None, text: str
) -> None:
    builder = events()
    builder.push_row(row(), 0, 1, 10)
    with pytest.raises(ValueError, match=text):
        builder.push_row(row(**changes), 1, 1, 11, extra)
    assert builder.num_rows == 1
    builder.push_row(row(from_=None), 2, 1, 12)
    batch = record_batch(builder)
    assert batch.column("seq").to_pylist() == [0, 2]
    assert batch.column("from").to_pylist() == ["x", None]
    assert batch.column("count").to_pylist() == [1, 1]
    assert batch.column("_extra").to_pylist() == [None, None]


def test_unknown_fields_may_come_first_late_or_in_a_refused_row() -> None:
    builder = events()
    extras = ["{}", None, None, '{"x":1}', None]
    for seq, extra in enumerate(extras):
        builder.push_row(row(), seq, 1, seq, extra)
        with pytest.raises(ValueError, match="not a UUID"):
            builder.push_row(row(id="x"), seq, 1, seq, "{}")
        with pytest.raises(ValueError, match="surrogates"):
            builder.push_row(row(), seq, 1, seq, "\ud800")
    assert record_batch(builder).column("_extra").to_pylist() == extras
    builder.push_row(row(), 9, 1, 9)
    assert record_batch(builder).column("_extra").to_pylist() == [None]


def test_missing_attribute_is_an_error_of_the_caller_and_changes_nothing() -> None:
    builder = events()
    with pytest.raises(AttributeError):
        builder.push_row(SimpleNamespace(id=GOOD_UUID), 0, 1, 0)
    builder.push_row(row(), 0, 1, 0)
    assert record_batch(builder).num_rows == 1


@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from([GOOD_UUID, "bad", ""]),
            st.none() | st.text(max_size=5) | st.just("\ud800"),
            st.integers(-(2**64), 2**64),
            st.none() | st.lists(st.text(max_size=3) | st.just("\ud800"), max_size=3),
        ),
        max_size=30,
    )
)
@settings(deadline=None, max_examples=100)
def test_table_holds_exactly_the_rows_that_fit(rows: list[tuple[Any, ...]]) -> None:
    builder = events()
    kept = []
    for seq, (id_, from_, count, tags) in enumerate(rows):
        texts = [text for text in [from_, *(tags or ())] if text is not None]
        fits = id_ == GOOD_UUID and -(2**63) <= count < 2**63 and "\ud800" not in texts
        if fits:
            builder.push_row(row(id=id_, from_=from_, count=count, tags=tags), seq, 1, seq)
            kept.append((seq, from_, count, tags))
        else:
            with pytest.raises(ValueError, match="- at `"):
                builder.push_row(row(id=id_, from_=from_, count=count, tags=tags), seq, 1, seq)
        assert builder.num_rows == len(kept)
    batch = record_batch(builder)
    columns = [batch.column(name).to_pylist() for name in ("seq", "from", "count", "tags")]
    assert list(zip(*columns, strict=True)) == kept
    assert builder.num_rows == 0


# -- memory of batches that nobody reads any more --------------------------------------------------------


def addresses(batch: pa.RecordBatch) -> dict[str, list[int]]:
    """Of the offsets and values of each column; the bitmap of nulls comes first."""
    buffers = {name: batch.column(name).buffers()[1:] for name in batch.schema.names}
    return {name: [each.address for each in found if each is not None] for name, found in buffers.items()}


def test_memory_of_a_batch_is_taken_again_once_it_is_dropped() -> None:
    builder = events()
    seen = []
    for _ in range(6):
        builder.reuse()
        for seq in range(1000):
            builder.push_row(row(), seq, 1, seq, '{"x":1}')
        # Only now the one before it is dropped, so that two take turns.
        batch = record_batch(builder)
        seen.append(addresses(batch))
    # The first ones are not yet as large as one of this size is expected to be.
    assert seen[2] == seen[4] != seen[3] == seen[5]


@given(
    batches=st.lists(
        st.tuples(
            st.lists(st.tuples(st.none() | st.text(max_size=9), st.integers(1, 50)), max_size=90),
            st.booleans(),
        ),
        max_size=6,
    )
)
@settings(deadline=None, max_examples=100)
def test_batches_that_are_held_stay_as_they_are_whatever_is_dropped(
    batches: list[tuple[list[tuple[str | None, int]], bool]],
) -> None:
    attributes = ["id", "from_", "count", "tags"]
    builder = TableBuilder("events", own_columns(OwnNames()), FIELDS, EXTRA, attributes, adaptive=True)
    held = []
    for runs, holds in batches:
        values = [(text, count, [text or ""] * (count % 3)) for text, count in runs for _ in range(count)]
        builder.reuse()
        for seq, (text, count, tags) in enumerate(values):
            builder.push_row(row(from_=text, count=count, tags=tags), seq, 1, seq)
        batch = record_batch(builder)
        if holds:
            held.append((batch, values))
    for batch, values in held:
        columns = [batch.column(name).to_pylist() for name in ("from", "count", "tags")]
        assert list(zip(*columns, strict=True)) == values
        assert batch.column("seq").to_pylist() == list(range(len(values)))


# -- dictionaries: fixed words, and text columns that adapt ----------------------------------------------

LONG_TEXTS = st.sampled_from(
    ["12345678" + middle + "87654321" for middle in ("", "a", "b", "-" * 8, "-" * 9, "+" * 9, "x" * 40)]
)
ODD_TEXTS = (
    LONG_TEXTS | st.sampled_from(["", "\0", "\0\0", "a", "\0a", "a\0", "é", "🙂"]) | st.text(max_size=20)
)


def adaptive(values: list[Any]) -> ColumnData:
    builder = ColumnBuilder(scalar_column(kinds.UTF8), adaptive=True)
    for value in values:
        builder.push(value)
    return builder.finish()


@given(
    batches=st.lists(
        st.lists(st.tuples(ODD_TEXTS | st.none(), st.integers(1, 60)), max_size=60), min_size=1, max_size=3
    )
)
@settings(deadline=None, max_examples=100)
def test_adaptive_column_equals_oracle_whatever_form_it_takes(batches: list[list[tuple[Any, int]]]) -> None:
    builder = ColumnBuilder(scalar_column(kinds.UTF8), adaptive=True)
    for runs in batches:
        values = [value for value, count in runs for _ in range(count)]
        for value in values:
            builder.push(value)
        column = builder.finish()
        assert column.declared == Layout.BYTES
        assert column.null_count == values.count(None)
        assert to_pyarrow(column).to_pylist() == values
        assert_same(to_pyarrow(column.plain()), expected_array(scalar_column(kinds.UTF8), values))
        if column.dictionary is not None:
            words = to_pyarrow(column.dictionary).to_pylist()
            assert words == list(dict.fromkeys(value for value in values if value is not None))


@given(data=st.data())
@settings(deadline=None, max_examples=60)
def test_adaptive_column_takes_rows_back(data: st.DataObject) -> None:
    builder = ColumnBuilder(scalar_column(kinds.UTF8), adaptive=True)
    values: list[Any] = []
    for _ in range(data.draw(st.integers(1, 8))):
        # Enough distinct texts that the form changes now and then.
        more = data.draw(st.lists(st.integers(0, 200).map(str) | st.none(), max_size=120))
        for value in more:
            builder.push(value)
        values += more
        length = data.draw(st.integers(0, len(values)))
        builder.take_back(length)
        del values[length:]
        with pytest.raises(UnicodeEncodeError):
            builder.push("\ud800")
    assert to_pyarrow(builder.finish().plain()).to_pylist() == values


@pytest.mark.parametrize(
    ("values", "layout"),
    [
        ([], Layout.BYTES),
        ([None] * 9, Layout.BYTES),
        (["a"], Layout.BYTES),
        (["a", "a"], Layout.DICTIONARY),
        (["a", "b", "c"], Layout.BYTES),
        (["a", "b", "c"] * 2, Layout.DICTIONARY),
        ([str(i) for i in range(64)] * 2, Layout.DICTIONARY),
        # At the 65th distinct text of as many rows the trial is over.
        ([str(i) for i in range(65)] * 2, Layout.BYTES),
        (["a"] * 100 + [str(i) for i in range(90)], Layout.DICTIONARY),
        ([str(i % 4096) for i in range(16384)], Layout.BYTES),
        (["x"] * 20_000 + [str(i) for i in range(4095)], Layout.DICTIONARY),
        (["x"] * 20_000 + [str(i) for i in range(4096)], Layout.BYTES),
    ],
    ids=lambda value: str(len(value)) if isinstance(value, list) else value.name,
)
def test_a_text_column_is_a_dictionary_while_that_pays(values: list[Any], layout: Layout) -> None:
    column = adaptive(values)
    assert (column.layout, column.declared) == (layout, Layout.BYTES)
    assert column.is_dictionary == (layout == Layout.DICTIONARY)
    assert to_pyarrow(column).to_pylist() == values


def test_fixed_words_are_the_dictionary_of_every_column() -> None:
    words = list(CATEGORIES)
    builder = ColumnBuilder(scalar_column(kinds.CATEGORY, fixed=True))
    dictionaries = []
    for values in ([], [None], ["é", "added", None, "é"], list(reversed(words))):
        for value in values:
            builder.push(value)
        for refused in ("adde", "addedd", "É", "\0"):
            with pytest.raises(ValueError, match="does not name"):
                builder.push(refused)
        column = builder.finish()
        assert column.layout == column.declared == Layout.DICTIONARY
        assert column.plain() is column
        assert to_pyarrow(column).to_pylist() == values
        assert column.dictionary is not None
        assert to_pyarrow(column.dictionary).to_pylist() == words
        dictionaries.append(column.dictionary)
    assert all(dictionary is dictionaries[0] for dictionary in dictionaries)


@given(texts=st.lists(ODD_TEXTS, max_size=300))
@settings(deadline=None, max_examples=100)
def test_words_are_told_apart_as_a_dict_does(texts: list[str]) -> None:
    builder = ColumnBuilder(scalar_column(kinds.CATEGORY, nullable=False))
    codes: dict[str, int] = {}
    for text in texts:
        builder.push(text)
        codes.setdefault(text, len(codes))
    array = to_pyarrow(builder.finish())
    assert array.indices.to_pylist() == [codes[text] for text in texts]
    assert array.dictionary.to_pylist() == list(codes)
