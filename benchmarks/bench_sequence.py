"""What it costs to look at the numbers in messages: CPU time of the watcher alone, without a socket.

    python -m benchmarks.bench_sequence --rounds 15

The messages of each kind lie in a block already; what is measured is one look at all of them. None of the
numbers is out of order.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable
from itertools import islice
from typing import Any

import msgspec

from benchmarks._harness import Spread, machine, orders, print_machine, table
from rlfast import Sequence
from rlfast._core.queue import BlockQueue
from rlfast.schema._decoding import Decoding
from rlfast.simulator._events import agent_events
from rlfast.websocket._gaps import GapLog
from rlfast.websocket._sequence import SequenceLog

AGENT = "0a8ee6c5-7d7a-4d24-9d6d-3a0c1b1f6d70"
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT")


def agent_event(events: list[Any], i: int) -> Any:
    return {**events[i], "n": i}


def ticker(source: random.Random, i: int) -> Any:
    price = f"{source.uniform(20000, 30000):.2f}"
    return {"channel": "ticker", "sequence_num": i, "product_id": "BTC-USD", "price": price, "size": "0.02"}


def depth(source: random.Random, i: int) -> Any:
    u, s = divmod(i, 4)
    sides = [
        [[f"{source.uniform(20000, 30000):.8f}", f"{source.uniform(0, 5):.8f}"] for _ in range(10)]
        for _ in range(2)
    ]
    first = {"e": "depthUpdate", "E": 1_700_000_000_000 + u, "s": SYMBOLS[s], "U": u * 10, "u": u * 10 + 9}
    return {**first, "b": sides[0], "a": sides[1]}


def trades(i: int) -> Any:
    return [{"T": "t", "S": SYMBOLS[j % 4], "i": 3 * i + j // 4, "p": 1.5, "s": 100} for j in range(12)]


def workloads(count: int) -> dict[str, tuple[Sequence, list[bytes]]]:
    source = random.Random(1)
    events = [msgspec.json.decode(payload) for payload in islice(agent_events(7, AGENT, count), count)]
    kinds: dict[str, tuple[Sequence, Callable[[int], Any]]] = {
        "agent event, number added": (Sequence("/n"), lambda i: agent_event(events, i)),
        "agent event, no number": (Sequence("/n"), lambda i: events[i]),
        "ticker": (Sequence("/sequence_num", by="/product_id"), lambda i: ticker(source, i)),
        "depth, 2 x 10 levels": (Sequence("/U", last="/u", by="/s"), lambda i: depth(source, i)),
        "array of 12 trades": (Sequence("/*/i", by="/*/S"), trades),
    }
    return {
        name: (sequence, [msgspec.json.encode(make(i)) for i in range(count)])
        for name, (sequence, make) in kinds.items()
    }


def look(sequence: Sequence, payloads: list[bytes]) -> float:
    """CPU seconds of a look at all messages."""
    log = SequenceLog(sequence, Decoding(), GapLog(None))
    queue = BlockQueue(sum(map(len, payloads)) + 1, 1 << 40, 1)
    queue.begin_epoch(1)
    for payload in payloads:
        queue.feed(payload)
    queue.watchers = (log.watcher,)
    begun = time.process_time()
    queue.end_of_read()
    seconds = time.process_time() - begun
    if log.watcher.irregular or log.watcher.unchecked:
        raise SystemExit("the numbers of the benchmark are not in order")
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--messages", type=int, default=20_000, help="of each kind")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    print_machine(machine(("rlfast",)))
    found = workloads(options.messages)
    nanoseconds: dict[str, list[float]] = {name: [] for name in found}
    for order in orders(list(found), options.rounds):
        for name in order:
            nanoseconds[name].append(look(*found[name]) / options.messages * 1e9)
    lines = [
        (name, f"{sum(map(len, payloads)) / len(payloads):.0f}", Spread.of(nanoseconds[name]).text(0))
        for name, (_, payloads) in found.items()
    ]
    print(table(("median (lowest-highest)", "bytes/message", "CPU ns/message"), lines))


if __name__ == "__main__":
    main()
