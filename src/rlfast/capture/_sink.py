"""Hand-over of batches from the event loop to the one thread that writes them."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from rlfast.capture._manifest import RunEnd
from rlfast.capture._options import CaptureOptions
from rlfast.capture._rows import BatchRows, RowMaker, partition_spans
from rlfast.capture._segment import DatasetWriter
from rlfast.websocket._gaps import Gap

if TYPE_CHECKING:
    from rlfast.decode._batch import EventBatch

__all__ = ["ParquetSink"]

MAX_BACKLOG_BYTES = 128 << 20
"""Weight of batches that may wait for the thread; then `put` waits, the connection's blocks fill up, and the
socket is paused."""

ROW_WEIGHT = 64
"""What a row weighs beside its payload: its place in the columns that every table has."""


class ParquetSink:
    """A `DatasetWriter` on a thread of its own. Use it from one event loop.

    pyarrow releases the GIL while it writes, so writing and receiving share two cores. The thread also
    watches the clock: a segment is committed when it is due, whether or not batches arrive.

    Owns the thread, from `start` to the end of `finish`, and the batches that wait.

    Attributes:
        writer: the writer; its counters may be read at any time.
        error: why the thread ended early, None otherwise.
        failed: set when the thread has ended with an error, which `put` and `finish` raise.
        is_complete: whether everything that was handed over is committed; True only after `finish`.
        backlog_bytes: payload of the batches that wait.
    """

    def __init__(
        self,
        out: Path,
        stream: str,
        options: CaptureOptions,
        *,
        next_seq: int = 0,
        on_commit: Callable[[int], None] | None = None,
        is_pressed: Callable[[], bool] | None = None,
    ) -> None:
        """Prepare the writer; for the callbacks, which its thread calls, see `DatasetWriter`."""
        # Commits wait for the disk, while the writing thread goes on with the next segment.
        self._commits = ThreadPoolExecutor(1, "rlfast-commit")
        self.writer = DatasetWriter(
            out,
            stream,
            options,
            next_seq=next_seq,
            on_commit=on_commit,
            commits=self._commits,
            is_pressed=is_pressed,
        )
        self.failed = asyncio.Event()
        self.is_complete = False
        self.backlog_bytes = 0
        self._backlog_weight = 0
        self._room = asyncio.Event()
        self._ended = asyncio.Event()
        self.error: BaseException | None = None
        self._loop = asyncio.get_running_loop()
        self._row_maker = RowMaker(stream)
        self._partition_by = options.partition_by
        self._end: RunEnd | None = None
        self._queue: queue.SimpleQueue[tuple[BatchRows, int, int] | Gap | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="rlfast-parquet", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    async def put(self, batch: EventBatch, last_seq: int) -> None:
        """Hand over a batch, of which the messages up to `last_seq` are to be written; waits for room.

        Raises:
            CaptureError: the thread could not write; nothing more will be written.
        """
        weight = _weight(batch)
        # A batch that is too heavy by itself goes alone.
        while (
            self.error is None and self._backlog_weight and self._backlog_weight + weight > MAX_BACKLOG_BYTES
        ):
            self._room.clear()
            await self._room.wait()
        if self.error is not None:
            raise self.error
        self._backlog_weight += weight
        self.backlog_bytes += batch.payload_bytes
        spans = partition_spans(batch, last_seq, self._partition_by)
        for i, (first, last, partition) in enumerate(spans):
            rows = self._row_maker.make(batch, last, first, partition)
            is_last = i == len(spans) - 1
            self._queue.put((rows, weight if is_last else 0, batch.payload_bytes if is_last else 0))

    def put_gap(self, gap: Gap) -> None:
        """Hand over a gap, to be committed with what was handed over before."""
        self._queue.put(gap)

    async def finish(self, end: RunEnd | None = None) -> None:
        """Write everything that was handed over, commit it with the end of the run, and end the thread.

        Raises:
            CaptureError: something could not be written.
        """
        self._end = end
        self._queue.put(None)
        await self._ended.wait()
        self._thread.join()
        self.is_complete = self.error is None
        if self.error is not None:
            raise self.error

    # -- on the thread -----------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._write_until_told()
        except BaseException as error:
            self.writer.abort()
            self._call_loop(self._has_failed, error)
        self._commits.shutdown()
        self._call_loop(self._ended.set)

    def _write_until_told(self) -> None:
        writer = self.writer
        while True:
            try:
                item = self._queue.get(timeout=writer.seconds_to_commit())
            except queue.Empty:
                writer.commit_if_due()
                continue
            if item is None:
                writer.commit(self._end)
                writer.wait()
                return
            if isinstance(item, Gap):
                writer.add_gap(item)
                continue
            rows, weight, payload_bytes = item
            writer.add(rows)
            self._call_loop(self._written, weight, payload_bytes)
            del item, rows  # The queue's next item may be long in coming.

    def _call_loop(self, callback: object, *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(callback, *arguments)  # type: ignore[arg-type]
        except RuntimeError:
            pass  # The loop was closed under a capture that nobody awaits any more.

    # -- on the loop -------------------------------------------------------------------------------------

    def _written(self, weight: int, payload_bytes: int) -> None:
        self._backlog_weight -= weight
        self.backlog_bytes -= payload_bytes
        self._room.set()

    def _has_failed(self, error: BaseException) -> None:
        self.error = error
        self.failed.set()
        self._room.set()


def _weight(batch: EventBatch) -> int:
    return batch.payload_bytes + ROW_WEIGHT * batch.num_rows
