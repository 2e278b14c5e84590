"""Captures from real servers on loopback."""

from __future__ import annotations

import asyncio
import itertools
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from wsserver import Peer, frame, serve

from rlfast import (
    AgentEvent,
    Backoff,
    CaptureError,
    ConnectionOptions,
    HandshakeRejectedError,
    UsageError,
    connect,
)
from rlfast.capture import CaptureOptions, CaptureProgress, RotationPolicy, capture, next_seq, recover
from rlfast.simulator import Simulator, SimulatorOptions, StreamConnection
from rlfast.simulator._events import agent_events
from rlfast.sinks.parquet._manifest import read_manifest

from .helpers import AGENT, STREAM, column, connect_to, dead_letters, files, part_files, rows, sent, stored

POOL = 500


def payloads(count: int) -> list[bytes]:
    return list(itertools.islice(agent_events(7, AGENT, POOL), count))


def options(**arguments: Any) -> SimulatorOptions:
    return SimulatorOptions(pool=POOL, **arguments)


async def test_what_was_sent_is_what_is_stored(tmp_path: Path) -> None:
    count = 20_000
    async with Simulator(options(events=count)) as simulator, connect_to(simulator, backoff=None) as ws:
        summary = await capture(ws, tmp_path, CaptureOptions(batch_rows=3000))
    assert stored(tmp_path) == sent(payloads(count))
    assert (summary.events, summary.dead_letters, summary.reason) == (count, 0, "end_of_stream")
    assert (summary.first_seq, summary.last_seq) == (0, count - 1)
    assert summary.stream == STREAM
    assert summary.payload_bytes == sum(map(len, payloads(count)))
    assert summary.files == len(part_files(tmp_path)) == len(summary.types)
    assert summary.bytes == sum(path.stat().st_size for path in part_files(tmp_path))
    assert summary.error is None
    assert not summary.interrupted
    assert next(iter(summary.types)) == "kb_change"
    assert sum(found.events for found in summary.types.values()) == count


@pytest.mark.parametrize("wanted", [1, 2, 999, 1000, 1001, 2500])
async def test_max_events_is_exact(tmp_path: Path, wanted: int) -> None:
    async with Simulator(options()) as simulator, connect_to(simulator) as ws:
        summary = await capture(ws, tmp_path, CaptureOptions(batch_rows=1000, max_events=wanted))
        received = ws.stats.messages
    assert stored(tmp_path) == sent(payloads(wanted))
    assert (summary.reason, summary.events, summary.last_seq) == ("max_events", wanted, wanted - 1)
    assert summary.events + summary.discarded >= received
    assert summary.payload_bytes == pytest.approx(sum(map(len, payloads(wanted))), rel=0.1, abs=100)


async def test_max_events_counts_no_dead_letters(tmp_path: Path) -> None:
    good = payloads(12)
    mixed = [b"{", b"[", *good[:5], b"nil!", *good[5:], b"}"]

    async def handler(peer: Peer) -> None:
        await peer.write(*map(frame, mixed))
        await peer.wait_closed()

    async with serve(handler) as server, connect(server.url, type=AgentEvent, stream=STREAM) as ws:
        summary = await capture(ws, tmp_path, CaptureOptions(max_events=6))
    assert (summary.events, summary.dead_letters, summary.last_seq) == (6, 3, 8)
    assert list(rows(tmp_path).values()) == sent(good[:6])
    assert list(rows(tmp_path)) == [2, 3, 4, 5, 6, 8]
    assert [row["raw"] for row in dead_letters(tmp_path)] == [b"{", b"[", b"nil!"]
    assert summary.discarded == len(mixed) - 9


async def test_the_sequence_goes_on_over_runs(tmp_path: Path) -> None:
    async with Simulator(options()) as simulator:
        for run in range(3):
            assert next_seq(tmp_path, STREAM) == run * 700
            async with connect_to(simulator, run * 700) as ws:
                summary = await capture(ws, tmp_path, CaptureOptions(max_events=700))
            assert (summary.first_seq, summary.last_seq) == (run * 700, run * 700 + 699)
    assert stored(tmp_path) == sent(payloads(700) * 3)


async def test_numbers_that_are_taken_are_refused(tmp_path: Path) -> None:
    async with Simulator(options()) as simulator:
        async with connect_to(simulator) as ws:
            await capture(ws, tmp_path, CaptureOptions(max_events=10))
        before = files(tmp_path)
        async with connect_to(simulator, 9) as ws:
            with pytest.raises(UsageError, match=r"up to seq 9; open .*capture.resume"):
                await capture(ws, tmp_path, CaptureOptions(max_events=10))
    assert files(tmp_path) == before


async def test_the_stop_event_saves_everything_received(tmp_path: Path) -> None:
    stop = asyncio.Event()
    seen: list[CaptureProgress] = []

    def progress(state: CaptureProgress) -> None:
        seen.append(state)
        if state.events > 1000:
            stop.set()

    async with Simulator(options(rate=50_000)) as simulator, connect_to(simulator) as ws:
        capture_options = CaptureOptions(batch_wait=0.01, progress_interval=0.01)
        summary = await capture(ws, tmp_path, capture_options, progress=progress, stop=stop)
        assert ws.closed
        received = ws.stats.messages
    assert summary.interrupted
    assert summary.reason == "stopped"
    assert summary.events == received > 1000
    assert len(rows(tmp_path)) == received
    assert (seen[-1].events, seen[-1].files, seen[-1].bytes) == (received, summary.files, summary.bytes)
    assert all(state.events <= later.events for state, later in itertools.pairwise(seen))


async def test_a_duration_ends_the_capture(tmp_path: Path) -> None:
    async with Simulator(options(rate=10_000)) as simulator, connect_to(simulator) as ws:
        summary = await capture(ws, tmp_path, CaptureOptions(duration=0.3))
    assert summary.reason == "duration"
    assert 0.3 <= summary.seconds < 10
    assert len(rows(tmp_path)) == summary.events > 0


async def test_the_time_of_receiving_does_not_count_the_closing(tmp_path: Path) -> None:
    async def handler(peer: Peer) -> None:
        await peer.write(*map(frame, payloads(5)))
        await peer.hang()  # Never answers the CLOSE frame.

    async with serve(handler) as server:
        connecting = connect(server.url, options=ConnectionOptions(close_timeout=0.5))
        summary = await capture(connecting, tmp_path, CaptureOptions(max_events=5))
    assert summary.events == 5
    assert 0 < summary.receiving_seconds < summary.seconds - 0.4


async def test_a_quiet_stream_becomes_visible_by_the_interval(tmp_path: Path) -> None:
    quiet = asyncio.Event()

    async def handler(peer: Peer) -> None:
        await peer.write(*map(frame, payloads(5)))
        await quiet.wait()
        await peer.close()

    async with serve(handler) as server:
        async with connect(server.url, type=AgentEvent, stream=STREAM, backoff=None) as ws:
            policy = RotationPolicy(interval=0.1)
            running = asyncio.create_task(
                capture(ws, tmp_path, CaptureOptions(rotation=policy, batch_wait=0.01))
            )
            while not read_manifest(tmp_path).entries:
                await asyncio.sleep(0.005)
            assert stored(tmp_path) == sent(payloads(5))
            quiet.set()
            summary = await running
    assert (summary.events, summary.files) == (5, len(part_files(tmp_path)))
    segment, end = read_manifest(tmp_path).entries
    assert (segment.events, segment.ended_at) == (5, None)
    assert (end.events, end.files, end.end_reason) == (0, (), "capture_stopped")


async def test_a_reconnect_starts_an_epoch_and_leaves_no_hole(tmp_path: Path) -> None:
    def cut(connection: StreamConnection) -> None:
        connection.at(300, StreamConnection.abort)

    async with Simulator(options(rate=20_000), on_connect=cut) as simulator:
        async with connect_to(simulator, backoff=Backoff(initial=0.001)) as ws:
            summary = await capture(ws, tmp_path, CaptureOptions(max_events=800))
            assert summary.gaps == len(ws.gaps)
    # The connection that brought the last event may have been cut, too.
    assert 2 <= summary.reconnects <= summary.gaps <= summary.reconnects + 1
    found = rows(tmp_path)
    assert list(found) == list(range(800))
    epochs: dict[int, int] = {}
    for path in part_files(tmp_path):
        table = pq.ParquetFile(path).read(["seq", "epoch"]).to_pydict()
        epochs.update(zip(table["seq"], table["epoch"], strict=True))
    for epoch in range(1, max(epochs.values()) + 1):
        of_epoch = [event for seq, event in found.items() if epochs[seq] == epoch]
        # A reset may cost what was still in the kernel, but nothing in between.
        assert of_epoch == sent(payloads(len(of_epoch)))
    (entry,) = read_manifest(tmp_path).entries
    assert entry.epochs == (1, max(epochs.values()))


async def test_a_connection_lost_for_good_is_told_and_the_data_saved(tmp_path: Path) -> None:
    async def handler(peer: Peer) -> None:
        await peer.write(*map(frame, payloads(9)))
        peer.writer.close()

    async with serve(handler) as server:
        async with connect(server.url, type=AgentEvent, stream=STREAM, backoff=None) as ws:
            summary = await capture(ws, tmp_path)
    assert (summary.reason, summary.events, summary.gaps) == ("connection_failed", 9, 1)
    assert summary.error is not None
    assert "connection" in summary.error
    assert stored(tmp_path) == sent(payloads(9))


async def test_a_revoked_token_ends_the_capture_with_the_data_saved(tmp_path: Path) -> None:
    tokens = iter(["right", *["wrong"] * 5])

    def cut(connection: StreamConnection) -> None:
        connection.at(50, StreamConnection.close)

    simulator_options = options(require_token="right")
    async with Simulator(simulator_options, on_connect=cut) as simulator:
        url = simulator.agent_events_url(AGENT, AGENT)
        headers = lambda: {"Authorization": f"Bearer {next(tokens)}"}  # noqa: E731
        backoff = Backoff(initial=0.001)
        async with connect(url, type=AgentEvent, stream=STREAM, backoff=backoff, headers=headers) as ws:
            summary = await capture(ws, tmp_path)
            assert isinstance(ws.last_error, HandshakeRejectedError)
    assert (summary.reason, summary.events) == ("connection_failed", 50)
    assert summary.error is not None
    assert "401" in summary.error
    assert "right" not in summary.error


async def test_untyped_messages(tmp_path: Path) -> None:
    messages = [b'{"b": 1, "a": [1.0, null]}', b'"text"', b"12345678901234567890123", b"{"]

    async def handler(peer: Peer) -> None:
        await peer.write(*map(frame, messages))
        await peer.close()

    async with serve(handler) as server, connect(server.url, stream=STREAM, backoff=None) as ws:
        summary = await capture(ws, tmp_path)
    assert (summary.events, summary.dead_letters) == (3, 1)
    assert column(tmp_path, "message", "json") == [text.decode() for text in messages[:3]]


async def test_unknown_fields_are_kept(tmp_path: Path) -> None:
    async def handler(peer: Peer) -> None:
        await peer.text('{"type":"heartbeat","timestamp":"t","load":[1,{"x":2.50}]}')
        await peer.close()

    async with serve(handler) as server:
        async with connect(server.url, type=AgentEvent, stream=STREAM, backoff=None) as ws:
            await capture(ws, tmp_path)
    (extra,) = column(tmp_path, "heartbeat", "_extra")
    assert json.loads(extra) == {"load": [1, {"x": 2.5}]}


async def test_a_cancelled_capture_has_committed_what_it_took(tmp_path: Path) -> None:
    started = asyncio.Event()

    def progress(state: CaptureProgress) -> None:
        if state.events > 100:
            started.set()

    async with Simulator(options(rate=10_000)) as simulator, connect_to(simulator) as ws:
        capture_options = CaptureOptions(batch_wait=0.01, progress_interval=0.01)
        running = asyncio.create_task(capture(ws, tmp_path, capture_options, progress=progress))
        await started.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert len(rows(tmp_path)) > 100
        # The connection is not the capture's: it goes on where the capture stopped.
        assert not ws.closed
        summary = await capture(ws, tmp_path, CaptureOptions(max_events=50))
    assert summary.gaps == 0
    assert summary.first_seq is not None
    assert stored(tmp_path) == sent(payloads(summary.first_seq + 50))


async def test_an_error_of_the_disk_ends_the_capture(tmp_path: Path) -> None:
    (tmp_path / "type=heartbeat").touch()
    async with Simulator(options(rate=20_000)) as simulator, connect_to(simulator) as ws:
        rotation = RotationPolicy(interval=0.1)
        with pytest.raises(
            CaptureError,
            match=r"type=heartbeat.* 0 messages are saved, what else was received is in the journal; run",
        ):
            await capture(ws, tmp_path, CaptureOptions(rotation=rotation, batch_wait=0.02))
        assert ws.closed
    left = [name for name in files(tmp_path) if not name.startswith("_journal/")]
    assert left == ["_lock", "type=heartbeat"]
    assert next_seq(tmp_path, STREAM) > 0
    (tmp_path / "type=heartbeat").unlink()
    recover(tmp_path)
    assert stored(tmp_path) == sent(payloads(next_seq(tmp_path, STREAM)))


async def test_an_error_of_the_disk_ends_a_capture_that_waits_for_events(tmp_path: Path) -> None:
    (tmp_path / "type=heartbeat").touch()

    async def handler(peer: Peer) -> None:
        await peer.text('{"type":"heartbeat","timestamp":"t"}')
        await peer.wait_closed()

    async with serve(handler) as server:
        async with connect(server.url, type=AgentEvent, stream=STREAM) as ws:
            rotation = RotationPolicy(interval=0.05)
            with pytest.raises(CaptureError, match="type=heartbeat"):
                await capture(ws, tmp_path, CaptureOptions(rotation=rotation, batch_wait=0.01))


async def test_a_stalled_disk_pauses_the_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    from rlfast.capture import _committer as committer_module
    from rlfast.capture import _writer_thread as writer_module

    gate = threading.Event()
    real_add = committer_module.Committer.add

    def stalling_add(self: Any, rows: Any) -> None:
        assert gate.wait(60)
        real_add(self, rows)

    monkeypatch.setattr(committer_module.Committer, "add", stalling_add)
    monkeypatch.setattr(writer_module, "MAX_BACKLOG_BYTES", 1 << 20)
    async with Simulator(options()) as simulator:
        small = ConnectionOptions(high_water=1 << 20, low_water=1 << 18, block_size=1 << 16)
        url = simulator.agent_events_url(AGENT, AGENT)
        async with connect(url, type=AgentEvent, stream=STREAM, options=small) as ws:
            stop = asyncio.Event()
            running = asyncio.create_task(capture(ws, tmp_path, CaptureOptions(batch_rows=1000), stop=stop))
            messages = -1
            try:
                # The socket is also paused for a moment while the decoder has its hands full.
                while not (
                    ws.stats.paused and simulator.connections[0].buffered and ws.stats.messages == messages
                ):
                    messages = ws.stats.messages
                    await asyncio.sleep(0.2)
                    assert ws.stats.messages * 100 < 64 << 20, "nothing pauses the socket"
            finally:
                stop.set()
                gate.set()
            summary = await running
    assert len(rows(tmp_path)) == summary.events >= messages


@pytest.mark.parametrize("bound", ["max_backlog", "journal_bytes"])
async def test_a_backlog_in_the_journal_is_bounded_and_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    """A stalled disk: memory fills, then the journal, then the socket is paused; then all is written."""
    import threading

    from rlfast.capture import _committer as committer_module
    from rlfast.capture import _writer_thread as writer_module

    gate = threading.Event()
    real_add = committer_module.Committer.add

    def stalling_add(self: Any, rows: Any) -> None:
        assert gate.wait(60)
        real_add(self, rows)

    monkeypatch.setattr(committer_module.Committer, "add", stalling_add)
    monkeypatch.setattr(writer_module, "MAX_BACKLOG_BYTES", 1 << 20)
    settings = CaptureOptions(
        batch_rows=1000,
        progress_interval=0.01,
        min_free=0,
        journal_bytes=(32 if bound == "max_backlog" else 4) << 20,
        max_backlog=4_000_000 if bound == "max_backlog" else 0,
    )
    high = 1 << 20 if bound == "max_backlog" else 8 << 20
    seen: list[CaptureProgress] = []

    def is_full(states: list[CaptureProgress]) -> bool:
        if not states:
            return False
        return states[-1].spilled_bytes >= 4_000_000 or states[-1].journal_bytes > 4 << 20

    async with Simulator(options()) as simulator:
        small = ConnectionOptions(high_water=high, low_water=1 << 18, block_size=1 << 16)
        url = simulator.agent_events_url(AGENT, AGENT)
        async with connect(url, type=AgentEvent, stream=STREAM, options=small) as ws:
            stop = asyncio.Event()
            running = asyncio.create_task(capture(ws, tmp_path, settings, progress=seen.append, stop=stop))
            while not (ws.stats.paused and simulator.connections[0].buffered and is_full(seen)):
                await asyncio.sleep(0.01)
            stats = ws.stats
            if bound == "max_backlog":
                assert 4_000_000 <= stats.spilled_bytes < 5_000_000
                assert stats.queued_bytes < 3 << 20
            else:
                assert stats.spilled_bytes == 0
                # What waited when the capture began is in it, too.
                assert 4 << 20 < seen[-1].journal_bytes <= 14 << 20
            gate.set()
            while ws.stats.messages < 3 * stats.messages:
                await asyncio.sleep(0.01)
            stop.set()
            summary = await running
    assert max(state.spilled_bytes for state in seen) == pytest.approx(stats.spilled_bytes, rel=0.5)
    assert stored(tmp_path) == sent(payloads(1)) + sent(
        itertools.islice(itertools.cycle(payloads(POOL + 1)[1:]), summary.events - 1)
    )


async def test_a_server_that_sends_nothing_leaves_an_empty_folder(tmp_path: Path) -> None:
    async def handler(peer: Peer) -> None:
        await peer.close()

    async with serve(handler) as server, connect(server.url, stream=STREAM, backoff=None) as ws:
        summary = await capture(ws, tmp_path / "new")
    assert (summary.events, summary.files, summary.first_seq, summary.types) == (0, 0, None, {})
    assert files(tmp_path) == ["new/_lock", "new/_manifest.jsonl"]
