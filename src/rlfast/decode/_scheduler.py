"""Blocks from a connection's queue through its decoder: which are decoded when, and where."""

from __future__ import annotations

import asyncio

from rlfast._core.queue import BlockQueue
from rlfast.decode._assembler import SLOW_AT_ONCE, BatchAssembler, Span
from rlfast.decode._thread import DecodeThread

# A batch is full when it holds so much payload, what 65,536 short events have: whoever takes it has to do
# something while the next one is decoded.
MAX_BATCH_BYTES = 16 << 20

# Less is decoded where it is: in some microseconds, a tenth of what it takes to wake a thread.
INLINE_BYTES = 8 << 10

# Payload of one job at most. Its blocks count as queued until it ends: smaller jobs let the socket be resumed
# sooner, larger ones are handed over less often.
JOB_BYTES = 4 << 20


class BlockDecoding:
    """Takes blocks from a connection's queue and has them decoded, one job after the other.

    Owns the blocks of the job that runs, and a decoding thread, which the first job that is worth one starts,
    and `rest` ends. A job goes on when the task that waits for it is cancelled; its rows are then in
    the assembler for whoever reads next. Runs in the event loop, by callbacks rather than tasks: what a task
    takes to get its turn, while socket reads take theirs, the thread would be idle.
    """

    def __init__(self, queue: BlockQueue, assembler: BatchAssembler) -> None:
        self.assembler = assembler
        self._queue = queue
        self._max_rows = 0
        #: of the job that runs
        self._spans: list[Span] = []
        self._error: BaseException | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._thread: DecodeThread | None = None
        self._inline = True
        self._resting = False

    @property
    def running(self) -> bool:
        """Whether there is a job."""
        return bool(self._spans)

    def is_full(self, max_rows: int) -> bool:
        """Whether the rows that are collected are a batch."""
        return self.assembler.num_rows >= max_rows or self.assembler.payload_bytes >= MAX_BATCH_BYTES

    def start(self, max_rows: int) -> bool:
        """Decode what the queue holds, up to a batch of `max_rows`. Returns False if there is nothing to do.

        A small job is done at once. While a larger one is `running`, wait for it with `finish`.
        """
        self._max_rows = max_rows
        self._resting = False
        if not self._begin_job():
            return False
        self._go_on()
        return True

    async def finish(self) -> None:
        """Wait until no job is running. Jobs follow each other while somebody waits.

        Raises what ended a job early: MemoryError, or an exception of a user's hook.
        """
        while self._spans:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def rest(self) -> None:
        """End the thread, when the job that runs is done; the next job starts another one."""
        self._resting = True
        if not self._spans:
            self._end_thread()

    # -- jobs --------------------------------------------------------------------------------------------

    def _begin_job(self) -> bool:
        rows = nbytes = 0
        max_rows = self._max_rows - self.assembler.num_rows
        max_bytes = min(JOB_BYTES, MAX_BATCH_BYTES - self.assembler.payload_bytes)
        spans: list[Span] = []
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
        self._spans = spans
        self.assembler.begin(spans)
        if nbytes > INLINE_BYTES and self._thread is None and self.assembler.decoder.has_plan:
            try:
                self._thread = DecodeThread(asyncio.get_running_loop(), self._thread_is_done)
            except (NotImplementedError, OSError, RuntimeError):
                # Windows' proactor loop cannot watch sockets; or there are no more sockets, or threads, to be
                # had. Then everything is decoded here.
                pass
        self._inline = nbytes <= INLINE_BYTES
        return True

    def _go_on(self) -> None:
        """Do what is next for the job, and for those that follow it."""
        decoder = self.assembler.decoder
        try:
            if self._inline:
                while not decoder.done:
                    decoder.advance(SLOW_AT_ONCE)
            elif self._thread is None:
                decoder.advance(SLOW_AT_ONCE)
            while decoder.done:
                self._end_job()
                if self._waiter is None or self.is_full(self._max_rows) or not self._begin_job():
                    self._notify()
                    return
            if self._thread is not None:
                self._thread.run(decoder)
            else:
                asyncio.get_running_loop().call_soon(self._go_on)
        except BaseException as error:
            self._fail(error)

    def _thread_is_done(self) -> None:
        decoder = self.assembler.decoder
        assert self._thread is not None
        try:
            self._thread.collect(decoder)
            if decoder.done:
                self._go_on()
            else:
                # What the plan does not take needs the GIL, which the event loop has more of than any thread.
                decoder.advance(SLOW_AT_ONCE, until_calm=True)
                asyncio.get_running_loop().call_soon(self._go_on)
        except BaseException as error:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        if self._spans:
            self._end_job()
        self._error = error
        self._notify()

    def _end_job(self) -> None:
        """Collect what is decoded of the job, and give its blocks back."""
        self.assembler.end()
        spans, self._spans = self._spans, []
        complete, position = self.assembler.reached
        for block, _, stop in spans[:complete]:
            self._queue.give_back(block, stop)
        # Each goes to the front of the queue, so the last one is the first.
        for i in range(len(spans) - 1, complete - 1, -1):
            block, start, _ = spans[i]
            self._queue.give_back(block, position if i == complete else start)

    def _notify(self) -> None:
        if self._resting:
            self._end_thread()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _end_thread(self) -> None:
        if self._thread is not None:
            self._thread.close()
            self._thread = None
