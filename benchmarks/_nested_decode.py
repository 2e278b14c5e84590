"""Nested messages to columns and structs, by all readers in turns.

    python -m benchmarks._nested_decode BYTES ROUNDS WORKLOADS READERS

It is a process of its own, as polars takes the number of its threads from the environment, once. The names
are separated by commas. It prints, as JSON, seconds by workload and reader, and sizes by workload.
"""

from __future__ import annotations

import gc
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import _workload
from benchmarks._harness import Worker, orders, progress
from benchmarks._nested_checks import Checksum
from benchmarks._nested_readers import FROM_FILES, IN_MEMORY, Columns, Reader
from benchmarks._nested_workloads import WORKLOADS, payloads
from benchmarks.bench_columns import compile_peers
from rlfast.reasoning_layer._events import AgentEvent

AGENTS = "agents"
"""The flat events, which the nested ones are compared with."""
LABELS = {
    "rlfast": "rlfast columns",
    "cpp": "C++, simdjson to columns",
    "polars": "polars NDJSON, one thread",
    "duckdb": "DuckDB read_json, one thread",
    "pyarrow": "pyarrow.json, one thread",
    "messages": "rlfast messages",
    "lists": "rlfast messages, in lists",
    "msgspec": "msgspec typed structs",
}
PEER = "nested_columns"
MOST_CPU = 1.1
"""CPU time for the seconds of a reader that has one thread, with some for what else the process does."""


def work(size: int, rounds: int, workloads: list[str], names: list[str]) -> dict[str, Any]:
    """Measure; every reader's checksum must be that of the others first."""
    with memory_folder() as folder:
        peers = compile_peers(folder, [PEER]) if "cpp" in names else set()
        readers: dict[tuple[str, str], Reader] = {}
        sizes = {}
        workers: list[Worker] = []
        for workload in [*workloads, AGENTS]:
            nested = workload != AGENTS
            found = payloads(workload, size) if nested else _workload.payloads("base", max(1, size // 128))
            sizes[workload] = {"bytes": sum(map(len, found)), "messages": len(found)}
            place = folder / workload
            place.mkdir()
            here: dict[str, Reader] = {}
            if PEER in peers:
                workers.append(_peer(folder / PEER, workload, found, place))
                here["cpp"] = _reader_of(workers[-1])
            here |= _readers(workload, found, place, names) if nested else _agents(found, names)
            if nested:
                _agree(workload, {name: reader.checksum() for name, reader in here.items()})
            readers |= {(workload, name): here[name] for name in names if name in here}
        seconds, cpu = _measure(readers, rounds)
        for worker in workers:
            worker.end()
    return {"sizes": sizes, "seconds": seconds, "cpu_per_second": cpu}


@contextmanager
def memory_folder() -> Iterator[Path]:
    """A folder in memory, where the system has one."""
    shared = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="rlfast-bench-", dir=shared) as folder:
        yield Path(folder)


def _readers(workload: str, found: list[bytes], place: Path, names: list[str]) -> dict[str, Reader]:
    feed = WORKLOADS[workload]
    in_memory = {name: make(feed, found) for name, make in IN_MEMORY.items() if name in names}
    return in_memory | {name: make(feed, found, place) for name, make in FROM_FILES.items() if name in names}


def _agents(found: list[bytes], names: list[str]) -> dict[str, Reader]:
    if "rlfast" not in names:
        return {}
    run = Columns(AgentEvent, found)
    run()
    run.check(AGENTS)
    return {"rlfast": Reader(run, Checksum)}


def _peer(program: Path, workload: str, found: list[bytes], place: Path) -> Worker:
    path = place / "messages.ndjson"
    path.write_bytes(b"".join(payload + b"\n" for payload in found))
    return Worker([str(program), workload, str(path)])


def _reader_of(peer: Worker) -> Reader:
    def checksum() -> Checksum:
        found: dict[str, Any] = peer.ask("check")
        return Checksum(**found)

    return Reader(lambda: peer.ask()["seconds"], checksum)


def _agree(workload: str, checksums: dict[str, Checksum]) -> None:
    first, *others = checksums
    for name in others:
        difference = checksums[name].difference(checksums[first])
        if difference:
            raise SystemExit(f"{workload}: {LABELS[name]} and {LABELS[first]} differ: {difference}")


def _measure(
    readers: dict[tuple[str, str], Reader], rounds: int
) -> tuple[dict[str, dict[str, list[float]]], dict[str, float]]:
    """Seconds of each run, and the median CPU time per second of those that run in this process."""
    # In the order in which they are shown.
    seconds: dict[str, dict[str, list[float]]] = {}
    cpu: dict[str, list[float]] = {}
    for (workload, reader_name), reader in readers.items():
        seconds.setdefault(workload, {})[reader_name] = []
        reader.prepare()
        reader.run()
    gc.collect()
    gc.freeze()
    names = ["/".join(key) for key in readers]
    for name in progress([name for order in orders(names, rounds) for name in order]):
        workload, reader_name = name.split("/")
        reader = readers[workload, reader_name]
        reader.prepare()
        start, cpu_start = time.perf_counter(), time.process_time()
        measured = reader.run()
        elapsed, used = time.perf_counter() - start, time.process_time() - cpu_start
        if isinstance(measured, float):
            # A process of its own has measured itself.
            elapsed = measured
        else:
            cpu.setdefault(name, []).append(used / elapsed)
        seconds[workload][reader_name].append(elapsed)
    shares = {name: statistics.median(found) for name, found in cpu.items()}
    for name, share in shares.items():
        if share > MOST_CPU:
            print(f"warning: {name} had {share:.2f} threads, not one", file=sys.stderr)
    return seconds, shares


if __name__ == "__main__":
    size, rounds, *lists = sys.argv[1:]
    print(json.dumps(work(int(size), int(rounds), *(each.split(",") for each in lists))))
