"""The capture itself: a connection's batches into a data set, until told to stop."""

from __future__ import annotations

import asyncio
import importlib
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlfast.capture._options import CaptureOptions
from rlfast.capture._summary import CaptureProgress, CaptureSummary, StopReason, TypeSummary
from rlfast.decode._batch import OTHER_TABLE
from rlfast.errors import CaptureError, UsageError, check_callable, check_path, check_type
from rlfast.sinks._base import RunEnd, Sink, StreamState
from rlfast.sinks._files import check_free_space, explain
from rlfast.sinks._place import check_place, find_folder
from rlfast.websocket._connection import BatchIterator, Connecting, WebSocketConnection

if TYPE_CHECKING:
    from rlfast.capture._recovery import RecoveryReport
    from rlfast.decode._batch import EventBatch
    from rlfast.websocket._resume import Mark

__all__ = ["OnProgress", "OnRecovery", "capture"]

_log = logging.getLogger("rlfast.capture")

OnProgress = Callable[[CaptureProgress], None]
OnRecovery = Callable[["RecoveryReport"], None]


async def capture(
    ws: Connecting[Any] | WebSocketConnection[Any],
    out: str | Path | Sink,
    options: CaptureOptions | None = None,
    *,
    progress: OnProgress | None = None,
    stop: asyncio.Event | None = None,
    on_recovery: OnRecovery | None = None,
) -> CaptureSummary:
    """Write what a connection receives into a sink, until the stream is over or told to stop.

    Give it what `rlfast.connect` returns, not awaited: ``await capture(connect(url, type=T), "events")``.
    Then everything that takes its time is done first, the connection is opened when its journal is there, and
    closed at the end. `seq` and `epoch` go on where the last capture into the folder ended.

    A connection that is open already, because something must be sent or read on it first, works too. What it
    has received is in the journal as soon as there is one; no more is received until then. Open it with the
    options of `rlfast.capture.resume`. What was read from it is not captured and leaves no hole: the other
    messages are numbered from where the stream goes on, and ``ws.gaps`` with them.

    At a stop (by `stop`, ``options.max_events`` or ``options.duration``) the connection is closed, what was
    received before is written, and everything is committed. So it is when the capture is cancelled, except
    that a connection that was open already stays open, and what nobody took from it stays there.

    What is received is in the journal before anything else is done with it (``options.durability``). If the
    process is killed, the next capture into the folder, or `recover`, commits it: once, and all of it. So
    does this one, at its start, with what an earlier one left.

    Memory is bounded: when the disk is slower than the stream, the socket is paused.

    Args:
        ws: what `rlfast.connect` returns, or an open connection. Nobody else may read it.
        out: where to: the folder of a data set of Parquet files, made if it does not exist; or a
            `rlfast.sinks.Sink`, such as a ``ParquetSink(folder, ParquetOptions(...))``.
        options: rotation, durability and bounds.
        progress: called on the event loop when the connection is open, every ``options.progress_interval``
            seconds, and once at the end.
        stop: ends the capture when it is set; before the connection is open, too.
        on_recovery: called on the event loop, before the connection is opened, with what was done about what
            an earlier capture left.

    Returns:
        What was written. Where the connection was lost for good, its error is in ``summary.error``.

    Raises:
        CaptureError: another capture writes into the folder, the files of a type would have other columns
            than those that are there (``ParquetOptions.schema_change``), or a file cannot be written. What
            was committed before stays, and what is in the journal is committed by the next capture or
            `recover`.
        MissingExtraError: pyarrow is not installed.
        UnsupportedFieldError: the type is none that msgspec can decode.
        NetworkError: the connection cannot be opened; the folder is as it was. See `rlfast.connect`.
        UsageError: the folder already holds these sequence numbers; somebody else reads the connection; its
            URL is a function's, and the stream has no name.
    """
    check_type("ws", ws, (Connecting, WebSocketConnection), what="what connect() returns, or a connection")
    if not isinstance(out, Sink):
        out = check_path("out", out)
    check_type("options", options, CaptureOptions, optional=True)
    check_callable("progress", progress, optional=True)
    check_type("stop", stop, asyncio.Event, what="an asyncio.Event", optional=True)
    check_callable("on_recovery", on_recovery, optional=True)
    options = options or CaptureOptions()
    batches: BatchIterator | None = None
    if isinstance(ws, WebSocketConnection):
        batches = _claim(ws, options)
        ws.hold(True)
    try:
        sink = await asyncio.to_thread(_load, out)
        connecting: Connecting[Any] | None = None
        if isinstance(ws, Connecting):
            connecting, ws = ws, ws.connection
            if ws.opened_at is not None or ws.closed:
                raise UsageError(
                    "the connection was opened before; give capture() what a new connect(...) returns, "
                    "or the open connection itself"
                )
            batches = _claim(ws, options)
        assert batches is not None
        from rlfast.capture._start import number, prepare

        report, state = await prepare(sink, ws, options)
        try:
            for stream, reason in report.left:
                _log.warning("the journal of %s stays, because it cannot be decoded: %s", stream, reason)
            if on_recovery is not None:
                on_recovery(report)
            await batches.settle()
            number(ws, state)
            run = _CaptureRun(ws, batches, sink, options, state)
            return await run.run(connecting, progress, stop or asyncio.Event())
        finally:
            sink.close()
    finally:
        if batches is not None:
            await batches.aclose()
        if isinstance(ws, WebSocketConnection):
            ws.hold(False)


def _load(out: Path | Sink) -> Sink:
    """Load what a capture needs. On a thread: it takes its time.

    Raises:
        MissingExtraError: pyarrow is not installed.
    """
    for name in ("_gap_recorder", "_start", "_wal_session", "_writer_thread"):
        importlib.import_module(f"rlfast.capture.{name}")
    if isinstance(out, Sink):
        return out
    from rlfast.sinks.parquet._sink import ParquetSink

    return ParquetSink(out)


def _claim(ws: WebSocketConnection[Any], options: CaptureOptions) -> BatchIterator:
    if not ws.stream:
        raise UsageError(
            "the stream has no name, because its URL is a function's; give connect() one, the same for every "
            'run: stream="..."'
        )
    ws.prefer_plain_text()
    batches = ws.batches(options.batch_rows, options.batch_wait, hook_errors="dead_letter", other="keep")
    batches.claim()
    return batches


class _CaptureRun:
    """State of one capture."""

    def __init__(
        self,
        ws: WebSocketConnection[Any],
        batches: BatchIterator,
        sink: Sink,
        options: CaptureOptions,
        state: StreamState,
    ) -> None:

        from rlfast.capture._gap_recorder import GapRecorder
        from rlfast.capture._wal_session import WalSession
        from rlfast.capture._writer_thread import WriterThread

        self._ws = ws
        self._batches = batches
        self._owned = ws.opened_at is None
        self._folder = sink.folder
        self._how_to_recover = sink.how_to_recover
        self._options = options
        self._started = time.monotonic()
        self._reason: StopReason | None = None
        self._received_until: float | None = None
        self._events = 0
        self._dead_letters = 0
        self._payload_bytes = 0
        self._discarded = 0
        self._in_hand: tuple[EventBatch, int] | None = None
        self._all_taken = False
        #: when the connection was being opened
        self._cancelled = False
        self._failure: CaptureError | None = None
        self._failed = asyncio.Event()
        self._journal: WalSession | None = None
        if options.durability != "none":
            self._journal = WalSession(ws, sink, options, state, self._fail)
        journal = self._journal.journal if self._journal is not None else None
        self._marker = ws.marker(state.resume, state.next_seq)
        self._sizes = sink.writer(ws.stream)
        self._writer = WriterThread(
            self._sizes,
            state,
            options.rotation,
            on_commit=journal.release if journal is not None else None,
            is_pressed=journal.is_pressed if journal is not None else None,
            mark=self._mark if self._marker is not None else None,
        )
        self._gaps = GapRecorder(ws, self._writer, journal, state)

    async def run(
        self, connecting: Connecting[Any] | None, progress: OnProgress | None, stop: asyncio.Event
    ) -> CaptureSummary:
        if self._journal is not None:
            self._journal.attach()
        if connecting is None:
            self._ws.hold(False)
        elif not await self._open(connecting, stop):
            self._reason = "stopped"
            return self._summary()
        self._writer.start()
        tasks = [asyncio.create_task(self._watch(stop)), asyncio.create_task(self._watch_disk())]
        if self._journal is not None:
            tasks += self._journal.start()
        if progress is not None:
            tasks.append(asyncio.create_task(self._report(progress)))
        try:
            try:
                await self._take_all()
            finally:
                # Also after a cancellation: what was received is worth more than a quick end.
                ended_at = self._gaps.finish()
                await self._writer.finish(RunEnd(ended_at, "capture_stopped"))
            if self._failure is not None:
                raise self._failure
        except CaptureError as error:
            # The writer may have told `put` before it told the task that closes.
            await self._ws.close()
            raise self._with_losses(error) from error.__cause__
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if self._journal is not None:
                self._journal.close(self._all_taken and self._writer.is_complete)
            if self._owned:
                await self._ws.close()
        if progress is not None:
            progress(self._progress())
        return self._summary()

    async def _open(self, connecting: Connecting[Any], stop: asyncio.Event) -> bool:
        """Open the connection. Returns False if told to stop before it was open."""
        from rlfast.capture._start import open_unless

        opened = False
        try:
            opened = await open_unless(stop, connecting)
            if not opened and self._ws.opened_at is not None:
                # It was open for a moment, and may have brought messages.
                opened, self._reason = True, "stopped"
        except asyncio.CancelledError:
            opened = self._cancelled = self._ws.opened_at is not None
            if not opened:
                raise
        finally:
            if not opened:
                await self._ws.close()
                self._ws.listen(None)
                if self._journal is not None:
                    self._journal.close(self._ws.stats.messages == 0)
        self._started = time.monotonic()
        return opened

    def _fail(self, error: CaptureError) -> None:
        """Stop, and raise `error` when everything that can be saved is saved."""
        if self._failure is None:
            self._failure = error
        self._failed.set()

    async def _take_all(self) -> None:
        try:
            if self._cancelled:
                raise asyncio.CancelledError
            await self._take_batches()
        except asyncio.CancelledError:
            if self._in_hand is not None:
                await self._put()
            if self._owned:
                # Nobody else will read the rest.
                await self._ws.close()
                await self._take_batches()
            else:
                # What is in the journal only is lost to the connection when that is detached.
                self._ws.hold(True)
                while self._ws.stats.spilled_bytes:
                    await self._take(await self._batches.__anext__())
                await self._batches.settle()
                batch = self._batches.take_decoded()
                if batch is not None:
                    await self._take(batch)
                self._all_taken = True
            raise

    async def _take_batches(self) -> None:
        async for batch in self._batches:
            await self._take(batch)
        self._stop_clock()
        self._all_taken = True

    async def _take(self, batch: EventBatch) -> None:
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
        last_seq = batch.first_seq + kept - 1
        self._gaps.update(last_seq)
        self._in_hand = batch, last_seq
        await self._put()
        if self._events == wanted and self._reason is None:
            self._reason = "max_events"
            self._stop_clock()
            await self._ws.close()

    def _stop_clock(self) -> None:
        """Rates end here: closing and writing may take seconds, in which nothing is received."""
        if self._received_until is None:
            self._received_until = time.monotonic()

    async def _put(self) -> None:
        """Hand over the batch in hand. One that was not, because of a cancellation, stays there."""
        assert self._in_hand is not None
        await self._writer.put(*self._in_hand)
        self._in_hand = None
        if self._marker is not None:
            self._marker.settle()

    def _mark(self, last_seq: int) -> Mark | None:
        """Where the stream goes on with the server, behind a message of the batch in hand."""
        assert self._marker is not None
        self._marker.overlaps = self._ws.overlaps
        return self._marker.mark(last_seq)

    async def _watch(self, stop: asyncio.Event) -> None:
        """Close the connection at the stop event, when the time is over, or when the writer has failed."""
        waits: dict[asyncio.Task[Any], StopReason | None] = {
            asyncio.create_task(stop.wait()): "stopped",
            asyncio.create_task(self._writer.failed.wait()): None,
            asyncio.create_task(self._failed.wait()): None,
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
        self._stop_clock()
        await self._ws.close()

    async def _watch_disk(self) -> None:
        """Stop while there still is room to commit, and when the folder is no more where it was."""
        while True:
            try:
                check_place(self._folder)
                check_free_space(self._folder, self._options.min_free)
            except OSError as error:
                self._fail(explain(error, self._folder))
                return
            await asyncio.sleep(1.0)

    async def _report(self, progress: OnProgress) -> None:
        while True:
            self._gaps.update()
            progress(self._progress())
            await asyncio.sleep(self._options.progress_interval)

    def _progress(self) -> CaptureProgress:
        stats = self._ws.stats
        return CaptureProgress(
            seconds=time.monotonic() - self._started,
            connected=self._ws.connected,
            events=self._events,
            dead_letters=self._dead_letters,
            payload_bytes=self._payload_bytes,
            backlog_bytes=stats.queued_bytes + self._writer.backlog_bytes,
            spilled_bytes=stats.spilled_bytes,
            journal_bytes=self._journal.journal.used_bytes if self._journal is not None else 0,
            paused=stats.paused,
            gaps=self._gaps.count,
            sequence_gaps=self._gaps.of_numbers,
            reconnects=stats.reconnects,
            files=self._sizes.files,
            bytes=self._sizes.nbytes,
        )

    def _with_losses(self, error: CaptureError) -> CaptureError:
        saved = self._writer.committer.counts.total()
        left = self._events + self._dead_letters - saved
        place = find_folder(self._folder)
        if place is None:
            return error
        if self._journal is None:
            fate = f"{left:,} received ones are not"
        elif left or self._ws.stats.queued_bytes or self._writer.error is not None:
            fate = f"what else was received is in the journal; {self._how_to_recover(place)}"
        else:
            fate = "and so is everything that was received"
        result = CaptureError(f"{error}; {saved:,} messages are saved, {fate}")
        result.errno = error.errno
        return result

    def _summary(self) -> CaptureSummary:
        ws, sizes, committed = self._ws, self._sizes, self._writer.committer
        types = {
            name: TypeSummary(events, *sizes.sizes.get(name, (0, 0)))
            for name, events in committed.counts.most_common()
            if name is not None
        }
        stats, error, now = ws.stats, ws.last_error, time.monotonic()
        reason = self._reason or ("end_of_stream" if error is None else "connection_failed")
        return CaptureSummary(
            stream=ws.stream,
            reason=reason,
            events=sum(table.events for name, table in types.items() if name != OTHER_TABLE),
            dead_letters=committed.counts[None],
            types=types,
            payload_bytes=self._payload_bytes,
            bytes=sizes.nbytes,
            files=sizes.files,
            gaps=self._gaps.count,
            sequence_gaps=self._gaps.of_numbers,
            checked_numbers=stats.checked_numbers,
            unchecked_numbers=stats.unchecked_numbers,
            gap_reasons=dict(self._gaps.reasons.most_common()),
            reconnects=stats.reconnects,
            discarded=self._discarded + stats.discarded_messages,
            receiving_seconds=(now if self._received_until is None else self._received_until) - self._started,
            seconds=now - self._started,
            first_seq=committed.first_seq,
            last_seq=committed.last_seq,
            error=str(error) if error is not None and reason == "connection_failed" else None,
        )


def _rows_up_to_event(batch: EventBatch, events: int) -> int:
    """Messages of a batch up to and including its event number `events`, counted from 1."""
    import numpy as np

    tables = [table for name, table in batch.items() if name != OTHER_TABLE]
    seqs = np.concatenate([table[table.own_names.seq] for table in tables])
    return int(np.partition(seqs, events - 1)[events - 1]) - batch.first_seq + 1
