"""Memory of a process that turns a hundred million events into columns: it must stay flat.

    python -m benchmarks.bench_memory --events 100_000_000

The process does nothing else, and drops every batch before the next one. It is sampled after every batch. A
line tells what was resident after so many events, and the most that any sample since the line above saw.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys

import psutil

from benchmarks import _workload
from benchmarks._harness import ROOT, environment, machine, print_machine, table, write_json
from benchmarks._servers import firehose

PACKAGES = ("rlfast", "picows", "msgspec", "psutil")
MARKS = (1_000_000, 10_000_000, 20_000_000, 50_000_000, 100_000_000)

Sample = tuple[int, float, float]
"""Events so far, resident MB, and the most since the sample before."""


async def receive(url: str, events: int) -> list[Sample]:
    """Samples at each of MARKS and at the end."""
    import rlfast

    process = psutil.Process()
    marks = [mark for mark in MARKS if mark < events] + [events]
    samples: list[Sample] = []
    count = 0
    most = 0.0
    async with rlfast.connect(url, type=rlfast.AgentEvent, backoff=None) as ws:
        async for batch in ws.batches():
            count += batch.num_events
            del batch
            resident = process.memory_info().rss / 1e6
            most = max(most, resident)
            if count >= marks[len(samples)]:
                samples.append((count, resident, most))
                most = 0.0
    if count != events:
        raise SystemExit(f"received {count} of {events} events")
    return samples


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.bench_memory",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--events", type=int, default=100_000_000, help="default: 100,000,000")
    parser.add_argument("--json", metavar="FILE", help="write the samples (-: standard output)")
    parser.add_argument("--work", metavar="URL", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        print(json.dumps(asyncio.run(receive(options.work, options.events))))
        return
    if options.events < 1:
        parser.error("--events must be at least 1")
    facts = machine(PACKAGES)
    print_machine(facts)
    repeats = max(1, options.events // _workload.EVENTS)
    with firehose(_workload.payloads(), repeats) as server:
        command = [sys.executable, "-m", __spec__.name, "--work", f"ws://127.0.0.1:{server.port}/"]
        command += ["--events", str(repeats * _workload.EVENTS)]
        done = subprocess.run(command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit("the receiving process failed; its message is above")
    samples: list[Sample] = json.loads(done.stdout)
    rows = [(f"{count:,}", f"{resident:.0f}", f"{most:.0f}") for count, resident, most in samples]
    print(table(("events", "resident MB", "most since the line above"), rows))
    if options.json:
        write_json(options.json, {"machine": facts, "samples": samples})


if __name__ == "__main__":
    main()
