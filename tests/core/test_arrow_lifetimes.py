from __future__ import annotations

import ctypes
import gc
import os
import sys
import threading
import uuid
from typing import Any

import nanoarrow
import numpy as np
import polars as pl
import psutil
import pyarrow as pa
import pytest
from sample_events import PAYLOADS, assemble

from rlfast._core import arrow
from rlfast._core.buildinfo import SANITIZE
from rlfast._core.columns import ColumnBuilder, ColumnData
from rlfast.decode._batch import EventTable
from rlfast.reasoning_layer._events import AgentEvent
from rlfast.schema import kinds
from rlfast.schema._columns import Column
from rlfast.schema.kinds import Layout

from .exporting import ExportedColumn, ExportedTable
from .wide import BY_NAME, NOT_EVERYWHERE, SAMPLED, Sampled, column_of, wide_table

BY_SAMPLE = pytest.mark.parametrize("sampled", SAMPLED, ids=lambda sampled: sampled.name)


def references(table: ExportedTable) -> list[int]:
    return [sys.getrefcount(table.columns), *(sys.getrefcount(column) for column in nodes(table.columns))]


def nodes(columns: list[ColumnData]) -> list[ColumnData]:
    """The columns, and all that are inside of them."""
    found = []
    for column in columns:
        found += [column, *nodes(column.children)]
        if column.dictionary is not None:
            found.append(column.dictionary)
    return found


def test_unconsumed_capsules_give_back_every_reference() -> None:
    table = wide_table()
    before = references(table)
    capsules = [
        arrow.schema_capsule(table.columns),
        arrow.array_capsule(table.columns, 3),
        arrow.stream_capsule(table.columns, 3),
        *(arrow.column_array_capsule(column) for column in table.columns),
        *(arrow.column_schema_capsule(column) for column in table.columns),
    ]
    assert references(table) != before
    del capsules
    assert references(table) == before


@pytest.mark.parametrize(
    "consume",
    [
        pa.record_batch,
        pa.table,
        pa.schema,
        lambda table: pa.RecordBatchReader.from_stream(table),
        lambda table: pa.RecordBatchReader.from_stream(table).read_all(),
        pl.DataFrame,
        nanoarrow.c_array,
        nanoarrow.c_schema,
        lambda table: nanoarrow.ArrayStream(table),
        lambda table: nanoarrow.ArrayStream(table).read_all(),
    ],
)
def test_consumed_capsules_give_back_every_reference(consume: Any) -> None:
    table = wide_table(without=NOT_EVERYWHERE if consume is pl.DataFrame else ())
    before = references(table)
    consumed = consume(table)
    assert consumed is not None
    del consumed
    gc.collect()
    assert references(table) == before


def test_arrays_may_be_released_on_another_thread() -> None:
    table = wide_table()
    before = references(table)
    held = [pa.record_batch(table), pa.table(table)]
    assert references(table) != before
    thread = threading.Thread(target=held.clear)
    thread.start()
    thread.join()
    assert references(table) == before


def test_stream_outlives_the_table_it_came_from() -> None:
    table = wide_table(5)
    reader = pa.RecordBatchReader.from_stream(table)
    del table
    gc.collect()
    assert reader.read_all().column("seq").to_pylist() == list(range(5))


def churn() -> None:
    """Allocate and drop as much as a freed buffer might be reused for."""
    gc.collect()
    for _ in range(20):
        wide_table(2000)


def test_views_outlive_batch_table_and_builders() -> None:
    batch = assemble(AgentEvent, [payload for payload in PAYLOADS for _ in range(500)], first_seq=10)
    table = batch["attention_shift"]
    numbers = table["priority"]
    ids = table["to"]
    masked = table["from"]
    column = pa.record_batch(table).column("to")
    frame = pl.DataFrame(table)
    child = pa.record_batch(batch["cycle_complete"]).column("pending_reviews").flatten()
    expected = [numbers.tolist(), ids.tolist(), masked.tolist(), frame["seq"].to_list(), child.to_pylist()]
    del batch, table
    churn()
    column.validate(full=True)
    assert [
        numbers.tolist(),
        ids.tolist(),
        masked.tolist(),
        frame["seq"].to_list(),
        child.to_pylist(),
    ] == expected
    assert expected[0] == [1.5] * 500 + [-0.0] * 500
    assert column[0].as_py() == uuid.UUID(bytes=ids[0].item())


def test_numpy_view_keeps_only_its_own_buffer() -> None:
    columns = wide_table(10).columns
    column = columns[0]
    table = EventTable("wide", 10, columns)
    view = table["seq"]
    buffer = column.data
    before = sys.getrefcount(buffer)
    other = np.asarray(table["seq"])
    during = sys.getrefcount(buffer)
    assert during > before
    del other
    after = sys.getrefcount(buffer)
    assert after == before
    del buffer
    del table, columns, column
    churn()
    assert view.tolist() == list(range(10))


class CArray(ctypes.Structure):
    """https://arrow.apache.org/docs/format/CDataInterface.html"""


CArray._fields_ = [
    ("length", ctypes.c_int64),
    ("null_count", ctypes.c_int64),
    ("offset", ctypes.c_int64),
    ("n_buffers", ctypes.c_int64),
    ("n_children", ctypes.c_int64),
    ("buffers", ctypes.POINTER(ctypes.c_void_p)),
    ("children", ctypes.POINTER(ctypes.POINTER(CArray))),
    ("dictionary", ctypes.POINTER(CArray)),
    ("release", ctypes.c_void_p),
    ("private_data", ctypes.c_void_p),
]

RELEASE = ctypes.PYFUNCTYPE(None, ctypes.POINTER(CArray))


def open_capsule(capsule: object) -> CArray:
    get_pointer = ctypes.pythonapi.PyCapsule_GetPointer
    get_pointer.restype = ctypes.c_void_p
    get_pointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    return CArray.from_address(get_pointer(capsule, b"arrow_array"))


def move(array: CArray) -> CArray:
    """Move an array out of its parent, as the specification's "Moving an array" describes."""
    moved = CArray()
    ctypes.memmove(ctypes.byref(moved), ctypes.byref(array), ctypes.sizeof(CArray))
    array.release = None
    return moved


@BY_SAMPLE
def test_moved_child_lives_alone_and_is_released_alone(sampled: Sampled) -> None:
    table = wide_table(3)
    index = 3 + SAMPLED.index(sampled)
    column, sibling = table.columns[index], table.columns[0]
    assert column.name == sampled.name
    before, sibling_before = sys.getrefcount(column), sys.getrefcount(sibling)
    inside = nodes(column.children)
    inside_before = [sys.getrefcount(node) for node in inside]
    capsule = arrow.array_capsule(table.columns, 3)
    parent = open_capsule(capsule)
    assert (parent.length, parent.n_children) == (3, len(table.columns))
    child = move(parent.children[index].contents)
    del parent, capsule
    # Only the moved child still holds on to its column.
    assert sys.getrefcount(sibling) == sibling_before
    assert sys.getrefcount(column) == before + 1
    assert child.n_children == len(column.children)
    if column.data is not None and column.layout != Layout.DICTIONARY:
        data = child.buffers[child.n_buffers - 1]
        assert ctypes.string_at(data, column.data.nbytes) == bytes(column.data)
    if column.layout == Layout.DICTIONARY:
        words = child.dictionary.contents
        assert ctypes.string_at(words.buffers[2], 5) == b"added"
    assert [child.children[i].contents.length for i in range(child.n_children)] == [
        node.length for node in column.children
    ]
    RELEASE(child.release)(ctypes.byref(child))
    assert child.release is None
    assert sys.getrefcount(column) == before
    assert [sys.getrefcount(node) for node in inside] == inside_before


def paths_of(column: ColumnData, path: tuple[int, ...] = ()) -> list[tuple[tuple[int, ...], ColumnData]]:
    """The columns inside of one, and how to come to them."""
    found = []
    for i, child in enumerate(column.children):
        found += [((*path, i), child), *paths_of(child, (*path, i))]
    return found


@pytest.mark.parametrize("name", ["list", "ids", "map", "struct", "tuple", "union"])
def test_moved_items_live_alone_however_deep_they_were(name: str) -> None:
    column = column_of(BY_NAME[name])
    for path, node in paths_of(column):
        before, node_before = sys.getrefcount(column), sys.getrefcount(node)
        capsule = arrow.column_array_capsule(column)
        around = open_capsule(capsule)
        for i in path[:-1]:
            around = around.children[i].contents
        moved = move(around.children[path[-1]].contents)
        del capsule, around
        assert sys.getrefcount(column) == before
        assert sys.getrefcount(node) == node_before + 1
        assert moved.length == node.length
        RELEASE(moved.release)(ctypes.byref(moved))
        assert sys.getrefcount(node) == node_before


def test_items_outlive_the_column_that_they_were_in() -> None:
    items = [[{"k": [str(j) for j in range(i % 5)]}] for i in range(2000)]
    column = Column("c", kinds.LIST, children=(TEXTS_BY_NAME,))
    builder = ColumnBuilder(column)
    for value in items:
        builder.push(value)
    array = pa.array(ExportedColumn(builder.finish()))
    texts = array.values.items.values
    expected = [text for [value] in items for text in value["k"]]
    del array, builder
    churn()
    texts.validate(full=True)
    assert texts.to_pylist() == expected


TEXTS_BY_NAME = Column(
    "item", kinds.MAP, children=(Column("value", kinds.LIST, children=(Column("item", kinds.UTF8),)),)
)


def test_moved_dictionary_lives_alone() -> None:
    column = column_of(BY_NAME["category"])
    words = column.dictionary
    assert words is not None
    before, words_before = sys.getrefcount(column), sys.getrefcount(words)
    capsule = arrow.column_array_capsule(column)
    moved = move(open_capsule(capsule).dictionary.contents)
    del capsule
    assert sys.getrefcount(column) == before
    assert sys.getrefcount(words) == words_before + 1
    RELEASE(moved.release)(ctypes.byref(moved))
    assert sys.getrefcount(words) == words_before


# -- leaks -----------------------------------------------------------------------------------------------


# AddressSanitizer keeps up to 256 MiB of freed memory in quarantine.
QUARANTINE = 300 << 20 if SANITIZE else 0


def resident() -> int:
    gc.collect()
    return psutil.Process(os.getpid()).memory_info().rss


@pytest.mark.parametrize("consume", ["none", "pyarrow", "numpy"])
def test_buffers_do_not_leak(consume: str) -> None:
    def one_round() -> None:
        builder = ColumnBuilder(Column("c", kinds.BINARY))
        builder.push(b"x" * (4 << 20))
        table = EventTable("t", 1, [builder.finish()])
        if consume == "pyarrow":
            assert pa.table(table).num_rows == pa.record_batch(table).num_rows
        elif consume == "numpy":
            assert len(table["c"]) == 1
        else:
            table.__arrow_c_array__()
            table.__arrow_c_stream__()

    for _ in range(5):
        one_round()
    before = resident()
    for _ in range(150):
        one_round()
    # One leaked buffer per round would be 600 MiB.
    assert resident() - before < (64 << 20) + QUARANTINE


def test_exported_structures_do_not_leak() -> None:
    table = wide_table(1)

    def one_round() -> None:
        table.__arrow_c_schema__()
        table.__arrow_c_array__()
        table.__arrow_c_stream__()

    for _ in range(1000):
        one_round()
    before = resident()
    for _ in range(10_000):
        one_round()
    # 44 columns with their nodes, names and buffer lists are some 10 KiB a round.
    assert resident() - before < (10 << 20) + QUARANTINE


def test_failed_exports_do_not_leak() -> None:
    columns: Any = [*wide_table(1).columns, object()]
    before = sys.getrefcount(columns), [sys.getrefcount(column) for column in columns]
    for _ in range(100):
        for make in (
            arrow.schema_capsule,
            lambda c: arrow.array_capsule(c, 1),
            lambda c: arrow.stream_capsule(c, 1),
        ):
            with pytest.raises(TypeError):
                make(columns)
    gc.collect()
    assert (sys.getrefcount(columns), [sys.getrefcount(column) for column in columns]) == before
