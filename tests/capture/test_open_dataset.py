"""A data set opened: what the manifest lists, for readers of every kind, and each thing read once."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import polars as pl
import pyarrow as pa
import pytest
from sample_events import PAYLOADS
from wsserver import Peer, frame, serve

import rlfast
from rlfast import CaptureError, UsageError, connect
from rlfast.capture import capture, compact, next_seq, recover
from rlfast.sinks.parquet._layout import final_name

from .helpers import STREAM, rows, sent, write
from .test_recovery import leave

N = len(PAYLOADS)
DEAD = [b"{", b"[]"]


class Before(msgspec.Struct, tag="t"):
    n: int


class After(msgspec.Struct, tag="t"):
    n: int
    more: str | None = None


def fill(out: Path) -> None:
    write(out, [*PAYLOADS, *DEAD])
    write(out, PAYLOADS, first_seq=N + 2)
    write(out, PAYLOADS[:3], stream="other")


def test_what_a_data_set_tells_of_itself(tmp_path: Path) -> None:
    fill(tmp_path)
    dataset = rlfast.open_dataset(tmp_path)
    stored = rows_by_type(tmp_path)
    assert {name: table.rows for name, table in dataset.tables.items()} == dict(Counter(stored))
    for name, table in dataset.tables.items():
        assert table.bytes == sum(path.stat().st_size for path in table.paths)
        assert {path.parent.name for path in table.paths} == {f"type={name}"}
    assert {name: state.next_seq for name, state in dataset.streams.items()} == {
        STREAM: 2 * N + 2,
        "other": 3,
    }
    assert [entry.first_seq for entry in dataset.segments] == [0, N + 2, 0]
    assert [(group.reason, group.count) for group in dataset.dead_letters] == [
        ("malformed_json", 1),
        ("schema_mismatch", 1),
    ]
    assert dataset.gaps == ()


def rows_by_type(out: Path) -> list[str]:
    files = f"'{out}/type=*/*.parquet'"
    found = duckdb.sql(f"select filename from read_parquet({files}, filename=true, union_by_name=true)")
    return [Path(name).parent.name.removeprefix("type=") for (name,) in found.fetchall()]


def test_every_reader_gets_the_same_rows(tmp_path: Path) -> None:
    fill(tmp_path)
    dataset = rlfast.open_dataset(tmp_path)
    connection = dataset.duckdb()
    for name, table in dataset.tables.items():
        arrow = dataset.to_arrow(name)
        assert arrow.num_rows == table.rows
        assert "type" not in arrow.column_names
        frame = dataset.scan_polars(name).collect()
        assert frame.to_arrow().column("seq").to_pylist() == arrow["seq"].to_pylist()
        queried = connection.execute(f'select seq from "{name}"').fetchall()
        assert sorted(seq for (seq,) in queried) == sorted(arrow["seq"].to_pylist())
    assert dataset.to_arrow("_dead_letters")["raw"].to_pylist() == DEAD
    assert connection.execute('select count(*) from "_dead_letters"').fetchall() == [(2,)]
    mine = duckdb.connect()
    assert dataset.duckdb(mine) is mine
    with pytest.raises(UsageError, match=r"has no type nothing; it has: .*heartbeat"):
        dataset.to_arrow("nothing")


def test_only_what_the_manifest_lists_is_read(tmp_path: Path) -> None:
    fill(tmp_path)
    before = rlfast.open_dataset(tmp_path).to_arrow("heartbeat")
    (tmp_path / "type=heartbeat" / final_name("stray", 0)).write_bytes(b"half a file")
    dataset = rlfast.open_dataset(tmp_path)
    assert dataset.to_arrow("heartbeat").equals(before)
    assert len(dataset.scan_polars("heartbeat").collect()) == before.num_rows
    assert dataset.duckdb().execute("select count(*) from heartbeat").fetchall() == [(before.num_rows,)]


def test_columns_that_came_later_are_null_before(tmp_path: Path) -> None:
    write(tmp_path, [b'{"type":"t","n":1}'], type_=Before)
    write(tmp_path, [b'{"type":"t","n":2,"more":"x"}'], first_seq=1, type_=After)
    dataset = rlfast.open_dataset(tmp_path)
    assert dataset.to_arrow("t")["more"].to_pylist() == [None, "x"]
    assert dataset.scan_polars("t").collect()["more"].to_list() == [None, "x"]
    assert dataset.duckdb().execute("select more from t order by seq").fetchall() == [(None,), ("x",)]


def test_names_of_types_are_quoted(tmp_path: Path) -> None:
    tag = 'it\'s "odd"/é' + 250 * "x"
    type_ = msgspec.defstruct("Odd", [("n", int)], tag=tag)
    write(tmp_path, [msgspec.json.encode({"type": tag, "n": 1})], type_=type_)
    dataset = rlfast.open_dataset(tmp_path)
    assert list(dataset.tables) == [tag]
    quoted = tag.replace('"', '""')
    assert dataset.duckdb().execute(f'select n from "{quoted}"').fetchall() == [(1,)]
    assert dataset.scan_polars(tag).collect()["n"].to_list() == [1]


def test_it_is_compacted_and_redriven_with_what_the_log_holds(tmp_path: Path) -> None:
    write(tmp_path, PAYLOADS)
    write(tmp_path, PAYLOADS, first_seq=N)
    leave(tmp_path, PAYLOADS, first_seq=2 * N)
    dataset = rlfast.open_dataset(tmp_path)
    files = len(dataset.manifest.files)
    assert dataset.compact().merged > files
    assert dataset.to_arrow("heartbeat").num_rows == 3
    assert list(rows(tmp_path).values()) == sent(PAYLOADS * 3)
    assert not (tmp_path / "_journal").exists()
    write(tmp_path, [b'{"type":"t","n":1}'], first_seq=3 * N)
    dataset = rlfast.open_dataset(tmp_path)
    assert dataset.redrive(Before).events == {"t": 1}
    assert dataset.tables["t"].rows == 1
    assert dataset.dead_letters == []
    # Nobody holds its lock any more.
    assert recover(tmp_path).nothing_to_do


def test_what_is_not_a_data_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="is not a folder; name the folder of a capture"):
        rlfast.open_dataset(tmp_path / "missing")
    assert rlfast.open_dataset(tmp_path).tables == {}


async def test_a_capture_locks_and_reads_the_manifest_once(tmp_path: Path) -> None:
    write(tmp_path, PAYLOADS)
    leave(tmp_path, PAYLOADS, first_seq=N)
    counts: Counter[str] = Counter()
    watching = True

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if watching and event == "open" and isinstance(arguments[0], (str, Path)):
            mode, name = arguments[1], os.path.basename(arguments[0])
            if name == "_manifest.jsonl" and mode is not None:
                counts["read"] += 1
            if name == "_lock" and mode is None:
                counts["locked"] += 1

    async def handler(peer: Peer) -> None:
        await peer.write(*map(frame, PAYLOADS))
        await peer.close()

    sys.addaudithook(watch)
    async with serve(handler) as server:
        connecting = connect(server.url, type=rlfast.AgentEvent, stream=STREAM, backoff=None)
        summary = await capture(connecting, tmp_path)
    watching = False
    assert summary.first_seq == 2 * N
    assert counts == {"read": 1, "locked": 1}
    assert await asyncio.to_thread(next_seq, tmp_path, STREAM) == 3 * N


def test_arrow_and_polars_agree_on_types(tmp_path: Path) -> None:
    fill(tmp_path)
    dataset = rlfast.open_dataset(tmp_path)
    table = dataset.to_arrow("heartbeat")
    assert table.schema.field("received_at").type == pa.timestamp("us", "UTC")
    assert dataset.scan_polars("heartbeat").collect_schema()["received_at"] == pl.Datetime("us", "UTC")
    compact(tmp_path)
    assert rlfast.open_dataset(tmp_path).to_arrow("heartbeat").num_rows == table.num_rows


def test_a_type_in_two_folders_and_types_that_differ_in_case(tmp_path: Path) -> None:
    """The folder of a type has another name from the time on when it has a field `type`."""
    plain = msgspec.defstruct("T", [("n", int)], tag="t")
    typed = msgspec.defstruct("T", [("n", int), ("type", str)], tag_field="kind", tag="t")
    other = msgspec.defstruct("U", [("n", int)], tag="T")
    out = tmp_path / "h[1]"
    write(out, [b'{"type":"t","n":1}', b'{"type":"t","n":2}'], type_=plain)
    write(out, [b'{"kind":"t","n":3,"type":"x"}'], first_seq=2, type_=typed)
    write(out, [b'{"type":"T","n":4}'], first_seq=3, type_=other)
    dataset = rlfast.open_dataset(out)
    assert {name: table.rows for name, table in dataset.tables.items()} == {"t": 3, "T": 1}
    assert sorted(dataset.to_arrow("t")["n"].to_pylist()) == [1, 2, 3]
    assert sorted(dataset.scan_polars("t").collect()["n"]) == [1, 2, 3]
    connection = dataset.duckdb()
    counts = {
        name: connection.sql(f'select count(*) from "{name}"').fetchall()[0][0]
        for (name,) in connection.sql("select view_name from duckdb_views() where not internal").fetchall()
    }
    assert sorted(counts.values()) == [1, 3]
    assert {name.lower() for name in counts} == {"t", "t_1"}


def test_streams_are_as_of_when_it_was_opened(tmp_path: Path) -> None:
    write(tmp_path, PAYLOADS)
    dataset = rlfast.open_dataset(tmp_path)
    write(tmp_path, PAYLOADS, first_seq=N)
    assert dataset.streams[STREAM].next_seq == N
    assert dataset.state(STREAM).next_seq == 2 * N
    assert rlfast.open_dataset(tmp_path).streams[STREAM].next_seq == 2 * N
