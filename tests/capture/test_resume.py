"""Captures of a server with a cursor, killed and stopped and hung up on: every event once, every gap filled.

``RLFAST_KILLS=1000 pytest tests/capture/test_resume.py`` for more than the kills of every day.
"""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from wsserver import serve

from .crashing import environment
from .helpers import gaps, part_files
from .replaying import KINDS, Kind, Replay, command, history
from .test_crash import KILLS, library, preload

__all__ = ["library"]

EVENTS = 6_000
RUNS = 6
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="preloads a library; kills by SIGKILL")


@pytest.mark.timeout(240 + 6 * KILLS)
@pytest.mark.parametrize("kind", KINDS)
async def test_every_event_is_there_once_whatever_happens(tmp_path: Path, library: str, kind: Kind) -> None:
    """Runs that follow each other: killed at random, or at a call that changes the disk; stopped; cut."""
    for seed in range(max(1, KILLS // 50)):
        source = random.Random(f"{kind} {seed}")
        out = tmp_path / str(seed)
        await _one_history(out, library, kind, source)
        shutil.rmtree(out)


async def _one_history(out: Path, library: str, kind: Kind, source: random.Random) -> None:
    sent = history(kind, EVENTS, source)
    replay = Replay(kind, sent, source)
    inclusive = source.choice({"exclusive": (None, False), "opaque": (None, True)}.get(kind, (None, True)))
    sink = source.choice(("parquet", "parquet", "sqlite"))
    settings = {
        "batch_rows": source.choice((50, 700, 65_536)),
        "batch_wait": 0.02,
        "rotation": {"max_rows": source.choice((100, 1500)), "interval": 0.2},
        "journal_bytes": 4 << 20,
    }
    async with serve(replay.serve) as server:
        for number in range(RUNS):
            replay.limit = EVENTS * (number + 1) // (RUNS + 1)
            how = source.choice(("kill", "kill", "call", "stop", "cut"))
            more = {"max_events": source.randrange(1, 400)} if how == "cut" else {}
            arguments = command(server.url, out, inclusive, sink, **settings, **more)
            variables = preload(library, out, source.randrange(1, 120), "kill") if how == "call" else {}
            process = await asyncio.create_subprocess_exec(
                *arguments, env=environment(**variables), stderr=subprocess.PIPE
            )
            if how in ("kill", "stop"):
                requests = len(server.requests)
                while len(server.requests) == requests and process.returncode is None:
                    await asyncio.sleep(0.01)
                await asyncio.sleep(source.uniform(0, 0.5))
            else:
                # It may find nothing to do.
                await asyncio.wait([asyncio.ensure_future(process.wait())], timeout=3)
            if process.returncode is None:
                (process.terminate if how == "stop" else process.kill)()
            _, errors = await process.communicate()
            assert process.returncode in (0, -9), errors.decode()
        replay.calm, replay.limit = True, EVENTS
        replay.finished.clear()
        process = await asyncio.create_subprocess_exec(
            *command(server.url, out, inclusive, sink, **settings), env=environment(), stderr=subprocess.PIPE
        )
        await replay.finished.wait()
        process.terminate()
        _, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()
    check = check_sqlite if sink == "sqlite" else check_parquet
    check(out, EVENTS)


def check_parquet(out: Path, events: int) -> None:
    numbers = duckdb.sql(
        f"select n from read_parquet('{out}/type=Event/**/*.parquet', hive_partitioning=false) order by seq"
    ).fetchall()
    assert [n for (n,) in numbers] == list(range(events))
    seqs = sorted(
        seq for path in part_files(out) for seq in pq.ParquetFile(path).read(["seq"])["seq"].to_pylist()
    )
    assert seqs == list(range(len(seqs)))
    found = gaps(out)
    assert found
    assert [gap for gap in found if gap["filled"] is not True and gap["from"] is not None] == []
    # The only one that nothing can fill is from before the first event.
    assert all(gap["last_seq"] < _first_event(out) for gap in found if gap["from"] is None)


def _first_event(out: Path) -> int:
    (found,) = duckdb.sql(f"select min(seq) from read_parquet('{out}/type=Event/*.parquet')").fetchall()
    return int(found[0])


def check_sqlite(out: Path, events: int) -> None:
    with closing(sqlite3.connect(out / "events.db")) as connection:
        rows = connection.execute("select seq, type, fields from events order by seq").fetchall()
        assert [json.loads(fields)["n"] for _, type_, fields in rows if type_ == "Event"] == list(
            range(events)
        )
        dead = [seq for (seq,) in connection.execute("select seq from dead_letters")]
        seqs = sorted([*(seq for seq, _, _ in rows), *dead])
        assert seqs == list(range(len(seqs)))
        found = [json.loads(gap) for (gap,) in connection.execute("select gap from gaps")]
    assert found
    assert [gap for gap in found if gap.get("filled") is not True and gap.get("from") is not None] == []
