"""From the socket to committed zstd Parquet, at each level of durability; beside Polars and DuckDB on a file.

    python -m benchmarks.bench_capture --events 40_000_000 --file-events 5_000_000 --rounds 5

A server in a process of its own sends the same 200,000 events again and again; rlfast captures them into nine
tables, 16 bytes for an id. Polars and DuckDB convert the same events from an NDJSON file, which is in the
page cache, to one wide table, on all cores. Every contender is a process; the rounds are interleaved in
random order. Seconds count from the upgrade to the last commit, or from the first call to the last. README.md
has the doubts.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from benchmarks import _workload
from benchmarks._harness import Spread, against_bars, in_rounds, machine, print_machine, table, write_json
from benchmarks.bench_columns import firehose

PACKAGES = ("rlfast", "picows", "msgspec", "numpy", "pyarrow", "polars", "duckdb", "xxhash")
LEVELS = ("none", "process", "machine")
RUST = 2.4e6
"""Events per second that a client on tokio-tungstenite and serde_json takes and parses on such a machine."""


async def rlfast_capture(port: str, out: Path, durability: str) -> dict[str, float]:
    import rlfast
    from rlfast.capture import CaptureOptions, capture, recovery  # noqa: F401 (loads what capture would load)

    url = f"ws://127.0.0.1:{port}/"
    async with rlfast.connect(url, type=rlfast.AgentEvent, backoff=None) as ws:
        wall, cpu = time.perf_counter(), time.process_time()
        summary = await capture(ws, out, CaptureOptions(durability=durability))  # type: ignore[arg-type]
        seconds, used = time.perf_counter() - wall, time.process_time() - cpu
    return {"events": summary.events, "seconds": seconds, "cpu_seconds": used, "bytes": summary.bytes}


def polars_convert(source: str, out: Path) -> dict[str, float]:
    import polars

    wall, cpu = time.perf_counter(), time.process_time()
    frame = polars.scan_ndjson(source, infer_schema_length=10_000)
    frame.sink_parquet(out / "all.parquet", compression="zstd", compression_level=1)
    seconds, used = time.perf_counter() - wall, time.process_time() - cpu
    return _converted(out, seconds, used)


def duckdb_convert(source: str, out: Path) -> dict[str, float]:
    import duckdb

    wall, cpu = time.perf_counter(), time.process_time()
    duckdb.execute(
        f"copy (select * from read_json('{source}', format='newline_delimited')) to '{out}/all.parquet' "
        "(format parquet, compression zstd, compression_level 1)"
    )
    seconds, used = time.perf_counter() - wall, time.process_time() - cpu
    return _converted(out, seconds, used)


def _converted(out: Path, seconds: float, used: float) -> dict[str, float]:
    import pyarrow.parquet as pq

    path = out / "all.parquet"
    rows = pq.read_metadata(path).num_rows
    return {"events": rows, "seconds": seconds, "cpu_seconds": used, "bytes": path.stat().st_size}


def work(kind: str, argument: str, durability: str) -> dict[str, float]:
    """Run one contender."""
    out = Path(tempfile.mkdtemp(prefix="rlfast-bench-"))
    try:
        if kind == "rlfast":
            return asyncio.run(rlfast_capture(argument, out, durability))
        return {"polars": polars_convert, "duckdb": duckdb_convert}[kind](argument, out)
    finally:
        shutil.rmtree(out)


def _rate(result: dict[str, float]) -> float:
    return result["events"] / result["seconds"]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.bench_capture",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--events", type=int, default=40_000_000, help="per run of rlfast (default: 40,000,000)"
    )
    parser.add_argument("--file-events", type=int, default=5_000_000, help="in the file (default: 5,000,000)")
    parser.add_argument("--rounds", type=int, default=5, help="measured runs of each contender (default: 5)")
    parser.add_argument("--without-files", action="store_true", help="leave out Polars and DuckDB")
    parser.add_argument("--json", metavar="FILE", help="write all measurements (-: standard output)")
    parser.add_argument("--work", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        print(json.dumps(work(*options.work)))
        return
    if options.rounds < 1 or options.events < 1:
        parser.error("--rounds and --events must be at least 1")
    facts = machine(PACKAGES)
    print_machine(facts)
    repeats = max(1, options.events // _workload.EVENTS)
    file_repeats = max(1, options.file_events // _workload.EVENTS)
    payloads = _workload.payloads("base")
    with ExitStack() as stack:
        port = stack.enter_context(firehose(payloads, repeats))
        command = [sys.executable, "-m", __spec__.name, "--work"]
        commands = {f"rlfast, {level}": [*command, "rlfast", str(port), level] for level in LEVELS}
        if not options.without_files:
            source = stack.enter_context(
                tempfile.NamedTemporaryFile(suffix=".ndjson", prefix="rlfast-bench-")
            )
            lines = b"\n".join(payloads) + b"\n"
            for _ in range(file_repeats):
                source.write(lines)
            source.flush()
            commands["Polars, from a file"] = [*command, "polars", source.name, ""]
            commands["DuckDB, from a file"] = [*command, "duckdb", source.name, ""]

        def is_complete(label: str, result: dict[str, float]) -> bool:
            wanted = repeats if label.startswith("rlfast") else file_repeats
            return result["events"] == wanted * _workload.EVENTS

        runs = in_rounds(commands, options.rounds, is_complete)

    def ratio(label: str, to: str) -> Spread:
        pairs = zip(runs[label], runs[to], strict=True)
        return Spread.of([_rate(mine) / _rate(other) for mine, other in pairs])

    rows = []
    for label, results in runs.items():
        rate = Spread.of([_rate(result) / 1e6 for result in results])
        cpu = Spread.of([result["cpu_seconds"] / result["events"] * 1e9 for result in results])
        size = results[0]["bytes"] / results[0]["events"]
        rows.append((label, rate.text(2), cpu.text(0), f"{size:.1f}", ratio(label, "rlfast, none").text(2)))
    print(
        table(
            ("median (lowest-highest)", "M events/s", "CPU ns/event", "bytes/event", ": rlfast, none"), rows
        )
    )
    process = Spread.of([_rate(result) for result in runs["rlfast, process"]]).median
    bars = [
        ("rlfast, process, M events/s", process / 1e6, ">=", 4.0),
        ("rlfast, process : Rust client (2.4 M/s)", process / RUST, ">=", 1.5),
        ("rlfast, process : rlfast, none", ratio("rlfast, process", "rlfast, none").median, ">=", 0.85),
    ]
    for label in ("Polars, from a file", "DuckDB, from a file"):
        if label in runs:
            bars.append((f"rlfast, process : {label}", ratio("rlfast, process", label).median, ">=", 4.0))
    print()
    print(against_bars(bars))
    if options.json:
        write_json(options.json, {"machine": facts, "runs": runs})


if __name__ == "__main__":
    main()
