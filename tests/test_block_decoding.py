"""Blocks through the decoding thread: complete and in order, whoever waits, whatever is odd in between."""

from __future__ import annotations

import asyncio
import gc
import threading
from typing import Any

import msgspec
import pytest
from sample_events import PAYLOADS, UUID_A, rows

from rlfast._core.queue import BlockQueue
from rlfast.decode._assembler import BatchAssembler
from rlfast.decode._scheduler import INLINE_BYTES, BlockDecoding
from rlfast.reasoning_layer._events import AgentEvent

ODD = b'{"type":"heartbeat","timestamp":"a","timestamp":"b"}'
BAD = b'{"type":"heartbeat"'
KB = b'{"type":"kb_change","term_id":"%s","sort":"person","change_type":"added"}' % UUID_A.encode()


def queue_of(payloads: list[bytes], block_size: int = 1 << 16) -> BlockQueue:
    queue = BlockQueue(block_size, 1 << 30, 0)
    queue.begin_epoch(1)
    for payload in payloads:
        queue.feed(payload)
    queue.end_of_read()
    return queue


def assert_no_thread_is_left() -> None:
    for thread in threading.enumerate():
        if thread.name == "rlfast-decode":
            thread.join(10)
            assert not thread.is_alive()


async def decode_all(decoding: BlockDecoding, queue: BlockQueue, max_rows: int) -> dict[int, Any]:
    """Every row by its number, from batches of at most `max_rows`."""
    out: dict[int, Any] = {}
    while True:
        while not decoding.is_full(max_rows) and decoding.start(max_rows):
            await decoding.finish()
        if not decoding.assembler.num_rows:
            return out
        batch = decoding.assembler.finish()
        assert batch.num_rows <= max_rows
        out |= rows(batch)
        out |= dict.fromkeys(batch.dead_letters["seq"].tolist(), "dead")


@pytest.mark.parametrize("odd_every", [None, 1, 2, 7, 600, 5000], ids=lambda every: f"odd={every}")
async def test_every_message_becomes_its_row_however_many_are_odd(odd_every: int | None) -> None:
    count = 20_000
    payloads = [PAYLOADS[i % len(PAYLOADS)] for i in range(count)]
    if odd_every is not None:
        payloads[::odd_every] = [(ODD, BAD)[i % 2] for i in range(len(payloads[::odd_every]))]
    queue = queue_of(payloads)
    decoding = BlockDecoding(queue, BatchAssembler(AgentEvent))
    found = await decode_all(decoding, queue, 6_000)
    slow = BlockDecoding(queue_of(payloads), BatchAssembler(AgentEvent, None))
    expected = await decode_all(slow, slow._queue, 6_000)
    assert sorted(found) == list(range(count))
    assert found == expected
    odd = 0 if odd_every is None else len(payloads[::odd_every])
    assert decoding.assembler.num_fallback == odd
    assert decoding.assembler.num_fast == count - odd
    assert queue.queued_bytes == 0
    decoding.rest()


async def test_small_jobs_are_done_at_once_and_larger_ones_on_a_thread() -> None:
    queue = queue_of([KB] * (INLINE_BYTES // len(KB)))
    decoding = BlockDecoding(queue, BatchAssembler(AgentEvent))
    assert decoding.start(10_000)
    assert not decoding.running
    assert decoding._thread is None
    for _ in range(1000):
        queue.feed(KB)
    queue.end_of_read()
    assert decoding.start(10_000)
    assert decoding.running
    assert decoding._thread is not None
    await decoding.finish()
    assert not decoding.running
    assert decoding.assembler.num_rows == 1000 + INLINE_BYTES // len(KB)
    assert not decoding.start(10_000)
    decoding.rest()


async def test_a_thread_ends_when_nobody_reads() -> None:
    queue = queue_of([KB] * 1000)
    decoding = BlockDecoding(queue, BatchAssembler(AgentEvent))
    decoding.start(10_000)
    decoding.rest()
    await decoding.finish()
    assert decoding.assembler.num_rows == 1000
    await asyncio.to_thread(assert_no_thread_is_left)


async def test_a_job_goes_on_when_its_reader_is_cancelled() -> None:
    queue = queue_of([KB] * 100_000)
    decoding = BlockDecoding(queue, BatchAssembler(AgentEvent))
    decoding.start(100_000)
    waiting = asyncio.create_task(decoding.finish())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    begun = decoding.assembler.num_rows
    if decoding.running:
        block, _, stop = decoding._spans[-1]
        begun = block.first_seq + stop
    while decoding.running:
        await asyncio.sleep(0)
    # No job begins while nobody waits, so the rest is in the queue still.
    assert 0 < decoding.assembler.num_rows == begun < 100_000
    while decoding.start(100_000):
        await decoding.finish()
    assert decoding.assembler.num_rows == 100_000
    decoding.rest()


class Grumpy(msgspec.Struct):
    a: int

    def __post_init__(self) -> None:
        if self.a == 1500:
            raise RuntimeError("no fifteen hundred here")


@pytest.mark.parametrize("block_size", [1 << 10, 1 << 20])
async def test_a_fault_in_a_users_hook_loses_nothing(block_size: int) -> None:
    payloads = [b'{"a":%d}' % i for i in range(3000)]
    queue = queue_of(payloads, block_size)
    decoding = BlockDecoding(queue, BatchAssembler(Grumpy))

    async def everything() -> None:
        while decoding.start(10_000):
            await decoding.finish()

    with pytest.raises(RuntimeError, match="fifteen hundred"):
        await everything()
    assert decoding.assembler.num_rows == 1500
    # What was not decoded is in the queue, in order.
    left = []
    while (block := queue.take_block()) is not None:
        left += [block.payload(i) for i in range(block.taken, block.count)]
        queue.give_back(block, block.count)
    assert left == payloads[1500:]
    decoding.rest()


async def test_messages_that_were_cut_short_keep_their_place() -> None:
    queue = BlockQueue(1 << 16, 1 << 30, 0)
    queue.begin_epoch(1)
    for i in range(5000):
        if i % 900 == 0:
            queue.feed_rejected(KB[:20], "message too big")
        else:
            queue.feed(KB)
    queue.end_of_read()
    decoding = BlockDecoding(queue, BatchAssembler(AgentEvent))
    found = await decode_all(decoding, queue, 10_000)
    assert [seq for seq, row in sorted(found.items()) if row == "dead"] == list(range(0, 5000, 900))
    assert len(found) == 5000
    decoding.rest()


@pytest.mark.parametrize("error", [NotImplementedError, OSError(24, "Too many open files"), RuntimeError])
def test_without_a_thread_the_loop_decodes_by_itself(error: Any) -> None:
    """Such as with Windows' proactor loop, which cannot watch sockets."""

    class Blind(asyncio.SelectorEventLoop):
        def add_reader(self, *arguments: Any) -> Any:
            raise error

    async def main() -> int:
        queue = queue_of([KB, ODD] * 3000)
        decoding = BlockDecoding(queue, BatchAssembler(AgentEvent))
        found = await decode_all(decoding, queue, 100_000)
        assert decoding._thread is None
        return len(found)

    loop = Blind()
    try:
        assert loop.run_until_complete(main()) == 6000
    finally:
        loop.close()


def test_a_loop_that_ends_in_the_middle_of_a_job_leaves_no_thread_behind() -> None:
    async def main() -> BlockDecoding:
        decoding = BlockDecoding(queue_of([KB] * 50_000), BatchAssembler(AgentEvent))
        decoding.start(100_000)
        return decoding

    decoding = asyncio.run(main())
    del decoding
    gc.collect()
    assert_no_thread_is_left()
