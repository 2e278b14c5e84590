"""Gaps that the numbers in messages show, in a data set: once, before their messages, also after a crash."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pytest
from cli.helpers import environment, start
from streams import FakeTiming
from wsserver import Peer, close_frame, frame, serve, until

from rlfast import ConnectionOptions, Gap, Sequence, connect
from rlfast.capture import CaptureOptions, RotationPolicy, capture, inspect_dataset, next_seq, recover
from rlfast.cli import main
from rlfast.sinks.parquet._manifest import read_manifest
from rlfast.websocket._gaps import MORE_SEQUENCE_GAPS, SEQUENCE_GAP

from .crashing import RLFAST, SqliteSink, journal_end, journal_messages, run
from .helpers import STREAM
from .test_crash import KILLED, KILLS, count_calls, preload, some
from .test_crash import library as fixture
from .test_recovery import leave

library = fixture

BY_KEY = Sequence("/n", by="/k")


class Event(msgspec.Struct):
    n: int
    k: str | None = None


def event(n: int, k: str = "a") -> bytes:
    return json.dumps({"n": n, "k": k}).encode()


def sends(*reads: Iterable[bytes], code: int | None = 1000) -> Any:
    """A handler that sends messages, one write for each read, and hangs up."""

    async def handler(peer: Peer) -> None:
        for read in reads:
            await peer.write(*map(frame, read))
        if code is not None:
            await peer.write(close_frame(code))
        await peer.wait_closed()

    return handler


def recorded(out: Path, *reasons: str) -> list[tuple[Any, ...]]:
    """Rows of `_gaps` with these reasons, as DuckDB reads them."""
    found = duckdb.execute(
        'select epoch, last_seq, "from", "to", key from read_parquet(?) where reason in (select unnest(?)) '
        "order by last_seq, key",
        [f"{out}/_gaps/part-*.parquet", list(reasons or (SEQUENCE_GAP,))],
    )
    return found.fetchall()


@pytest.mark.parametrize("durability", ["none", "process"])
@pytest.mark.parametrize("type_", [None, Event])
async def test_what_is_on_record(tmp_path: Path, durability: Any, type_: Any) -> None:
    first = sends([event(1), event(1, "b"), event(2)], [event(5), event(2, "b")], [event(7, "b")], code=1012)
    second = sends([event(6), event(9, "b"), event(4)])
    async with serve(first, second) as server:
        connecting = connect(
            server.url, type=type_, stream=STREAM, sequence=BY_KEY, timing=FakeTiming().timing
        )
        options = CaptureOptions(
            RotationPolicy(max_rows=1), max_events=9, batch_rows=1, durability=durability, min_free=0
        )
        summary = await capture(connecting, tmp_path, options)
    expected = [(1, 2, "2", "5", "a"), (1, 4, "2", "7", "b"), (2, 6, "7", "9", "b"), (2, 7, "6", "4", "a")]
    assert recorded(tmp_path) == expected
    assert (summary.events, summary.gaps, summary.sequence_gaps) == (9, 1, 4)
    assert (summary.checked_numbers, summary.unchecked_numbers) == (9, 0)
    assert summary.gap_reasons == {"sequence_gap": 4, "closed_by_peer, code 1012": 1}
    # No commit has a message from behind a gap, and not the gap.
    known = 0
    for entry in read_manifest(tmp_path).entries:
        known += sum(gap.is_sequence_gap for gap in entry.gaps)
        assert known >= sum(last_seq < entry.last_seq for _, last_seq, *_ in expected)


async def test_people_and_programs_see_both_kinds_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with serve(sends([event(1), event(5), event(9, "x\x1b")], [event(7, "x\x1b")])) as server:
        connecting = connect(server.url, stream=STREAM, sequence=BY_KEY, backoff=None)
        await capture(connecting, tmp_path, CaptureOptions(min_free=0))
    report = inspect_dataset(tmp_path)
    assert (report.num_gaps, report.num_sequence_gaps) == (0, 2)
    assert [gap.to for gap in report.sequence_gaps] == ["5", "7"]
    assert report.gap_reasons == {"sequence_gap": 2}
    assert main(["inspect", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "gaps          0 (sequence_gap 2)" in out
    assert "in numbers  2" in out
    assert "sequence_gap, 1 to 5 of a" in out
    assert "sequence_gap, 9 to 7 of 'x\\x1b'" in out


async def test_what_is_discarded_has_no_gaps(tmp_path: Path) -> None:
    async with serve(sends([event(n) for n in (1, 3, 5, 7, 9)])) as server:
        connecting = connect(server.url, stream=STREAM, sequence=BY_KEY)
        options = CaptureOptions(max_events=3, batch_rows=2, min_free=0)
        summary = await capture(connecting, tmp_path, options)
    assert recorded(tmp_path) == [(1, 0, "1", "3", "a"), (1, 1, "3", "5", "a")]
    assert (summary.sequence_gaps, summary.last_seq) == (2, 2)


async def test_a_run_begins_with_the_number_that_comes(tmp_path: Path) -> None:
    for numbers in ([1, 2, 5], [9, 10, 12]):
        async with serve(sends(map(event, numbers))) as server:
            connecting = connect(server.url, stream=STREAM, sequence=BY_KEY, backoff=None)
            await capture(connecting, tmp_path, CaptureOptions(min_free=0))
    assert recorded(tmp_path) == [(1, 1, "2", "5", "a"), (2, 4, "10", "12", "a")]
    assert len(recorded(tmp_path, "capture_stopped")) == 1


async def test_a_connection_that_was_open_before(tmp_path: Path) -> None:
    """What was read of it before has its gaps, too, in front of the first message; each is recorded once."""

    async def handler(peer: Peer) -> None:
        await peer.write(*map(frame, map(event, (1, 3, 4))))
        await peer.read_frame()
        await peer.write(*map(frame, map(event, (8, 9))))
        await peer.read_frame()
        await peer.write(*map(frame, map(event, (11, 12))))
        await peer.wait_closed()

    async with serve(handler) as server, connect(server.url, stream=STREAM, sequence=BY_KEY) as ws:
        for number in (1, 3):
            assert (await ws.next_message())["n"] == number
        await until(lambda: ws.stats.messages == 3)
        for _ in range(2):
            await ws.send("more")
            expected = ws.stats.messages + 2
            await until(lambda expected=expected: ws.stats.messages == expected)
            capturing = asyncio.create_task(capture(ws, tmp_path, CaptureOptions(min_free=0)))
            await until(lambda: ws.stats.queued_bytes == 0)
            capturing.cancel()
            await asyncio.gather(capturing, return_exceptions=True)
    assert recorded(tmp_path) == [
        (1, -1, "1", "3", "a"),
        (1, 0, "4", "8", "a"),
        (1, 2, "9", "11", "a"),
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="kills by SIGKILL")
async def test_a_capture_that_is_killed_has_its_gaps_once(tmp_path: Path) -> None:
    reads = [[event(n, k) for n in (i, i + 1) for k in "ab"] for i in range(0, 3000, 3)]
    messages = sum(map(len, reads))
    out = tmp_path / "events"
    command = ["capture", "--sequence", "/n", "--sequence-by", "/k", "--stream", STREAM, "--out", out]
    async with serve(sends(*reads, code=None)) as server:
        process = await start(*command, "--rotate-interval", "50ms", server.url, extra=environment())
        while journal_end(out) < messages:
            await asyncio.sleep(0.01)
            assert process.returncode is None
        process.kill()
        await process.communicate()
    recover(out)
    found = recorded(out)
    expected = [
        (1, 4 * i + j - 1, str(3 * i - 2), str(3 * i), k) for i in range(1, 1000) for j, k in enumerate("ab")
    ]
    assert found == expected
    assert recover(out).nothing_to_do


@pytest.mark.skipif(sys.platform != "linux", reason="preloads a library; kills by SIGKILL")
@pytest.mark.timeout(300)
@pytest.mark.parametrize("do", ["kill", "tear"])
async def test_killed_at_any_call(tmp_path: Path, library: str, do: str) -> None:
    reads = [[event(3 * i), event(3 * i + 1)] for i in range(400)]
    expected = [(1, 2 * i - 1, str(3 * i - 2), str(3 * i), "a") for i in range(1, 400)]
    async with serve(sends(*reads)) as server:

        def command(out: Path) -> list[str]:
            options = ["--sequence=/n", "--sequence-by=/k", "--rotate-rows=150", "--no-reconnect", "--json"]
            return [*RLFAST, "capture", server.url, "--out", str(out), "--stream", STREAM, *options]

        calls = await count_calls(command(tmp_path / "counted"), library, tmp_path / "counted", tmp_path)
        assert recorded(tmp_path / "counted") == expected
        killed = 0
        for at in some(calls, max(8, KILLS // 6)):
            out = tmp_path / f"{at}"
            code, _ = await run(command(out), **preload(library, out, at, do))
            killed += code == KILLED
            if out.exists():
                recover(out)
                received = next_seq(out, STREAM)
                found = recorded(out) if list(out.glob("_gaps/*")) else []
                assert found == [gap for gap in expected if gap[1] + 1 < received], at
    assert killed


def note(keeper: Any, *gaps: Gap) -> None:
    keeper.journal.write_sequence_gaps(list(gaps), 0)


def gap_of(last_seq: int, from_: int, to: int, key: str | None = None, at: int = 10) -> Gap:
    return Gap(1, last_seq, at, SEQUENCE_GAP, reconnected_at=20, from_=str(from_), to=str(to), key=key)


def test_a_gap_stays_in_the_journal_until_its_message_is_committed(tmp_path: Path) -> None:
    """Also where the message is in the next file of the ring, and the one before would be free."""
    keeper = leave(tmp_path, [b"x" * 600_000], type=None)
    note(keeper, gap_of(2, 1, 3))
    keeper.feed(b"x" * 600_000, b"x", b"x")
    journal = keeper.journal
    assert journal.used_bytes == 2 << 20
    journal.release(2)
    assert journal.used_bytes == 2 << 20
    journal.release(3)
    assert journal.used_bytes == 1 << 20


def test_a_gap_whose_message_is_not_there_is_not_recovered(tmp_path: Path) -> None:
    keeper = leave(tmp_path, [b"{}"] * 3, type=None)
    note(keeper, gap_of(1, 1, 3), gap_of(2, 3, 5))
    assert recover(tmp_path).streams[0].gaps == 1
    assert recorded(tmp_path) == [(1, 1, "1", "3", None)]


@pytest.mark.parametrize("kind", ["parquet", "sqlite"])
def test_all_that_differ_are_recovered_once(tmp_path: Path, kind: str) -> None:
    """Beside a disconnect at the same time; of a journal that is recovered a second time, too."""
    sink = tmp_path if kind == "parquet" else SqliteSink(tmp_path / "events.db")
    folder = tmp_path if kind == "parquet" else tmp_path / "events.db.log"
    different = [gap_of(0, 1, 3, "a"), gap_of(0, 1, 3, "b"), gap_of(1, 1, 3, "a"), gap_of(1, 1, 4, "a")]
    for _ in range(2):
        keeper = leave(
            folder, [b"{}"] * 3, type=None, kind="ParquetSink" if kind == "parquet" else "SqliteSink"
        )
        keeper.journal.write_gap(Gap(1, 2, 10, "idle_timeout", reconnected_at=20))
        note(keeper, *different)
        note(keeper, *different, Gap(1, 1, 10, MORE_SEQUENCE_GAPS, reconnected_at=10))
        keeper.journal.close(delete=False)
        recover(sink)
    if kind == "parquet":
        assert len(recorded(tmp_path)) == 4
        assert len(recorded(tmp_path, MORE_SEQUENCE_GAPS)) == 1
        assert len(recorded(tmp_path, "idle_timeout")) == 1
    else:
        sink.open("test")
        assert len(sink.gaps(STREAM)) == 6
        sink.close()


async def test_numbers_that_are_none_flood_nothing(tmp_path: Path) -> None:
    """A field that is no number of this kind: 20,000 messages, whose numbers are the same."""
    async with serve(sends([event(7)] * 20_000)) as server:
        connecting = connect(
            server.url, stream=STREAM, sequence=BY_KEY, backoff=None, options=ConnectionOptions()
        )
        summary = await capture(connecting, tmp_path, CaptureOptions(min_free=0))
    assert summary.events == 20_000
    assert summary.gap_reasons == {"sequence_gap": 10_000, "sequence_gap: more": 1}
    assert recorded(tmp_path, MORE_SEQUENCE_GAPS) == [(1, 10_000, None, None, None)]
    assert len(journal_messages(tmp_path)) == 0


async def test_the_command_says_what_it_has_checked(tmp_path: Path) -> None:
    async with serve(sends([event(1), event(4), b'{"n":1.5}'])) as server:
        for pointer, stdout, stderr in (
            ("/n", "numbers of messages 2, gaps in them 1 (in ", ""),
            ("/k", "not checked 2\n", "no message has a whole number at /k"),
            ("/m", "", "no message has a whole number at /m"),
        ):
            command = ["capture", server.url, "--out", tmp_path / pointer[1:], "--sequence", pointer]
            process = await start(*command, "--no-reconnect")
            out, errors = (stream.decode() for stream in await process.communicate())
            assert (process.returncode, stdout in out, stderr in errors) == (0, True, True)
            assert ("no message has" in errors) == bool(stderr)
