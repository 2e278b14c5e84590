"""Blocks of JSON events to Arrow columns, without a socket, beside other ways to read JSON.

    python -m benchmarks.bench_decode --rounds 9

One process, one thread. The rounds are interleaved in random order; every contender decodes the same 200,000
events once per round. README.md has the doubts.
"""

from __future__ import annotations

import argparse
import gc
import io
import sys
import time
from collections.abc import Callable
from typing import Any

import msgspec

from benchmarks import _workload
from benchmarks._harness import Spread, machine, orders, print_machine, table, write_json
from rlfast._core.block import BlockQueue
from rlfast._core.plan import KERNELS
from rlfast.decoding import BatchAssembler
from rlfast.events import AgentEvent

PACKAGES = ("rlfast", "msgspec", "pyarrow", "polars", "Cython")
BATCH_ROWS = 65_536
WIDTHS = (3, 10, 30)


class Columns:
    """rlfast: blocks that were filled before, to batches that are dropped."""

    def __init__(self, type_: Any, payloads: list[bytes], kernel: str = "auto") -> None:
        queue = BlockQueue(1 << 20, 1 << 40, 1, 0)
        for payload in payloads:
            queue.feed(payload)
        queue.end_of_read()
        self.blocks = []
        while (block := queue.take_block()) is not None:
            self.blocks.append(block)
        self.assembler = BatchAssembler(type_, kernel)

    def __call__(self) -> None:
        assembler = self.assembler
        for block in self.blocks:
            start = 0
            while start < block.count:
                stop = min(block.count, start + BATCH_ROWS - assembler.num_rows)
                assembler.add(block, start, stop)
                start = stop
                if assembler.num_rows == BATCH_ROWS:
                    assembler.finish()
        assembler.finish()


def structs(payloads: list[bytes]) -> Callable[[], None]:
    decode = msgspec.json.Decoder(AgentEvent).decode

    def run() -> None:
        for payload in payloads:
            decode(payload)

    return run


def arrow(payloads: list[bytes]) -> Callable[[], None]:
    import pyarrow as pa
    import pyarrow.json

    ndjson = pa.py_buffer(b"\n".join(payloads) + b"\n")
    options = pyarrow.json.ReadOptions(use_threads=False, block_size=8 << 20)
    return lambda: pyarrow.json.read_json(pa.BufferReader(ndjson), read_options=options)


def polars(payloads: list[bytes]) -> Callable[[], None]:
    import polars as pl

    ndjson = b"\n".join(payloads) + b"\n"
    return lambda: pl.read_ndjson(io.BytesIO(ndjson))


def contenders(count: int) -> dict[str, tuple[Callable[[], Any], int, int]]:
    """Name: what to run, events, bytes."""
    out: dict[str, tuple[Callable[[], Any], int, int]] = {}
    for variant in _workload.VARIANTS:
        payloads = _workload.payloads(variant, count)
        size = sum(map(len, payloads))
        out[f"rlfast {variant}"] = (Columns(AgentEvent, payloads), count, size)
        if variant == "base":
            for kernel in KERNELS[:-1]:
                run = Columns(AgentEvent, payloads, kernel)
                out[f"rlfast {variant}, {kernel} kernel"] = (run, count, size)
            out["msgspec typed structs"] = (structs(payloads), count, size)
            out["pyarrow.json, one thread"] = (arrow(payloads), count, size)
            out["polars NDJSON"] = (polars(payloads), count, size)
    for width in WIDTHS:
        type_, payloads = _workload.of_width(width)
        out[f"rlfast {width} fields"] = (Columns(type_, payloads), len(payloads), sum(map(len, payloads)))
    return out


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench_decode", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--events", type=int, default=_workload.EVENTS)
    parser.add_argument("--json", metavar="FILE", help="write all measurements (-: standard output)")
    options = parser.parse_args()
    facts = machine(PACKAGES)
    print_machine(facts)
    entries = contenders(options.events)
    seconds: dict[str, list[float]] = {name: [] for name in entries}
    for run, _, _ in entries.values():
        run()
    gc.collect()
    gc.freeze()
    for number, order in enumerate(orders(list(entries), options.rounds), 1):
        print(f"\rround {number} of {options.rounds}", end="", file=sys.stderr, flush=True)
        for name in order:
            start = time.perf_counter()
            entries[name][0]()
            seconds[name].append(time.perf_counter() - start)
    print("\r" + " " * 20 + "\r", end="", file=sys.stderr)

    def ratio(name: str, unit: int) -> Spread:
        """Rate against base, round by round; unit 1: events, 2: bytes."""
        base, other = entries["rlfast base"][unit], entries[name][unit]
        pairs = zip(seconds["rlfast base"], seconds[name], strict=True)
        return Spread.of([other / mine / (base / yours) for yours, mine in pairs])

    rows = []
    for name, (_, count, size) in entries.items():
        each = Spread.of([value / count * 1e9 for value in seconds[name]])
        rate = Spread.of([size / value / 1e9 for value in seconds[name]])
        ratios = (ratio(name, unit).text(2) for unit in (1, 2))
        rows.append((name, f"{size / count:.0f}", each.text(1), rate.text(2), *ratios))
    header = ("median (lowest-highest)", "B/event", "ns/event", "GB/s", "events/s : base", "GB/s : base")
    print(table(header, rows))
    print("\nbars: base <= 75 ns and >= 1.7 GB/s; events/s against base: alphabetical >= 0.8,")
    print("json_dumps >= 0.6, escapes >= 0.8; GB/s of 3, 10 and 30 fields within 2 x of each other.")
    if options.json:
        write_json(options.json, {"machine": facts, "seconds": seconds})


if __name__ == "__main__":
    main()
