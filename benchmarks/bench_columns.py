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
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks import _counting, _firehose, _workload
from benchmarks._harness import ROOT, Spread, environment, machine, orders, print_machine, table, write_json

PACKAGES = ("rlfast", "picows", "msgspec", "numpy", "Cython")
PEERS = {"simdjson_client": "C++, frames by hand + simdjson", "beast_client": "C++, Boost.Beast + simdjson"}
YARDSTICK = "simdjson_client"


async def rlfast_batches(url: str) -> dict[str, float]:
    import rlfast

    count = 0
    async with rlfast.connect(url, type=rlfast.AgentEvent, backoff=None) as ws:
        wall, cpu = time.perf_counter(), time.process_time()
        async for batch in ws.batches():
            count += batch.num_events
        seconds, used = time.perf_counter() - wall, time.process_time() - cpu
        stats = ws.stats
    return {"events": count, "seconds": seconds, "cpu_seconds": used, "judged": stats.judged_events}


async def picows(url: str) -> dict[str, float]:
    from picows import ws_connect

    counting = _counting.load(Path(os.environ["BENCH_COUNTING"]))
    transport, counter = await ws_connect(counting.Counter, url, read_buffer_init_size=256 * 1024)
    wall, cpu = time.perf_counter(), time.process_time()
    await transport.wait_disconnected()
    seconds, used = time.perf_counter() - wall, time.process_time() - cpu
    return {"events": counter.frames, "seconds": seconds, "cpu_seconds": used}


def run(name: str, port: int) -> dict[str, float]:
    """One measurement, in a new process; its import time is not in it."""
    program = os.environ.get(f"BENCH_{name}".upper())
    command = (
        [program, str(port)] if program else [sys.executable, "-m", __spec__.name, "--work", name, str(port)]
    )
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{name} failed: {done.stderr[-2000:]}")
    result: dict[str, float] = json.loads(done.stdout)
    return result


@contextmanager
def firehose(payloads: list[bytes], repeats: int) -> Iterator[int]:
    """Run the server, and give its port."""
    with tempfile.NamedTemporaryFile(prefix="rlfast-bench-") as file:
        file.write(_firehose.frames(payloads))
        file.flush()
        command = [sys.executable, "-m", "benchmarks._firehose", file.name, str(repeats)]
        process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment()
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.stdin.close()
            process.wait(10)
            process.stdout.close()


def compile_peers(folder: Path) -> list[str]:
    """Compile the C++ clients; returns the names of those that could be."""
    built = []
    for name in PEERS:
        source = Path(__file__).with_name("peers") / f"{name}.cpp"
        command = [
            "g++",
            "-O3",
            "-march=native",
            "-DNDEBUG",
            "-std=c++20",
            str(source),
            "-lsimdjson",
            "-pthread",
        ]
        try:
            done = subprocess.run([*command, "-o", str(folder / name)], capture_output=True, text=True)
        except FileNotFoundError:
            print(f"without {name}: there is no g++", file=sys.stderr)
            continue
        if done.returncode:
            print(f"without {name}: it needs libsimdjson-dev and libboost-dev", file=sys.stderr)
            continue
        os.environ[f"BENCH_{name}".upper()] = str(folder / name)
        built.append(name)
    return built


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench_columns", description=__doc__)
    parser.add_argument("--events", type=int, default=5_000_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", metavar="FILE", help="write all measurements (-: standard output)")
    parser.add_argument("--work", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        contender = {"picows": picows, "rlfast": rlfast_batches}[options.work[0]]
        print(json.dumps(asyncio.run(contender(f"ws://127.0.0.1:{options.work[1]}/"))))
        return
    facts = machine(PACKAGES)
    print_machine(facts)
    repeats = max(1, options.events // _workload.EVENTS)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rlfast-bench-")))
        os.environ["BENCH_COUNTING"] = str(_counting.build(folder))
        ports = {
            variant: stack.enter_context(firehose(_workload.payloads(variant), repeats))
            for variant in _workload.VARIANTS
        }
        labels = {f"rlfast {variant}": ("rlfast", port) for variant, port in ports.items()}
        labels["picows, counting frames"] = ("picows", ports["base"])
        for peer in compile_peers(folder):
            labels[PEERS[peer]] = (peer, ports["base"])
        runs: dict[str, list[dict[str, float]]] = {label: [] for label in labels}
        for contender in labels.values():
            run(*contender)
        for number, order in enumerate(orders(list(labels), options.rounds), 1):
            print(f"\rround {number} of {options.rounds}", end="", file=sys.stderr, flush=True)
            for label in order:
                result = run(*labels[label])
                if (
                    result["events"] != repeats * _workload.EVENTS
                    or result.get("refused")
                    or result.get("judged")
                ):
                    raise SystemExit(f"{label} is not complete: {result}")
                runs[label].append(result)
        print("\r" + " " * 20 + "\r", end="", file=sys.stderr)
    rows = []
    for label, results in runs.items():
        rate = Spread.of([result["events"] / result["seconds"] / 1e6 for result in results])
        cpu = Spread.of([result["cpu_seconds"] / result["events"] * 1e9 for result in results])
        ratios = [
            Spread.of(
                [other["seconds"] / mine["seconds"] for mine, other in zip(results, others, strict=True)]
            ).text(2)
            if (others := runs.get(name))
            else "-"
            for name in (PEERS["simdjson_client"], PEERS["beast_client"], "rlfast base")
        ]
        rows.append((label, rate.text(2), cpu.text(0), *ratios))
    header = (
        "median (lowest-highest)",
        "M events/s",
        "CPU ns/event",
        ": by hand",
        ": Beast",
        ": rlfast base",
    )
    print(table(header, rows))
    print("\nbars: rlfast base >= 0.95 x by hand (goal 1.2) and >= 1.5 x Beast;")
    print("against rlfast base: alphabetical >= 0.8, json_dumps >= 0.6, escapes >= 0.8")
    if options.json:
        write_json(options.json, {"machine": facts, "runs": runs})


if __name__ == "__main__":
    main()
