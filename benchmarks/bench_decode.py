"""Blocks of JSON events to Arrow columns, without a socket, beside other ways to read JSON.

    python -m benchmarks.bench_decode --rounds 9

One process, one thread, polars included. The rounds are interleaved in random order; every contender decodes
the same 200,000 events once per round. README.md has the doubts.
"""

from __future__ import annotations

import argparse
import gc
import io
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import msgspec

from benchmarks import _workload
from benchmarks._harness import Spread, against_bars, machine, orders, print_machine, table, write_json
from rlfast._core.plan import KERNELS
from rlfast._core.queue import BlockQueue
from rlfast.decode._assembler import BatchAssembler
from rlfast.reasoning_layer._events import AgentEvent

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

    def check(self, name: str) -> None:
        """What msgspec had to judge, or what became a dead letter, would be the time of something else."""
        if self.assembler.num_fallback or self.assembler.num_dead_letters:
            raise SystemExit(
                f"{name}: msgspec judged {self.assembler.num_fallback} events, "
                f"{self.assembler.num_dead_letters} are dead letters"
            )


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
    # Polars reads it once, when it is imported.
    os.environ["POLARS_MAX_THREADS"] = "1"
    import polars as pl

    if pl.thread_pool_size() != 1:
        raise SystemExit("polars was imported before the benchmark could limit it to one thread")
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
            out["polars NDJSON, one thread"] = (polars(payloads), count, size)
    for width in WIDTHS:
        type_, payloads = _workload.of_width(width)
        out[f"rlfast {width} fields"] = (Columns(type_, payloads), len(payloads), sum(map(len, payloads)))
    return out


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.bench_decode",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=9, help="measured runs of each contender (default: 9)")
    parser.add_argument(
        "--events", type=int, default=_workload.EVENTS, help="of each variant (default: 200,000)"
    )
    parser.add_argument("--json", metavar="FILE", help="write all measurements (-: standard output)")
    options = parser.parse_args()
    if options.rounds < 1 or options.events < 1:
        parser.error("--rounds and --events must be at least 1")
    facts = machine(PACKAGES)
    print_machine(facts)
    entries = contenders(options.events)
    seconds: dict[str, list[float]] = {name: [] for name in entries}
    for name, (run, _, _) in entries.items():
        run()
        if isinstance(run, Columns):
            run.check(name)
    gc.collect()
    gc.freeze()
    for number, order in enumerate(orders(list(entries), options.rounds), 1):
        if sys.stderr.isatty():
            print(f"\rround {number} of {options.rounds}", end="", file=sys.stderr, flush=True)
        for name in order:
            start = time.perf_counter()
            entries[name][0]()
            seconds[name].append(time.perf_counter() - start)
    if sys.stderr.isatty():
        print("\r" + " " * 20 + "\r", end="", file=sys.stderr)

    def ratio(name: str, unit: int, to: str = "rlfast base") -> Spread:
        """Rate against another's, round by round; unit 1: events, 2: bytes."""
        base, other = entries[to][unit], entries[name][unit]
        pairs = zip(seconds[to], seconds[name], strict=True)
        return Spread.of([other / mine / (base / yours) for yours, mine in pairs])

    rows = []
    for name, (_, count, size) in entries.items():
        each = Spread.of([value / count * 1e9 for value in seconds[name]])
        rate = Spread.of([size / value / 1e9 for value in seconds[name]])
        ratios = (ratio(name, unit).text(2) for unit in (1, 2))
        rows.append((name, f"{size / count:.0f}", each.text(1), rate.text(2), *ratios))
    header = ("median (lowest-highest)", "B/event", "ns/event", "GB/s", "events/s : base", "GB/s : base")
    print(table(header, rows))
    _, count, size = entries["rlfast base"]
    median = Spread.of(seconds["rlfast base"]).median
    bars = [
        ("base, ns/event", median / count * 1e9, "<=", 75),
        ("base, GB/s", size / median / 1e9, ">=", 1.7),
        ("alphabetical : base, events/s", ratio("rlfast alphabetical", 1).median, ">=", 0.8),
        ("json_dumps : base, events/s", ratio("rlfast json_dumps", 1).median, ">=", 0.6),
        ("escapes : base, events/s", ratio("rlfast escapes", 1).median, ">=", 0.8),
        ("escapes : plain, events/s", ratio("rlfast escapes", 1, "rlfast plain").median, ">=", 0.8),
    ]
    rates = [
        entries[name][2] / Spread.of(seconds[name]).median for name in (f"rlfast {w} fields" for w in WIDTHS)
    ]
    bars.append(("widths, most : least GB/s", max(rates) / min(rates), "<=", 2))
    print("\n" + against_bars(bars))
    if options.json:
        write_json(options.json, {"machine": facts, "seconds": seconds})


if __name__ == "__main__":
    main()
