"""A folder captured with the defaults, read by the plainest call of each reader."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import math
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from itertools import islice
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from wsserver import Peer, frame, serve

from rlfast import AgentEvent, Backoff, connect
from rlfast.capture import CaptureOptions, capture
from rlfast.simulator._events import agent_events

from .helpers import AGENT, STREAM

Rows = list[dict[str, Any]]
TIMES = {"received_at", "disconnected_at", "reconnected_at"}

EVENTS = 3000
NEW_FIELD = b'{"type":"kb_change","change_type":"added","sort":"s","term_id":"%s","new":[1,"\xc3\xbc"]}'
DEAD = {b'{"type":"kb_change"': "malformed_json"}
OTHER = {b'{"type":"plan_revised"}': "unknown type 'plan_revised'"}
SENT = list(islice(agent_events(7, AGENT, EVENTS), EVENTS))
#: By connection.
PARTS = ([*SENT[:1500], NEW_FIELD % AGENT.upper().encode(), *DEAD, *OTHER], SENT[1500:])


class Captured:
    """The folder, and the rows that each of its tables must have, by folder and in order of seq."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.tables: dict[str, Rows] = {"_gaps": stored(out / "_gaps")}
        folders = {path.parent for path in out.glob("*/*.parquet")}
        received = {row["seq"]: row for folder in folders for row in stored(folder) if "seq" in row}
        for seq, message in enumerate(PARTS[0] + PARTS[1]):
            row: dict[str, Any] = {"seq": seq, "epoch": 1 if seq < len(PARTS[0]) else 2, "stream": STREAM}
            row["received_at"] = received[seq]["received_at"]
            if message in DEAD:
                folder = "_dead_letters"
                row |= {"reason": DEAD[message], "error": received[seq]["error"], "raw": message}
            elif message in OTHER:
                folder = "_other"
                row |= {"reason": OTHER[message], "json": message.decode()}
            else:
                event = json.loads(message)
                folder = f"type={event.pop('type')}"
                row |= dict.fromkeys(received[seq]) | row | event
                if "new" in row:
                    row |= {"term_id": AGENT, "_extra": json.dumps({"new": row.pop("new")}, **COMPACT)}
            self.tables.setdefault(folder, []).append(row)


COMPACT: Any = {"ensure_ascii": False, "separators": (",", ":")}


def stored(folder: Path) -> Rows:
    """The rows, with times that no reader has made of the integers in the files."""
    table = pa.concat_tables(pq.ParquetFile(path).read() for path in sorted(folder.glob("*.parquet")))
    for i, name in enumerate(table.column_names):
        if name in TIMES:
            times = table[name].cast(pa.timestamp("us", "UTC"), safe=False)
            table = table.set_column(i, name, times.cast("int64"))
    return [
        {name: at(value) if name in TIMES else value for name, value in row.items()}
        for row in table.to_pylist()
    ]


def at(microseconds: int | None) -> datetime | None:
    start = datetime(1970, 1, 1, tzinfo=timezone.utc)
    return None if microseconds is None else start + timedelta(microseconds=microseconds)


@pytest.fixture(scope="module")
def captured(tmp_path_factory: pytest.TempPathFactory) -> Captured:
    out = tmp_path_factory.mktemp("readers") / "events"
    parts = list(PARTS)

    async def handler(peer: Peer) -> None:
        await peer.write(*map(frame, parts.pop(0)))
        if parts:
            await peer.close(1012)
        await peer.wait_closed()

    async def run() -> None:
        async with serve(handler) as server:
            connecting = connect(server.url, type=AgentEvent, stream=STREAM, backoff=Backoff.capture())
            async with connecting as ws:
                await capture(ws, out, CaptureOptions(max_events=EVENTS + 1))

    asyncio.run(run())
    return Captured(out)


# -- readers, by the call that their documentation begins with -----------------------------------------


def by_pandas(path: Path) -> Rows:
    frame = pd.read_parquet(path)
    return [dict(zip(frame.columns, row, strict=True)) for row in frame.itertuples(index=False, name=None)]


def by_polars(path: Path) -> Rows:
    return pl.read_parquet(path / "*.parquet").to_dicts()


def by_duckdb(path: Path) -> Rows:
    found = duckdb.sql(f"from '{path}/*.parquet'")
    return [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]


def by_dataset(path: Path) -> Rows:
    return ds.dataset(path).to_table().to_pylist()


def by_read_table(path: Path) -> Rows:
    return pq.read_table(path).to_pylist()


def by_datafusion(path: Path) -> Rows:
    datafusion = pytest.importorskip("datafusion", exc_type=ImportError)
    found: Rows = datafusion.SessionContext().read_parquet(path).to_pylist()
    return found


def by_chdb(path: Path) -> Rows:
    chdb = pytest.importorskip("chdb", exc_type=ImportError)
    found: Rows = chdb.query(f"select * from file('{path}/*.parquet')", "ArrowTable").to_pylist()
    # ClickHouse has one type for text and bytes.
    return [{**row, "raw": row["raw"].encode()} if "raw" in row else row for row in found]


def by_deltalake(path: Path) -> Rows:
    found: Rows = as_delta(path).to_pyarrow_table().to_pylist()
    return found


def by_polars_from_delta(path: Path) -> Rows:
    return pl.read_delta(as_delta(path)).to_dicts()


def as_delta(path: Path) -> Any:
    """A copy of the folder, made a table of Delta Lake."""
    deltalake = pytest.importorskip("deltalake", exc_type=ImportError)
    copy = path.parent.with_name("delta") / path.name
    if not copy.exists():
        shutil.copytree(path, copy)
        deltalake.convert_to_deltalake(copy)
    return deltalake.DeltaTable(copy)


READERS: list[Callable[[Path], Rows]] = [
    by_pandas,
    by_polars,
    by_duckdb,
    by_dataset,
    by_read_table,
    by_datafusion,
    by_chdb,
    by_deltalake,
    by_polars_from_delta,
]
TABLES = [
    "type=attention_shift",
    "type=connected",
    "type=cycle_complete",
    "type=error",
    "type=goal_completed",
    "type=heartbeat",
    "type=hitl_request",
    "type=impasse_detected",
    "type=kb_change",
    "_dead_letters",
    "_gaps",
]


def plain(value: Any) -> Any:
    """A value as Python has it: no arrays, NaN is None, times in UTC."""
    if isinstance(value, (list, tuple)) or hasattr(value, "tolist"):
        return [plain(item) for item in value]
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, datetime):
        assert value.tzinfo is not None
        return value.astimezone(timezone.utc)
    return bytes(value) if isinstance(value, bytearray) else value


def check(found: Rows, wanted: Rows) -> None:
    # Some readers make a column `type` of the folder's name.
    rows = [{name: plain(value) for name, value in row.items() if name != "type"} for row in found]
    assert sorted(rows, key=lambda row: row["epoch" if "seq" not in row else "seq"]) == wanted


def check_all(found: Rows, captured: Captured) -> None:
    """Which other columns there are is up to the reader: those of one type, or of all."""
    names = ("seq", "epoch", "received_at", "stream")
    events = [row for table, rows in captured.tables.items() if table.startswith("type=") for row in rows]
    wanted = sorted(([row[name] for name in names] for row in events), key=lambda row: row[0])
    assert sorted([plain(row[name]) for name in names] for row in found) == wanted


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("read", READERS)
def test_each_table_is_read_as_it_is(captured: Captured, read: Callable[[Path], Rows], table: str) -> None:
    check(read(captured.out / table), captured.tables[table])


@pytest.mark.parametrize("read", [by_pandas, by_dataset, by_read_table, by_datafusion])
def test_all_events_are_read_at_once(captured: Captured, read: Callable[[Path], Rows]) -> None:
    check_all(read(captured.out), captured)


def test_chdb_reads_all_events_at_once(captured: Captured) -> None:
    check_all(by_chdb(captured.out / "type=*"), captured)


SPARK = """
import pickle, sys
from pathlib import Path
from pyspark.sql import SparkSession

out, tables = Path(sys.argv[1]), sys.argv[2:]
spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
read = {table: [row.asDict() for row in spark.read.parquet(str(out / table)).collect()] for table in tables}
sys.stdout.buffer.write(pickle.dumps(read))
"""


@pytest.mark.spark
@pytest.mark.timeout(300)
def test_spark(captured: Captured) -> None:
    """In a process of its own, which takes the one of Java with it."""
    if shutil.which("java") is None:
        pytest.skip("Spark needs Java 17 or later on the PATH")
    if importlib.util.find_spec("pyspark") is None:
        pytest.skip("needs pyspark: pip install 'rlfast[spark]'")
    command = [sys.executable, "-c", SPARK, str(captured.out), *TABLES, "."]
    # Spark gives times without a zone, in the one of the process.
    variables = {**os.environ, "TZ": "UTC", "SPARK_LOCAL_IP": "127.0.0.1"}
    done = subprocess.run(command, capture_output=True, env=variables, check=False)
    assert done.returncode == 0, done.stderr.decode()
    found = pickle.loads(done.stdout)
    for rows in found.values():
        for row in rows:
            row |= {name: row[name] and row[name].replace(tzinfo=timezone.utc) for name in TIMES & set(row)}
    check_all(found.pop("."), captured)
    for table in TABLES:
        check(found[table], captured.tables[table])
