"""Captures of a server with a cursor, killed and stopped and hung up on: every event once, every gap filled.

``RLFAST_KILLS=1000 pytest tests/capture/test_resume.py`` for more than the kills of every day.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pyarrow.parquet as pq
import pytest
from wsserver import Handler, Peer, frame, serve, until

import rlfast
from rlfast import Backoff, Resume
from rlfast.capture import CaptureOptions, RotationPolicy, capture, open_dataset, recover, resume
from rlfast.cli import main
from rlfast.sinks import Opened, Rows, Sink, StreamState, StreamWriter
from rlfast.sinks.parquet._manifest import read_manifest
from rlfast.websocket._gaps import Gap

from .crashing import RLFAST, environment, run
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
            replay.connected.clear()
            process = await asyncio.create_subprocess_exec(
                *arguments, env=environment(**variables), stderr=subprocess.PIPE
            )
            ending = asyncio.ensure_future(process.wait())
            if how in ("kill", "stop"):
                coming = asyncio.ensure_future(replay.connected.wait())
                await asyncio.wait((coming, ending), return_when=asyncio.FIRST_COMPLETED)
                coming.cancel()
                await asyncio.sleep(source.uniform(0, 0.5))
            else:
                # It may find nothing to do.
                await asyncio.wait((ending,), timeout=3)
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


# -- one thing at a time --------------------------------------------------------------------------------


class Event(msgspec.Struct):
    n: int


AT_ONCE = Backoff(initial=0.001, cap=0.002)
CURSOR = Resume("cursor", "/n")
QUICKLY = CaptureOptions(batch_wait=0.001, rotation=RotationPolicy(interval=0.01), min_free=0)


def events(*numbers: int) -> list[bytes]:
    return [b'{"n":%d}' % n for n in numbers]


def sends(*payloads: bytes, hold: bool = False) -> Handler:
    async def handler(peer: Peer) -> None:
        await peer.write(*map(frame, payloads))
        await (peer.wait_closed() if hold else peer.close())

    return handler


def numbers(out: Path) -> list[int]:
    table = open_dataset(out).to_arrow("Event").sort_by("seq")
    return list(table["n"].to_pylist())


def recorded(out: Path) -> list[tuple[str, str | None, str | None, bool | None]]:
    return [(gap.reason, gap.from_, gap.to, gap.filled) for gap in committed(out)]


def committed(out: Path) -> list[Gap]:
    return [gap for entry in read_manifest(out).entries for gap in entry.gaps]


def connecting(url: str, **arguments: Any) -> Any:
    return rlfast.connect(url, type=Event, stream="s", resume=CURSOR, **arguments)


async def test_the_command_line_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "numbers_of.py").write_text("import msgspec\n\nclass Event(msgspec.Struct):\n    n: int\n")
    out = tmp_path / "out"
    first, second = events(1, 2, 3, 4), [b'{"ack":1}', *events(2, 3, 4)]
    async with serve(sends(*first, hold=True), sends(*second, hold=True)) as server:
        for _ in range(2):
            arguments = [
                "--types",
                "numbers_of:Event",
                "--resume",
                "cursor=/n",
                "--max-events",
                "2",
                "--json",
            ]
            command = [*RLFAST, "capture", server.url + "?a=b", "--out", str(out), *arguments]
            paths = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
            assert await run(command, PYTHONPATH=paths) == (0, "")
    assert [peer.path.partition("?")[2] for peer in server.requests] == ["a=b", "a=b&cursor=2"]
    assert numbers(out) == [1, 2, 3, 4]
    assert recorded(out) == [("capture_stopped", "2", "3", True)]
    assert await asyncio.to_thread(main, ["inspect", str(out)]) == 0
    assert ", capture_stopped, filled" in capsys.readouterr().out
    assert list(open_dataset(out).streams) == [server.url.removeprefix("ws://") + "?" + name_of("a=b")]


def name_of(query: str) -> str:
    return rlfast.connect(f"ws://h/p?{query}").connection.stream.partition("?")[2]


async def test_an_outage_over_the_end_of_a_run_is_one_gap(tmp_path: Path) -> None:
    out = tmp_path / "out"
    async with serve(
        sends(*events(1, 2)), sends(b'{"ack":1}', hold=True), sends(*events(2, 3), hold=True)
    ) as server:
        for last in (2, 3):
            stop = asyncio.Event()
            connection = connecting(server.url, backoff=AT_ONCE)
            ws = connection.connection
            task = asyncio.create_task(capture(connection, out, QUICKLY, stop=stop))
            await until(lambda ws=ws, last=last: ws.stats.messages == (3 if last == 2 else 1))
            stop.set()
            await task
            if last == 2:
                lost_at = ws.gaps[0].disconnected_at
                assert committed(out) == []
                assert open_dataset(out).streams["s"].end == (lost_at, "capture_stopped")
    assert numbers(out) == [1, 2, 3]
    assert recorded(out) == [("capture_stopped", "2", "3", True)]
    assert committed(out)[0].disconnected_at == lost_at


async def test_a_connection_that_was_opened_by_hand_goes_on(tmp_path: Path) -> None:
    out = tmp_path / "out"
    answered = sends(*events(10, 12, 13))
    async with serve(sends(*events(11, 12)), answered, sends(hold=True)) as server:
        await capture(connecting(server.url, backoff=None), out, QUICKLY)
        options = resume(out, "s")
        assert options.resume_from is not None
        assert options.resume_from.value == "12"
        async with connecting(server.url, backoff=None, options=options) as ws:
            # It is less than the cursor, and unknown: an answer, say.
            assert await ws.next_message() == Event(10)
            await capture(ws, out, QUICKLY)
        # Without a cursor it is as it ever was, and the cursor is forgotten.
        await capture(rlfast.connect(server.url, type=Event, stream="s"), out, CaptureOptions(duration=0.1))
    assert [peer.path.partition("?")[2] for peer in server.requests] == ["", "cursor=12", ""]
    assert numbers(out) == [11, 12, 13]
    assert [gap[1:] for gap in recorded(out)] == [("12", "10", True), (None, None, None)]


class Cutting(Sink):
    """Commits seven messages at a time, wherever a batch ends, and keeps the states only."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.states = [StreamState()]

    def open(self, work: str) -> Opened:
        return Opened()

    def close(self) -> None:
        pass

    def state(self, stream: str) -> StreamState:
        return self.states[-1]

    def gaps(self, stream: str) -> list[Gap]:
        return []

    def writer(self, stream: str, settings: Any = None) -> CuttingWriter:
        return CuttingWriter(self.states)


class CuttingWriter(StreamWriter):
    def __init__(self, states: list[StreamState]) -> None:
        self._states = states

    def prepare(self, batch: rlfast.EventBatch, last_seq: int) -> list[Rows]:
        firsts = range(batch.first_seq, last_seq + 1, 7)
        parts = [(first, Rows.of(batch, min(first + 6, last_seq), None)) for first in firsts]
        return [rows._replace(first_seq=first, unit=str(first)) for first, rows in parts]

    def write(self, rows: Rows) -> int:
        return 0

    def add_gap(self, gap: Gap) -> None:
        pass

    def commit(self, state: StreamState) -> None:
        self._states.append(state)

    def abort(self) -> None:
        pass


async def test_each_commit_has_the_cursor_of_its_own_last_message(tmp_path: Path) -> None:
    sink = Cutting(tmp_path)
    async with serve(sends(*events(*range(3_000)))) as server:
        await capture(connecting(server.url, backoff=None), sink, QUICKLY)
    states = [state for state in sink.states if state.resume is not None]
    assert [state.resume and int(state.resume.value) for state in states] == [
        state.next_seq - 1 for state in states
    ]
    assert len(states) > 300
    assert states[-1].next_seq == 3_000
    # As many hashes as there were messages, up to a bound, at any cut.
    assert [len(state.resume.seen) // 8 for state in states if state.resume is not None] == [
        min(state.next_seq, 257) for state in states
    ]


async def test_answers_do_not_push_an_undecided_gap_out_of_the_journal(tmp_path: Path) -> None:
    """The connection is lost, then come answers only, over many files of the journal; then it is killed."""
    out, left = tmp_path / "out", tmp_path / "left"
    answer = frame(b'{"ack":"%s"}' % (1000 * b"x"))
    count = 3000
    more = asyncio.Event()

    async def answers(peer: Peer) -> None:
        for _ in range(0, count, 100):
            await peer.write(*[answer] * 100)
        await more.wait()
        await peer.write(*map(frame, events(2, 3)))
        await peer.wait_closed()

    def messages() -> int:
        return sum(entry.last_seq - entry.first_seq + 1 for entry in read_manifest(out).entries)

    rotation = RotationPolicy(max_rows=200, interval=0.02)
    options = CaptureOptions(rotation, batch_rows=100, batch_wait=0.001, min_free=0, journal_bytes=4 << 20)
    async with serve(sends(*events(1, 2)), answers, sends(*events(2, 3), hold=True)) as server:
        for folder, reason in ((out, "closed_by_peer"), (left, "crashed")):
            stop = asyncio.Event()
            connection = connecting(server.url, backoff=AT_ONCE)
            task = asyncio.create_task(capture(connection, folder, options, stop=stop))
            if folder is out:
                # No event tells what is committed.
                while messages() < 2 + count or (out / "_commit.json").exists():
                    await asyncio.sleep(0.01)
                shutil.copytree(out, left)  # As a kill would leave it.
                more.set()
            wanted = 3 + count if folder is out else 1
            await until(lambda ws=connection.connection, wanted=wanted: ws.stats.messages == wanted)
            stop.set()
            await task
            assert recorded(folder) == [(reason, "2", "3", True)]
            assert numbers(folder) == [1, 2, 3]
            if folder is out:
                lost_at = committed(out)[0].disconnected_at
                recover(left)
                assert recorded(left) == []
                assert open_dataset(left).streams["s"].end == (lost_at, "crashed")
