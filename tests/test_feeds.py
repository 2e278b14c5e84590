"""Public feeds, captured with types that one would naturally write: each message is a row, with its values.

The messages come from a real server, the files are read by DuckDB and polars.
"""

from __future__ import annotations

import enum
import gzip
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import polars
import pyarrow.parquet as pq
import pytest
from tests.equality import GENERAL, outcome
from tests.feeds import messages, types
from websockets.asyncio.server import ServerConnection, serve

import rlfast
from rlfast._core.plan import KERNELS
from rlfast.capture import capture
from rlfast.schema import kinds
from rlfast.schema._columns import Column
from rlfast.schema._plan import compile_plan

FEEDS = sorted(messages.S)
OTHER = {
    "binance": ["no field 'data'", "no tag 'e'", "no tag 'e'"],
    "bitfinex": ["no array", "no array"],
    "huobi": ["no field 'ch'", "no field 'ch'"],
    "okx": ["no field 'asks'", "a word"],
}
"""What tells messages of other kinds than the type's, in order."""


def texts(feed: str) -> list[str]:
    return [m if isinstance(m, str) else gzip.decompress(m).decode() for m in messages.S[feed]]


def agrees(value: Any, held: Any, column: Column) -> bool:
    """Whether a column holds what msgspec has decoded."""
    kind = column.kind
    if value is None or held is None:
        return value is held is None
    if kind is kinds.JSON:
        known, text = msgspec.to_builtins(value), msgspec.json.decode(held)
        # The text has what a struct does not know, too.
        return bool(known.items() <= text.items() if isinstance(value, msgspec.Struct) else known == text)
    if kind is kinds.DECIMAL_TEXT:
        return Decimal(held) == value
    if kind is kinds.LIST:
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
        values = [getattr(value, child.attribute) for child in column.children]
        return all(map(agrees, values, held.values(), column.children))
    if isinstance(value, enum.Enum):
        value = value.value
    return bool((str(value) if isinstance(value, uuid.UUID) else value) == held)


@pytest.mark.parametrize("feed", FEEDS)
async def test_a_feed_is_captured_as_it_is_typed(feed: str, tmp_path: Path) -> None:
    type_ = getattr(types, f"T_{feed}")
    sent = texts(feed)

    async def send(ws: ServerConnection) -> None:
        for text in sent:
            await ws.send(text)

    async with serve(send, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        ws = await rlfast.connect(f"ws://127.0.0.1:{port}/", type=type_, backoff=None)
        summary = await capture(ws, tmp_path / "out")
    assert summary.dead_letters == 0
    plan = compile_plan(type_)
    tables = {table.name: table for table in plan.tables}
    decode = msgspec.json.Decoder(type_).decode
    reasons: dict[int, str] = {}
    seen: set[tuple[int, int]] = set()
    rows: list[tuple[str | None, dict[str, Any]]] = []
    for path in sorted((tmp_path / "out").rglob("part-*.parquet")):
        table = pq.read_table(path, partitioning=None)
        folder = path.relative_to(tmp_path / "out").parts[0]
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
            assert msgspec.json.decode(row["json"]) == plain(sent[number])
            continue
        value = decode(sent[number])
        if plan.splits:
            value = value[item]
        table_plan = tables[name]
        names = [field.name for field in table_plan.fields]
        held = list(row.values())[5 if plan.splits else 4 :][: len(names)]
        for field, column in zip(held, table_plan.fields, strict=True):
            assert agrees(getattr(value, column.attribute), field, column), (column.name, field)
    assert [reason for _, reason in sorted(reasons.items())] == OTHER.get(feed, [])
    assert {number for number, _ in seen} == set(range(len(sent)))
    if plan.splits:
        assert len(seen) == sum(len(decode(text)) for text in sent)


def plain(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


@pytest.mark.parametrize("feed", FEEDS)
def test_every_kernel_makes_of_a_feed_what_msgspec_makes(feed: str) -> None:
    type_ = getattr(types, f"T_{feed}")
    payloads = [text.encode() for text in texts(feed)]
    expected = outcome(type_, payloads, GENERAL)
    for kernel in KERNELS:
        assert outcome(type_, payloads, kernel) == expected, kernel
