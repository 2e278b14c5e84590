"""Every kind of column, in every place that one can have, captured with the defaults and read by each reader.

What a reader gives is compared by value with what msgspec decodes. Where it presents values in another type,
`PRESENTED` says so; what no conversion can make equal is to be written in another way (see "In files" in
docs/types.md).
"""

from __future__ import annotations

import asyncio
import datetime
import enum
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Optional, Union

import duckdb
import msgspec
import numpy as np
import pandas as pd
import polars as pl
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest
from tests.column_values import DECODED, INTEGERS, READ, micros
from websockets.asyncio.server import ServerConnection, serve

import rlfast
from rlfast.capture import capture, open_dataset
from rlfast.schema import (
    CategoryStr,
    DateTimeNanos,
    DecimalText,
    EpochMicros,
    EpochMillis,
    EpochNanos,
    EpochSeconds,
    Float32,
    FloatText,
    Int8,
    Int16,
    Int32,
    IntText,
    UInt8,
    UInt16,
    UInt32,
    UInt64,
    UUIDStr,
    kinds,
)
from rlfast.schema._columns import Column
from rlfast.schema._plan import compile_plan
from rlfast.schema.kinds import KINDS, Kind, Layout

from .helpers import write

Rows = list[dict[str, Any]]


# -- types and values ----------------------------------------------------------------------------------------


class Pair(msgspec.Struct):
    a: int | None
    b: list[str] | None = None


class Point(NamedTuple):
    x: float | None
    label: str


class Quote(msgspec.Struct, tag="quote"):
    price: DecimalText(8, 2) | None  # type: ignore[valid-type]


class Trade(msgspec.Struct, tag="trade"):
    ids: list[UInt64]
    by: dict[str, int | None]


class Halt(msgspec.Struct, tag="halt"):
    pass


class Level(enum.IntEnum):
    LOW = -70000
    HIGH = 2**40


class Case(NamedTuple):
    kind: Kind
    type: Any
    values: tuple[str, ...]
    """JSON."""


def texts(*values: str) -> tuple[str, ...]:
    return tuple(json.dumps(value, ensure_ascii=False) for value in values)


def edges(low: int, high: int) -> tuple[str, ...]:
    return str(low), str(high), "0", "1"


MANY = "9" * 38
TEXTS = texts("", "a", "é", "\U0001f600 \x00 \u2028", "null", "x" * 300)
TIMES = texts(
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999Z",
    "1969-12-31T23:59:59.999999Z",
    "1582-10-10T12:00:00+05:30",
)
EPOCHS = ("-62135596800", "-1.5", "0", '"1767225600"', "1767225600.25", "253402300799")

CASES = (
    Case(kinds.INT64, int, edges(-(2**63), 2**63 - 1)),
    Case(kinds.FLOAT64, float, ("-0.0", "0", "1.7976931348623157e308", "5e-324", "-0.1", "9007199254740993")),
    Case(kinds.BOOL, bool, ("true", "false")),
    Case(kinds.UTF8, str, TEXTS),
    Case(kinds.UUID, UUIDStr, texts("0B5C6F0E-6e55-4e6c-a9a5-4f5a0f6f1c11", "f" * 32)),
    Case(kinds.CATEGORY, CategoryStr, TEXTS),
    Case(kinds.LIST, list[int | None], ("[]", "[1,null,-9223372036854775808]", "[null]")),
    Case(kinds.STRUCT, Pair, ('{"a":null}', '{"a":1,"b":[]}', '{"a":-1,"b":["","\U0001f600"]}')),
    Case(kinds.TUPLE, Point, ('[null,""]', '[-0.0,"\U0001f600"]')),
    Case(
        kinds.UNION,
        Union[Quote, Trade, Halt],  # noqa: UP007
        (
            '{"type":"quote","price":-999999.99}',
            '{"type":"trade","ids":[18446744073709551615],"by":{"":null,"b":1}}',
            '{"type":"halt"}',
            '{"type":"quote","price":null}',
        ),
    ),
    Case(kinds.MAP, dict[str, list[str]], ("{}", '{"":[],"\U0001f600":["a",""]}')),
    Case(
        kinds.JSON, Any, ("1", "-0.0", '""', '"\\ud83d\\ude00"', "[]", "{}", '{"a":[1,{"b":null}]}', "true")
    ),
    Case(kinds.INT8, Int8, edges(-(2**7), 2**7 - 1)),
    Case(kinds.INT16, Int16, edges(-(2**15), 2**15 - 1)),
    Case(kinds.INT32, Int32, edges(-(2**31), 2**31 - 1)),
    Case(kinds.UINT8, UInt8, edges(0, 2**8 - 1)),
    Case(kinds.UINT16, UInt16, edges(0, 2**16 - 1)),
    Case(kinds.UINT32, UInt32, edges(0, 2**32 - 1)),
    Case(kinds.UINT64, Annotated[int, msgspec.Meta(ge=0)], edges(2**63, 2**64 - 1)),
    Case(kinds.INT_CHOICE, Level, ("-70000", str(2**40))),
    Case(kinds.FLOAT32, Float32, ("-0.0", "0.1", "3.4028235e38", "1e-50", "16777217")),
    Case(kinds.FLOAT_TEXT, FloatText, texts("-0.0", "0.0010", "1e308", "-5e-324")),
    Case(kinds.INT_TEXT, IntText, texts(str(-(2**63)), str(2**63 - 1), "007")),
    Case(kinds.DECIMAL_TEXT, Decimal, ("-0.0010", '"1E+400"', f'"{MANY}{MANY}.{MANY}"', '"0"', "1e-7")),
    Case(
        kinds.DECIMAL128, DecimalText(38, 10), (f'"{MANY[10:]}.{MANY[:10]}"', f"-{MANY[10:]}", "0", "1e-10")
    ),
    Case(kinds.DECIMAL256, DecimalText(76, 38), (f'"-{MANY}.{MANY}"', f"{MANY}", "0", '"1e-38"', "-0.5")),
    Case(kinds.DATETIME, datetime.datetime, TIMES),
    Case(
        kinds.DATETIME_NANOS,
        DateTimeNanos,
        texts("1678-01-01T00:00:00.000001Z", "2261-12-31T23:59:59.123456499Z", "1969-12-31T23:59:59.5Z"),
    ),
    Case(
        kinds.NAIVE_DATETIME,
        Annotated[datetime.datetime, msgspec.Meta(tz=False)],
        texts("0001-01-01T00:00:00", "9999-12-31T23:59:59.999999", "1969-12-31T23:59:59.999999"),
    ),
    Case(
        kinds.DATE, datetime.date, texts("0001-01-01", "9999-12-31", "1969-12-31", "1582-10-10", "2024-02-29")
    ),
    Case(kinds.TIME, datetime.time, texts("00:00:00", "23:59:59.999999", "01:00:00.5+02:00")),
    Case(kinds.DURATION, datetime.timedelta, texts("PT0S", "-PT0.000001S", "P106751991D", "-P106751991D")),
    Case(kinds.EPOCH_SECONDS, EpochSeconds, (*EPOCHS, '"-0.5"')),
    Case(
        kinds.EPOCH_MILLIS,
        EpochMillis,
        ("-62135596800000", "-1.5", "0", '"1767225600001"', "253402300799999"),
    ),
    Case(
        kinds.EPOCH_MICROS,
        EpochMicros,
        ("-62135596800000000", "-1", "1767225600000001", "253402300799999999"),
    ),
    Case(
        kinds.EPOCH_NANOS, EpochNanos, (str(-(2**63)), "-1", "1999", '"1767225600000001999"', str(2**63 - 1))
    ),
    Case(kinds.BASE64, bytes, texts("", "AA==", "/+8=")),
)
# What a capture has beside the fields of events.
OWN_KINDS = {kinds.BINARY, kinds.TIMESTAMP}


def event_type(case: Case) -> Any:
    """A struct that has the type in every place."""
    type_, name = case.type, case.kind.name
    maybe = Optional[type_]  # noqa: UP045 (of no class)
    inside = msgspec.defstruct(f"{name}_inside", [("value", type_), ("maybe", maybe, None)])
    one = msgspec.defstruct(f"{name}_one", [("value", type_)], tag="one")
    other = msgspec.defstruct(f"{name}_other", [("n", int), ("value", maybe, None)], tag="other")
    fields: list[Any] = [
        ("alone", type_),
        ("maybe", maybe, None),
        ("items", list[type_]),  # type: ignore[valid-type]
        ("holes", Optional[list[maybe]], None),  # type: ignore[valid-type]  # noqa: UP045
        ("entries", dict[str, maybe]),  # type: ignore[valid-type]
        ("inside", inside),
        ("inside_maybe", Optional[inside], None),  # noqa: UP045
        ("choice", Union[one, other]),  # noqa: UP007
    ]
    return msgspec.defstruct(name, fields, tag_field="kind", tag=name, kw_only=True)


def payloads(case: Case) -> Iterator[str]:
    """Every value in every place, and every other place null, absent or empty at times."""
    for i, value in enumerate(case.values):
        after = case.values[(i + 1) % len(case.values)]
        odd = i % 2 == 1
        members = {
            "kind": json.dumps(case.kind.name),
            "alone": value,
            "maybe": "null" if odd else value,
            "items": f"[{value},{after}]" if odd else "[]" if i else f"[{','.join(case.values)}]",
            "holes": f"[{value},null,{after}]" if odd else "[]" if i else "null",
            "entries": f'{{"":{value},"\U0001f600":null,"b":{after}}}'
            if odd
            else "{}"
            if i
            else f'{{"a":{value}}}',
            "inside": f'{{"value":{value},"maybe":{after if odd else "null"},"new":[1]}}',
            "choice": f'{{"type":"one","value":{value}}}'
            if odd
            else f'{{"type":"other","n":1,"value":{value}}}',
        }
        if odd:
            members["inside_maybe"] = f'{{"value":{after}}}'
        yield f"{{{','.join(f'{json.dumps(name)}:{text}' for name, text in members.items())}}}"


TYPES = {case.kind.name: event_type(case) for case in CASES}
EVENT: Any = Union[tuple(TYPES.values())]  # noqa: UP007
TABLES = {table.name: table for table in compile_plan(EVENT).tables}
SENT = {case.kind.name: list(payloads(case)) for case in CASES}
NOT_JSON = b"\xff\x00{"
UNKNOWN = '{"kind":"\U0001f600"}'


# -- what msgspec decodes, and what readers give, column by column -------------------------------------------


Leaves = Mapping[Kind, Callable[[Any], Any]]


def decoded(column: Column, value: Any, leaves: Leaves) -> Any:
    kind = column.kind
    if value is None:
        return None
    if kind is kinds.LIST:
        return [decoded(column.children[0], item, leaves) for item in value]
    if kind is kinds.MAP:
        return {key: decoded(column.children[0], item, leaves) for key, item in value.items()}
    if kind is kinds.UNION:
        tag = value.__struct_config__.tag
        members = {child.name: child for child in column.children if child.children}
        found: dict[str, Any] = dict.fromkeys(members)
        if tag in members:
            found[tag] = decoded(members[tag], value, leaves)
        return {column.tag_field: tag, **found}
    if kind.layout is Layout.CHILDREN:
        return {
            child.name: decoded(child, getattr(value, child.attribute), leaves) for child in column.children
        }
    return leaves[kind](value)


def read(column: Column, value: Any, leaves: Leaves) -> Any:
    kind = column.kind
    # Those of pandas: NaN, NaT, NA.
    if value is None or (not isinstance(value, (list, dict, np.ndarray)) and pd.isna(value)):
        return None
    if kind is kinds.LIST:
        return [read(column.children[0], item, leaves) for item in value]
    if kind is kinds.MAP:
        entries = dict(value)
        assert len(entries) == len(value)
        return {key: read(column.children[0], item, leaves) for key, item in entries.items()}
    if kind is kinds.UNION:
        members = [child for child in column.children if child.children]
        tag_field = column.tag_field or ""
        return {tag_field: value[tag_field], **{m.name: read(m, value[m.name], leaves) for m in members}}
    if kind.layout is Layout.CHILDREN:
        assert len(value) == len(column.children)
        return {child.name: read(child, value[child.name], leaves) for child in column.children}
    return leaves[kind](value)


# -- the capture, and its readers ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kinds") / "events"

    async def send(ws: ServerConnection) -> None:
        for sent in SENT.values():
            for text in sent:
                await ws.send(text)
        await ws.send(NOT_JSON)
        await ws.send(UNKNOWN)

    async def run() -> None:
        async with serve(send, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            ws = rlfast.connect(f"ws://127.0.0.1:{port}/", type=EVENT, stream="kinds", backoff=None)
            summary = await capture(ws, folder)
        assert (summary.events, summary.dead_letters) == (sum(map(len, SENT.values())), 1)

    asyncio.run(run())
    return folder


def by_pyarrow(path: Path) -> Rows:
    return pq.read_table(path).to_pylist()


def by_polars(path: Path) -> Rows:
    return pl.read_parquet(path / "*.parquet").to_dicts()


def by_duckdb(path: Path) -> Rows:
    found = duckdb.sql(f"from '{path}/*.parquet'")
    return [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]


def by_pandas(path: Path) -> Rows:
    return rows_of(pd.read_parquet(path))


def by_pandas_with_arrow(path: Path) -> Rows:
    return rows_of(pd.read_parquet(path, dtype_backend="pyarrow"))


def rows_of(frame: pd.DataFrame) -> Rows:
    return [dict(zip(frame.columns, row, strict=True)) for row in frame.itertuples(index=False, name=None)]


READERS = (by_pyarrow, by_polars, by_duckdb, by_pandas, by_pandas_with_arrow)

PRESENTED: dict[Any, Leaves] = {
    # Integers with nulls among them are floats there; dtype_backend="pyarrow" keeps them.
    by_pandas: dict.fromkeys(INTEGERS, float),
}
"""What a reader makes of values, by a conversion that both sides are to have."""


def check(out: Path, name: str, found: Rows, presented: Leaves | None = None) -> None:
    """Compare the rows of a case's table with what msgspec makes of its messages."""
    presented = presented or {}
    names = list(SENT)
    first = sum(len(SENT[before]) for before in names[: names.index(name)])
    received = pq.read_table(out / f"type={name}", partitioning=None)["received_at"].cast("int64").to_pylist()
    table = TABLES[name]
    rows = sorted(found, key=lambda row: int(row["seq"]))
    assert len(rows) == len(SENT[name])
    for i, (row, text) in enumerate(zip(rows, SENT[name], strict=True)):
        own = (int(row["seq"]), int(row["epoch"]), row["stream"], micros(row["received_at"]))
        assert own == (first + i, 1, "kinds", received[i])
        assert json.loads(row["_extra"]) == {"/inside/new": [1]}
        event = msgspec.json.decode(text, type=EVENT)
        for column in table.fields:
            wanted = decoded(column, getattr(event, column.attribute), {**DECODED, **presented})
            assert read(column, row[column.name], {**READ, **presented}) == wanted, (column.name, text)


def check_others(letters: Rows, others: Rows) -> None:
    """Compare what is no event: kinds that only columns of rlfast's have."""
    seq = sum(map(len, SENT.values()))
    (letter,), (other,) = letters, others
    assert (int(letter["seq"]), letter["reason"], bytes(letter["raw"])) == (seq, "invalid_utf8", NOT_JSON)
    assert (int(other["seq"]), json.loads(other["json"])) == (seq + 1, json.loads(UNKNOWN))


def test_every_kind_has_a_case() -> None:
    assert {case.kind for case in CASES} | OWN_KINDS == set(KINDS)
    for case in CASES:
        alone = next(column for column in TABLES[case.kind.name].fields if column.name == "alone")
        assert alone.kind is case.kind


@pytest.mark.parametrize("name", SENT)
@pytest.mark.parametrize("reader", READERS)
def test_a_kind_is_read_as_it_was_decoded(out: Path, reader: Callable[[Path], Rows], name: str) -> None:
    check(out, name, reader(out / f"type={name}"), PRESENTED.get(reader))


@pytest.mark.parametrize("reader", READERS)
def test_what_is_no_event_is_read_as_it_was(out: Path, reader: Callable[[Path], Rows]) -> None:
    check_others(reader(out / "_dead_letters"), reader(out / "_other"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.kind.name)
def test_files_of_a_kind_are_merged(case: Case, tmp_path: Path) -> None:
    sent = [text.encode() for text in SENT[case.kind.name]]
    for first in (0, len(sent)):
        write(tmp_path, sent, first_seq=first, type_=TYPES[case.kind.name])
    before = by_pyarrow(tmp_path / f"type={case.kind.name}")
    assert open_dataset(tmp_path).compact().merged == 2
    assert open_dataset(tmp_path).compact(unify=True).merged == 0
    assert by_pyarrow(tmp_path / f"type={case.kind.name}") == before


SPARK = """
import sys
from pathlib import Path
import pyarrow.feather as feather
from pyspark.sql import SparkSession

out, to, tables = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
for table in tables:
    # Not collect(): PySpark makes no datetime of the first day of year 1.
    feather.write_feather(spark.read.parquet(str(out / table)).toArrow(), to / table)
"""


@pytest.mark.spark
@pytest.mark.timeout(300)
def test_spark(out: Path, tmp_path: Path) -> None:
    """In a process of its own, which takes the one of Java with it."""
    if shutil.which("java") is None:
        pytest.skip("Spark needs Java 17 or later on the PATH")
    if importlib.util.find_spec("pyspark") is None:
        pytest.skip("needs pyspark: pip install 'rlfast[spark]'")
    tables = [*(f"type={name}" for name in SENT), "_dead_letters", "_other"]
    command = [sys.executable, "-c", SPARK, str(out), str(tmp_path), *tables]
    variables = {**os.environ, "TZ": "UTC", "SPARK_LOCAL_IP": "127.0.0.1"}
    done = subprocess.run(command, capture_output=True, env=variables, check=False)
    assert done.returncode == 0, done.stderr.decode()
    found = {table: feather.read_table(tmp_path / table).to_pylist() for table in tables}
    check_others(found.pop("_dead_letters"), found.pop("_other"))
    for name in SENT:
        check(out, name, found[f"type={name}"])
