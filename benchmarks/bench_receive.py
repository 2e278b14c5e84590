"""From the socket to a count, a struct, a batch and a Parquet file, against picows alone and against rivals.

    python -m benchmarks.bench_receive --events 5_000_000 --rounds 7

Every contender has a process of its own, is warmed up by one run that does not count, and reads the same
stream from the same flat-out simulator, which is a process of its own too. The rounds are interleaved in
random order. README.md has the doubts.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path

from benchmarks import _counting
from benchmarks._harness import (
    Spread,
    Worker,
    machine,
    orders,
    print_machine,
    requests,
    simulator,
    table,
    write_json,
)

PACKAGES = ("rlfast", "picows", "msgspec", "numpy", "pyarrow", "websockets", "aiohttp", "Cython")
YARDSTICK = "picows"
RIVAL_SHARE = 25
"""The rivals receive 1/25 of the events: they are slower, and their rate does not depend on the count."""


async def picows(url: str) -> int:
    from picows import ws_connect

    counting = _counting.load(Path(os.environ["BENCH_COUNTING"]))
    # The read buffer of rlfast's connection options.
    transport, counter = await ws_connect(counting.Counter, url, read_buffer_init_size=256 * 1024)
    await transport.wait_disconnected()
    return counter.frames


async def next_message_typed(url: str) -> int:
    import rlfast

    count = 0
    async with rlfast.connect(url, type=rlfast.AgentEvent, backoff=None) as ws:
        while await ws.next_message() is not None:
            count += 1
    return count


async def next_message_untyped(url: str) -> int:
    import rlfast

    count = 0
    async with rlfast.connect(url, backoff=None) as ws:
        while await ws.next_message() is not None:
            count += 1
    return count


async def next_messages_typed(url: str) -> int:
    import rlfast

    count = 0
    async with rlfast.connect(url, type=rlfast.AgentEvent, backoff=None) as ws:
        while messages := await ws.next_messages():
            count += len(messages)
    return count


async def batches(url: str) -> int:
    import rlfast

    count = 0
    async with rlfast.connect(url, type=rlfast.AgentEvent, backoff=None) as ws:
        async for batch in ws.batches():
            count += batch.num_events
    return count


async def parquet(url: str) -> int:
    import rlfast
    from rlfast.capture import capture

    with tempfile.TemporaryDirectory(prefix="rlfast-bench-", dir=os.environ.get("BENCH_OUT")) as folder:
        async with rlfast.connect(url, type=rlfast.AgentEvent, backoff=None) as ws:
            summary = await capture(ws, Path(folder) / "out")
        return summary.events


async def websockets_msgspec(url: str) -> int:
    import msgspec
    from websockets.asyncio.client import connect

    from rlfast.events import AgentEvent

    decode = msgspec.json.Decoder(AgentEvent).decode
    count = 0
    async with connect(url, compression=None, max_size=None) as ws:
        async for message in ws:
            decode(message)
            count += 1
    return count


async def aiohttp_msgspec(url: str) -> int:
    import aiohttp
    import msgspec

    from rlfast.events import AgentEvent

    decode = msgspec.json.Decoder(AgentEvent).decode
    count = 0
    async with aiohttp.ClientSession() as session, session.ws_connect(url, max_msg_size=0) as ws:
        async for message in ws:
            decode(message.data)
            count += 1
    return count


Contender = Callable[[str], Awaitable[int]]
CONTENDERS: dict[str, tuple[str, Contender]] = {
    YARDSTICK: ("picows alone, counting frames", picows),
    "next_message_typed": ("rlfast next_message, typed", next_message_typed),
    "next_message_untyped": ("rlfast next_message, untyped", next_message_untyped),
    "next_messages_typed": ("rlfast next_messages, typed", next_messages_typed),
    "batches": ("rlfast batches", batches),
    "parquet": ("rlfast capture to Parquet", parquet),
    "websockets": ("websockets + msgspec, typed", websockets_msgspec),
    "aiohttp": ("aiohttp + msgspec, typed", aiohttp_msgspec),
}
RIVALS = ("websockets", "aiohttp")


def work(name: str, url: str, events: int) -> None:
    """A contender's process: answer each request with the seconds and the CPU seconds of one run."""
    contender = CONTENDERS[name][1]
    for _ in requests(sys.stdin):
        gc.collect()
        wall, cpu = time.perf_counter(), time.process_time()
        count = asyncio.run(contender(url))
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        if count != events:
            raise SystemExit(f"{name} received {count} of {events} events")
        print(json.dumps({"seconds": wall, "cpu_seconds": cpu}), flush=True)


def measure(names: list[str], events: int, rounds: int) -> dict[str, dict[str, object]]:
    counts = {name: max(1, events // RIVAL_SHARE) if name in RIVALS else events for name in names}
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    with ExitStack() as stack:
        if YARDSTICK in names:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="rlfast-bench-"))
            os.environ["BENCH_COUNTING"] = str(_counting.build(Path(folder)))
        urls = {
            count: stack.enter_context(simulator("--events", str(count))) for count in set(counts.values())
        }
        workers = {}
        for name in names:
            count = counts[name]
            workers[name] = Worker(
                __spec__.name, "--work", name, "--url", urls[count], "--events", str(count)
            )
            stack.callback(workers[name].end)
        for name in names:
            workers[name].run()
        for number, order in enumerate(orders(names, rounds), 1):
            if sys.stderr.isatty():
                print(f"\rround {number} of {rounds}", end="", file=sys.stderr, flush=True)
            for name in order:
                runs[name].append(workers[name].run())
        if sys.stderr.isatty():
            print("\r" + " " * 20 + "\r", end="", file=sys.stderr)
    return {name: summarise(runs[name], counts[name], runs.get(YARDSTICK), events) for name in names}


def summarise(
    runs: list[dict[str, float]], count: int, yardstick: list[dict[str, float]] | None, events: int
) -> dict[str, object]:
    rates = [count / run["seconds"] for run in runs]
    result: dict[str, object] = {
        "events": count,
        "seconds": [run["seconds"] for run in runs],
        "cpu_seconds": [run["cpu_seconds"] for run in runs],
        "events_per_second": Spread.of(rates).__dict__,
        "cpu_us_per_event": Spread.of([run["cpu_seconds"] / count * 1e6 for run in runs]).__dict__,
    }
    if yardstick is not None:
        # Round by round, so that what slowed the whole machine for a while drops out.
        ratios = [rate * run["seconds"] / events for rate, run in zip(rates, yardstick, strict=True)]
        result["ratio_to_picows"] = Spread.of(ratios).__dict__
    return result


def show(results: dict[str, dict[str, object]]) -> str:
    rows = []
    for name, result in results.items():
        rate = result["events_per_second"]
        cpu = result["cpu_us_per_event"]
        ratio = result.get("ratio_to_picows")
        assert isinstance(rate, dict)
        assert isinstance(cpu, dict)
        million = Spread(*(value / 1e6 for value in rate.values()))
        compared = Spread(**ratio).text(3) if isinstance(ratio, dict) else "-"
        rows.append(
            (CONTENDERS[name][0], f"{result['events']:,}", million.text(2), Spread(**cpu).text(3), compared)
        )
    header = ("median (lowest-highest)", "events", "M events/s", "CPU µs/event", "rate against picows")
    return table(header, rows)


def names_of(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in CONTENDERS:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(CONTENDERS)}")
    return [name for name in CONTENDERS if name in names]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.bench_receive", description=__doc__.split("\n")[0]
    )
    parser.add_argument(
        "--events", type=int, default=5_000_000, help="per run (default: 5,000,000; rivals 1/25)"
    )
    parser.add_argument("--rounds", type=int, default=7, help="measured runs of each contender (default: 7)")
    parser.add_argument(
        "--only", type=names_of, default=list(CONTENDERS), metavar="NAMES", help=f"of {','.join(CONTENDERS)}"
    )
    parser.add_argument(
        "--out", help="folder for the captured files (default: the system's temporary folder)"
    )
    parser.add_argument("--json", metavar="FILE", help="write everything as JSON; - is standard output")
    parser.add_argument("--work", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.events < 1 or args.rounds < 1:
        parser.error("--events and --rounds must be at least 1")
    if args.work:
        work(args.work, args.url, args.events)
        return
    if args.out:
        os.environ["BENCH_OUT"] = args.out
    facts = machine(PACKAGES)
    results = measure(args.only, args.events, args.rounds)
    if args.json != "-":
        print_machine(facts)
        print(f"{args.rounds} rounds\n\n{show(results)}")
    if args.json:
        write_json(args.json, {"machine": facts, "rounds": args.rounds, "results": results})


if __name__ == "__main__":
    main()
