"""The hand-over between the event loop and the writing thread."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from sample_events import PAYLOADS

from rlfast import CaptureError
from rlfast.capture import RotationPolicy
from rlfast.capture import _writer_thread as sink_module
from rlfast.capture._writer_thread import WriterThread
from rlfast.sinks import ParquetOptions, Rows
from rlfast.sinks.parquet._dataset import DatasetFolder
from rlfast.sinks.parquet._sink import ParquetWriter

from .helpers import STREAM, batch_of, files, part_files, rows, sent, stored

N = len(PAYLOADS)


class GatedWriter(ParquetWriter):
    """The real writer, behind a gate: a disk that stalls until it is told to go on."""

    gate: threading.Event

    def write(self, rows: Rows) -> int:
        assert self.gate.wait(30)
        return super().write(rows)


def started(out: Path, writer: type[ParquetWriter] = ParquetWriter, **rotation: Any) -> WriterThread:
    """The thread, started, with the writer of a data set."""
    dataset = DatasetFolder(out, "test")
    assert dataset._lock is not None
    dataset._lock.release()
    (out / "_lock").unlink()
    made = writer(dataset, STREAM, ParquetOptions())
    thread = WriterThread(made, dataset.state(STREAM), RotationPolicy(**rotation))
    thread.start()
    return thread


def gated(out: Path) -> tuple[WriterThread, threading.Event]:
    GatedWriter.gate = threading.Event()
    return started(out, GatedWriter), GatedWriter.gate


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_put_waits_while_the_disk_stalls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    batches = [batch_of(PAYLOADS, i * N) for i in range(8)]
    weight = sink_module._weight(batches[0])
    monkeypatch.setattr(sink_module, "MAX_BACKLOG_BYTES", 3 * weight)
    sink, gate = gated(tmp_path)
    accepted = 0

    async def produce() -> None:
        nonlocal accepted
        for batch in batches:
            await sink.put(batch, batch.last_seq)
            accepted += 1

    producer = asyncio.create_task(produce())
    await turns()
    assert accepted == 3
    assert sink.backlog_bytes == 3 * batches[0].payload_bytes
    gate.set()
    await producer
    await sink.finish()
    assert accepted == 8
    assert sink.backlog_bytes == 0
    assert stored(tmp_path) == sent(PAYLOADS * 8)


async def test_a_batch_over_the_bound_goes_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sink_module, "MAX_BACKLOG_BYTES", 1)
    sink = started(tmp_path)
    for i in range(4):
        batch = batch_of(PAYLOADS, i * N)
        await sink.put(batch, batch.last_seq)
    await sink.finish()
    assert len(rows(tmp_path)) == 4 * N


async def test_a_segment_is_committed_when_it_is_due_although_nothing_arrives(tmp_path: Path) -> None:
    sink = started(tmp_path, interval=0.05)
    batch = batch_of(PAYLOADS)
    await sink.put(batch, batch.last_seq)
    while sink.committer.last_seq is None:
        await asyncio.sleep(0.005)
    assert stored(tmp_path) == sent(PAYLOADS)
    await sink.finish()


async def test_an_error_of_the_thread_reaches_put_and_finish(tmp_path: Path) -> None:
    (tmp_path / "type=heartbeat").touch()
    sink = started(tmp_path, max_rows=1)
    batch = batch_of(PAYLOADS)
    await sink.put(batch, batch.last_seq)
    await sink.failed.wait()
    with pytest.raises(CaptureError, match="type=heartbeat"):
        await sink.put(batch, batch.last_seq)
    with pytest.raises(CaptureError, match="type=heartbeat"):
        await sink.finish()
    assert part_files(tmp_path) == []


async def test_put_that_waits_for_room_is_woken_by_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sink_module, "MAX_BACKLOG_BYTES", 1)
    sink, gate = gated(tmp_path)
    first, wrong = batch_of(PAYLOADS), batch_of(PAYLOADS, 5 * N)
    await sink.put(first, first.last_seq)
    second = asyncio.create_task(sink.put(wrong, wrong.last_seq))
    await turns()
    third = asyncio.create_task(sink.put(wrong, wrong.last_seq))
    await turns()
    gate.set()
    await second
    with pytest.raises(ValueError, match="batch starts at seq"):
        await third
    with pytest.raises(ValueError, match="batch starts at seq"):
        await sink.finish()
    assert files(tmp_path) == []


async def test_finish_without_a_batch_writes_nothing(tmp_path: Path) -> None:
    sink = started(tmp_path)
    await sink.finish()
    assert files(tmp_path) == []
    assert not [thread for thread in threading.enumerate() if thread.name == "rlfast-writer"]
