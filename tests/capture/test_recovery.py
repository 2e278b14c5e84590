"""What recovery does with what it finds; the crashes themselves are in test_crash.py."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sample_events import PAYLOADS
from wsserver import Peer, frame, serve

import rlfast
from rlfast import AgentEvent, CaptureError, ConnectionOptions, Gap, UsageError, connect
from rlfast.capture import CaptureOptions, capture, inspect_dataset, next_seq, recover, resume
from rlfast.capture._type_names import name_decoding, name_type, resolve_type
from rlfast.schema._decoding import Decoding
from rlfast.sinks import ParquetOptions, ParquetSink
from rlfast.sinks._base import RunEnd
from rlfast.sinks._files import prepare_folder
from rlfast.sinks._lock import OWNER, FolderLock
from rlfast.sinks.parquet._manifest import read_manifest

from .crashing import SqliteSink
from .helpers import (
    STREAM,
    column,
    dead_letters,
    files,
    gaps,
    part_files,
    rows,
    sent,
    state_of,
    stored,
    write,
)
from .test_journal import INFO, Keeper

N = len(PAYLOADS)


class Reading(msgspec.Struct):
    celsius: float


class Strict(msgspec.Struct, tag="s"):
    n: int

    def __post_init__(self) -> None:
        if self.n == 2:
            raise RuntimeError("a hook that cannot cope")


class Lenient(msgspec.Struct):
    celsius: float | None = None


MISSING = "no_such_module:Event"
PARQUET = ParquetOptions.__dataclass_fields__.keys()


def leave(out: Path, *reads: list[bytes], first_seq: int = 0, **info: Any) -> Keeper:
    """Leave a journal behind, as a killed capture does."""
    out.mkdir(exist_ok=True)
    keeper = Keeper(out, msgspec.structs.replace(INFO, **info), block_size=1 << 20)
    keeper.queue.detach()
    keeper.queue = type(keeper.queue)(1 << 20, 1 << 30, 1, first_seq)
    keeper.queue.begin_epoch(1)
    keeper.queue.attach(keeper.journal.writer)
    for read in reads:
        keeper.feed(*read)
    return keeper


def test_a_journal_is_committed_once(tmp_path: Path) -> None:
    leave(tmp_path, PAYLOADS, PAYLOADS)
    assert next_seq(tmp_path, STREAM) == 2 * N
    report = recover(tmp_path)
    (found,) = report.streams
    assert (found.stream, found.messages, found.first_seq, found.last_seq) == (STREAM, 2 * N, 0, 2 * N - 1)
    assert not found.damaged
    assert stored(tmp_path) == sent(PAYLOADS * 2)
    assert recover(tmp_path).nothing_to_do
    (entry,) = read_manifest(tmp_path).entries
    assert (entry.kind, entry.end_reason) == ("recovery", "crashed")
    assert next_seq(tmp_path, STREAM) == 2 * N
    assert not (tmp_path / "_journal").exists()


def test_inspect_tells_of_what_is_in_the_journal(tmp_path: Path) -> None:
    leave(tmp_path, PAYLOADS, PAYLOADS)
    write(tmp_path, PAYLOADS, stream="other")
    assert inspect_dataset(tmp_path).uncommitted == {STREAM: 2 * N}
    write(tmp_path, PAYLOADS[:4])
    assert inspect_dataset(tmp_path).uncommitted == {STREAM: 2 * N - 4}
    recover(tmp_path)
    assert inspect_dataset(tmp_path).uncommitted == {}


def test_what_is_committed_is_not_replayed(tmp_path: Path) -> None:
    leave(tmp_path, PAYLOADS, PAYLOADS)
    write(tmp_path, PAYLOADS)
    write(tmp_path, PAYLOADS[:3], first_seq=N)
    (found,) = recover(tmp_path).streams
    assert (found.messages, found.first_seq) == (N - 3, N + 3)
    assert stored(tmp_path) == sent(PAYLOADS * 2)


def test_a_damaged_journal_gives_what_is_whole_and_a_gap(tmp_path: Path) -> None:
    keeper = leave(tmp_path, PAYLOADS)
    size = keeper.journal.writer.nbytes
    # The next segment goes on, but the rest of this one is not what was written.
    for _ in range(3):
        keeper.feed(*PAYLOADS)
    keeper.journal._segment_bytes = 1 << 20
    filler = b'"' + b"x" * (1 << 20) + b'"'
    keeper.feed(filler)
    keeper.feed(*PAYLOADS)
    paths = sorted(tmp_path.glob("_journal/*/segment-*.rlj"))
    with paths[0].open("r+b") as file:
        file.seek(4096 + size + 150)
        file.write(b"\xee")
    (found,) = recover(tmp_path).streams
    assert found.damaged
    kept = rows(tmp_path)
    assert list(kept)[:N] == list(range(N))
    assert max(kept) == 5 * N
    (gap,) = [gap for gap in gaps(tmp_path) if gap["reason"] == "journal_damaged"]
    assert gap["last_seq"] == N - 1
    (hole,) = inspect_dataset(tmp_path).streams[STREAM].hole_list
    assert hole == (N, 4 * N - 1)
    assert recover(tmp_path).nothing_to_do


def test_gaps_in_the_journal_are_committed_once(tmp_path: Path) -> None:
    keeper = leave(tmp_path, PAYLOADS, sink={**INFO.sink, "timestamps": "ns"})
    keeper.journal.write_gap(Gap(1, N - 1, 10, "connection_lost"))
    keeper.journal.write_gap(Gap(1, N - 1, 10, "connection_lost", reconnected_at=20, attempts=2))
    keeper.journal.write_gap(Gap(2, N - 1, 30, "idle_timeout"))
    assert recover(tmp_path).streams[0].gaps == 2
    assert [(gap["epoch"], gap["reconnected_at"], gap["attempts"]) for gap in gaps(tmp_path)] == [
        (1, 20, 2),
        (2, None, 0),
    ]
    assert recover(tmp_path).nothing_to_do
    assert state_of(tmp_path, STREAM).next_epoch == 3


def test_the_end_of_a_run_is_known_whatever_the_clock_says(tmp_path: Path) -> None:
    for committed in (0, 1):
        out = tmp_path / f"ended-{committed}"
        write(out, PAYLOADS, end=RunEnd(1 << 62, "capture_stopped"))
        # The clock was set back before this run, or forward and back in it.
        leave(out, PAYLOADS, first_seq=N, run=1 << (10 if committed else 62), segments=1)
        write(out, PAYLOADS, first_seq=N, end=RunEnd(1 << 60, "capture_stopped") if not committed else None)
        report = recover(out)
        assert report.nothing_to_do == (not committed)
        ends = [(entry.ended_at, entry.end_reason) for entry in read_manifest(out).entries]
        if committed:
            assert (len(ends), ends[2][1]) == (3, "crashed")
        else:
            assert ends == [(1 << 62, "capture_stopped"), (1 << 60, "capture_stopped")]


def test_gaps_behind_the_last_committed_message_are_recovered(tmp_path: Path) -> None:
    keeper = leave(tmp_path, PAYLOADS, sink={**INFO.sink, "timestamps": "ns"})
    first = Gap(1, N - 1, 10, "connection_lost", reconnected_at=20)
    keeper.journal.write_gap(first)
    while len(list(tmp_path.glob("_journal/*/segment-*.rlj"))) == 1:
        keeper.journal.write_gap(Gap(2, N - 1, 30, "protocol_error: " + 100_000 * "x"))
    write(tmp_path, PAYLOADS)
    assert recover(tmp_path).streams[0].gaps == 2
    assert gaps(tmp_path)[0]["reconnected_at"] == 20


def test_gaps_of_a_recovery_that_was_killed_between_its_commits(tmp_path: Path) -> None:
    """It has committed the messages of a file of the log, and a later one, but not the gap in it."""
    keeper = leave(tmp_path, PAYLOADS)
    keeper.journal.write_gap(Gap(1, N - 1, 10, "connection_lost", reconnected_at=20))
    while len(list(tmp_path.glob("_journal/*/segment-*.rlj"))) == 1:
        keeper.journal.write_gap(Gap(2, N - 1, 30, "protocol_error: " + 100_000 * "x"))
    keeper.feed(*PAYLOADS)
    write(tmp_path, PAYLOADS)
    write(tmp_path, PAYLOADS[:2], first_seq=N)
    (found,) = recover(tmp_path).streams
    assert (found.messages, found.first_seq, found.gaps) == (N - 2, N + 2, 2)
    assert [gap["epoch"] for gap in gaps(tmp_path)] == [1, 2]
    assert stored(tmp_path) == sent(PAYLOADS * 2)
    assert recover(tmp_path).nothing_to_do


def test_a_journal_of_another_sink_is_refused_and_kept(tmp_path: Path) -> None:
    sink = SqliteSink(tmp_path / "events.db")
    leave(sink.folder, PAYLOADS, kind="SqliteSink", sink={})
    for attempt in (
        lambda: recover(sink.folder),
        lambda: resume(sink.folder, STREAM),
        lambda: rlfast.open_dataset(sink.folder).compact(),
    ):
        with pytest.raises(
            CaptureError, match="of a capture into a SqliteSink, and its messages belong there"
        ):
            attempt()
    assert not list(sink.folder.rglob("*.parquet"))
    assert recover(sink).streams[0].messages == N
    assert resume(sink, STREAM).first_seq == N


def test_a_sink_that_cannot_be_opened_is_not_locked(tmp_path: Path) -> None:
    (tmp_path / "events.db").write_text("not a database, but longer than a header of one" * 100)
    sink = SqliteSink(tmp_path / "events.db")
    sink.folder.mkdir()
    for _ in range(2):
        with pytest.raises(CaptureError, match=r"cannot open .*events\.db: file is not a database"):
            recover(sink)


def test_a_type_that_cannot_be_imported_keeps_the_journal(tmp_path: Path) -> None:
    class Local(msgspec.Struct, tag="local"):
        n: int

    assert name_type(Local) == ""
    leave(tmp_path, [b'{"type":"local","n":1}'], type=MISSING)
    with pytest.raises(CaptureError, match=r"no_such_module:Event, cannot be imported.*--types MODULE:TYPE"):
        recover(tmp_path)
    assert next_seq(tmp_path, STREAM) == 1
    assert recover(tmp_path, Local).streams[0].messages == 1
    assert rows(tmp_path) == {0: {"type": "local", "n": 1}}


READING = [b'{"celsius":21.5}']


def test_a_journal_is_decoded_by_its_own_type_whatever_is_given(tmp_path: Path) -> None:
    for i, call in enumerate(
        (
            lambda out: resume(out, "trades", Lenient),
            lambda out: resume(out, STREAM, Lenient),
            lambda out: recover(out, Lenient),
            lambda out: recover(out, Lenient, stream=STREAM),
        )
    ):
        out = tmp_path / str(i)
        leave(out, PAYLOADS)
        call(out)
        assert stored(out) == sent(PAYLOADS)


def test_the_given_type_is_for_its_stream_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for type_ in ("", MISSING):
        out = tmp_path / f"types-{type_}"
        leave(out, READING, stream="weather", type=type_)
        leave(out, READING, stream="trades", type=type_)
        before = {path: path.read_bytes() for path in out.glob("_journal/*/*")}
        # Neither stream is this one.
        assert resume(out, STREAM, Lenient).first_seq == 0
        assert {path: path.read_bytes() for path in out.glob("_journal/*/*")} == before
        assert "the journal of weather stays" in caplog.text
        # Whose type is it?
        several = r"journals of (weather, trades|trades, weather) cannot .*--types .* --stream NAME"
        with pytest.raises(CaptureError, match=several):
            recover(out, Lenient)
        with pytest.raises(CaptureError, match="no stream wheather"):
            recover(out, Lenient, stream="wheather")
        with pytest.raises(CaptureError, match=r"journal of weather cannot be decoded.*--types"):
            resume(out, "weather")
        assert {path: path.read_bytes() for path in out.glob("_journal/*/*")} == before
        assert resume(out, "trades", Lenient).first_seq == 1
        report = recover(out, Reading)
        assert [found.stream for found in report.streams] == ["weather"]
        assert column(out, "Reading", "stream") == ["weather"]
        assert column(out, "Lenient", "stream") == ["trades"]
        assert recover(out, Reading, stream="weather").nothing_to_do


def test_a_type_of_that_very_name_is_taken(tmp_path: Path) -> None:
    there = type(
        "Event", (msgspec.Struct,), {"__annotations__": {"celsius": float}, "__module__": MISSING[:14]}
    )
    assert name_type(there) == MISSING
    leave(tmp_path, READING, stream="weather", type=MISSING)
    leave(tmp_path, READING, stream="trades", type=MISSING)
    assert len(recover(tmp_path, there).streams) == 2


def test_a_module_that_fails_is_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    for i, text in enumerate(("1 / 0", "import sys; sys.exit(3)", "def")):
        (tmp_path / f"failing_{i}.py").write_text(text)
        out = tmp_path / str(i)
        leave(out, READING, type=f"failing_{i}:Event")
        with pytest.raises(CaptureError, match=f"failing_{i}:Event, cannot be imported"):
            recover(out)
        assert resume(out, STREAM, Lenient).first_seq == 1


class Halved:
    """What only a hook can make."""

    def __init__(self, value: float) -> None:
        self.value = value / 2


def halved(type_: type, value: Any) -> Any:
    return Halved(value)


class Weighed(msgspec.Struct):
    mass: Halved
    unit: float | None = None


def test_a_journal_is_decoded_as_leniently_as_it_was_captured(tmp_path: Path) -> None:
    raws = [b'{"mass":3,"unit":"1.5"}', b'{"mass":3,"unit":NaN}', b'{"mass":3,"unit":[]}']
    decoding = Decoding(Weighed, strict=False, dec_hook=halved, nan="null")
    leave(tmp_path, raws, type=name_type(Weighed), decoding=name_decoding(decoding))
    (found,) = recover(tmp_path).streams
    assert (found.messages, found.dead_letters) == (3, 1)
    assert column(tmp_path, "Weighed", "unit") == [1.5, None]


def test_a_hook_that_cannot_be_imported_keeps_the_journal(tmp_path: Path) -> None:
    hook = lambda type_, value: Halved(value)  # noqa: E731
    decoding = name_decoding(Decoding(Weighed, dec_hook=hook))
    leave(tmp_path, [b'{"mass":3}'], type=name_type(Weighed), decoding=decoding)
    with pytest.raises(CaptureError, match="the dec_hook of its events has no name"):
        recover(tmp_path)
    assert next_seq(tmp_path, STREAM) == 1
    with pytest.raises(UsageError, match="nan: name the type"):
        recover(tmp_path, nan="null")
    assert recover(tmp_path, Weighed, dec_hook=hook).streams[0].dead_letters == 0
    decoding = {"dec_hook": "no_such_module:hook"}
    leave(tmp_path, [b'{"mass":3}'], type=name_type(Weighed), decoding=decoding, first_seq=1)
    with pytest.raises(CaptureError, match="dec_hook of its events, no_such_module:hook, cannot be imported"):
        recover(tmp_path)
    assert resume(tmp_path, STREAM, Weighed, dec_hook=hook).first_seq == 2


def test_a_stream_without_a_type_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="together with the type"):
        recover(tmp_path, stream="weather")


Readings = list[Reading]
Prices = dict[str, float]


def test_types_have_names() -> None:
    for type_ in (AgentEvent, Reading, None, Reading | Strict, Reading | None, Readings, Prices, int, Any):
        name = name_type(type_)
        assert resolve_type(name) == type_
    assert name_type(AgentEvent) == "rlfast.reasoning_layer:AgentEvent"
    assert name_type(list[Reading]) == ""


def test_temporary_files_go_and_others_stay(tmp_path: Path) -> None:
    write(tmp_path, PAYLOADS)
    before = files(tmp_path)
    for name in (
        ".probe.0a.tmp",
        "type=heartbeat/.part-x.parquet.1b.tmp",
        "_dead_letters/.part-y.parquet.2.tmp",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("half")
    (tmp_path / "notes.txt").write_text("mine")
    assert len(recover(tmp_path).removed) == 3
    assert set(files(tmp_path)) == {*before, "notes.txt", "_lock"}


def test_recovering_what_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="is not a folder"):
        recover(tmp_path / "missing")


# -- the lock ------------------------------------------------------------------------------------------------


async def test_two_captures_into_one_folder_are_refused(tmp_path: Path) -> None:
    stop = asyncio.Event()

    async def handler(peer: Peer) -> None:
        await peer.write(*map(frame, PAYLOADS))
        await peer.wait_closed()

    async with serve(handler) as server:
        async with connect(server.url, type=AgentEvent, stream="one") as one:
            begun = asyncio.Event()
            running = asyncio.create_task(capture(one, tmp_path, progress=lambda _: begun.set(), stop=stop))
            await asyncio.wait_for(begun.wait(), 30)
            async with connect(server.url, type=AgentEvent, stream="two") as two:
                with pytest.raises(
                    CaptureError, match=rf"is in use by process {os.getpid()} on .*capture of one"
                ):
                    await capture(two, tmp_path)
            with pytest.raises(CaptureError, match="is in use"):
                recover(tmp_path)
            stop.set()
            await running
    assert not (tmp_path / OWNER).exists()


def test_a_stale_lock_is_taken_over(tmp_path: Path) -> None:
    code = (
        "import os, pathlib, sys; from rlfast.sinks._lock import FolderLock; "
        "FolderLock(pathlib.Path(sys.argv[1]), 'test').acquire(); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert (tmp_path / OWNER).exists()
    with FolderLock(tmp_path, "the next one"):
        assert json.loads((tmp_path / OWNER).read_text())["work"] == "the next one"


# -- captures that begin where others ended ------------------------------------------------------------------


async def run(out: Path, *messages: bytes, **settings: Any) -> Any:
    async def handler(peer: Peer) -> None:
        await peer.write(*map(frame, messages))
        await peer.close()

    options = resume(out, STREAM)
    type_ = settings.pop("type_", AgentEvent)
    async with serve(handler) as server:
        connecting = connect(server.url, type=type_, stream=STREAM, backoff=None, options=options)
        async with connecting as ws:
            files = {name: settings.pop(name) for name in PARQUET & settings.keys()}
            sink = ParquetSink(out, ParquetOptions(**files))
            return await capture(ws, sink, CaptureOptions(min_free=0, **settings))


async def test_where_a_stream_goes_on(tmp_path: Path) -> None:
    out = tmp_path / "new" / "folder"
    options = resume(out, STREAM, idle_timeout=5.0)
    assert (options.first_seq, options.first_epoch, options.idle_timeout) == (0, 1, 5.0)
    leave(out, PAYLOADS)
    options = resume(str(out), STREAM)
    assert (options.first_seq, options.first_epoch) == (N, 2)
    assert stored(out) == sent(PAYLOADS)


async def test_a_capture_recovers_and_records_the_gap(tmp_path: Path) -> None:
    leave(tmp_path, PAYLOADS)
    summary = await run(tmp_path, *PAYLOADS)
    assert (summary.first_seq, summary.gaps) == (N, 1)
    assert stored(tmp_path) == sent(PAYLOADS * 2)
    (gap,) = gaps(tmp_path)
    assert (gap["reason"], gap["last_seq"], gap["epoch"]) == ("crashed", N - 1, 1)
    assert gap["disconnected_at"] <= gap["reconnected_at"]
    await run(tmp_path, *PAYLOADS)
    assert [gap["reason"] for gap in gaps(tmp_path)] == ["crashed", "capture_stopped"]
    report = inspect_dataset(tmp_path)
    assert report.gap_reasons == {"crashed": 1, "capture_stopped": 1}
    assert report.healthy


async def test_a_capture_with_a_new_type_recovers_with_the_old_one(tmp_path: Path) -> None:
    class Newer(msgspec.Struct):
        celsius: float | None = None

    leave(tmp_path, PAYLOADS)
    leave(tmp_path, READING, stream="weather", type=MISSING)

    async def handler(peer: Peer) -> None:
        await peer.write(*map(frame, PAYLOADS))
        await peer.close()

    async with serve(handler) as server:
        options = ConnectionOptions(first_seq=N, first_epoch=2)
        async with connect(server.url, type=Newer, stream=STREAM, backoff=None, options=options) as ws:
            await capture(ws, tmp_path, CaptureOptions(min_free=0))
    assert column(tmp_path, "Newer", "seq") == list(range(N, 2 * N))
    assert list(rows(tmp_path).values())[:N] == sent(PAYLOADS)
    assert next_seq(tmp_path, "weather") == 1


@pytest.mark.parametrize("durability", ["none", "process", "machine"])
async def test_every_level_captures_the_same(tmp_path: Path, durability: str) -> None:
    summary = await run(tmp_path, *PAYLOADS * 20, durability=durability, sync_interval=0.001)
    assert (summary.events, summary.gaps) == (20 * N, 0)
    assert stored(tmp_path) == sent(PAYLOADS * 20)
    assert not (tmp_path / "_journal").exists()


async def test_a_poisoned_event_is_a_dead_letter_and_the_rest_goes_on(tmp_path: Path) -> None:
    messages = [b'{"type":"s","n":%d}' % n for n in range(5)]
    summary = await run(tmp_path, *messages, type_=Strict)
    assert (summary.events, summary.dead_letters) == (4, 1)
    (letter,) = dead_letters(tmp_path)
    assert (letter["reason"], letter["seq"], letter["raw"]) == ("hook_error", 2, messages[2])
    assert "a hook that cannot cope" in letter["error"]


async def test_partitions_by_hour_of_receipt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rlfast.sinks.parquet import _rows as rows_module

    # Each event "is received" in an hour of its own third.
    real = rows_module.partition_spans

    def spans(batch: Any, last_seq: int, by: Any) -> Any:
        assert by == "hour"
        (_, _, name), *more = real(batch, last_seq, by)
        assert not more
        assert name.startswith("date=20")
        third = (last_seq - batch.first_seq + 1) // 3
        cuts = [batch.first_seq, batch.first_seq + third, batch.first_seq + 2 * third, last_seq + 1]
        return [
            (a, b - 1, f"date=2026-01-01/hour={i:02d}") for i, (a, b) in enumerate(itertools.pairwise(cuts))
        ]

    from rlfast.sinks.parquet import _sink as sink_module

    monkeypatch.setattr(sink_module, "partition_spans", spans)
    summary = await run(tmp_path, *PAYLOADS * 6, partition_by="hour")
    assert summary.events == 6 * N
    assert stored(tmp_path) == sent(PAYLOADS * 6)
    hours = {path.parent.name for path in part_files(tmp_path)}
    assert hours == {"hour=00", "hour=01", "hour=02"}
    report = inspect_dataset(tmp_path)
    assert (report.healthy, report.segments, report.unlisted, report.lost) == (True, 3, (), ())
    assert set(report.types) == {event["type"] for event in sent(PAYLOADS)}


async def test_a_disk_that_fills_up_ends_the_capture_while_there_is_room(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="must stay free"):
        prepare_folder(tmp_path, 1 << 60)
    import shutil

    free = shutil.disk_usage(tmp_path).free
    with pytest.raises(CaptureError, match=r"must stay free; free some space"):
        prepare_folder(tmp_path, free + (1 << 30))
