"""Captures from a server that fails: data complete up to the fault, and the gap on record with its bounds."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from wsserver import Peer, serve

from rlfast import AgentEvent, Backoff, ConnectError, ConnectionOptions, HandshakeRejectedError, connect
from rlfast.capture import CaptureOptions, CaptureSummary, capture
from rlfast.simulator import Simulator, SimulatorOptions

from .crashing import POOL, SEED, Expected, agent_url, check
from .helpers import STREAM, dead_letters, gaps, part_files

QUICK = Backoff(initial=0.001, cap=0.01)


@pytest.fixture(scope="module")
def expected() -> Expected:
    return Expected()


async def captured(
    out: Path,
    *faults: str,
    backoff: Backoff = QUICK,
    durability: str = "process",
    connection: dict[str, Any] | None = None,
    headers: Any = None,
    **arguments: Any,
) -> tuple[CaptureSummary, Any]:
    """Capture from a simulator with these faults until it ends the stream with max_events events."""
    wanted = arguments.pop("max_events", None)
    options = SimulatorOptions(pool=POOL, seed=SEED, faults=faults, **arguments)
    limits = ConnectionOptions(
        **{"idle_timeout": 0.2, "pong_timeout": 0.1, "close_timeout": 0.2, **(connection or {})}
    )
    async with Simulator(options) as simulator:
        connecting = connect(
            agent_url(simulator.base_url),
            type=AgentEvent,
            stream=STREAM,
            backoff=backoff,
            options=limits,
            headers=headers or {},
        )
        async with connecting as ws:
            settings = CaptureOptions(max_events=wanted, durability=durability, min_free=0)  # type: ignore[arg-type]
            return await capture(ws, out, settings), ws


def epochs(out: Path) -> dict[int, int]:
    """Messages of each connection."""
    found = np.concatenate(
        [pq.ParquetFile(path).read(["epoch"])["epoch"].to_numpy() for path in part_files(out)]
    )
    return dict(zip(*(values.tolist() for values in np.unique(found, return_counts=True)), strict=True))


@pytest.mark.parametrize(
    ("fault", "reason"), [("drop:700x2", "connection_lost"), ("rst:700x2", "connection_lost")]
)
async def test_dropped_connections(tmp_path: Path, expected: Expected, fault: str, reason: str) -> None:
    summary, _ = await captured(tmp_path, fault, max_events=2000)
    assert summary.gaps == summary.reconnects == 2
    assert check(tmp_path, expected) == 2000
    # What was sent before a FIN is all there; an RST takes what is still in the kernel only if it overtakes
    # it.
    assert epochs(tmp_path) == {1: 700, 2: 700, 3: 600}
    found = gaps(tmp_path)
    assert [(gap["epoch"], gap["last_seq"], gap["reason"]) for gap in found] == [
        (1, 699, reason),
        (2, 1399, reason),
    ]
    assert all(gap["disconnected_at"] <= gap["reconnected_at"] for gap in found)


async def test_a_half_open_connection(tmp_path: Path, expected: Expected) -> None:
    before = time.time_ns()
    summary, _ = await captured(tmp_path, "silent:500x1", max_events=1200)
    assert check(tmp_path, expected) == 1200
    (gap,) = gaps(tmp_path)
    assert (gap["epoch"], gap["last_seq"], gap["reason"], summary.gaps) == (1, 499, "idle_timeout", 1)
    assert before < gap["disconnected_at"] < gap["reconnected_at"] - 250_000_000


async def test_a_server_that_only_answers_pings(tmp_path: Path, expected: Expected) -> None:
    await captured(tmp_path, "mute:500x1", max_events=1200, connection={"data_timeout": 0.4})
    assert check(tmp_path, expected) == 1200
    (gap,) = gaps(tmp_path)
    assert (gap["epoch"], gap["last_seq"], gap["reason"]) == (1, 499, "data_timeout")


async def test_a_restart_of_the_server(tmp_path: Path, expected: Expected) -> None:
    summary, _ = await captured(tmp_path, "restart:600:0.2x1", max_events=1500)
    assert check(tmp_path, expected) == 1500
    (gap,) = gaps(tmp_path)
    assert (gap["last_seq"], gap["reason"]) == (599, "connection_lost")
    assert gap["attempts"] >= 2
    assert gap["reconnected_at"] - gap["disconnected_at"] >= 150_000_000
    assert summary.reconnects == 1


async def test_a_slow_trickle_is_no_gap(tmp_path: Path, expected: Expected) -> None:
    summary, _ = await captured(tmp_path, "trickle:100:20000", max_events=180)
    assert check(tmp_path, expected) == 180
    assert summary.gaps == 0


@pytest.mark.parametrize(("fault", "status"), [("refuse:2:1x1", 503), ("limit:2:1x1", 429)])
async def test_retry_after_is_honoured(tmp_path: Path, expected: Expected, fault: str, status: int) -> None:
    started = time.monotonic()
    await captured(tmp_path, "drop:300x1", fault, max_events=500)
    assert status
    # Two refusals, each with Retry-After: 1.
    assert 2.0 <= time.monotonic() - started < 10.0
    assert check(tmp_path, expected) == 500
    (gap,) = gaps(tmp_path)
    assert (gap["last_seq"], gap["attempts"]) == (299, 3)
    assert gap["reconnected_at"] - gap["disconnected_at"] >= 2_000_000_000


async def test_an_expired_token_ends_it_with_everything_saved(tmp_path: Path, expected: Expected) -> None:
    tokens = []

    def provider() -> dict[str, str]:
        tokens.append("asked")
        return {"Authorization": "Bearer secret"}

    summary, ws = await captured(tmp_path, "expire:400", require_token="secret", headers=provider)
    assert isinstance(ws.last_error, HandshakeRejectedError)
    assert (summary.reason, summary.events, len(tokens)) == ("connection_failed", 400, 6)
    assert "401" in str(summary.error)
    assert "secret" not in str(summary.error)
    assert check(tmp_path, expected) == 400
    (gap,) = gaps(tmp_path)
    assert (gap["last_seq"], gap["reason"], gap["close_code"]) == (399, "closed_by_peer", 1008)
    assert (gap["reconnected_at"], gap["attempts"]) == (None, 5)


async def test_a_poisoned_event(tmp_path: Path) -> None:
    summary, _ = await captured(tmp_path, "poison:250x1", max_events=599)
    assert (summary.events, summary.dead_letters, summary.gaps) == (599, 1, 0)
    (letter,) = dead_letters(tmp_path)
    assert (letter["seq"], letter["reason"]) == (250, "malformed_json")


async def test_a_server_that_never_comes_back(tmp_path: Path, expected: Expected) -> None:
    async def handler(peer: Peer) -> None:
        await peer.text('{"type":"heartbeat","timestamp":"t"}')

    told = []
    async with serve(handler) as server:
        ws = await connect(
            server.url,
            type=AgentEvent,
            stream=STREAM,
            backoff=Backoff(initial=0.001, cap=0.001, max_attempts=4),
            on_gap=told.append,
            options=ConnectionOptions(connect_timeout=1.0),
        )
    summary = await capture(ws, tmp_path)
    assert isinstance(ws.last_error, ConnectError)
    assert summary.reason == "connection_failed"
    (gap,) = gaps(tmp_path)
    assert (gap["last_seq"], gap["reconnected_at"], gap["attempts"]) == (0, None, 4)
    assert [one.attempts for one in told] == [0, 4]


async def test_gaps_are_in_the_journal_before_they_are_over(tmp_path: Path) -> None:
    """Killed while it waits for the server: the gap is recovered."""
    from rlfast.capture import recover
    from rlfast.capture._wal import stored_wal_files, wal_folders

    options = SimulatorOptions(pool=POOL, seed=SEED, faults=("drop:300",))
    left = tmp_path / "left"
    async with Simulator(options) as simulator:
        backoff = Backoff(initial=60.0, cap=60.0, jitter=False)
        connecting = connect(agent_url(simulator.base_url), type=AgentEvent, stream=STREAM, backoff=backoff)
        async with connecting as ws:
            stop = asyncio.Event()
            running = asyncio.create_task(
                capture(ws, tmp_path / "out", CaptureOptions(min_free=0), stop=stop)
            )
            while not ws.gaps or ws.stats.queued_bytes:
                await asyncio.sleep(0.005)
            await asyncio.sleep(0)
            # As a kill would leave it.
            import shutil

            shutil.copytree(tmp_path / "out", left)
            stop.set()
            await running
    notes = [
        reader.is_note
        for folder in wal_folders(left)
        for segment in stored_wal_files(folder)
        for reader in segment.records()
        if reader.skip() is None
    ]
    assert notes
    recover(left)
    (gap,) = gaps(left)
    assert (gap["last_seq"], gap["reconnected_at"], gap["reason"]) == (299, None, "connection_lost")
