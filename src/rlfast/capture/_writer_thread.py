"""Hand-over of batches from the event loop to the one thread that writes them."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from rlfast.capture._committer import Committer
from rlfast.capture._options import RotationPolicy
from rlfast.sinks._base import Rows, RunEnd, StreamState, StreamWriter
from rlfast.websocket._gaps import Gap
from rlfast.websocket._resume import Mark

if TYPE_CHECKING:
    from rlfast.decode._batch import EventBatch

__all__ = ["WriterThread"]

MAX_BACKLOG_BYTES = 128 << 20
"""Weight of batches that may wait for the thread; then `put` waits, the connection's blocks fill up, and the
socket is paused."""

ROW_WEIGHT = 64
"""What a row weighs beside its payload: its place in the columns that every table has."""


class WriterThread:
    """A sink's writer on a thread of its own. Use it from one event loop.

    pyarrow releases the GIL while it encodes, so writing and receiving share the cores. The thread also
    watches the clock: what was written is committed when it is due, whether or not batches arrive.

    Owns the thread, from `start` to the end of `finish`, and the batches that wait.

    Args:
        writer: of the sink.
        state: up to where the stream is committed.
        rotation: when to commit.
        on_commit, is_pressed: see `Committer`; called by the thread.
        mark: called with a sequence number of the batch in hand: where the stream goes on behind it.

    Attributes:
        committer: its counters may be read at any time.
        error: why the thread ended early, None otherwise.
        failed: set when the thread has ended with an error, which `put` and `finish` raise.
        is_complete: whether everything that was handed over is committed; True only after `finish`.
        backlog_bytes: payload of the batches that wait.
    """

    def __init__(
        self,
        writer: StreamWriter,
        state: StreamState,
        rotation: RotationPolicy,
        *,
        on_commit: Callable[[int], None] | None = None,
        is_pressed: Callable[[], bool] | None = None,
        mark: Callable[[int], Mark | None] | None = None,
    ) -> None:
        # Commits wait for the disk, while the writing thread goes on with the next one.
        self._commits = ThreadPoolExecutor(1, "rlfast-commit")
        self.committer = Committer(
            writer, state, rotation, on_commit=on_commit, commits=self._commits, is_pressed=is_pressed
        )
        self.failed = asyncio.Event()
        self.is_complete = False
        self.backlog_bytes = 0
        self._writer = writer
        self._mark = mark
        self._backlog_weight = 0
        self._room = asyncio.Event()
        self._ended = asyncio.Event()
        self.error: BaseException | None = None
        self._loop = asyncio.get_running_loop()
        self._end: RunEnd | None = None
        self._queue: queue.SimpleQueue[tuple[Rows, int, int] | Gap | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="rlfast-writer", daemon=True)

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
        parts = self._writer.prepare(batch, last_seq)
        for i, rows in enumerate(parts):
            is_last = i == len(parts) - 1
            if self._mark is not None:
                rows = rows._replace(resume=self._mark(rows.last_seq))
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
            self.committer.abort()
            self._call_loop(self._has_failed, error)
        self._commits.shutdown()
        self._call_loop(self._ended.set)

    def _write_until_told(self) -> None:
        committer = self.committer
        while True:
            try:
                item = self._queue.get(timeout=committer.seconds_to_commit())
            except queue.Empty:
                committer.commit_if_due()
                continue
            if item is None:
                committer.commit(self._end)
                committer.wait()
                return
            if isinstance(item, Gap):
                committer.add_gap(item)
                continue
            rows, weight, payload_bytes = item
            committer.add(rows)
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
