"""Nested messages: four feeds to columns, structs and Parquet, beside other readers of JSON.

    python -m benchmarks nested --megabytes 24 --capture-megabytes 200 --rounds 9

Decoding: all readers are in one process, with one thread, and take turns in random order; the C++ peer is a
process of its own. Before anything is measured the checksums of what they have read must be equal. Capture:
every contender is a new process in each round, with all cores. README.md has the doubts.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks import _nested_capture, _plots
from benchmarks._harness import ROOT, Spread, against_bars, environment, machine, markdown, print_machine
from benchmarks._nested_capture import WAYS
from benchmarks._nested_decode import AGENTS, LABELS
from benchmarks._nested_workloads import WORKLOADS

PACKAGES = ("rlfast", "msgspec", "pyarrow", "polars", "duckdb", "Cython")
MEGABYTE = 1_000_000
NAMES = [*LABELS, *WAYS]
DECODE_BARS = (
    ("rlfast", "polars", 5.0),
    ("rlfast", "duckdb", 5.0),
    ("rlfast", "pyarrow", 8.0),
    ("rlfast", "cpp", 1.0),
    ("messages", "msgspec", 1.3),
)
AGENTS_BAR = 0.6
CAPTURE_BAR = 3.0
CAPTURE_POOL = 24
"""Megabytes of messages that differ, at least: of a few, again and again, a converter with a dictionary for
each column keeps one copy and compresses nothing else."""


def decode(options: argparse.Namespace) -> dict[str, Any]:
    """Measure the readers in a process of their own."""
    names = [name for name in options.only if name in LABELS]
    if not names:
        return {"sizes": {}, "seconds": {}}
    command = [sys.executable, "-m", "benchmarks._nested_decode", str(round(options.megabytes * MEGABYTE))]
    command += [str(options.rounds), ",".join(options.workloads), ",".join(names)]
    # What it has to say while it runs goes to the terminal.
    done = subprocess.run(command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit("decoding failed; its message is above")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def ratio(mine: list[float], other: list[float]) -> Spread:
    """Rate against another's, round by round, from the seconds of the same work."""
    return Spread.of([yours / one for one, yours in zip(mine, other, strict=True)])


def against_agents(found: dict[str, Any], workload: str) -> Spread | None:
    """Bytes per second against those of the agent events, round by round; None if one is missing."""
    seconds, sizes = found["seconds"], found["sizes"]
    if "rlfast" not in seconds.get(workload, {}) or "rlfast" not in seconds.get(AGENTS, {}):
        return None
    share = sizes[workload]["bytes"] / sizes[AGENTS]["bytes"]
    pairs = zip(seconds[workload]["rlfast"], seconds[AGENTS]["rlfast"], strict=True)
    return Spread.of([share * yours / mine for mine, yours in pairs])


def report_decoding(found: dict[str, Any]) -> str:
    lines = []
    for workload, readers in found["seconds"].items():
        size = found["sizes"][workload]
        for name, seconds in readers.items():
            rate = Spread.of([size["bytes"] / each / MEGABYTE for each in seconds])
            each = Spread.of([each / size["messages"] * 1e9 for each in seconds])
            mine = readers.get("messages" if name in ("messages", "lists", "msgspec") else "rlfast")
            compared = ratio(mine, seconds).text(2) if mine is not None else "-"
            cells = (f"{size['bytes'] / size['messages']:.0f}", rate.text(0), each.text(0), compared)
            lines.append((f"{workload}: {LABELS[name]}", *cells))
    header = ("median (lowest-highest)", "B/message", "MB/s", "ns/message", "rlfast : it")
    return markdown(header, lines)


def report_capture(runs: dict[str, Any]) -> str:
    lines = []
    for workload, ways in runs.items():
        for way, found in ways.items():
            rate = Spread.of([one["bytes"] / one["seconds"] / MEGABYTE for one in found])
            cpu = Spread.of([one["cpu_seconds"] / one["bytes"] * 1e9 for one in found])
            compared = ratio(_seconds(ways["capture"]), _seconds(found)).text(2) if "capture" in ways else "-"
            cells = (rate.text(0), cpu.text(1), f"{found[0]['file_bytes'] / found[0]['bytes']:.3f}", compared)
            lines.append((f"{workload}: {WAYS[way][0]}", *cells))
    header = ("median (lowest-highest)", "MB/s", "CPU ns/byte", "file bytes/byte", "capture : it")
    return markdown(header, lines)


def _seconds(found: list[dict[str, Any]]) -> list[float]:
    return [one["seconds"] for one in found]


def bars(found: dict[str, Any], runs: dict[str, Any]) -> list[tuple[str, float, str, float]]:
    out = []
    for workload in WORKLOADS:
        readers = found["seconds"].get(workload, {})
        share = against_agents(found, workload)
        if share is not None:
            out.append((f"{workload}: bytes/s : agent events", share.median, ">=", AGENTS_BAR))
        for mine, other, bar in DECODE_BARS:
            if mine in readers and other in readers:
                what = f"{workload}: {LABELS[mine]} : {LABELS[other]}"
                out.append((what, ratio(readers[mine], readers[other]).median, ">=", bar))
        ways = runs.get(workload, {})
        rivals = [way for way in ("polars_file", "duckdb_file") if way in ways]
        if "capture" in ways and rivals:
            best = min(rivals, key=lambda way: Spread.of(_seconds(ways[way])).median)
            compared = ratio(_seconds(ways["capture"]), _seconds(ways[best]))
            what = f"{workload}: {WAYS['capture'][0]} : {WAYS[best][0]}"
            out.append((what, compared.median, ">=", CAPTURE_BAR))
    return out


def plots(result: dict[str, Any], folder: Path) -> list[Path]:
    rows = []
    for workload, readers in result["decode"]["seconds"].items():
        size = result["decode"]["sizes"][workload]["bytes"]
        for name, seconds in readers.items():
            rate = Spread.of([size / each / MEGABYTE for each in seconds])
            # "rlfast" in front is what gives a bar its colour.
            rows.append((f"{LABELS[name]}: {workload}", rate.median, rate.low, rate.high))
    if not rows:
        return []
    path = folder / "nested.png"
    _plots.bars(rows, "Nested messages, one thread", "MB/s", path)
    return [path]


def names_of(known: list[str]) -> Any:
    def parse(text: str) -> list[str]:
        names = [name.strip() for name in text.split(",")]
        for name in names:
            if name not in known:
                raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(known)}")
        return [name for name in known if name in names]

    return parse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--megabytes", type=float, help="of each workload, to decode (24)")
    parser.add_argument("--capture-megabytes", type=float, help="of each workload, to write (200)")
    parser.add_argument(
        "--workloads", type=names_of(list(WORKLOADS)), metavar="NAMES", help=f"of {','.join(WORKLOADS)}"
    )
    parser.add_argument("--only", type=names_of(NAMES), metavar="NAMES", help=f"of {','.join(NAMES)}")


def main(options: argparse.Namespace) -> dict[str, Any]:
    whole: dict[str, Any] = {"megabytes": 24, "capture_megabytes": 200, "rounds": 9}
    whole |= {"workloads": list(WORKLOADS), "only": NAMES}
    quick = {**whole, "megabytes": 3, "capture_megabytes": 50, "rounds": 3}
    for name, value in (quick if options.quick else whole).items():
        if getattr(options, name, None) is None:
            setattr(options, name, value)
    facts = machine(PACKAGES)
    print_machine(facts)
    if {"rlfast", "capture"} & set(options.only):
        refuse_unsupported(options.workloads)
    found = decode(options)
    texts = []
    if found["seconds"]:
        texts.append(report_decoding(found))
        print(texts[-1])
    ways = [name for name in options.only if name in WAYS]
    runs: dict[str, Any] = {}
    if ways:
        pool = round(max(options.megabytes, CAPTURE_POOL) * MEGABYTE)
        size = round(options.capture_megabytes * MEGABYTE)
        # A run is seconds long, so fewer of them say as much.
        rounds = min(options.rounds, 3)
        runs = _nested_capture.measure(options.workloads, ways, size, pool, rounds)
        texts.append(report_capture(runs))
        print("\n" + texts[-1])
    reached = bars(found, runs)
    if reached:
        print("\n" + against_bars(reached))
    result = {"machine": facts, "decode": found, "capture": runs, "bars": reached}
    return {**result, "markdown": "\n\n".join(texts)}


def refuse_unsupported(workloads: list[str]) -> None:
    """Fail at once, and not in the middle of the benchmark.

    Raises:
        UnsupportedFieldError: a type has no columns.
    """
    from rlfast.decode._assembler import BatchAssembler

    for workload in workloads:
        BatchAssembler(WORKLOADS[workload].type)
