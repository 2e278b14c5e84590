"""Events to Parquet: rlfast capture from the socket, scripts on other clients, and converters of a file.

    python -m benchmarks parquet --events 40_000_000 --file-events 5_000_000 --rounds 5

A server in a process of its own sends the same events again and again; rlfast captures them into nine tables,
ids as text unless it is told otherwise, and commits them. The scripts write one wide table of text. Polars,
DuckDB and pyarrow convert the same events from an NDJSON file, which is in the page cache, on all cores.
Every contender is a process; they take turns in random order. Seconds count from the connection, or the first
call, to the last file. README.md has the doubts.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import random
import shutil
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks import _plots, _workload
from benchmarks._converters import FILES, MODULES, STREAMS
from benchmarks._harness import Spread, against_bars, machine, markdown, print_machine, progress, run
from benchmarks._servers import firehose
from benchmarks._usage import Usage

PACKAGES = (
    "rlfast",
    "picows",
    "msgspec",
    "numpy",
    "pyarrow",
    "polars",
    "duckdb",
    "websockets",
    "aiohttp",
    "orjson",
)
LABELS = {
    **{name: label for name, (label, *_) in STREAMS.items()},
    **{name: label for name, (label, _) in FILES.items()},
}
REFERENCE = "capture_none"
RUST = 2.4e6
"""Events per second that a client on tokio-tungstenite and serde_json takes and parses on such a machine."""


def work(name: str, source: str) -> None:
    """Run one contender."""
    for module in MODULES:
        with contextlib.suppress(ModuleNotFoundError):
            importlib.import_module(module)
    convert = STREAMS[name][1] if name in STREAMS else FILES[name][1]
    out = Path(tempfile.mkdtemp(prefix="rlfast-bench-"))
    try:
        usage = Usage()
        events = convert(source, out)
        result = usage.result()
        size = sum(path.stat().st_size for path in out.rglob("*.parquet"))
        print(json.dumps({"events": events, "bytes": size, **result}))
    finally:
        shutil.rmtree(out)


def measure(options: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    pool = min(options.events, options.file_events, 20_000 if options.quick else _workload.EVENTS)
    payloads = _workload.payloads("base", pool)
    repeats = max(1, options.events // pool)
    file_repeats = max(1, options.file_events // pool)
    commands: dict[str, list[str]] = {}
    expected: dict[str, int] = {}
    command = [sys.executable, "-m", __spec__.name]
    with ExitStack() as stack:
        server = stack.enter_context(firehose(payloads, repeats))
        source = stack.enter_context(tempfile.NamedTemporaryFile(suffix=".ndjson", prefix="rlfast-bench-"))
        for _ in range(file_repeats):
            source.write(b"\n".join(payloads) + b"\n")
        source.flush()
        for name in options.only:
            if name in STREAMS:
                each = max(1, repeats // STREAMS[name][2])
                commands[name] = [*command, name, f"ws://127.0.0.1:{server.port}/{each}"]
                expected[name] = each * pool
            else:
                commands[name] = [*command, name, source.name]
                expected[name] = file_repeats * pool
        runs: dict[str, list[dict[str, Any]]] = {name: [] for name in commands}
        shuffled = random.Random(1)
        for name in commands:
            # The caches of the disk and of the file.
            run(LABELS[name], commands[name])
        plan = [
            name for _ in range(options.rounds) for name in shuffled.sample(list(commands), len(commands))
        ]
        for name in progress(plan):
            before = server.cpu_seconds()
            found: dict[str, Any] = run(LABELS[name], commands[name])
            if found["events"] != expected[name]:
                raise SystemExit(f"{LABELS[name]} wrote {found['events']} of {expected[name]} events")
            runs[name].append({**found, "server_cpu_seconds": server.cpu_seconds() - before})
    return runs


def ratio(runs: dict[str, list[dict[str, Any]]], name: str, to: str) -> Spread:
    """Rate against another's, round by round."""
    pairs = zip(runs[name], runs[to], strict=True)
    return Spread.of([_rate(mine) / _rate(other) for mine, other in pairs])


def _rate(one: dict[str, Any]) -> float:
    return float(one["events"] / one["seconds"])


def report(runs: dict[str, list[dict[str, Any]]]) -> str:
    header = ["median (lowest-highest)", "M events/s", "CPU µs/event", "server's", "bytes/event", "RSS MB"]
    compared = REFERENCE if REFERENCE in runs else next(iter(runs))
    lines = []
    for name, found in runs.items():
        lines.append(
            [
                LABELS[name],
                Spread.of([_rate(one) / 1e6 for one in found]).text(3),
                Spread.of([one["cpu_seconds"] / one["events"] * 1e6 for one in found]).text(3),
                f"{Spread.of([one['server_cpu_seconds'] / one['events'] * 1e6 for one in found]).median:.3f}",
                f"{found[0]['bytes'] / found[0]['events']:.1f}",
                f"{max(one['peak_rss_bytes'] for one in found) / 1e6:.0f}",
                ratio(runs, name, compared).text(3),
            ]
        )
    return markdown([*header, f": {LABELS[compared]}"], lines)


def bars(runs: dict[str, list[dict[str, Any]]]) -> list[tuple[str, float, str, float]]:
    name = "capture_process"
    if name not in runs:
        return []
    rate = Spread.of([_rate(one) for one in runs[name]]).median
    out = [
        (f"{LABELS[name]}, M events/s", rate / 1e6, ">=", 4.0),
        (f"{LABELS[name]} : Rust client (2.4 M/s)", rate / RUST, ">=", 1.5),
    ]
    for other, bar in ((REFERENCE, 0.85), ("polars_file", 4.0), ("duckdb_file", 4.0)):
        if other in runs:
            out.append((f"{LABELS[name]} : {LABELS[other]}", ratio(runs, name, other).median, ">=", bar))
    return out


def plots(result: dict[str, Any], folder: Path) -> list[Path]:
    rates = {name: Spread.of([_rate(one) / 1e6 for one in found]) for name, found in result["runs"].items()}
    rows = [
        (LABELS[name], rate.median, rate.low, rate.high)
        for name, rate in sorted(rates.items(), key=lambda item: -item[1].median)
    ]
    path = folder / "parquet.png"
    _plots.bars(rows, "128-byte events to Parquet", "million events per second", path)
    return [path]


def names_of(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in LABELS:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(LABELS)}")
    return [name for name in LABELS if name in names]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--events", type=int, help="per run from the socket; the scripts get 1/25")
    parser.add_argument("--file-events", type=int, help="in the file")
    parser.add_argument("--only", type=names_of, metavar="NAMES", help=f"of {','.join(LABELS)}")


def main(options: argparse.Namespace) -> dict[str, Any]:
    whole = {"events": 40_000_000, "file_events": 5_000_000, "rounds": 5, "only": list(LABELS)}
    quick = {**whole, "events": 1_000_000, "file_events": 500_000, "rounds": 3}
    for name, value in (quick if options.quick else whole).items():
        if getattr(options, name, None) is None:
            setattr(options, name, value)
    facts = machine(PACKAGES)
    print_machine(facts)
    runs = measure(options)
    text = report(runs)
    print(text)
    found = bars(runs)
    if found:
        print("\n" + against_bars(found))
    return {"machine": facts, "runs": runs, "markdown": text, "bars": found}


if __name__ == "__main__":
    work(*sys.argv[1:])
