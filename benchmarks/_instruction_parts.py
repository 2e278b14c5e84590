"""What the instructions are counted of: fixed work on fixed inputs, in this process, without a clock.

Each part names the compiled function that is counted, with all that it calls, and does the work around it.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks import _firehose, _nested_workloads, _workload
from rlfast._core.messages import MessageReader
from rlfast._core.queue import BlockQueue
from rlfast.decode._assembler import BatchAssembler
from rlfast.decode._messages import MessageDecoder
from rlfast.errors import UsageError
from rlfast.reasoning_layer._events import AgentEvent

EVENTS = 4_000
REPEATS = 5
CHUNK = 64 * 1024
"""Bytes of a socket read."""


@dataclass(frozen=True)
class Part:
    """One figure.

    Attributes:
        function: pattern of the counted function's symbol, for callgrind's ``--toggle-collect``.
        work: handles EVENTS events, REPEATS times.
    """

    function: str
    work: Callable[[], None]


def decoder(variant: str, kernel: str) -> Callable[[], None]:
    def work() -> None:
        from benchmarks.bench_decode import Columns

        run = Columns(AgentEvent, _workload.payloads(variant, EVENTS), kernel)
        for _ in range(REPEATS):
            run()

    return work


def nested(name: str) -> Callable[[], None]:
    """Columns of nested messages, by the kernel that this machine has the best."""

    def work() -> None:
        from benchmarks._nested_readers import Columns

        run = Columns(_nested_workloads.WORKLOADS[name].type, _nested_workloads.first(name, EVENTS))
        for _ in range(REPEATS):
            run()

    return work


def frames() -> None:
    """Bytes as from a socket through the frame loop into blocks, in reads of one size."""
    data = memoryview(_firehose.frames(_workload.payloads("base", EVENTS)) * REPEATS)
    asyncio.run(_frames(data))


async def _frames(data: memoryview) -> None:
    import rlfast

    gone = asyncio.Event()

    async def upgrade(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        writer.write(_firehose.upgrade_response(request))
        await reader.read()
        writer.close()
        await writer.wait_closed()
        gone.set()

    server = await asyncio.start_server(upgrade, "127.0.0.1")
    url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    options = rlfast.ConnectionOptions(high_water=1 << 30)
    async with rlfast.connect(url, backoff=None, options=options) as ws:
        frame_handler = ws._reconnector.frame_handler
        assert frame_handler is not None
        protocol = frame_handler.transport.underlying_transport.get_protocol()
        while data:
            buffer = protocol.get_buffer(CHUNK)
            size = min(CHUNK, len(buffer), len(data))
            buffer[:size] = data[:size]
            protocol.buffer_updated(size)
            data = data[size:]
        if ws.stats.messages != EVENTS * REPEATS:
            raise SystemExit(f"{ws.stats.messages} of {EVENTS * REPEATS} messages arrived")
    await gone.wait()
    server.close()
    await server.wait_closed()


def _filled() -> BlockQueue:
    queue = BlockQueue(1 << 20, 1 << 40, 1, 0)
    for payload in _workload.payloads("base", EVENTS) * REPEATS:
        queue.feed(payload)
    queue.end_of_read()
    return queue


def messages(type_: object) -> Callable[[], None]:
    def work() -> None:
        decoding = MessageDecoder(type_)
        # Which the process does once for a type.
        decoding.make_compiled()
        reader = MessageReader(
            _filled(), decoding.decode, decoding.recover, UsageError, decoding.make_compiled
        )
        # When the collector looks at everything that was imported is chance, and as much as 6 % of the count.
        gc.collect()
        gc.freeze()
        if len(reader.take_nowait(EVENTS * REPEATS)) != EVENTS * REPEATS:
            raise SystemExit("not all messages were decoded")

    return work


def columns() -> None:
    """Rows from structs: what the compiled decoder leaves to msgspec goes this way."""
    assembler = BatchAssembler(AgentEvent, None)
    queue = _filled()
    while (block := queue.take_block()) is not None:
        assembler.add(block, 0, block.count)
    assembler.finish()


OTHERS = {
    "frame loop": Part("__pyx_pw_6rlfast_5_core_13socket_reader_12SocketReader_*buffer_updated", frames),
    "block copy": Part("__pyx_f_6rlfast_5_core_5queue_10BlockQueue_append_frames", frames),
    "message decode, typed": Part(
        "__pyx_f_6rlfast_5_core_8messages_13MessageReader__take", messages(AgentEvent)
    ),
    "message decode, untyped": Part("__pyx_f_6rlfast_5_core_8messages_13MessageReader__take", messages(None)),
    "column append": Part("__pyx_f_6rlfast_5_core_6tables_12TableBuilder_append_row", columns),
}


def parts(variants: list[str], kernels: list[str]) -> dict[str, Part]:
    """All figures: the decoder's kernels on variants of the events, and the other steps of the way."""
    decoders = {
        f"{variant} {kernel}": Part("rl_run_kernel*", decoder(variant, kernel))
        for variant in variants
        for kernel in kernels
    }
    feeds = {f"nested {name}": Part("rl_run_kernel*", nested(name)) for name in _nested_workloads.WORKLOADS}
    return {**decoders, **feeds, **OTHERS}
