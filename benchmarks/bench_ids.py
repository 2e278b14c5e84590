"""What the forms of ids and times cost in files: CPU time and bytes of writing segments, without a socket.

    python -m benchmarks.bench_ids --rounds 9

The same million events, whose ids are all different, are written as one segment in each form, in one process
and in random order. Ratios are made round by round.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from benchmarks import _workload
from benchmarks._harness import Spread, machine, orders, print_machine, table, write_json
from rlfast._core.queue import BlockQueue
from rlfast.capture._committer import Committer
from rlfast.capture._options import RotationPolicy
from rlfast.decode._assembler import BatchAssembler
from rlfast.reasoning_layer._events import AgentEvent
from rlfast.sinks import ParquetOptions, ParquetSink, Rows
from rlfast.sinks.parquet import _file as parquet
from rlfast.sinks.parquet._column_types import as_written
from rlfast.sinks.parquet._rows import RowMaker

PACKAGES = ("rlfast", "numpy", "pyarrow")
BATCH_ROWS = 65_536


def without_type(rows: pa.Table, options: ParquetOptions) -> pa.Table:
    """As 16 bytes that nothing calls a UUID."""
    columns: list[Any] = [column.combine_chunks() for column in as_written(rows, options).columns]
    for i, column in enumerate(columns):
        if column.type == pa.uuid():
            columns[i] = column.storage
        elif pa.types.is_list(column.type) and column.type.value_type == pa.uuid():
            kind = pa.list_(column.type.value_field.with_type(pa.binary(16)))
            buffers, items = column.buffers()[:2], column.values.storage
            columns[i] = pa.Array.from_buffers(
                kind, len(column), buffers, column.null_count, column.offset, [items]
            )
    fields = [field.with_type(column.type) for field, column in zip(rows.schema, columns, strict=True)]
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))


FORMS: dict[str, tuple[dict[str, Any], Callable[[pa.Table, ParquetOptions], pa.Table]]] = {
    "text, us (the default)": ({}, as_written),
    "16 bytes, us": ({"uuid": "binary"}, without_type),
    "UUID, us": ({"uuid": "binary"}, as_written),
    "UUID, ns": ({"uuid": "binary", "timestamps": "ns"}, as_written),
    "text, us, lz4": ({"compression": "lz4"}, as_written),
    "UUID, us, lz4": ({"uuid": "binary", "compression": "lz4"}, as_written),
    "text, us, none": ({"compression": "none"}, as_written),
    "UUID, us, none": ({"uuid": "binary", "compression": "none"}, as_written),
}
REFERENCE = "UUID, ns"


def batches(count: int) -> list[Rows]:
    """The events, decoded."""
    queue = BlockQueue(1 << 20, 1 << 40, 1, 0)
    queue.begin_epoch(1)
    for payload in _workload.payloads("base", count):
        queue.feed(payload)
    queue.end_of_read()
    assembler, maker = BatchAssembler(AgentEvent), RowMaker("benchmark")
    found = []
    while (block := queue.take_block()) is not None:
        assembler.add(block, 0, block.count)
        if assembler.num_rows >= BATCH_ROWS:
            batch = assembler.finish()
            found.append(maker.make(batch, batch.last_seq))
    if assembler.num_rows:
        batch = assembler.finish()
        found.append(maker.make(batch, batch.last_seq))
    return found


def write(rows: list[Rows], form: str) -> tuple[float, int]:
    """Seconds of all threads, and bytes on disk."""
    settings, parquet.as_written = FORMS[form]
    out = Path(tempfile.mkdtemp(prefix="rlfast-bench-"))
    try:
        start = time.process_time()
        sink = ParquetSink(out, ParquetOptions(**settings))
        sink.open("benchmark")
        writer = sink.writer("benchmark")
        committer = Committer(writer, sink.state("benchmark"), RotationPolicy())
        for each in rows:
            committer.add(each)
        committer.commit()
        sink.close()
        return time.process_time() - start, writer.nbytes
    finally:
        parquet.as_written = as_written
        shutil.rmtree(out)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.bench_ids",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=9, help="measured runs of each form (default: 9)")
    parser.add_argument("--events", type=int, default=1_000_000, help="in each run (default: 1,000,000)")
    parser.add_argument("--json", metavar="FILE", help="write all measurements (-: standard output)")
    options = parser.parse_args()
    if options.rounds < 1 or options.events < 1:
        parser.error("--rounds and --events must be at least 1")
    facts = machine(PACKAGES)
    print_machine(facts)
    rows = batches(options.events)
    sizes = {form: write(rows, form)[1] for form in FORMS}
    seconds: dict[str, list[float]] = {form: [] for form in FORMS}
    for order in orders(list(FORMS), options.rounds):
        for form in order:
            seconds[form].append(write(rows, form)[0])
    lines = []
    for form in FORMS:
        each = Spread.of([value / options.events * 1e9 for value in seconds[form]])
        pairs = zip(seconds[form], seconds[REFERENCE], strict=True)
        ratio = Spread.of([mine / other for mine, other in pairs])
        size = f"{sizes[form] / options.events:.2f}"
        lines.append((form, each.text(0), ratio.text(2), size, f"{sizes[form] / sizes[REFERENCE]:.2f}"))
    header = ("median (lowest-highest)", "CPU ns/event", f": {REFERENCE}", "bytes/event", f": {REFERENCE}")
    print(table(header, lines))
    if options.json:
        write_json(options.json, {"machine": facts, "seconds": seconds, "bytes": sizes})


if __name__ == "__main__":
    main()
