"""Names and columns of files: what readers see of fields called like ours, and of types that change."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Annotated, Any, Literal

import duckdb
import msgspec
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsserver import Peer, frame, serve

from rlfast import CaptureError, UUIDStr, connect
from rlfast.capture import capture, compact, inspect_dataset, next_seq, redrive, resume
from rlfast.schema import Int32, UInt32, UInt64
from rlfast.schema._names import OwnNames, own_names
from rlfast.sinks import ParquetOptions, ParquetSink
from rlfast.sinks.parquet._layout import LONGEST_FOLDER
from rlfast.sinks.parquet._manifest import read_manifest
from rlfast.sinks.parquet._schemas import UnlikeColumnsError, column_changes, convert, unify

from .helpers import STREAM, files, part_files, write


class Ticker(msgspec.Struct):
    type: str
    seq: int
    epoch: str
    received_at: float
    stream: str
    extra: str = msgspec.field(name="_extra")
    date: str = "2001-01-01"
    hour: int = 99


TICKERS = [
    {
        "type": type_,
        "seq": 1000 + i,
        "epoch": "e",
        "received_at": 0.5,
        "stream": "s",
        "_extra": "x",
        "date": "1999-12-31",
        "hour": i,
    }
    for i, type_ in enumerate(["ticker", "heartbeat", "ticker"])
]
FIELDS = list(TICKERS[0])


def payloads(*objects: Any) -> list[bytes]:
    return [msgspec.json.encode(found) for found in objects]


@pytest.mark.parametrize("partition", [None, "day", "hour"])
def test_fields_called_like_ours_are_read_as_themselves(tmp_path: Path, partition: Any) -> None:
    server_messages = payloads(*TICKERS, {**TICKERS[0], "unknown": [1]})
    capture_all(tmp_path, server_messages, Ticker, ParquetOptions(partition_by=partition))
    (folder,) = [name for name in tmp_path.iterdir() if "type=" in name.name]
    assert folder.name == "rlfast_type=Ticker"
    wanted = [tuple(found.values()) for found in (*TICKERS, TICKERS[0])]
    glob = f"{folder}/**/*.parquet"
    names = ", ".join(FIELDS)
    found = duckdb.sql(f"select {names} from '{glob}' order by rlfast_seq").fetchall()
    assert found == wanted
    hive = duckdb.sql(
        f"select {names} from read_parquet('{tmp_path}/*/**/*.parquet', hive_partitioning=true, "
        "hive_types_autocast=false) where rlfast_type = 'Ticker' order by rlfast_seq"
    )
    assert hive.fetchall() == wanted
    frame = pl.read_parquet(glob, hive_partitioning=True).sort("rlfast_seq")
    assert frame.select(FIELDS).rows() == wanted
    table = ds.dataset(str(tmp_path), partitioning="hive").to_table().sort_by("rlfast_seq")
    assert [tuple(row.values()) for row in table.select(FIELDS).to_pylist()] == wanted
    table = pq.read_table(folder).sort_by("rlfast_seq")
    assert [tuple(row.values()) for row in table.select(FIELDS).to_pylist()] == wanted
    assert table["rlfast_seq"].to_pylist() == [0, 1, 2, 3]
    assert table["rlfast_stream"].to_pylist() == [STREAM] * 4
    assert table["rlfast_extra"].to_pylist() == [None, None, None, '{"unknown":[1]}']


def capture_all(
    out: Path, messages: list[bytes], type_: Any, options: ParquetOptions | None = None, stream: str = STREAM
) -> None:
    """Capture what a server sends before it closes."""

    async def run() -> None:
        async def send(peer: Peer) -> None:
            await peer.write(*map(frame, messages))
            await peer.close()

        async with serve(send) as server:
            start = resume(out, stream, type_)
            async with connect(server.url, type=type_, stream=stream, options=start, backoff=None) as ws:
                summary = await capture(ws, ParquetSink(out, options))
                assert summary.events + summary.dead_letters == len(messages)

    asyncio.run(run())


def test_a_data_set_with_such_fields_is_kept_like_any_other(tmp_path: Path) -> None:
    for i in range(3):
        messages = payloads(TICKERS[i], {**TICKERS[i], "seq": "no int"})
        write(tmp_path, messages, first_seq=next_seq(tmp_path, STREAM), type_=Ticker)
    report = inspect_dataset(tmp_path)
    assert (report.healthy, report.events, report.dead_letters) == (True, 3, 3)
    assert (report.schemas, report.hidden) == ({}, ())
    assert report.types["Ticker"].files == 3
    assert (report.streams[STREAM].holes, report.streams[STREAM].last_seq) == (0, 5)

    assert compact(tmp_path).written == 2
    read = read_ticker(tmp_path)
    assert [row["seq"] for row in read] == [1000, 1001, 1002]
    assert [row["rlfast_seq"] for row in read] == [0, 2, 4]

    class Text(msgspec.Struct):
        seq: str

    report_redrive = redrive(tmp_path, Text)
    assert report_redrive.events == {"Text": 3}
    table = pq.read_table(tmp_path / "type=Text").sort_by("rlfast_seq")
    assert table["rlfast_seq"].to_pylist() == [1, 3, 5]
    assert table["seq"].to_pylist() == ["no int"] * 3
    assert inspect_dataset(tmp_path).streams[STREAM].holes == 0


def read_ticker(out: Path) -> list[dict[str, Any]]:
    table = pq.read_table(out / "rlfast_type=Ticker").sort_by("rlfast_seq")
    return list(table.select(["rlfast_seq", *FIELDS]).to_pylist())


def test_an_old_folder_that_hides_a_column_is_told_and_mended(tmp_path: Path) -> None:
    """Earlier versions had the key ``type`` always."""
    write(tmp_path, payloads({"type": "a"}, {"type": "b"}), type_=Hiding)
    (tmp_path / "rlfast_type=Hiding").rename(tmp_path / "type=Hiding")
    manifest = tmp_path / "_manifest.jsonl"
    manifest.write_text(manifest.read_text().replace("rlfast_type=", "type="))
    assert inspect_dataset(tmp_path).hidden == ("type=Hiding",)
    assert compact(tmp_path).written == 0
    report = compact(tmp_path, unify=True)
    assert (report.merged, report.written, report.left) == (1, 1, ())
    assert next(name for name in files(tmp_path) if "type=" in name).startswith("rlfast_type=Hiding/part-")
    table = pl.read_parquet(f"{tmp_path}/rlfast_type=*/*.parquet", hive_partitioning=True)
    assert table["type"].to_list() == ["a", "b"]
    assert inspect_dataset(tmp_path).hidden == ()


class Hiding(msgspec.Struct):
    type: str


def test_names_that_differ_in_case_are_told_and_numbered(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Trade(msgspec.Struct):
        t: int
        T: int
        p: float

    with caplog.at_level(logging.WARNING, "rlfast.capture"):
        capture_all(tmp_path, payloads({"t": 1, "T": 2, "p": 0.5}), Trade)
    assert "fields of Trade have other names as columns: T is T_1" in caplog.text
    assert duckdb.sql(f"select t, T_1, p from '{tmp_path}/type=Trade/*.parquet'").fetchall() == [(1, 2, 0.5)]


def test_an_empty_name_is_a_number(tmp_path: Path) -> None:
    """DuckDB reads no file with a struct all of whose fields have empty names."""
    inside = msgspec.defstruct("Inside", [("i", int, msgspec.field(name=""))])
    event = msgspec.defstruct("Event", [("e", inside), ("i", list[inside], msgspec.field(name=""))])  # type: ignore[valid-type]
    capture_all(tmp_path, payloads({"e": {"": 1}, "": [{"": 2}]}), event)
    read = duckdb.sql(f"select e, _1 from '{tmp_path}/type=Event/*.parquet'").fetchall()
    assert read == [({"_1": 1}, [{"_1": 2}])]


def test_a_capture_says_when_ours_step_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "rlfast.capture"):
        capture_all(tmp_path, payloads({"type": "a"}), Hiding)
        capture_all(tmp_path / "other", payloads({"t": 1}), msgspec.defstruct("Plain", [("t", int)]))
    assert [record.getMessage() for record in caplog.records] == [
        "fields of the type have names of rlfast's, which are rlfast_type here"
    ]


def test_a_long_tag_is_captured_and_stays_known_in_full(tmp_path: Path) -> None:
    name = "ещё_одно_событие_довольно_длинным_названием"
    long = msgspec.defstruct("Long", [("x", int)], tag_field="type", tag=name)
    short = msgspec.defstruct("Short", [("x", int)], tag_field="type", tag="s")
    messages = payloads({"type": name, "x": 1}, {"type": "s", "x": 2})
    for _ in range(2):
        capture_all(tmp_path, messages, long | short)
    assert compact(tmp_path).written == 2
    assert max(len(part) for path in files(tmp_path) for part in path.split("/")) <= LONGEST_FOLDER
    report = inspect_dataset(tmp_path)
    assert {type_: found.events for type_, found in report.types.items()} == {name: 2, "s": 2}


# -- types that change ---------------------------------------------------------------------------------------


def point(**fields: Any) -> Any:
    return msgspec.defstruct("Point", list(fields.items()))


OLD = point(x=int, y=str)


@pytest.mark.parametrize(
    ("type_", "told"),
    [
        (point(x=float, y=str), "x is int64 there and double now"),
        (point(x=int, y=str, z=int), "z is new"),
        (point(x=int), "y is gone"),
        (point(x=int, y=Any), "y is string there and json now"),
        (point(x=int, y=str, type=str), "type is new"),
    ],
)
def test_a_type_that_does_not_fit_the_folder_is_refused_at_the_start(
    tmp_path: Path, type_: Any, told: str
) -> None:
    old = payloads({"x": 1, "y": "a", "z": 1, "type": "t"})
    capture_all(tmp_path, old, OLD)
    before = files(tmp_path)
    with pytest.raises(CaptureError, match=f"Point: .*{told}.*--schema-change allow"):
        capture_all(tmp_path, old, type_)
    assert files(tmp_path) == before
    allowed = ParquetOptions(schema_change="allow")
    capture_all(tmp_path, old, type_, allowed)
    # Both are there now, so neither is a change.
    capture_all(tmp_path, old, type_)
    capture_all(tmp_path, old, OLD)
    assert inspect_dataset(tmp_path).schemas.keys() == {"Point"}


def test_a_folder_in_another_form_is_told_with_the_options_of_that_form(tmp_path: Path) -> None:
    """Earlier versions wrote nanoseconds and binary UUIDs."""
    messages = payloads({"id": "0b5c6f0e-6e55-4e6c-a9a5-4f5a0f6f1c11"})
    form = ParquetOptions(uuid="binary", timestamps="ns")
    capture_all(tmp_path, messages, WithId, form)
    with pytest.raises(
        CaptureError,
        match=r"received_at is .*; choose another folder, or write what is there "
        r"\(--uuid binary --timestamps ns\), or allow it",
    ):
        capture_all(tmp_path, messages, WithId)
    capture_all(tmp_path, messages, WithId, form)
    capture_all(tmp_path, messages, WithId, ParquetOptions(schema_change="allow"))
    assert compact(tmp_path, unify=True).left == ()
    table = pq.read_table(tmp_path / "type=WithId")
    assert (table.schema.field("id").type, table.schema.field("received_at").type.unit) == (pa.utf8(), "ns")
    assert set(table["id"].to_pylist()) == {"0b5c6f0e-6e55-4e6c-a9a5-4f5a0f6f1c11"}
    capture_all(tmp_path, messages, WithId, ParquetOptions(timestamps="ns"))


class WithId(msgspec.Struct):
    id: UUIDStr


@pytest.mark.parametrize("type_", [point(y=str, x=int), point(x=int | None, y=str | None)])
def test_order_and_nulls_are_no_change(tmp_path: Path, type_: Any) -> None:
    old = payloads({"x": 1, "y": "a"})
    capture_all(tmp_path, old, OLD)
    capture_all(tmp_path, old, type_)
    capture_all(tmp_path, old, None)
    report = inspect_dataset(tmp_path)
    assert (report.events, report.schemas) == (3, {})


@pytest.mark.parametrize("unify", [False, True])
@pytest.mark.parametrize("turn", [1, -1])
def test_a_text_that_becomes_one_of_a_few_is_no_change(tmp_path: Path, turn: int, unify: bool) -> None:
    """It is a dictionary from then on, for Arrow alone."""

    def event(text: Any) -> Any:
        inside = msgspec.defstruct("Inside", [("z", text | None)])
        return point(x=text, y=list[text], by=dict[str, inside])

    row = {"x": "a", "y": ["a", "b"], "by": {"k": {"z": None}, "l": {"z": "b"}}}
    for type_ in (event(str), event(Literal["a", "b"]))[::turn]:
        capture_all(tmp_path, payloads(row, row), type_)
    assert inspect_dataset(tmp_path).schemas == {}
    report = compact(tmp_path, unify=unify)
    assert (report.merged, report.written, report.left) == (2, 1, ())
    read = pq.read_table(tmp_path / "type=Point", partitioning=None).select(list(row)).to_pylist()
    assert [{**found, "by": dict(found["by"])} for found in read] == [row] * 4
    assert compact(tmp_path, unify=unify).merged == 0


def test_changed_types_become_one_schema_where_that_loses_nothing(tmp_path: Path) -> None:
    types: list[Any] = [
        OLD,
        point(x=float, y=str),
        point(z=list[str], x=int | None, seq=int),
        point(x=int, y=str | None),
    ]
    rows: list[dict[str, Any]] = [
        {"x": 2**53, "y": "a"},
        {"x": 2.5, "y": "b"},
        {"x": None, "seq": 7, "z": ["p"]},
        {"x": 3, "y": None},
    ]
    for row, type_ in zip(rows, types, strict=True):
        write(tmp_path, payloads(row, row), first_seq=next_seq(tmp_path, STREAM), type_=type_)
    write(tmp_path, payloads({"x": 9}), stream="other", type_=point(x=int))
    assert inspect_dataset(tmp_path).schemas.keys() == {"Point"}
    report = compact(tmp_path, unify=True)
    assert (report.merged, report.written, report.left) == (5, 2, ())
    found = inspect_dataset(tmp_path)
    assert (found.healthy, found.schemas, found.hidden, found.lost, found.unlisted) == (True, {}, (), (), ())
    assert len({file.schema for file in read_manifest(tmp_path).files.values()}) == 1
    read = duckdb.sql(
        f"select x, y, z, seq, stream from '{tmp_path}/type=Point/*.parquet' order by stream, rlfast_seq"
    )
    wanted = [
        (None if row["x"] is None else float(row["x"]), row.get("y"), row.get("z"), row.get("seq"), STREAM)
        for row in rows
        for _ in range(2)
    ]
    assert read.fetchall() == [(9.0, None, None, None, "other"), *wanted]
    assert compact(tmp_path, unify=True).merged == 0
    assert next_seq(tmp_path, STREAM) == 8


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        (({"x": 1}, point(x=int)), ({"x": "a"}, point(x=str)), "column x is "),
        (({"x": 2**53 + 1}, point(x=int)), ({"x": 0.5}, point(x=float)), "column x: .*9007199254740993"),
        (({"x": "a"}, point(x=str)), ({"x": "a"}, point(x=Any)), "column x is json and string"),
        (({"x": -1}, point(x=int)), ({"x": 2**64 - 1}, point(x=UInt64)), "column x: .*-1"),
        (({"x": 2**63}, point(x=UInt64)), ({"x": 1}, point(x=int)), "column x: .*9223372036854775808"),
    ],
)
def test_what_would_lose_something_is_left(tmp_path: Path, first: Any, second: Any, reason: str) -> None:
    for row, type_ in (first, second):
        write(tmp_path, payloads(row), first_seq=next_seq(tmp_path, STREAM), type_=type_)
    before = part_files(tmp_path)
    report = compact(tmp_path, unify=True)
    assert (report.merged, part_files(tmp_path)) == (0, before)
    ((name, text),) = report.left
    assert name == "Point"
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(text)


@pytest.mark.parametrize(
    ("first", "second", "type_"),
    [
        (int, Annotated[int, msgspec.Meta(ge=0)], pa.uint64()),
        (UInt64, int, pa.int64()),
        (UInt64, UInt32, pa.uint64()),
        (Int32, UInt64, pa.uint64()),
    ],
)
def test_integers_beside_unsigned_ones_become_what_the_newest_are(
    tmp_path: Path, first: Any, second: Any, type_: Any
) -> None:
    """In every place; and a capture goes on with the newest type."""

    def event(integer: Any) -> Any:
        return point(x=integer, several=list[integer], by=dict[str, integer | None])

    old, new = event(first), event(second)
    rows = [
        {"x": value, "several": [value, 0], "by": {"a": None, "b": value}} for value in (7, 2**31, 2**32 - 1)
    ]
    rows = rows[: 1 if first is Int32 else 3]
    capture_all(tmp_path, payloads(*rows), old)
    with pytest.raises(CaptureError, match="Point: x is .*int.* there and u?int.* now"):
        capture_all(tmp_path, payloads(*rows), new)
    capture_all(tmp_path, payloads(*rows), new, ParquetOptions(schema_change="allow"))
    (changes,) = inspect_dataset(tmp_path).schemas.values()
    assert [change.partition(" ")[0] for change in changes] == ["x", "several", "by"]
    assert compact(tmp_path, unify=True).left == ()
    table = pq.read_table(tmp_path / "type=Point", partitioning=None)
    x, several, by = (table.schema.field(name).type for name in ("x", "several", "by"))
    assert (x, several.value_type, by.item_type) == (type_, type_, type_)
    assert [dict(row, by=dict(row["by"])) for row in table.select(list(rows[0])).to_pylist()] == rows * 2
    if type_ == pa.uint64() and second is not UInt32:
        capture_all(tmp_path, payloads({"x": 2**64 - 1, "several": [], "by": {}}), new)
        assert inspect_dataset(tmp_path).schemas == {}


def test_partitions_move_with_their_names(tmp_path: Path) -> None:
    options = ParquetOptions(partition_by="hour", schema_change="allow")
    capture_all(tmp_path, payloads({"x": 1}), point(x=int), options)
    capture_all(tmp_path, payloads({"x": 2, "hour": 5}), point(x=int, hour=int), options)
    report = compact(tmp_path, unify=True)
    assert report.left == ()
    (path,) = [name for name in files(tmp_path) if "type=" in name]
    assert "/date=20" in path
    assert "/rlfast_hour=" in path
    assert inspect_dataset(tmp_path).healthy


# -- one schema out of several, against what it is made of ---------------------------------------------------

ARROW = st.sampled_from(
    [
        *(pa.int64(), pa.int32(), pa.uint32(), pa.uint64(), pa.float64(), pa.utf8(), pa.bool_()),
        *(pa.timestamp("us", "UTC"), pa.timestamp("ns", "UTC")),
        *(pa.dictionary(pa.int32(), pa.utf8()), pa.list_(pa.utf8())),
    ]
)
TABLES = st.lists(
    st.lists(st.tuples(st.sampled_from(["a", "A", "b", "seq", "SEQ_1"]), ARROW), unique_by=lambda f: f[0]),
    min_size=1,
    max_size=4,
)


@given(TABLES)
def test_every_value_of_every_file_is_in_the_unified_rows(tables: list[list[tuple[str, Any]]]) -> None:
    batches = []
    for fields in tables:
        names = own_names(name for name, _ in fields)
        columns = {names.seq: pa.array([1, 2]), **{name: sample(type_) for name, type_ in fields}}
        batches.append((pa.RecordBatch.from_pydict(columns), names))
    try:
        target = unify((batch.schema, names) for batch, names in batches)
    except UnlikeColumnsError:
        types: dict[str, set[str]] = {}
        for fields in tables:
            for name, type_ in fields:
                types.setdefault(name, set()).add(str(type_))
        assert any(len(found) > 1 for found in types.values())
        return
    lower = [name.lower() for name in target.schema.names]
    assert len(set(lower)) == len(lower)
    for (batch, names), fields in zip(batches, tables, strict=True):
        rows = convert(batch, names, target)
        rows.validate(full=True)
        assert rows.schema == target.schema
        assert rows[target.names.seq].to_pylist() == [1, 2]
        for name, _ in fields:
            place = target.keys.index(("field", name))
            assert rows.column(place).to_pylist() == batch[name].to_pylist()
        filled = [("own", "seq"), *(("field", name) for name, _ in fields)]
        for key, column in zip(target.keys, rows.columns, strict=True):
            assert key in filled or column.null_count == 2


def sample(type_: Any) -> Any:
    if pa.types.is_list(type_):
        return pa.array([["x"], []], type_)
    if pa.types.is_timestamp(type_):
        return pa.array([1_000_000_000, 5], pa.int64()).cast(pa.timestamp("us", "UTC")).cast(type_)
    values: list[Any] = [1, 0] if pa.types.is_integer(type_) else [0.5, 2.0]
    if pa.types.is_boolean(type_):
        values = [True, False]
    if type_ in (pa.utf8(), pa.dictionary(pa.int32(), pa.utf8())):
        return pa.array(["p", "q"]).cast(type_)
    return pa.array(values, type_)


def test_changes_are_named() -> None:
    old = pa.schema([pa.field("a", pa.int64()), pa.field("s", pa.dictionary(pa.int32(), pa.utf8()))])
    new = pa.schema([pa.field("s", pa.utf8(), nullable=False), pa.field("b", pa.float64())])
    assert column_changes(old, new) == ["b is new", "a is gone"]
    assert column_changes(old, pa.schema([pa.field("s", pa.utf8()), pa.field("a", pa.int64())])) == []
    assert OwnNames().columns == ("seq", "epoch", "received_at", "_extra")
