"""How captures begin: what is there before the first message may be received, and which number it gets."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sample_events import PAYLOADS
from wsserver import Peer, frame, serve, until, upgrade_answer

from rlfast import AgentEvent, Backoff, CaptureError, ConnectError, ConnectionOptions, UsageError, connect
from rlfast.capture import CaptureOptions, capture, inspect_dataset, resume
from rlfast.capture._recovery import RecoveryReport
from rlfast.simulator import Simulator, SimulatorOptions
from rlfast.sinks._lock import FolderLock
from rlfast.websocket._connection import Connecting

from .crashing import environment, journal_messages
from .helpers import AGENT, STREAM, files, gaps, rows, sent, state_of, stored, write
from .test_recovery import leave

N = len(PAYLOADS)


def connecting(url: str, **arguments: Any) -> Connecting[Any]:
    return connect(url, **{"type": AgentEvent, "stream": STREAM, "backoff": None, **arguments})


async def sends_all(peer: Peer) -> None:
    await peer.write(*map(frame, PAYLOADS))
    await peer.close()


# -- a connection that the capture opens -------------------------------------------------------------------


async def test_a_capture_opens_its_connection_and_goes_on_where_the_last_one_ended(tmp_path: Path) -> None:
    async with serve(sends_all) as server:
        for run in range(3):
            before = time.time_ns()
            waiting = connecting(server.url)
            summary = await capture(waiting, tmp_path)
            assert (summary.first_seq, summary.last_seq) == (run * N, run * N + N - 1)
            assert summary.gaps == (run > 0)
            assert waiting.connection.closed
            if run:
                gap = gaps(tmp_path)[-1]
                assert (gap["epoch"], gap["last_seq"], gap["reason"]) == (run, run * N - 1, "capture_stopped")
                opened_at = waiting.connection.opened_at
                assert opened_at is not None
                assert before <= opened_at
                assert gap["reconnected_at"] == opened_at // 1000 * 1000
    assert stored(tmp_path) == sent(PAYLOADS * 3)
    assert state_of(tmp_path, STREAM).next_epoch == 4
    assert inspect_dataset(tmp_path).healthy


async def test_the_journal_is_there_before_the_connection(tmp_path: Path) -> None:
    """Also for a message in the same segment as the answer to the upgrade."""
    told: list[RecoveryReport] = []
    leave(tmp_path, PAYLOADS[:2])

    async def handler(peer: Peer) -> None:
        assert [found.messages for report in told for found in report.streams] == [2]
        assert [name for name in files(tmp_path) if name.endswith(".rlj")] != []
        await peer.write(upgrade_answer(peer.request), *map(frame, PAYLOADS[2:4]))
        await peer.close()

    async with serve(handler, accept=False) as server:
        await capture(connecting(server.url), tmp_path, on_recovery=told.append)
    assert stored(tmp_path) == sent(PAYLOADS[:4])


WATCHED = """
import asyncio, json, sys, threading
from rlfast import AgentEvent, connect
from rlfast.capture import CaptureOptions, RotationPolicy, capture

class Watch:
    connection, found = None, []
    def find_spec(self, name, path=None, target=None):
        on_loop = threading.current_thread() is threading.main_thread()
        if name == "pandas" and on_loop or self.connection is not None and self.connection.opened_at:
            self.found.append(name)

async def main():
    connecting = connect(sys.argv[1], type=AgentEvent, stream="s", backoff=None)
    sys.meta_path.insert(0, watch := Watch())
    watch.connection = connecting.connection
    summary = await capture(connecting, sys.argv[2], CaptureOptions(rotation=RotationPolicy(max_rows=3)))
    print(json.dumps([summary.events, watch.found, "pandas" in PROBED]))

PROBED = []
class Probe:
    def find_spec(self, name, path=None, target=None):
        if name == "pandas":
            PROBED.append(name)
sys.meta_path.insert(0, Probe())
asyncio.run(main())
"""


async def test_nothing_is_loaded_when_the_connection_is_open(tmp_path: Path) -> None:
    """And pandas, which pyarrow likes to load for its first array, never."""
    async with serve(sends_all) as server:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", WATCHED, server.url, str(tmp_path / "out")),
            stdout=subprocess.PIPE,
            env=environment(),
        )
        out, _ = await process.communicate()
    assert json.loads(out) == [N, [], False]


@pytest.mark.parametrize("durability", ["none", "process"])
async def test_an_opening_that_fails_leaves_the_folder_as_it_was(tmp_path: Path, durability: str) -> None:
    async def refuse(peer: Peer) -> None:
        await peer.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")

    write(tmp_path, PAYLOADS)
    async with serve(sends_all) as server:
        await capture(connecting(server.url), tmp_path)
    before, manifest = files(tmp_path), (tmp_path / "_manifest.jsonl").read_bytes()
    settings = CaptureOptions(durability=durability)  # type: ignore[arg-type]
    async with serve(refuse, accept=False) as server:
        waiting = connecting(server.url)
        with pytest.raises(ConnectError, match="503"):
            await capture(waiting, tmp_path, settings)
        with pytest.raises(UsageError, match="new connect"):
            await capture(waiting, tmp_path, settings)
    assert files(tmp_path) == before
    assert not (tmp_path / "_journal").exists()
    assert (tmp_path / "_manifest.jsonl").read_bytes() == manifest
    with FolderLock(tmp_path, "the next one"):
        pass
    ended_at = state_of(tmp_path, STREAM).end
    assert ended_at is not None
    async with serve(sends_all) as server:
        summary = await capture(connecting(server.url), tmp_path)
    assert summary.gaps == 1
    assert gaps(tmp_path)[-1]["disconnected_at"] == ended_at.ended_at // 1000 * 1000
    assert stored(tmp_path) == sent(PAYLOADS * 3)


async def test_told_to_stop_before_the_connection_is_open(tmp_path: Path) -> None:
    stop = asyncio.Event()

    async def handler(peer: Peer) -> None:
        stop.set()
        await peer.hang()

    async with serve(handler, accept=False) as server:
        for _ in range(2):  # The second time it is set before anything begins.
            waiting = connecting(server.url)
            summary = await capture(waiting, tmp_path, stop=stop)
            assert (summary.reason, summary.interrupted, summary.events) == ("stopped", True, 0)
            assert waiting.connection.opened_at is None
            assert waiting.connection.closed
        assert len(server.requests) == 1
    assert files(tmp_path) == ["_lock"]


@pytest.mark.parametrize("cancelled", [False, True])
async def test_a_stop_at_the_moment_of_the_opening_keeps_what_came_with_it(
    tmp_path: Path, cancelled: bool
) -> None:
    stop = asyncio.Event()

    async def handler(peer: Peer) -> None:
        await peer.write(upgrade_answer(peer.request), *map(frame, PAYLOADS))
        await peer.wait_closed()

    async with serve(handler, accept=False) as server:
        waiting = connecting(server.url, on_gap=None)
        running = asyncio.create_task(capture(waiting, tmp_path, stop=stop))
        await until(lambda: running.done() or waiting.connection.stats.messages)
        if cancelled:
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
        else:
            stop.set()
            summary = await running
            assert (summary.reason, summary.events) == ("stopped", N)
    assert waiting.connection.closed
    assert not (tmp_path / "_journal").exists()
    assert stored(tmp_path) == sent(PAYLOADS)


async def test_a_cancellation_saves_everything_received(tmp_path: Path) -> None:
    async with Simulator(SimulatorOptions(pool=500, seed=7, rate=50_000)) as simulator:
        waiting = connecting(simulator.agent_events_url(AGENT, AGENT))
        running = asyncio.create_task(capture(waiting, tmp_path, CaptureOptions(batch_wait=10.0)))
        await until(lambda: running.done() or waiting.connection.stats.messages > 1000)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert waiting.connection.closed
    assert len(stored(tmp_path)) == waiting.connection.stats.messages
    assert not (tmp_path / "_journal").exists()


async def test_a_cancellation_while_it_recovers_gives_the_lock_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rlfast.capture import _start as recovery_module

    entered, go_on = threading.Event(), threading.Event()
    real = recovery_module.recover_into

    def slow(*arguments: Any, **more: Any) -> RecoveryReport:
        entered.set()
        assert go_on.wait(60)
        return real(*arguments, **more)

    monkeypatch.setattr(recovery_module, "recover_into", slow)
    running = asyncio.create_task(capture(connecting("ws://127.0.0.1:1/"), tmp_path))
    await until(entered.is_set)
    running.cancel()
    await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert files(tmp_path) == ["_lock"]


async def test_numbers_of_ones_own_are_checked_before_anything_is_opened(tmp_path: Path) -> None:
    write(tmp_path, PAYLOADS)
    before = files(tmp_path)
    waiting = connecting("ws://127.0.0.1:1/", options=ConnectionOptions(first_seq=N - 1))
    with pytest.raises(UsageError, match=rf"up to seq {N - 1}; open .* without a first_seq"):
        await capture(waiting, tmp_path)
    assert set(files(tmp_path)) == {*before, "_lock"}
    async with serve(sends_all) as server:
        options = ConnectionOptions(first_seq=N + 5, first_epoch=9)
        await capture(connecting(server.url, options=options), tmp_path)
    assert stored(tmp_path) == sent(PAYLOADS * 2)
    assert state_of(tmp_path, STREAM).next_epoch == 10


async def test_a_folder_in_use_costs_no_connection(tmp_path: Path) -> None:
    async with serve(sends_all) as server:
        waiting = connecting(server.url)
        with FolderLock(tmp_path, "test"):
            with pytest.raises(CaptureError, match="is in use"):
                await capture(waiting, tmp_path)
            assert server.requests == []
        await capture(waiting, tmp_path)
    assert stored(tmp_path) == sent(PAYLOADS)


@pytest.mark.skipif(sys.platform != "linux", reason="kills by SIGKILL")
async def test_killed_before_the_connection_is_open(tmp_path: Path) -> None:
    """The time since the run before is on record all the same."""
    code = (
        "import asyncio, sys; from rlfast import AgentEvent, connect; from rlfast.capture import capture\n"
        "asyncio.run(capture(connect(sys.argv[1], type=AgentEvent, stream=sys.argv[2]), sys.argv[3]))"
    )
    asked = asyncio.Event()

    async def silent(peer: Peer) -> None:
        asked.set()
        await peer.hang()

    async with serve(sends_all) as server:
        await capture(connecting(server.url), tmp_path)
    async with serve(silent, accept=False) as server:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, server.url, STREAM, str(tmp_path), env=environment()
        )
        await asked.wait()
        process.send_signal(signal.SIGKILL)
        await process.wait()
    async with serve(sends_all) as server:
        await capture(connecting(server.url), tmp_path)
    stopped, crashed = gaps(tmp_path)
    assert (stopped["reason"], stopped["reconnected_at"]) == ("capture_stopped", None)
    assert crashed["reason"] == "crashed"
    assert stopped["disconnected_at"] < crashed["disconnected_at"] < crashed["reconnected_at"]
    assert stored(tmp_path) == sent(PAYLOADS * 2)


# -- a connection that is open already ----------------------------------------------------------------------


@asynccontextmanager
async def greeted(out: Path, count: int, **arguments: Any) -> AsyncIterator[Any]:
    """A connection, opened where the stream goes on, of which `count` messages were read."""
    options = resume(out, STREAM)
    async with serve(sends_all) as server:
        async with connecting(server.url, options=options, **arguments) as ws:
            for _ in range(count):
                await ws.next_message()
            yield ws


@pytest.mark.parametrize("count", [0, 1, 5, N])
@pytest.mark.parametrize("durability", ["none", "process"])
async def test_what_was_read_before_leaves_no_hole(tmp_path: Path, count: int, durability: str) -> None:
    settings = CaptureOptions(durability=durability)  # type: ignore[arg-type]
    for run in range(2):
        async with greeted(tmp_path, count) as ws:
            summary = await capture(ws, tmp_path, settings)
            assert summary.events == N - count
            if count < N:
                assert summary.first_seq == run * (N - count)
    assert stored(tmp_path) == sent(PAYLOADS[count:] * 2)
    report = inspect_dataset(tmp_path)
    assert report.healthy
    assert all(stream.holes == 0 for stream in report.streams.values())


async def test_what_was_read_before_is_not_in_the_journal(tmp_path: Path) -> None:
    """So that a killed capture is continued as one that was not."""
    left = tmp_path / "left"
    async with greeted(tmp_path, 3) as ws:
        await until(lambda: ws.closed)

        def copy(_: object) -> None:
            if not left.exists():
                left.mkdir()
                (left / "_journal").symlink_to(tmp_path / "_journal")
                assert list(journal_messages(left).values()) == PAYLOADS[3:]
                assert list(journal_messages(left)) == list(range(N - 3))

        await capture(ws, tmp_path, progress=copy)
    assert left.exists()
    assert stored(tmp_path) == sent(PAYLOADS[3:])


async def test_gaps_of_an_open_connection_keep_their_places(tmp_path: Path) -> None:
    async def cut(peer: Peer) -> None:
        await peer.write(*map(frame, PAYLOADS[:4]))
        peer.writer.close()

    write(tmp_path, PAYLOADS)
    options = resume(tmp_path, STREAM)
    backoff = Backoff(initial=0.001, max_attempts=2)
    async with serve(cut, cut, sends_all) as server:
        async with connecting(server.url, options=options, backoff=backoff) as ws:
            for _ in range(6):  # All of the first connection, and half of the second one.
                await ws.next_message()
            await until(lambda: len(ws.gaps) >= 2 and ws.gaps[1].reconnected_at is not None)
            assert [gap.last_seq for gap in ws.gaps[:2]] == [N + 3, N + 7]
            summary = await capture(ws, tmp_path, CaptureOptions(max_events=2 + N))
            assert [gap.last_seq for gap in ws.gaps[:2]] == [N - 1, N + 1]
    assert summary.first_seq == N
    assert stored(tmp_path) == sent([*PAYLOADS, *PAYLOADS[2:4], *PAYLOADS])
    lost = [gap["last_seq"] for gap in gaps(tmp_path) if gap["reason"] != "crashed"]
    assert lost[:2] == [N - 1, N + 1]


async def test_nothing_is_received_until_the_journal_is_attached(tmp_path: Path) -> None:
    seen: list[tuple[int, bool]] = []
    async with Simulator(SimulatorOptions(pool=500)) as simulator:
        async with connecting(simulator.agent_events_url(AGENT, AGENT)) as ws:
            await until(lambda: ws.stats.messages)
            stop = asyncio.Event()

            def on_recovery(_: RecoveryReport) -> None:
                seen.append((ws.stats.messages, ws.stats.paused))
                stop.set()

            running = asyncio.create_task(capture(ws, tmp_path, stop=stop, on_recovery=on_recovery))
            await asyncio.sleep(0)
            messages = ws.stats.messages
            summary = await running
    assert seen == [(messages, True)]
    assert summary.events >= messages
    assert len(stored(tmp_path)) == summary.events


async def test_a_refused_capture_lets_the_connection_go_on(tmp_path: Path) -> None:
    write(tmp_path, PAYLOADS)
    async with serve(sends_all) as server:
        async with connecting(server.url) as ws:
            with pytest.raises(UsageError, match="up to seq"):
                await capture(ws, tmp_path)
            assert not ws.stats.paused
            assert len([event async for event in ws]) == N


async def test_a_second_reader_is_refused_before_anything_is_done(tmp_path: Path) -> None:
    out = tmp_path / "out"
    async with serve(sends_all) as server:
        async with connecting(server.url) as ws:
            batches = ws.batches(max_wait=0.0)
            await anext(batches)
            with pytest.raises(UsageError, match="another reader is at work"):
                await capture(ws, out)
            assert not ws.stats.paused
            assert not out.exists()
            await batches.aclose()


async def test_messages_decoded_for_a_batch_keep_their_numbers_or_are_refused(tmp_path: Path) -> None:
    async def handler(peer: Peer) -> None:
        await peer.write(*map(frame, PAYLOADS))
        await peer.wait_closed()

    async with serve(handler) as server:
        for greetings in (0, 1):
            out = tmp_path / str(greetings)
            async with connecting(server.url) as ws:
                for _ in range(greetings):
                    await ws.next_message()
                await until(lambda ws=ws: ws.stats.messages == N)
                batches = ws.batches(max_wait=60.0)
                reading = asyncio.create_task(anext(batches))  # type: ignore[arg-type]
                await until(lambda ws=ws, n=N - greetings: ws.stats.fast_events == n)
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)
                await batches.aclose()
                assert ws.next_unread_seq == greetings
                if greetings:
                    with pytest.raises(UsageError, match=r"from seq 1 on are decoded for batches\(\)"):
                        await capture(ws, out)
                else:
                    await capture(ws, out, CaptureOptions(max_events=N))
                    assert stored(out) == sent(PAYLOADS)


@pytest.mark.parametrize("opens", [False, True])
@pytest.mark.parametrize("max_backlog", [0, 1 << 20])
async def test_a_cancellation_while_the_disk_stalls_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opens: bool, max_backlog: int
) -> None:
    """A batch that waits for the writer is neither in the connection nor with the writer."""
    from rlfast.capture import _committer as committer_module
    from rlfast.capture import _writer_thread as writer_module

    gate = threading.Event()
    real_add, real_put = committer_module.Committer.add, writer_module.WriterThread.put
    putting = False

    def stalling_add(self: Any, batch_rows: Any) -> None:
        assert gate.wait(60)
        real_add(self, batch_rows)

    async def put(self: Any, batch: Any, last_seq: int) -> None:
        nonlocal putting
        putting = True
        await real_put(self, batch, last_seq)
        putting = False

    monkeypatch.setattr(writer_module.WriterThread, "put", put)
    monkeypatch.setattr(committer_module.Committer, "add", stalling_add)
    monkeypatch.setattr(writer_module, "MAX_BACKLOG_BYTES", 1 << 18)
    small = ConnectionOptions(high_water=1 << 18, low_water=1 << 16, block_size=1 << 16)
    async with Simulator(SimulatorOptions(pool=500, seed=7)) as simulator:
        waiting = connecting(simulator.agent_events_url(AGENT, AGENT), options=small)
        ws = waiting.connection if opens else await waiting
        settings = CaptureOptions(batch_rows=300, max_backlog=max_backlog)
        running = asyncio.create_task(capture(waiting if opens else ws, tmp_path, settings))
        await until(lambda: putting and (ws.stats.spilled_bytes if max_backlog else ws.stats.paused))
        running.cancel()
        await asyncio.sleep(0)
        gate.set()
        with pytest.raises(asyncio.CancelledError):
            await running
        saved = len(stored(tmp_path))
        assert saved > 300
        if opens:
            assert saved == ws.stats.messages
        else:
            summary = await capture(ws, tmp_path, CaptureOptions(max_events=100))
            assert summary.first_seq == saved
            assert len(stored(tmp_path)) == saved + 100
    found = list(rows(tmp_path).values())
    assert found[1:] == (found[1:501] * (len(found) // 500 + 1))[: len(found) - 1]
