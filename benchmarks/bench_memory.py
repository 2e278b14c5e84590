"""Memory of a process that turns a hundred million events into columns: it must stay flat.

python -m benchmarks.bench_memory --events 100_000_000
"""

from __future__ import annotations

import argparse
import asyncio
import gc

import psutil

from benchmarks import _workload
from benchmarks._harness import table
from benchmarks.bench_columns import firehose

SAMPLES = 20


async def receive(url: str, events: int) -> list[tuple[int, float]]:
    """Resident memory in MB after so many events, at equal distances."""
    import rlfast

    process = psutil.Process()
    samples: list[tuple[int, float]] = []
    count = 0
    async with rlfast.connect(url, type=rlfast.AgentEvent, backoff=None) as ws:
        async for batch in ws.batches():
            count += batch.num_rows
            del batch
            if count >= (len(samples) + 1) * events // SAMPLES:
                samples.append((count, process.memory_info().rss / 1e6))
    assert count == events, count
    return samples


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench_memory", description=__doc__)
    parser.add_argument("--events", type=int, default=100_000_000)
    options = parser.parse_args()
    repeats = max(1, options.events // _workload.EVENTS)
    with firehose(_workload.payloads(), repeats) as port:
        gc.collect()
        samples = asyncio.run(receive(f"ws://127.0.0.1:{port}/", repeats * _workload.EVENTS))
    print(table(("events", "resident MB"), [(f"{count:,}", f"{size:.0f}") for count, size in samples]))
    later = [size for _, size in samples[1:]]
    print(f"after the first {samples[0][0]:,}: {min(later):.0f} to {max(later):.0f} MB")


if __name__ == "__main__":
    main()
