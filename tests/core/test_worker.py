"""A decoding thread, used as it should be, and as it should not."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Iterator

import pytest

from rlfast._core.block import Block
from rlfast._core.decode import BlockDecoder
from rlfast._core.plan import KERNELS, CompiledPlan
from rlfast._core.queue import BlockQueue
from rlfast._core.worker import PlanThread
from rlfast.decode._assembler import BatchAssembler
from rlfast.reasoning_layer._events import AgentEvent, Heartbeat

HEARTBEAT = b'{"type":"heartbeat","timestamp":"t"}'
ODD = b'{"type":"heartbeat","timestamp":"t","timestamp":"u"}'


def blocks_of(payloads: list[bytes]) -> list[Block]:
    queue = BlockQueue(4096, 1 << 30, 0)
    queue.begin_epoch(1)
    for payload in payloads:
        queue.feed(payload)
    queue.end_of_read()
    blocks = []
    while (block := queue.take_block()) is not None:
        blocks.append(block)
    return blocks


@pytest.fixture
def thread() -> Iterator[tuple[PlanThread, socket.socket]]:
    here, there = socket.socketpair()
    worker = PlanThread(there)
    worker.start()
    yield worker, here
    worker.stop()
    for running in threading.enumerate():
        if running.name == "rlfast-decode":
            running.join(10)
            assert not running.is_alive()
    here.close()
    there.close()


def whole(blocks: list[Block]) -> list[tuple[Block, int, int]]:
    return [(block, 0, block.count) for block in blocks]


def test_runs_up_to_the_first_odd_message_and_says_so(thread: tuple[PlanThread, socket.socket]) -> None:
    worker, here = thread
    payloads = [HEARTBEAT] * 1000
    payloads[700] = ODD
    assembler = BatchAssembler(AgentEvent)
    decoder = assembler.decoder
    assembler.begin(whole(blocks_of(payloads)))
    assert not worker.running
    for taken in (700, 999):
        decoder.submit(worker)
        assert worker.running
        assert select.select([here], [], [], 10)[0]
        assert here.recv(16) == b"\0"
        decoder.collect(worker)
        assert not worker.running
        assert decoder.num_fast == taken
        if not decoder.done:
            decoder.advance(1)
    assert decoder.done
    assert decoder.num_fallback == 1
    assembler.end()
    batch = assembler.finish()
    assert batch["heartbeat"]["seq"].tolist() == list(range(1000))
    assert batch["heartbeat"]["timestamp"].tolist() == ["t"] * 700 + ["u"] + ["t"] * 299


def test_collect_waits(thread: tuple[PlanThread, socket.socket]) -> None:
    worker, _ = thread
    assembler = BatchAssembler(AgentEvent)
    assembler.begin(whole(blocks_of([HEARTBEAT] * 50_000)))
    assembler.decoder.submit(worker)
    assembler.decoder.collect(worker)
    assert assembler.decoder.num_fast == 50_000


def test_misuse_is_refused(thread: tuple[PlanThread, socket.socket]) -> None:
    worker, _ = thread
    spans = whole(blocks_of([HEARTBEAT] * 10))
    decoder = BatchAssembler(AgentEvent).decoder
    with pytest.raises(RuntimeError, match="nothing to run"):
        decoder.submit(worker)
    with pytest.raises(RuntimeError, match="nothing was submitted"):
        decoder.collect(worker)
    decoder.begin(spans)
    decoder.submit(worker)
    with pytest.raises(RuntimeError, match="running"):
        decoder.submit(worker)
    with pytest.raises(RuntimeError, match="at work"):
        decoder.advance(1)
    with pytest.raises(RuntimeError, match="at work"):
        decoder.begin(spans)
    other = BatchAssembler(AgentEvent).decoder
    other.begin(spans)
    with pytest.raises(RuntimeError, match="not collected"):
        other.submit(worker)
    decoder.collect(worker)
    assert decoder.done
    other.advance(1)
    assert other.done
    general = BatchAssembler(AgentEvent, None).decoder
    general.begin(spans)
    with pytest.raises(RuntimeError, match="no compiled plan"):
        general.submit(worker)


def test_a_decoder_that_is_dropped_in_the_middle_stays_until_the_thread_is_done(
    thread: tuple[PlanThread, socket.socket],
) -> None:
    worker, here = thread
    assembler = BatchAssembler(AgentEvent)
    assembler.begin(whole(blocks_of([HEARTBEAT] * 200_000)))
    assembler.decoder.submit(worker)
    del assembler
    assert select.select([here], [], [], 10)[0]


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_kernel_can_be_chosen(kernel: str) -> None:
    plan = BatchAssembler(AgentEvent, kernel).decoder.plan
    assert plan is not None
    assert plan.kernel_name == kernel


def test_the_fastest_kernel_is_the_last_and_the_default() -> None:
    plan = BatchAssembler(Heartbeat).decoder.plan
    assert plan is not None
    assert plan.kernel_name == KERNELS[-1]
    assert KERNELS[0] == "scalar"


def test_an_unknown_kernel_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"no decoder kernel 'mmx' on this machine, only scalar"):
        CompiledPlan([], None, "mmx")
    assert isinstance(BatchAssembler(AgentEvent).decoder, BlockDecoder)
