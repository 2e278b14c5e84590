from __future__ import annotations

import asyncio
import time

import pytest

from rlfast._core.block import Block
from rlfast._core.queue import BlockQueue
from rlfast._core.waiter import Waiter

from .reading import OVERHEAD, reader_of

MAX_BLOCK_MESSAGES = 1 << 18


def queue_of(*payloads: bytes, block_size: int = 1000, first_seq: int = 0) -> BlockQueue:
    queue = BlockQueue(block_size, 1 << 20, 1 << 10, first_seq)
    queue.begin_epoch(1)
    for payload in payloads:
        queue.feed(payload)
    queue.end_of_read()
    return queue


def take(queue: BlockQueue) -> Block:
    block = queue.take_block()
    assert block is not None
    return block


def payloads_of(block: Block, start: int | None = None) -> list[bytes]:
    return [block.payload(i) for i in range(block.taken if start is None else start, block.count)]


# -- blocks ----------------------------------------------------------------------------------------------


def test_block_holds_payloads_and_their_numbers() -> None:
    block = take(queue_of(b"one", b"", b"three", first_seq=40))
    assert (len(block), block.count, block.taken, block.first_seq, block.epoch) == (3, 3, 0, 40, 1)
    assert payloads_of(block) == [b"one", b"", b"three"]
    assert block.nbytes == 8
    assert [block.span_bytes(0, i) for i in range(4)] == [0, 3, 3, 8]


@pytest.mark.parametrize("index", [3, 4, 2**32 - 1])
def test_index_beyond_the_block_is_an_error(index: int) -> None:
    block = take(queue_of(b"a", b"b", b"c"))
    with pytest.raises(IndexError, match=f"block has 3 messages, no index {index}"):
        block.payload(index)
    with pytest.raises(IndexError, match="of a block with 3"):
        block.span_bytes(0, index + 1 if index < 2**32 - 1 else index)
    with pytest.raises(IndexError, match="of a block with 3"):
        block.span_bytes(2, 1)
    with pytest.raises(OverflowError):
        block.payload(-1)


def test_stamps_count_the_messages_of_each_read_and_tell_its_time() -> None:
    queue = BlockQueue(1000, 1 << 20, 1 << 10)
    before = time.time_ns()
    for size in (3, 0, 1, 2):
        for _ in range(size):
            queue.feed(b"x")
        queue.end_of_read()
    after = time.time_ns()
    stamps = take(queue).read_stamps()
    assert [count for count, _ in stamps] == [3, 1, 2]
    times = [at for _, at in stamps]
    assert times == sorted(times)
    assert before - 10**6 <= times[0]
    assert times[-1] <= after + 10**6


def test_one_read_over_several_blocks_has_one_time() -> None:
    queue = queue_of(*[b"x" * 400] * 5, block_size=1000)
    stamps = []
    while (block := queue.take_block()) is not None:
        stamps += block.read_stamps()
        queue.give_back(block, block.count)
    assert [count for count, _ in stamps] == [2, 2, 1]
    assert len({at for _, at in stamps}) == 1


def test_many_reads_grow_the_stamps() -> None:
    queue = BlockQueue(1 << 20, 1 << 24, 0)
    for _ in range(1000):
        queue.feed(b"x")
        queue.end_of_read()
    assert [count for count, _ in take(queue).read_stamps()] == [1] * 1000


# -- rotation and recycling ------------------------------------------------------------------------------


def test_full_block_is_followed_by_another_with_contiguous_numbers() -> None:
    queue = queue_of(*[bytes([i]) * 300 for i in range(10)], block_size=1000, first_seq=5)
    seen = []
    while (block := queue.take_block()) is not None:
        assert block.first_seq == 5 + len(seen)
        assert block.nbytes <= 1000
        seen += payloads_of(block)
        queue.give_back(block, block.count)
    assert seen == [bytes([i]) * 300 for i in range(10)]


def test_payload_may_fill_a_block_exactly() -> None:
    queue = queue_of(b"a" * 1000, b"b" * 600, b"c" * 400, b"d")
    assert [payloads_of(take(queue)) for _ in range(3)] == [[b"a" * 1000], [b"b" * 600, b"c" * 400], [b"d"]]


def test_large_message_gets_a_block_of_its_own_size() -> None:
    queue = queue_of(b"small", b"L" * 5000, b"next", block_size=1000)
    assert queue.allocated_bytes == 1000 + 5000 + 1000
    blocks = [take(queue) for _ in range(3)]
    assert [payloads_of(block) for block in blocks] == [[b"small"], [b"L" * 5000], [b"next"]]
    for block in blocks:
        queue.give_back(block, block.count)
    # The large one is freed, the others are kept for reuse.
    assert queue.allocated_bytes == 2000


def test_blocks_are_recycled_and_hold_nothing_of_their_past() -> None:
    queue = BlockQueue(1000, 1 << 20, 0)
    for round_ in range(50):
        queue.begin_epoch(round_)
        payloads = [bytes([round_, i]) * 100 for i in range(8)]
        for payload in payloads:
            queue.feed(payload)
        queue.feed_rejected(b"cut", "too big")
        queue.end_of_read()
        seen = []
        while (block := queue.take_block()) is not None:
            assert (block.epoch, block.taken) == (round_, 0)
            assert block.first_seq == round_ * 9 + len(seen)
            assert sum(count for count, _ in block.read_stamps()) == block.count
            seen += payloads_of(block)
            queue.give_back(block, block.count)
        assert seen == [*payloads, b"cut"]
        assert queue.allocated_bytes == 2000


def test_messages_per_block_are_bounded_however_small_they_are() -> None:
    queue = BlockQueue(1 << 20, 1 << 30, 0)
    for _ in range(MAX_BLOCK_MESSAGES + 1):
        queue.feed(b"")
    queue.end_of_read()
    assert [take(queue).count for _ in range(2)] == [MAX_BLOCK_MESSAGES, 1]


def test_partly_consumed_block_comes_back_first() -> None:
    queue = queue_of(b"a", b"b", b"c")
    block = take(queue)
    queue.give_back(block, 2)
    assert queue.queued_bytes == 1 + OVERHEAD
    queue.feed(b"d")
    queue.end_of_read()
    again = take(queue)
    assert (again.taken, payloads_of(again)) == (2, [b"c", b"d"])
    queue.give_back(again, 4)
    assert queue.empty
    assert queue.queued_bytes == 0


def test_messages_that_arrive_while_a_block_is_out_go_into_another() -> None:
    queue = queue_of(b"a", b"b")
    block = take(queue)
    queue.feed(b"c")
    queue.end_of_read()
    assert payloads_of(block) == [b"a", b"b"]
    queue.give_back(block, 1)
    assert payloads_of(take(queue)) == [b"b"]
    second = take(queue)
    assert (second.first_seq, payloads_of(second)) == (2, [b"c"])


def test_give_back_checks_the_count() -> None:
    queue = queue_of(b"a", b"b", b"c")
    queue.give_back(take(queue), 1)
    block = take(queue)
    for consumed in (0, 4):
        with pytest.raises(IndexError, match=rf"{consumed} is not in \[1, 3\]"):
            queue.give_back(block, consumed)


# -- epochs ----------------------------------------------------------------------------------------------


def test_messages_of_different_epochs_never_share_a_block() -> None:
    queue = queue_of(b"a")
    queue.begin_epoch(2)
    queue.begin_epoch(3)
    queue.feed(b"b")
    queue.end_of_read()
    assert queue.epoch == 3
    blocks = [take(queue), take(queue)]
    assert [(block.epoch, block.first_seq, payloads_of(block)) for block in blocks] == [
        (1, 0, [b"a"]),
        (3, 1, [b"b"]),
    ]
    assert queue.take_block() is None


def test_new_epoch_stamps_what_the_last_read_of_the_old_one_left() -> None:
    queue = BlockQueue(1000, 1 << 20, 0)
    queue.begin_epoch(1)
    queue.feed(b"a")
    queue.begin_epoch(2)
    [(count, at)] = take(queue).read_stamps()
    assert count == 1
    assert abs(at - time.time_ns()) < 60 * 10**9


# -- rejected messages -----------------------------------------------------------------------------------


def test_many_short_connections_cost_what_they_sent_and_not_a_block_each() -> None:
    queue = BlockQueue(1 << 20, 16 << 20, 1 << 20)
    for epoch in range(1, 201):
        queue.begin_epoch(epoch)
        queue.feed(b"x" * 100)
        queue.end_of_read()
    assert queue.allocated_bytes <= (1 << 20) + 200 * 100
    for epoch in range(1, 201):
        block = take(queue)
        assert (block.epoch, block.first_seq, payloads_of(block)) == (epoch, epoch - 1, [b"x" * 100])
        assert [count for count, _ in block.read_stamps()] == [1]
        queue.give_back(block, 1)
    assert queue.allocated_bytes <= 1 << 20
    assert queue.queued_bytes == 0


def test_the_number_of_blocks_is_bounded_too() -> None:
    events: list[str] = []
    queue = BlockQueue(1000, 1 << 30, 1 << 20)
    queue.bind(lambda: events.append("pause"), lambda: events.append("resume"))
    epoch = 0
    while not queue.paused:
        epoch += 1
        queue.begin_epoch(epoch)
        queue.feed(b"")
        queue.end_of_read()
    assert epoch == 4096
    queue.give_back(take(queue), 1)
    assert events == ["pause", "resume"]


def test_taken_block_is_stamped_whole() -> None:
    queue = queue_of(b"a")
    queue.feed(b"b")
    before = time.time_ns()
    block = take(queue)
    assert [count for count, _ in block.read_stamps()] == [1, 1]
    assert before - 10**9 <= block.read_stamps()[1][1] <= time.time_ns()


def test_block_of_an_old_epoch_that_comes_back_takes_no_new_messages() -> None:
    queue = queue_of(b"a", b"b")
    block = take(queue)
    queue.begin_epoch(2)
    queue.give_back(block, 1)
    queue.feed(b"c")
    queue.end_of_read()
    old, new = take(queue), take(queue)
    assert (old.epoch, payloads_of(old)) == (1, [b"b"])
    assert (new.epoch, new.first_seq, payloads_of(new)) == (2, 2, [b"c"])


def test_block_is_given_back_once() -> None:
    queue = queue_of(b"a", b"b")
    block = take(queue)
    queue.give_back(block, 2)
    with pytest.raises(ValueError, match="second time"):
        queue.give_back(block, 2)
    with pytest.raises(ValueError, match="not taken"):
        queue.give_back(Block(10), 0)


@pytest.mark.parametrize("sizes", [(0, 10, 1), (10, 10, 10), (10, 5, 6)])
def test_impossible_sizes_are_refused(sizes: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="block_size"):
        BlockQueue(*sizes)


def test_rejected_message_keeps_its_place_and_its_prefix() -> None:
    queue = queue_of(b"a")
    queue.feed_rejected(b"prefix", "too big")
    queue.feed(b"b")
    queue.end_of_read()
    assert queue.messages == 3
    assert reader_of(queue).take_nowait(10) == [(b"a", None)]
    assert reader_of(queue).take_nowait(1) == [(b"prefix", "too big")]
    assert reader_of(queue).take_nowait(10) == [(b"b", None)]


# -- bounds ----------------------------------------------------------------------------------------------


def test_socket_is_paused_at_high_and_resumed_at_low_water() -> None:
    calls: list[str] = []
    queue = BlockQueue(1000, 1000, 300)
    queue.bind(lambda: calls.append("pause"), lambda: calls.append("resume"))
    message = b"x" * (100 - OVERHEAD)
    for _ in range(9):
        queue.feed(message)
    queue.end_of_read()
    assert (queue.queued_bytes, queue.paused, calls) == (900, False, [])
    queue.feed(message)
    assert not queue.paused, "a pause in the middle of a read would come too early to be of use"
    queue.end_of_read()
    assert (queue.queued_bytes, queue.paused, calls) == (1000, True, ["pause"])
    queue.feed(message)
    queue.end_of_read()
    assert (queue.pauses, calls) == (1, ["pause"])
    reader = reader_of(queue)
    reader.take_nowait(7)
    assert (queue.queued_bytes, queue.paused) == (400, True)
    reader.take_nowait(1)
    assert (queue.queued_bytes, queue.paused, calls) == (300, False, ["pause", "resume"])
    assert queue.peak_queued_bytes == 1100


def test_blocks_count_as_queued_until_they_are_given_back() -> None:
    calls: list[str] = []
    queue = BlockQueue(1000, 1000, 300)
    queue.bind(lambda: calls.append("pause"), lambda: calls.append("resume"))
    for _ in range(10):
        queue.feed(b"x" * 100)
    queue.end_of_read()
    block = take(queue)
    assert (queue.queued_bytes, queue.paused) == (10 * (100 + OVERHEAD), True)
    queue.give_back(block, block.count)
    assert (queue.queued_bytes, calls) == (0, ["pause", "resume"])


def test_empty_messages_count_against_the_bound() -> None:
    queue = BlockQueue(1000, 10 * OVERHEAD, 0)
    for _ in range(10):
        queue.feed(b"")
    queue.end_of_read()
    assert queue.queued_bytes == 10 * OVERHEAD
    assert queue.payload_bytes == 0
    assert queue.paused


def test_feeding_without_callbacks_only_sets_the_flag() -> None:
    queue = BlockQueue(1000, 10, 5)
    queue.feed(b"x" * 20)
    queue.end_of_read()
    assert queue.paused
    reader_of(queue).take_nowait(1)
    assert not queue.paused


# -- waiting ---------------------------------------------------------------------------------------------


def waiter() -> Waiter:
    return Waiter(asyncio.get_running_loop())


async def test_waiter_is_woken_by_a_read_and_by_the_end() -> None:
    queue = BlockQueue(1000, 1 << 20, 0)
    first = waiter()
    assert queue.set_waiter(first)
    assert not queue.set_waiter(waiter())
    queue.feed(b"a")
    assert not first.done()
    queue.end_of_read()
    assert first.done()
    second = waiter()
    assert queue.set_waiter(second)
    queue.finish()
    assert second.done()
    assert queue.finished


async def test_cancelled_waiter_makes_room_for_another() -> None:
    queue = BlockQueue(1000, 1 << 20, 0)
    first = waiter()
    assert queue.set_waiter(first)
    first.cancel()
    queue.end_of_read()
    assert queue.set_waiter(waiter())


async def test_batch_mode_has_one_owner() -> None:
    queue = BlockQueue(1000, 1 << 20, 0)
    assert queue.enter_batch_mode()
    assert queue.batch_mode
    assert not queue.enter_batch_mode()
    queue.leave_batch_mode(held=True)
    assert queue.batch_mode
    assert queue.enter_batch_mode()
    queue.leave_batch_mode(held=False)
    assert not queue.batch_mode
    assert queue.set_waiter(waiter())
    assert not queue.enter_batch_mode()


def test_memory_is_bounded_by_a_writer_that_obeys_pauses() -> None:
    queue = BlockQueue(1 << 16, 1 << 20, 1 << 18)
    for _ in range(100_000):
        if queue.paused:
            break
        for _ in range(100):
            queue.feed(b"")
        queue.end_of_read()
    assert queue.paused
    assert queue.queued_bytes < (1 << 20) + 100 * OVERHEAD
    assert queue.messages == -(-(1 << 20) // (100 * OVERHEAD)) * 100
