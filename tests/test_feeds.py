"""Public feeds, captured with types that one would naturally write: each message is a row, with its values.

The messages come from a real server, the files are read by DuckDB and polars.
"""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any, get_args

import duckdb
import msgspec
import polars
import pyarrow.parquet as pq
import pytest
from tests.column_values import DECODED, READ
from tests.equality import GENERAL, outcome
from tests.feeds import examples, messages, types
from websockets.asyncio.server import ServerConnection, serve

import rlfast
from rlfast._core.plan import KERNELS
from rlfast.capture import capture
from rlfast.schema import kinds
from rlfast.schema._columns import Column
from rlfast.schema._decoding import Decoding
from rlfast.schema._envelope import plan_of
from rlfast.schema._infer import infer_types
from rlfast.schema._plan import ColumnPlan, TablePlan

TYPES: dict[str, Any] = {feed: examples.type_of(feed) for feed in examples.FEEDS} | {
    name.removeprefix("T_"): type_ for name, type_ in vars(types).items() if name.startswith("T_")
}
FEEDS = sorted(messages.S)
OTHER = {
    "polymarket": ["an empty array", "unknown event_type 'tick_size_change'"],
    "sensors": ["no field 'sensorId'"],
    "binance": ["no field 'stream'", "no tag 'e'", "no tag 'e'"],
    "bitfinex": ["no array", "no array"],
    "finnhub": ["no field 'data'"],
    "huobi": ["no field 'ch'", "no field 'ch'"],
    "okx": ["no field 'data'", "a word"],
}
"""What tells messages of other kinds than the type's, in order."""


def texts(feed: str) -> list[str]:
    return [m if isinstance(m, str) else gzip.decompress(m).decode() for m in messages.S[feed]]


def agrees(value: Any, held: Any, column: Column) -> bool:
    """Whether a column holds what msgspec has decoded."""
    kind = column.kind
    if value is None or value is msgspec.UNSET or held is None:
        return value in (None, msgspec.UNSET) and held is None
    if kind is kinds.JSON:
        if isinstance(value, msgspec.Struct):
            # The text has what it does not know, too.
            return bool(msgspec.json.decode(held, type=type(value)) == value)
        return bool(msgspec.to_builtins(value, str_keys=True) == msgspec.json.decode(held))
    if kind is kinds.LIST:
        if isinstance(value, (set, frozenset)):
            value, held = sorted(value), sorted(held)
        return len(value) == len(held) and all(map(agrees, value, held, [column.children[0]] * len(held)))
    if kind is kinds.MAP:
        entries = dict(held)
        return value.keys() == entries.keys() and all(
            agrees(item, entries[key], column.children[0]) for key, item in value.items()
        )
    if kind is kinds.UNION:
        config = value.__struct_config__
        member = next(child for child in column.children if child.tag == config.tag)
        others = [child.name for child in column.children if child is not member and child.children]
        return (
            held[config.tag_field] == config.tag
            and all(held[name] is None for name in others)
            and (not member.children or agrees(value, held[member.name], member))
        )
    if kind.layout is kinds.Layout.CHILDREN:
        # By place: in files names do not differ in case only.
        return all(map(agrees, fields_of(value, column), held.values(), column.children))
    return bool(DECODED[kind](value) == READ[kind](held))


def fields_of(value: Any, column: Column) -> list[Any]:
    if isinstance(value, dict):
        return [value.get(child.name) for child in column.children]
    if type(value) is tuple:
        return list(value)
    return [getattr(value, child.attribute) for child in column.children]


async def capture_feed(type_: Any, sent: list[str], out: Path) -> None:
    async def send(ws: ServerConnection) -> None:
        for text in sent:
            await ws.send(text)

    async with serve(send, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        ws = await rlfast.connect(f"ws://127.0.0.1:{port}/", type=type_, backoff=None)
        summary = await capture(ws, out)
    assert summary.dead_letters == 0


def events_of(plan: ColumnPlan, text: str) -> list[Any]:
    """The rows of a message that may be several, as JSON; one that is empty, or is another, is one."""
    value = plain(text)
    for name in plan.envelope.events_at if plan.envelope is not None else ():
        value = value.get(name) if isinstance(value, dict) else None
    return value if plan.splits and isinstance(value, list) and value else [plain(text)]


def row_values(plan: ColumnPlan, table: TablePlan, text: str, item: int) -> list[Any]:
    """What msgspec makes of the fields of a row: those of the envelope, and those of the event."""
    if plan.splits and plan.envelope is None:
        value: Any = msgspec.json.decode(text, type=list[msgspec.Raw])[item]
        return fields_of(msgspec.json.decode(value, type=get_args(plan.type)[0]), table.column)
    value, column, values = msgspec.json.decode(text, type=plan.type), table.column, []
    for place in table.event_at:
        around = fields_of(value, column)
        value, column = around.pop(place), column.children[place]
        values += around
    if plan.splits:
        value, column = value[item], column.children[0]
    return values + fields_of(value, column)


def compare(type_: Any, sent: list[str], out: Path, events_at: str = "") -> list[str]:
    """Compare every row with what msgspec decodes; return what tells messages of other kinds, in order."""
    plan = plan_of(Decoding(type_, events_at=events_at))
    tables = {table.name: table for table in plan.tables}
    reasons: dict[int, str] = {}
    seen: set[tuple[int, int]] = set()
    rows: list[tuple[str | None, dict[str, Any]]] = []
    assert not (out / "_dead_letters").exists()
    for path in sorted(out.rglob("part-*.parquet")):
        table = pq.read_table(path, partitioning=None)
        folder = path.relative_to(out).parts[0]
        if folder == "_gaps":
            continue
        name = None if folder == "_other" else folder.partition("=")[2]
        rows += [(name, row) for row in table.to_pylist()]
        # What other readers make of the same file.
        count = duckdb.sql(f"SELECT count(*) FROM (SELECT * FROM read_parquet('{path}'))").fetchall()
        assert count == [(table.num_rows,)]
        assert polars.read_parquet(path, hive_partitioning=False).height == table.num_rows
    first = [min(row["seq"] for _, row in rows)]
    for name, row in rows:
        number, item = row["seq"] - first[0], row.get(plan.own_names.item or "", 0) or 0
        seen.add((number, item))
        if name is None:
            reasons[number] = row["reason"]
            whole = row.get("item") is None
            assert plain(row["json"]) == (
                plain(sent[number]) if whole else events_of(plan, sent[number])[item]
            )
            continue
        table_plan = tables[name]
        values = row_values(plan, table_plan, sent[number], item)
        held = list(row.values())[5 if plan.splits else 4 :][: len(values)]
        for value, field, column in zip(values, held, table_plan.fields, strict=True):
            assert agrees(value, field, column), (column.name, field)
    assert {number for number, _ in seen} == set(range(len(sent)))
    assert len(seen) == sum(len(events_of(plan, text)) for text in sent)
    return [reason for _, reason in sorted(reasons.items())]


@pytest.mark.parametrize("feed", FEEDS)
async def test_a_feed_is_captured_as_it_is_typed(feed: str, tmp_path: Path) -> None:
    type_ = TYPES[feed]
    await capture_feed(type_, texts(feed), tmp_path / "out")
    assert compare(type_, texts(feed), tmp_path / "out") == OTHER.get(feed, [])


def plain(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


@pytest.mark.parametrize("feed", FEEDS)
def test_every_kernel_makes_of_a_feed_what_msgspec_makes(feed: str) -> None:
    type_ = TYPES[feed]
    payloads = [text.encode() for text in texts(feed)]
    expected = outcome(type_, payloads, GENERAL)
    for kernel in KERNELS:
        assert outcome(type_, payloads, kernel) == expected, kernel


@pytest.mark.parametrize("feed", FEEDS)
async def test_a_feed_is_captured_with_types_inferred_of_it(feed: str, tmp_path: Path) -> None:
    sent = texts(feed)
    inferred = infer_types([text.encode() for text in sent])
    assert inferred is not None
    module: dict[str, Any] = {"__name__": "inferred"}
    exec(compile(inferred.source, "inferred", "exec", dont_inherit=True), module)
    await capture_feed(module["Event"], sent, tmp_path / "out")
    compare(module["Event"], sent, tmp_path / "out")
