"""Batch mode: blocks from the queue, decoded on a thread into one `EventBatch` after the other."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor

from rlfast._core.block import BlockQueue
from rlfast._core.messages import MessageReader
from rlfast.batch import EventBatch
from rlfast.decoding import BatchAssembler, Span
from rlfast.errors import UsageError

# A batch is handed out early when it holds so much payload, so that large messages cannot make it unbounded.
MAX_BATCH_BYTES = 64 << 20

# Less is decoded where it is: in some microseconds, a tenth of what it takes to wake a thread.
INLINE_BYTES = 8 << 10

_executor: ThreadPoolExecutor | None = None


def _threads() -> ThreadPoolExecutor:
    """The threads that decode, shared by all connections of the process; one per core is enough."""
    global _executor
    if _executor is None:
        _executor = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="rlfast-decode")
    return _executor


def _forget_threads() -> None:
    global _executor
    _executor = None


if hasattr(os, "register_at_fork"):
    # Threads do not live on in a forked process, and their executor would wait for them there.
    os.register_at_fork(after_in_child=_forget_threads)


class BlockDecoding:
    """Takes blocks from a connection's queue and has them decoded, one job at a time.

    Owns the blocks of the job that runs. A job goes on when the task that waits for it is cancelled; its rows
    are then in the assembler for whoever reads next.
    """

    def __init__(self, queue: BlockQueue, assembler: BatchAssembler) -> None:
        self._queue = queue
        self.assembler = assembler
        self._job: asyncio.Future[None] | None = None

    @property
    def running(self) -> bool:
        """Whether there is a job whose end was not awaited."""
        return self._job is not None

    def start(self, max_rows: int, max_bytes: int) -> bool:
        """Decode what the queue holds, up to `max_rows` messages. Returns False if it holds nothing.

        The job may be done at once; if `running`, it must be awaited by `finish` before anything else.
        """
        spans: list[Span] = []
        rows = nbytes = 0
        while rows < max_rows and nbytes < max_bytes:
            block = self._queue.take_block()
            if block is None:
                break
            start = block.taken
            stop = min(block.count, start + max_rows - rows)
            spans.append((block, start, stop))
            rows += stop - start
            nbytes += block.span_bytes(start, stop)
        if not spans:
            return False
        if nbytes <= INLINE_BYTES:
            try:
                self.assembler.add_spans(spans)
            finally:
                self._give_back(spans)
            return True
        loop = asyncio.get_running_loop()
        self._job = loop.run_in_executor(_threads(), self.assembler.add_spans, spans)
        # Not by whoever awaits the job: that task may be cancelled.
        self._job.add_done_callback(lambda _: self._give_back(spans))
        return True

    async def finish(self) -> None:
        """Wait until the job is done. Raises what ended it early."""
        job = self._job
        if job is not None:
            try:
                await asyncio.shield(job)
            finally:
                if job.done():
                    self._job = None

    def _give_back(self, spans: list[Span]) -> None:
        complete, position = self.assembler.reached
        for block, _, stop in spans[:complete]:
            self._queue.give_back(block, stop)
        # Each goes to the front of the queue, so the last one is the first.
        for i in range(len(spans) - 1, complete - 1, -1):
            block, start, _ = spans[i]
            self._queue.give_back(block, position if i == complete else start)


class BatchIterator:
    """Async iterator over the batches of a connection; see `WebSocketConnection.batches`.

    An object rather than a generator, so that a cancelled or timed-out ``__anext__`` loses nothing and can be
    called again. It owns the connection's reading end from the first ``__anext__`` until it is exhausted,
    closed with `aclose`, or garbage-collected.
    """

    def __init__(
        self,
        queue: BlockQueue,
        reader: MessageReader,
        decoding: BlockDecoding,
        max_rows: int,
        max_wait: float,
    ) -> None:
        self._queue = queue
        self._reader = reader
        self._decoding = decoding
        self._assembler = decoding.assembler
        self._max_rows = max_rows
        self._max_wait = max_wait
        self._owner = False
        self._closed = False
        self._running = False
        self._deadline: float | None = None

    def __aiter__(self) -> BatchIterator:
        return self

    async def __anext__(self) -> EventBatch:
        if self._closed:
            raise StopAsyncIteration
        if self._running:
            raise UsageError("this batch iterator is already being awaited by another task")
        if not self._owner:
            if not self._queue.enter_batch_mode():
                raise UsageError(
                    "another reader is at work on this connection; "
                    "message mode and batch mode, or two batch iterators, cannot be mixed"
                )
            self._owner = True
        self._running = True
        try:
            batch = await self._collect()
        finally:
            self._running = False
        if batch is None:
            self._leave()
            raise StopAsyncIteration
        return batch

    async def _collect(self) -> EventBatch | None:
        """Decode until a batch is full or due; None when the stream is over and everything is delivered."""
        assembler, queue, decoding = self._assembler, self._queue, self._decoding
        loop = asyncio.get_running_loop()
        while True:
            await decoding.finish()
            if self._full():
                return self._hand_over()
            if decoding.start(self._max_rows - assembler.num_rows, MAX_BATCH_BYTES - assembler.payload_bytes):
                if self._deadline is None:
                    self._deadline = loop.time() + self._max_wait
                if not decoding.running and not self._full():
                    # Let the socket be read.
                    await asyncio.sleep(0)
                continue
            if queue.finished:
                return self._hand_over() if assembler.num_rows else None
            if self._deadline is None:
                await self._reader.wait()
            elif loop.time() >= self._deadline:
                return self._hand_over()
            else:
                await self._wait_until(loop, self._deadline)

    def _full(self) -> bool:
        return self._assembler.num_rows >= self._max_rows or self._assembler.payload_bytes >= MAX_BATCH_BYTES

    def _hand_over(self) -> EventBatch:
        self._deadline = None
        return self._assembler.finish()

    async def _wait_until(self, loop: asyncio.AbstractEventLoop, deadline: float) -> None:
        """Wait for a socket read, the end of the stream, or `deadline` on the loop's clock."""
        future: asyncio.Future[None] = self._reader.wait()
        timer = loop.call_at(deadline, _wake, future)
        try:
            await future
        finally:
            timer.cancel()

    def _leave(self) -> None:
        self._closed = True
        if self._owner:
            self._owner = False
            # Rows that were decoded but not handed out stay for the next batch iterator; until then message
            # mode would skip them.
            self._queue.leave_batch_mode(held=self._decoding.running or self._assembler.num_rows > 0)

    async def aclose(self) -> None:
        """Give up the reading end of the connection."""
        self._leave()

    def __del__(self) -> None:
        self._leave()


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
