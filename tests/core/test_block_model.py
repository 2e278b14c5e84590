"""The queue against a deque, under any order of events."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from rlfast._core.queue import BlockQueue

from .reading import OVERHEAD, reader_of


@dataclass(frozen=True)
class Expected:
    seq: int
    epoch: int
    payload: bytes
    rejection: str | None


SIZES = st.sampled_from([0, 0, 1, 10, 99, 100, 101, 350]) | st.integers(0, 120)
STEPS = st.one_of(
    st.tuples(st.just("read"), st.lists(SIZES, min_size=1, max_size=12)),
    st.tuples(st.just("reject"), st.integers(0, 50)),
    st.tuples(st.just("epoch"), st.just(0)),
    st.tuples(st.just("gate"), st.just(0)),
    st.tuples(st.just("messages"), st.integers(1, 20)),
    st.tuples(st.just("block"), st.floats(0, 1)),
    st.tuples(st.just("interleaved"), st.floats(0, 1)),
)


class Model:
    """The queue and what it must hold, message by message."""

    block_size, high_water, low_water = 100, 2000, 500

    def __init__(self) -> None:
        self.paused = False
        self.queue = BlockQueue(self.block_size, self.high_water, self.low_water, 7)
        self.queue.bind(self._pause, self._resume)
        self.queue.begin_epoch(1)
        self.reader = reader_of(self.queue)
        self.held: deque[Expected] = deque()
        #: behind the gate
        self.gated: list[Expected] = []
        self.seq = 7
        self.epoch = 1
        self.largest_read = 0
        self.peak_epochs = 0

    def _pause(self) -> None:
        assert not self.paused
        self.paused = True

    def _resume(self) -> None:
        assert self.paused
        self.paused = False

    def feed(self, payload: bytes, rejection: str | None = None) -> None:
        if rejection is None:
            self.queue.feed(payload)
        else:
            self.queue.feed_rejected(payload, rejection)
        kept = self.gated if self.queue.gated else self.held
        kept.append(Expected(self.seq, self.epoch, payload, rejection))
        self.seq += 1

    def read(self, sizes: list[int]) -> None:
        # Who waits for an answer reads whatever is queued.
        if self.paused and not self.queue.gated:
            return
        self.largest_read = max(self.largest_read, sum(sizes) + OVERHEAD * len(sizes))
        for size in sizes:
            self.feed(bytes([self.seq % 256]) * size)
        self.queue.end_of_read()

    def reject(self, size: int) -> None:
        if self.paused:
            return
        self.feed(b"p" * size, f"message {self.seq} too big")
        self.queue.end_of_read()

    def gate(self) -> None:
        if self.queue.gated:
            self.queue.open_gate()
            self.held += self.gated
            self.gated.clear()
        else:
            self.new_epoch()
            self.queue.close_gate()

    def new_epoch(self) -> None:
        self.held += self.gated
        self.gated.clear()
        self.epoch += 1
        self.queue.begin_epoch(self.epoch)

    def messages(self, n: int) -> None:
        for payload, rejection in self.reader.take_nowait(n):
            expected = self.held.popleft()
            assert (payload, rejection) == (expected.payload, expected.rejection)

    def block(self, share: float, meanwhile: bool) -> None:
        block = self.queue.take_block()
        if block is None:
            assert not self.held
            return
        for i in range(block.taken, block.count):
            expected = self.held[i - block.taken]
            assert block.payload(i) == expected.payload
            assert (block.first_seq + i, block.epoch) == (expected.seq, expected.epoch)
        assert sum(count for count, _ in block.read_stamps()) == block.count
        consumed = block.taken + round(share * (block.count - block.taken))
        n = consumed - block.taken
        if meanwhile:
            self.read([5, 95, 5])
        self.queue.give_back(block, consumed)
        for _ in range(n):
            self.held.popleft()

    def check(self) -> None:
        queue = self.queue
        assert queue.next_seq == self.seq
        assert queue.messages == self.seq - 7
        unread = [*self.held, *self.gated]
        assert queue.queued_bytes == sum(len(item.payload) + OVERHEAD for item in unread)
        assert queue.unread_seq == (unread[0].seq if unread else self.seq)
        peeked = [queue.peek(i) for i in range(len(self.gated) + 1)]
        assert peeked == [None if item.rejection else item.payload for item in self.gated] + [None]
        assert queue.paused == self.paused
        assert queue.empty == (not self.held)


@given(steps=st.lists(STEPS, max_size=60))
@settings(deadline=None, max_examples=250)
def test_queue_equals_a_deque(steps: list[tuple[str, object]]) -> None:
    model = Model()
    for step, argument in steps:
        if step == "read":
            model.read(argument)  # type: ignore[arg-type]
        elif step == "reject":
            model.reject(argument)  # type: ignore[arg-type]
        elif step == "epoch":
            model.new_epoch()
        elif step == "gate":
            model.gate()
        elif step == "messages":
            model.messages(argument)  # type: ignore[arg-type]
        else:
            model.block(argument, meanwhile=step == "interleaved")  # type: ignore[arg-type]
        model.check()
    if model.queue.gated:
        model.gate()
    while model.held:
        model.block(1.0, meanwhile=False)
    model.check()
    assert model.queue.queued_bytes == 0


@given(steps=st.lists(STEPS.filter(lambda step: step[0] not in ("epoch", "gate")), max_size=80))
@settings(deadline=None, max_examples=250)
def test_memory_stays_bounded_whatever_arrives(steps: list[tuple[str, object]]) -> None:
    model = Model()
    for step, argument in steps:
        if step == "read":
            model.read(argument)  # type: ignore[arg-type]
        elif step == "reject":
            model.reject(argument)  # type: ignore[arg-type]
        elif step == "messages":
            model.messages(argument)  # type: ignore[arg-type]
        else:
            model.block(argument, meanwhile=step == "interleaved")  # type: ignore[arg-type]
        bound = model.high_water + max(model.largest_read, 50 + OVERHEAD)
        assert model.queue.queued_bytes <= model.queue.peak_queued_bytes <= bound
        assert model.queue.allocated_bytes <= 2 * bound + 2 * model.block_size
