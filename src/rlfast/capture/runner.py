"""The capture itself: a connection's batches into a data set, until told to stop."""

from __future__ import annotations

import asyncio
import importlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlfast.capture.dataset import next_seq, prepare_folder
from rlfast.capture.files import DEAD_LETTERS, type_of_folder
from rlfast.capture.options import CaptureOptions
from rlfast.capture.summary import CaptureProgress, CaptureSummary, StopReason, TypeSummary
from rlfast.errors import CaptureError, UsageError

if TYPE_CHECKING:
    from rlfast.batch import EventBatch
    from rlfast.capture.sink import ParquetSink
    from rlfast.connection import WebSocketConnection

__all__ = ["OnProgress", "capture"]

OnProgress = Callable[[CaptureProgress], None]


async def capture(
    ws: WebSocketConnection[Any],
    out: str | Path,
    options: CaptureOptions | None = None,
    *,
    progress: OnProgress | None = None,
    stop: asyncio.Event | None = None,
) -> CaptureSummary:
    """Write what a connection receives as Parquet files, until the stream is over or told to stop.

    At a stop (by `stop`, ``options.max_events`` or ``options.duration``) the connection is closed, what was
    received before is written, and everything is committed. When the capture is cancelled, what was taken
    from the connection is committed before the cancellation goes on.

    Memory is bounded: when the disk is slower than the stream, the socket is paused.

    Args:
        ws: the connection, opened with ``ConnectionOptions(first_seq=next_seq(out, stream))`` so that the
            sequence goes on where the last capture into this folder ended. Nobody else may read it.
        out: the data set's folder; made if it does not exist.
        options: rotation, format and bounds.
        progress: called on the event loop every ``options.progress_interval`` seconds, and once at the end.
        stop: ends the capture when it is set.

    Returns:
        What was written. Where the connection was lost for good, its error is in ``summary.error``.

    Raises:
        CaptureError: a file cannot be written; what was committed before stays.
        MissingExtraError: pyarrow is not installed.
        UsageError: the folder already holds these sequence numbers.
    """
    options = options or CaptureOptions()
    out = Path(out)
    # On a thread, because it takes its time: loads pyarrow.
    sinks = await asyncio.to_thread(importlib.import_module, "rlfast.capture.sink")
    await asyncio.to_thread(prepare_folder, out)
    stored = await asyncio.to_thread(next_seq, out, ws.stream)
    run = _Run(ws, sinks.ParquetSink(out, ws.stream, options), options, stored)
    return await run.run(progress, stop or asyncio.Event())


class _Run:
    """State of one capture."""

    def __init__(
        self, ws: WebSocketConnection[Any], sink: ParquetSink, options: CaptureOptions, stored: int
    ) -> None:
        self._ws = ws
        self._sink = sink
        self._options = options
        self._stored = stored
        self._started = time.monotonic()
        self._reason: StopReason | None = None
        self._events = 0
        self._dead_letters = 0
        self._payload_bytes = 0
        self._discarded = 0

    async def run(self, progress: OnProgress | None, stop: asyncio.Event) -> CaptureSummary:
        self._sink.start()
        tasks = [asyncio.create_task(self._watch(stop))]
        if progress is not None:
            tasks.append(asyncio.create_task(self._report(progress)))
        try:
            try:
                await self._take_all()
            finally:
                # Also after a cancellation: what was received is worth more than a quick end.
                await self._sink.finish()
        except CaptureError as error:
            raise self._with_losses(error) from error.__cause__
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if progress is not None:
            progress(self._progress())
        return self._summary()

    async def _take_all(self) -> None:
        options = self._options
        batches = self._ws.batches(options.batch_rows, options.batch_wait)
        try:
            async for batch in batches:
                # The place of a journal: before the batch is handed on, and freed up to writer.last_seq.
                await self._take(batch)
        finally:
            await batches.aclose()

    async def _take(self, batch: EventBatch) -> None:
        if batch.first_seq < self._stored:
            raise UsageError(
                f"the folder already holds this stream up to seq {self._stored - 1}; "
                "open the connection with ConnectionOptions(first_seq=next_seq(out, stream))"
            )
        self._stored = 0
        wanted = self._options.max_events
        if wanted is None or self._events + batch.num_events < wanted:
            kept = batch.num_rows
            self._events += batch.num_events
        elif self._events == wanted:
            self._discarded += batch.num_rows
            return
        else:
            kept = _rows_up_to_event(batch, wanted - self._events)
            self._events = wanted
            self._discarded += batch.num_rows - kept
        self._dead_letters += batch.dead_letters.num_rows
        self._payload_bytes += batch.payload_bytes
        if kept < batch.num_rows:
            dead = batch.dead_letters["seq"]
            self._dead_letters -= int((dead >= batch.first_seq + kept).sum())
            self._payload_bytes -= batch.payload_bytes * (batch.num_rows - kept) // batch.num_rows
        await self._sink.put(batch, batch.first_seq + kept - 1)
        if self._events == wanted and self._reason is None:
            self._reason = "max_events"
            await self._ws.close()

    async def _watch(self, stop: asyncio.Event) -> None:
        """Close the connection at the stop event, when the time is over, or when the writer has failed."""
        waits: dict[asyncio.Task[Any], StopReason | None] = {
            asyncio.create_task(stop.wait()): "stopped",
            asyncio.create_task(self._sink.failed.wait()): None,
        }
        if self._options.duration is not None:
            left = self._started + self._options.duration - time.monotonic()
            waits[asyncio.create_task(asyncio.sleep(left))] = "duration"
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waits:
                task.cancel()
        if self._reason is None:
            self._reason = next((waits[task] for task in waits if task in done), None)
        await self._ws.close()

    async def _report(self, progress: OnProgress) -> None:
        while True:
            await asyncio.sleep(self._options.progress_interval)
            progress(self._progress())

    def _progress(self) -> CaptureProgress:
        stats, sink = self._ws.stats, self._sink
        return CaptureProgress(
            seconds=time.monotonic() - self._started,
            connected=self._ws.connected,
            events=self._events,
            dead_letters=self._dead_letters,
            payload_bytes=self._payload_bytes,
            backlog_bytes=stats.queued_bytes + sink.backlog_bytes,
            paused=stats.paused,
            reconnects=stats.reconnects,
            files=sink.writer.files,
            bytes=sink.writer.nbytes,
        )

    def _with_losses(self, error: CaptureError) -> CaptureError:
        writer = self._sink.writer
        saved = sum(table.events for table in writer.tables.values())
        lost = self._events + self._dead_letters - saved
        result = CaptureError(f"{error}; {saved:,} messages are saved, {lost:,} received ones are not")
        result.errno = error.errno
        return result

    def _summary(self) -> CaptureSummary:
        ws, writer = self._ws, self._sink.writer
        dead = writer.tables.get(DEAD_LETTERS, TypeSummary(0, 0, 0))
        types = {
            type_of_folder(folder): table for folder, table in writer.tables.items() if folder != DEAD_LETTERS
        }
        stats, error = ws.stats, ws.last_error
        reason = self._reason or ("end_of_stream" if error is None else "connection_failed")
        return CaptureSummary(
            stream=ws.stream,
            reason=reason,
            events=sum(table.events for table in types.values()),
            dead_letters=dead.events,
            types=dict(sorted(types.items(), key=lambda item: -item[1].events)),
            payload_bytes=self._payload_bytes,
            bytes=writer.nbytes,
            files=writer.files,
            gaps=len(ws.gaps),
            reconnects=stats.reconnects,
            discarded=self._discarded + stats.discarded_messages,
            seconds=time.monotonic() - self._started,
            first_seq=writer.first_seq,
            last_seq=writer.last_seq,
            error=str(error) if error is not None and reason == "connection_failed" else None,
        )


def _rows_up_to_event(batch: EventBatch, events: int) -> int:
    """Messages of a batch up to and including its event number `events`, counted from 1."""
    import numpy as np

    seqs = np.concatenate([table["seq"] for table in batch.values()])
    return int(np.partition(seqs, events - 1)[events - 1]) - batch.first_seq + 1
