"""Batch mode: blocks from the queue, decoded on a thread into one `EventBatch` after the other."""

from __future__ import annotations

import asyncio

from rlfast._core.messages import MessageReader
from rlfast._core.queue import BlockQueue
from rlfast.decode._batch import EventBatch
from rlfast.decode._scheduler import BlockDecoding
from rlfast.errors import UsageError


class BatchIterator:
    """Async iterator over the batches of a connection; see `WebSocketConnection.batches`.

    An object rather than a generator, so that a cancelled or timed-out ``__anext__`` loses nothing and can be
    called again. It owns the connection's reading end from the first ``__anext__`` until it is exhausted,
    closed with `aclose`, or garbage-collected. It keeps the connection alive.
    """

    def __init__(
        self,
        connection: object,
        queue: BlockQueue,
        reader: MessageReader,
        decoding: BlockDecoding,
        max_rows: int,
        max_wait: float,
    ) -> None:
        self._connection = connection
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
        if self._reader.check_caller is not None:
            self._reader.check_caller("batches")
        if self._running:
            raise UsageError("this batch iterator is already being awaited by another task")
        self.claim()
        self._running = True
        try:
            batch = await self._collect()
        finally:
            self._running = False
        if batch is None:
            self._leave()
            raise StopAsyncIteration
        return batch

    def claim(self) -> None:
        """Take the reading end now, and not at the first ``__anext__``.

        Raises:
            UsageError: another reader is at work.
        """
        if not self._owner:
            if not self._queue.enter_batch_mode():
                raise UsageError(
                    "another reader is at work on this connection; "
                    "message mode and batch mode, or two batch iterators, cannot be mixed"
                )
            self._owner = True

    async def settle(self) -> None:
        """Wait until nothing is being decoded any more. For the owner of the reading end."""
        await self._decoding.finish()

    def take_decoded(self) -> EventBatch | None:
        """Return what is decoded and not handed out, as a batch; None if nothing is."""
        return self._hand_over() if self._assembler.num_rows else None

    async def _collect(self) -> EventBatch | None:
        """Decode until a batch is full or due; None when the stream is over and everything is delivered."""
        assembler, queue, decoding = self._assembler, self._queue, self._decoding
        loop = asyncio.get_running_loop()
        while True:
            await decoding.finish()
            if assembler.num_rows and decoding.is_full(self._max_rows):
                return self._hand_over()
            if decoding.start(self._max_rows):
                if self._deadline is None:
                    self._deadline = loop.time() + self._max_wait
                if not decoding.running and not decoding.is_full(self._max_rows):
                    # Let the socket be read.
                    await asyncio.sleep(0)
                continue
            if queue.finished:
                if assembler.num_rows:
                    return self._hand_over()
                if self._reader.is_over():
                    return None
            if self._deadline is None:
                await self._reader.wait("batches")
            elif loop.time() >= self._deadline:
                return self._hand_over()
            else:
                await self._wait_until(loop, self._deadline)

    def _hand_over(self) -> EventBatch:
        self._deadline = None
        return self._assembler.finish()

    async def _wait_until(self, loop: asyncio.AbstractEventLoop, deadline: float) -> None:
        """Wait for a socket read, the end of the stream, or `deadline` on the loop's clock."""
        waiter = self._reader.wait("batches")
        timer = loop.call_at(deadline, waiter.complete)
        try:
            await waiter
        finally:
            timer.cancel()

    def _leave(self) -> None:
        self._closed = True
        if self._owner:
            self._owner = False
            # Rows that were decoded but not handed out stay for the next batch iterator; until then message
            # mode would skip them.
            self._queue.leave_batch_mode(held=self._decoding.running or self._assembler.num_rows > 0)
            self._decoding.rest()

    async def aclose(self) -> None:
        """Give up the reading end of the connection."""
        self._leave()

    def __del__(self) -> None:
        self._leave()
