"""From the socket to columns: rlfast's batches against picows counting frames, and against C++.

    python -m benchmarks.bench_columns --events 5_000_000 --rounds 7

A server in a process of its own sends the same 200,000 events again and again; every contender is a process,
too, and the rounds are interleaved in random order. Seconds count from the upgrade to the close frame. The
C++ clients of `peers` are compiled on demand; without their libraries the benchmark goes on without them.
README.md has the doubts.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks import _counting, _workload
from benchmarks._harness import (
    Spread,
    against_bars,
    in_rounds,
    machine,
    print_machine,
    table,
    write_json,
)
from benchmarks._servers import firehose

PACKAGES = ("rlfast", "picows", "msgspec", "numpy", "Cython")
BY_HAND = "C++, frames by hand + simdjson"
BEAST = "C++, Boost.Beast + simdjson"
BEAST_PLAIN = "C++, the same without a large buffer"
PEERS = {
    BY_HAND: ("simdjson_client",),
    BEAST: ("beast_client", "buffered"),
    BEAST_PLAIN: ("beast_client", "plain"),
}
PACKAGE_OF = {"simdjson.h": "libsimdjson-dev", "boost/beast.hpp": "libboost-dev"}
NEEDS = {
    "simdjson_client": ("simdjson.h",),
    "beast_client": ("simdjson.h", "boost/beast.hpp"),
    "nested_columns": ("simdjson.h",),
}
CLIENTS = ("simdjson_client", "beast_client")
COMPILER = ("g++", "-O3", "-march=native", "-DNDEBUG", "-std=c++20")
PICOWS = "picows, counting frames"


async def rlfast_batches(url: str) -> dict[str, float]:
    import rlfast

    count = 0
    async with rlfast.connect(url, type=rlfast.AgentEvent, backoff=None) as ws:
        wall, cpu = time.perf_counter(), time.process_time()
        async for batch in ws.batches():
            count += batch.num_events
        seconds, used = time.perf_counter() - wall, time.process_time() - cpu
        stats = ws.stats
    return {"events": count, "seconds": seconds, "cpu_seconds": used, "judged": stats.fallback_events}


async def picows(url: str) -> dict[str, float]:
    from picows import ws_connect

    counting = _counting.load(Path(os.environ["BENCH_COUNTING"]))
    transport, counter = await ws_connect(counting.Counter, url, read_buffer_init_size=256 * 1024)
    wall, cpu = time.perf_counter(), time.process_time()
    await transport.wait_disconnected()
    seconds, used = time.perf_counter() - wall, time.process_time() - cpu
    return {"events": counter.frames, "seconds": seconds, "cpu_seconds": used}


def compile_peers(folder: Path, names: Sequence[str] = CLIENTS) -> set[str]:
    """Compile C++ programs; returns the names of those that could be, and says why of the others."""
    built = set()
    if shutil.which("g++") is None:
        print("without the C++ programs: they need g++ (Debian, Ubuntu: apt install g++)", file=sys.stderr)
        return built
    for name in names:
        headers = NEEDS[name]
        missing = " ".join(PACKAGE_OF[header] for header in headers if not _has(header))
        if missing:
            print(
                f"without {name}: it needs {missing} (Debian, Ubuntu: apt install {missing})", file=sys.stderr
            )
            continue
        source = Path(__file__).with_name("peers") / f"{name}.cpp"
        command = [*COMPILER, str(source), "-lsimdjson", "-pthread", "-o", str(folder / name)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            print(f"without {name}: it does not compile\n{done.stderr[-2000:]}", file=sys.stderr)
            continue
        built.add(name)
    return built


def _has(header: str) -> bool:
    command = [*COMPILER, "-x", "c++", "-E", "-include", header, os.devnull]
    return subprocess.run(command, capture_output=True).returncode == 0


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.bench_columns",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--events", type=int, default=5_000_000, help="per run (default: 5,000,000)")
    parser.add_argument("--rounds", type=int, default=7, help="measured runs of each contender (default: 7)")
    parser.add_argument("--json", metavar="FILE", help="write all measurements (-: standard output)")
    parser.add_argument("--work", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        contender = {"picows": picows, "rlfast": rlfast_batches}[options.work[0]]
        print(json.dumps(asyncio.run(contender(f"ws://127.0.0.1:{options.work[1]}/"))))
        return
    if options.rounds < 1 or options.events < 1:
        parser.error("--rounds and --events must be at least 1")
    facts = machine(PACKAGES)
    print_machine(facts)
    repeats = max(1, options.events // _workload.EVENTS)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rlfast-bench-")))
        os.environ["BENCH_COUNTING"] = str(_counting.build(folder))
        ports = {
            variant: stack.enter_context(firehose(_workload.payloads(variant), repeats)).port
            for variant in _workload.VARIANTS
        }
        work = [sys.executable, "-m", __spec__.name, "--work"]
        commands = {f"rlfast {variant}": [*work, "rlfast", str(port)] for variant, port in ports.items()}
        commands[PICOWS] = [*work, "picows", str(ports["base"])]
        built = compile_peers(folder)
        for label, (program, *layer) in PEERS.items():
            if program in built:
                commands[label] = [str(folder / program), str(ports["base"]), *layer]

        def is_complete(label: str, result: dict[str, float]) -> bool:
            whole = result["events"] == repeats * _workload.EVENTS
            return whole and not result.get("refused") and not result.get("judged")

        runs = in_rounds(commands, options.rounds, is_complete)

    def ratio(label: str, to: str) -> Spread | None:
        """Rate against another's, round by round; None if that one is missing."""
        if to not in runs:
            return None
        pairs = zip(runs[label], runs[to], strict=True)
        return Spread.of([other["seconds"] / mine["seconds"] for mine, other in pairs])

    rows = []
    for label, results in runs.items():
        rate = Spread.of([result["events"] / result["seconds"] / 1e6 for result in results])
        cpu = Spread.of([result["cpu_seconds"] / result["events"] * 1e9 for result in results])
        ratios = [ratio(label, to) for to in (BY_HAND, BEAST, PICOWS, "rlfast base")]
        rows.append((label, rate.text(2), cpu.text(0), *(each.text(2) if each else "-" for each in ratios)))
    header = (
        "median (lowest-highest)",
        "M events/s",
        "CPU ns/event",
        ": by hand",
        ": Beast",
        ": picows",
        ": rlfast base",
    )
    print(table(header, rows))
    wanted = [
        ("rlfast base", BY_HAND, 0.95),
        ("rlfast base", BY_HAND, 1.2),
        ("rlfast base", BEAST, 1.5),
        ("rlfast alphabetical", "rlfast base", 0.8),
        ("rlfast json_dumps", "rlfast base", 0.6),
        ("rlfast escapes", "rlfast base", 0.8),
        ("rlfast escapes", "rlfast plain", 0.8),
    ]
    bars = [
        (f"{label} : {to}", found.median, ">=", bar)
        for label, to, bar in wanted
        if (found := ratio(label, to)) is not None
    ]
    print("\n" + against_bars(bars))
    if options.json:
        write_json(options.json, {"machine": facts, "runs": runs})


if __name__ == "__main__":
    main()
