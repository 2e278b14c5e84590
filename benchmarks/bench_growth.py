"""Growth: cost of an event against its size, its fields, the number of types, of connections, of what waits.

    python -m benchmarks growth --quick

CPU time of rlfast's process for each event, over a loopback socket, typed: in message mode (next_messages)
and in batch mode, from when all connections are open. Each series should be flat; README.md explains those
that are not. The rounds are interleaved in random order.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import random
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from benchmarks import _blobs, _plots, _workload
from benchmarks._harness import Spread, machine, markdown, print_machine, progress, run
from benchmarks._servers import firehose
from benchmarks._usage import Usage
from rlfast.reasoning_layer._events import AgentEvent

PACKAGES = ("rlfast", "picows", "msgspec", "numpy")
MODES = ("messages", "batches")
SERIES: dict[str, tuple[str, tuple[int, ...]]] = {
    "size": ("bytes of an event", (64, 256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576)),
    "fields": ("fields of the type", (3, 10, 30, 100)),
    "types": ("types in the union", (1, 4, 16, 64)),
    "connections": ("connections", (1, 10, 100, 1000)),
    "backlog": ("MiB that wait unread", (0, 1, 4, 16, 64)),
}
UNITS = {"size": "ns/byte", "fields": "ns/field"}
"""Where an event has more in it, the cost of one part of it is to be flat."""
MIB = 1 << 20


@dataclass(frozen=True)
class Case:
    """One point of a series in one mode."""

    series: str
    value: int
    mode: str
    port: int
    repeats: int
    events: int
    payload_bytes: int


def types(count: int) -> Any:
    """A union of so many types that differ in their tag only."""
    fields = [("id", str), ("sort", str), ("n", int), ("share", float)]
    structs = [msgspec.defstruct(f"Type{i}", fields, tag=f"type_{i}", tag_field="type") for i in range(count)]
    union = structs[0]
    for struct in structs[1:]:
        union = union | struct  # type: ignore[assignment]
    return union


def inputs(series: str, value: int, total: int) -> list[bytes]:
    """About `total` bytes of messages."""
    if series == "size":
        return _blobs.payloads(value, total)
    if series == "fields":
        return _workload.of_width(value, max(16, total // (24 * value)))[1]
    if series == "types":
        source = random.Random(1)
        return [
            _workload.compact(
                {
                    "type": f"type_{source.randrange(value)}",
                    "id": f"{source.getrandbits(64):016x}",
                    "sort": source.choice(_workload.SORTS[:5]),
                    "n": source.randrange(1000),
                    "share": round(source.random(), 6),
                }
            )
            for _ in range(total // 90)
        ]
    return _workload.payloads("base", total // 128)


def type_of(series: str, value: int) -> Any:
    if series == "size":
        return _blobs.Blob
    if series == "fields":
        return _workload.of_width(value, 0)[0]
    return types(value) if series == "types" else AgentEvent


async def _open(url: str, type_: Any, backlog: int) -> Any:
    import rlfast

    high_water = max(16, 2 * backlog) * MIB
    options = rlfast.ConnectionOptions(high_water=high_water, low_water=high_water // 2)
    return await rlfast.connect(url, type=type_, backoff=None, options=options)


async def _read(ws: Any, mode: str, backlog: int) -> int:
    count = 0
    async with ws:
        await ws.send("go")
        while ws.stats.queued_bytes < backlog * MIB and ws.connected:
            await asyncio.sleep(0.001)
        if mode == "batches":
            async for batch in ws.batches():
                count += batch.num_events
        else:
            while messages := await ws.next_messages():
                count += len(messages)
    return count


def work(options: argparse.Namespace) -> None:
    """The process that is measured."""
    type_ = type_of(options.series, options.value)
    connections = options.value if options.series == "connections" else 1
    backlog = options.value if options.series == "backlog" else 0

    async def everything() -> dict[str, Any]:
        await _read(await _open(options.warm_up, type_, 0), options.mode, 0)
        opened = [await _open(options.url, type_, backlog) for _ in range(connections)]
        gc.collect()
        gc.freeze()
        usage = Usage()
        counts = await asyncio.gather(*(_read(ws, options.mode, backlog) for ws in opened))
        return {"events": sum(counts), **usage.result()}

    print(json.dumps(asyncio.run(everything())))


def cases(options: argparse.Namespace, stack: ExitStack) -> list[Case]:
    out = []
    for series in options.series:
        for value in SERIES[series][1]:
            connections = value if series == "connections" else 1
            # As much for a thousand connections as for one, and a whole number of times the pool.
            total = options.megabytes * 1_000_000
            pool = max(128 * 16, min(2_000_000, total // connections))
            payloads = inputs(series, value, pool)
            length = sum(map(len, payloads))
            repeats = max(1, total // connections // length)
            if series == "backlog":
                repeats = max(repeats, 2 * value * MIB // length)
            server = stack.enter_context(firehose(payloads, repeats))
            for mode in MODES:
                out.append(
                    Case(
                        series,
                        value,
                        mode,
                        server.port,
                        repeats,
                        repeats * connections * len(payloads),
                        repeats * connections * length,
                    )
                )
    return out


def measure_one(case: Case) -> dict[str, Any]:
    url = f"ws://127.0.0.1:{case.port}/"
    command = [sys.executable, "-m", __spec__.name, "--series", case.series, "--value", str(case.value)]
    command += ["--mode", case.mode, "--url", f"{url}{case.repeats}/wait", "--warm-up", f"{url}1/wait"]
    found: dict[str, Any] = run(f"{case.series} {case.value} {case.mode}", command)
    if found["events"] != case.events:
        raise SystemExit(f"{case}: {found['events']} events arrived")
    return found


def _parts(case: Case) -> int:
    if case.series == "size":
        return case.payload_bytes
    return case.events * case.value if case.series == "fields" else case.events


def summarise(runs: dict[Case, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    return [
        {
            "series": case.series,
            "value": case.value,
            "mode": case.mode,
            "bytes_per_event": case.payload_bytes / case.events,
            "cpu_ns_per_event": Spread.of([one["cpu_seconds"] / case.events * 1e9 for one in found]).__dict__,
            "cpu_ns_per_part": Spread.of([one["cpu_seconds"] / _parts(case) * 1e9 for one in found]).__dict__,
            "peak_rss_mb": max(one["peak_rss_bytes"] for one in found) / 1e6,
        }
        for case, found in runs.items()
    ]


def report(rows: list[dict[str, Any]]) -> str:
    parts = []
    for series in dict.fromkeys(row["series"] for row in rows):
        unit = UNITS.get(series)
        header = [
            SERIES[series][0],
            "mode",
            "CPU ns/event",
            *([unit] if unit else []),
            "bytes/event",
            "RSS MB",
        ]
        lines = []
        for row in rows:
            if row["series"] != series:
                continue
            line = [f"{row['value']:,}", row["mode"], Spread(**row["cpu_ns_per_event"]).text(0)]
            line += [Spread(**row["cpu_ns_per_part"]).text(2)] if unit else []
            lines.append([*line, f"{row['bytes_per_event']:,.0f}", f"{row['peak_rss_mb']:.0f}"])
        parts.append(f"### {series.capitalize()}\n\n{markdown(header, lines)}")
    return "\n\n".join(parts)


def plots(result: dict[str, Any], folder: Path) -> list[Path]:
    out = []
    for series in dict.fromkeys(row["series"] for row in result["rows"]):
        lines: dict[str, list[tuple[float, float]]] = {}
        for row in result["rows"]:
            if row["series"] == series:
                at = max(row["value"], 0.5)
                lines.setdefault(row["mode"], []).append((at, row["cpu_ns_per_part"]["median"]))
        path = folder / f"growth_{series}.png"
        _plots.lines(
            lines, f"Cost against {series}", SERIES[series][0], f"CPU {UNITS.get(series, 'ns/event')}", path
        )
        out.append(path)
    return out


def series_of(text: str) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in SERIES:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(SERIES)}")
    return names


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--series", type=series_of, metavar="NAMES", help=f"of {','.join(SERIES)}")
    parser.add_argument("--megabytes", type=int, help="of payload in each run")


def main(options: argparse.Namespace) -> dict[str, Any]:
    whole = {"series": list(SERIES), "megabytes": 256, "rounds": 5}
    quick = {**whole, "megabytes": 16, "rounds": 1}
    for name, value in (quick if options.quick else whole).items():
        if getattr(options, name, None) is None:
            setattr(options, name, value)
    facts = machine(PACKAGES)
    print_machine(facts)
    source = random.Random(1)
    with ExitStack() as stack:
        everything = cases(options, stack)
        runs: dict[Case, list[dict[str, Any]]] = {case: [] for case in everything}
        for _ in range(options.rounds):
            for case in progress(source.sample(everything, len(everything))):
                runs[case].append(measure_one(case))
    rows = summarise(runs)
    text = report(rows)
    print(text)
    return {"machine": facts, "rows": rows, "markdown": text}


def _worker() -> None:
    parser = argparse.ArgumentParser()
    for name in ("--series", "--mode", "--url", "--warm-up"):
        parser.add_argument(name)
    parser.add_argument("--value", type=int)
    work(parser.parse_args())


if __name__ == "__main__":
    _worker()
