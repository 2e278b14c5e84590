"""Throughput: one stream, or many, from a flat-out server to what the program gets of it.

    python -m benchmarks throughput --quick
    python -m benchmarks throughput --scenarios events,tls --only picows,batches,websockets_json --rounds 7

A server in a process of its own sends the same bytes to everybody, as fast as they are taken. Contenders are
processes, too, warmed up by one pass over the events; they take turns in random order, and ratios are made
round by round. README.md has the doubts.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import random
import shutil
import ssl
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import _blobs, _compile, _counting, _plots, _workload
from benchmarks._clients import CLIENTS, missing
from benchmarks._harness import (
    Spread,
    against_bars,
    machine,
    markdown,
    print_machine,
    progress,
    run,
)
from benchmarks._servers import Firehose, firehose
from benchmarks._usage import Usage
from benchmarks.bench_columns import compile_peers
from rlfast.reasoning_layer._events import AgentEvent

PACKAGES = (
    *("rlfast", "picows", "msgspec", "numpy", "pyarrow", "websockets", "aiohttp", "websocket-client"),
    *("orjson", "uvloop", "reasoning_layer_python_sdk"),
)
YARDSTICK = "picows"
FLOORS = {"floor_discard": "C, recv and discard", "floor_frames": "C, frame headers walked"}
BY_HAND = "simdjson_client"
OTHERS = {**FLOORS, BY_HAND: "C++, frames by hand + simdjson", "node_ws": "Node, ws + JSON.parse"}
LABELS = {**OTHERS, **{name: client.label for name, client in CLIENTS.items()}}
RUST_SHARE = 2.39 / 8.3
"""Rate of tokio-tungstenite 0.29 with serde_json::Value, as a share of BY_HAND in a run that had both."""
RUST_BARS = {
    "next_message": 1.3,
    "next_message_untyped": 1.0,
    "next_messages": 1.7,
    "batches": 3.4,
    "capture_process": 1.7,
}
SIZES = (64, 1024, 16_384, 131_072, 1_048_576)
CONNECTIONS = (1, 10, 100, 1000)
FEW = ("picows", "next_message", "next_messages", "batches", "websockets_msgspec", "aiohttp_msgspec")
"""Who takes part where the messages, the connections or the transport differ."""
SCENARIOS = ("events", "uvloop", "tls", "connections", "sizes")


@dataclass(frozen=True)
class Case:
    """One measurement that is repeated each round."""

    scenario: str
    contender: str
    server: Firehose
    events: int
    repeats: int
    payload_bytes: int
    type: str = "events"
    connections: int = 1
    loop: str = "asyncio"

    @property
    def parameter(self) -> str:
        """What differs within the scenario."""
        if self.scenario == "connections":
            return f"{self.connections:,}"
        return f"{self.payload_bytes // self.events:,} B" if self.scenario == "sizes" else ""


def work(options: argparse.Namespace) -> None:
    """One contender's process: print what one run took."""
    type_ = AgentEvent if options.type == "events" else _blobs.Blob
    read = CLIENTS[options.work].make(type_)
    context = ssl.create_default_context(cafile=options.authority) if options.authority else None

    async def everything() -> int:
        runs = (read(options.url, context) for _ in range(options.connections))
        return sum(await asyncio.gather(*runs))

    # Code is loaded, and memory touched, that a program that runs for longer has loaded and touched.
    asyncio.run(read(options.warm_up, context))
    gc.collect()
    gc.freeze()
    usage = Usage()
    if options.loop == "uvloop":
        import uvloop

        events = uvloop.run(everything())
    else:
        events = asyncio.run(everything())
    print(json.dumps({"events": events, **usage.result()}))


def measure_one(case: Case) -> dict[str, Any]:
    """Run one contender once."""
    port, path = case.server.port, f"/{case.repeats}"
    if case.contender in FLOORS:
        program = _compile.c_program("floor")
        assert program is not None
        command = [str(program), str(port), case.contender.removeprefix("floor_")]
    elif case.contender == BY_HAND:
        command = [os.environ["BENCH_BY_HAND"], str(port)]
    elif case.contender == "node_ws":
        command = ["node", str(_compile.PEERS / "node_client.js"), str(port), path]
    else:
        scheme = "wss" if case.server.authority else "ws"
        command = [sys.executable, "-m", __spec__.name, "--work", case.contender]
        command += ["--url", f"{scheme}://127.0.0.1:{port}{path}", "--type", case.type, "--loop", case.loop]
        command += ["--warm-up", f"{scheme}://127.0.0.1:{port}/1"]
        command += ["--connections", str(case.connections), "--authority", case.server.authority or ""]
    before = case.server.cpu_seconds()
    found: dict[str, Any] = run(LABELS[case.contender], command)
    found["server_cpu_seconds"] = case.server.cpu_seconds() - before
    if case.contender == "floor_discard":
        found["events"] = case.events
    if found["events"] != case.events:
        raise SystemExit(f"{LABELS[case.contender]} took {found['events']} of {case.events} events")
    return found


def available(names: list[str], folder: Path) -> list[str]:
    """Those whose tools are there; a line on stderr for each that is not."""
    out = list(names)

    def drop(name: str, reason: str = "") -> None:
        if name in out:
            out.remove(name)
            if reason:
                print(f"without {LABELS[name]}: {reason}", file=sys.stderr)

    if set(FLOORS) & set(out) and _compile.c_program("floor") is None:
        for name in FLOORS:
            drop(name)
    if BY_HAND in out:
        if BY_HAND in compile_peers(folder, [BY_HAND]):
            os.environ["BENCH_BY_HAND"] = str(folder / BY_HAND)
        else:
            drop(BY_HAND)
    if "node_ws" in out:
        if shutil.which("node") is None:
            drop("node_ws", "it needs Node.js")
        elif subprocess.run(["node", "-e", "require('ws')"], capture_output=True).returncode:
            drop("node_ws", "it needs the ws package: npm install ws, and NODE_PATH with its node_modules")
    for name in CLIENTS:
        if package := missing(name):
            drop(name, f"it needs {package}: pip install {package}")
    if YARDSTICK in out:
        os.environ["BENCH_COUNTING"] = str(_counting.build(folder))
    return out


def cases(options: argparse.Namespace, names: list[str], stack: ExitStack) -> list[Case]:
    """Everything that is measured in a round."""
    out = []
    pool = min(options.events, 20_000 if options.quick else _workload.EVENTS)
    payloads = _workload.payloads("base", pool)
    size = sum(map(len, payloads))
    repeats = max(1, options.events // pool)

    def add(scenario: str, name: str, server: Firehose, connections: int = 1, loop: str = "asyncio") -> None:
        # What speaks to the server without a path of its own gets everything.
        share = CLIENTS[name].share if name in CLIENTS else 10 if name == "node_ws" else 1
        # Divided among the connections; everybody gets the pool at least once.
        each = max(1, repeats // share // connections)
        count = each * connections
        case = Case(scenario, name, server, count * pool, each, count * size, "events", connections, loop)
        out.append(case)

    few = [name for name in names if name in FEW]
    plain = stack.enter_context(firehose(payloads, repeats))
    if "events" in options.scenarios:
        for name in names:
            add("events", name, plain)
    if "uvloop" in options.scenarios:
        for name in few:
            add("uvloop", name, plain, loop="uvloop")
    if "tls" in options.scenarios:
        secure = stack.enter_context(firehose(payloads, repeats, tls=True))
        for name in few:
            add("tls", name, secure)
    if "connections" in options.scenarios:
        # A small pool, or a thousand slow readers would take for ever.
        few_payloads = payloads[:1000]
        small = stack.enter_context(firehose(few_payloads, 1))
        length = sum(map(len, few_payloads))
        for connections in options.connections:
            for name in few:
                each = max(1, options.events // CLIENTS[name].share // connections // 1000)
                count = each * connections
                out.append(
                    Case(
                        "connections", name, small, count * 1000, each, count * length, "events", connections
                    )
                )
    if "sizes" in options.scenarios:
        for message in options.sizes:
            blobs = _blobs.payloads(message, 4 << 20)
            length = sum(map(len, blobs))
            total = max(1, options.events * 128 // length)
            server = stack.enter_context(firehose(blobs, total))
            for name in [*(name for name in names if name in FLOORS), *few]:
                each = max(1, total // (CLIENTS[name].share if name in CLIENTS else 1))
                out.append(Case("sizes", name, server, each * len(blobs), each, each * length, "blobs"))
    return out


def summarise(runs: dict[Case, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """One row per case; ratios to the yardstick with the same parameter, round by round."""
    yardsticks = {
        (case.scenario, case.parameter): (case, found)
        for case, found in runs.items()
        if case.contender == YARDSTICK
    }
    rows = []
    for case, found in runs.items():
        rates = [case.events / one["seconds"] for one in found]
        row: dict[str, Any] = {
            "scenario": case.scenario,
            "parameter": case.parameter,
            "contender": case.contender,
            "events": case.events,
            "events_per_second": Spread.of(rates).__dict__,
            "megabytes_per_second": Spread.of(
                [case.payload_bytes / one["seconds"] / 1e6 for one in found]
            ).__dict__,
            "cpu_us_per_event": Spread.of([one["cpu_seconds"] / case.events * 1e6 for one in found]).__dict__,
            "server_cpu_us_per_event": Spread.of(
                [one["server_cpu_seconds"] / case.events * 1e6 for one in found]
            ).__dict__,
            "peak_rss_mb": max(one.get("peak_rss_bytes", 0) for one in found) / 1e6,
        }
        if (case.scenario, case.parameter) in yardsticks:
            other, theirs = yardsticks[case.scenario, case.parameter]
            pairs = zip(rates, theirs, strict=True)
            row[f": {YARDSTICK}"] = Spread.of(
                [rate * one["seconds"] / other.events for rate, one in pairs]
            ).__dict__
        rows.append(row)
    return rows


def report(rows: list[dict[str, Any]]) -> str:
    titles = {
        "events": "One stream of agent events, asyncio",
        "uvloop": "The same on uvloop",
        "tls": "The same over TLS",
        "connections": "Many connections in one process",
        "sizes": "Messages of other sizes",
    }
    parts = []
    for scenario in dict.fromkeys(row["scenario"] for row in rows):
        header = [
            "median (lowest-highest)",
            "",
            "events/s",
            "MB/s",
            "CPU µs/event",
            "server's",
            ": picows",
            "RSS MB",
        ]
        lines = []
        for row in rows:
            if row["scenario"] != scenario:
                continue
            rate = row["events_per_second"]
            ratio = row.get(f": {YARDSTICK}")
            lines.append(
                [
                    LABELS[row["contender"]],
                    row["parameter"],
                    "{median:,.0f} ({low:,.0f}-{high:,.0f})".format(**rate),
                    f"{row['megabytes_per_second']['median']:,.0f}",
                    Spread(**row["cpu_us_per_event"]).text(3),
                    f"{row['server_cpu_us_per_event']['median']:.3f}",
                    Spread(**ratio).text(3) if ratio else "-",
                    f"{row['peak_rss_mb']:.0f}" if row["peak_rss_mb"] else "-",
                ]
            )
        parts.append(f"### {titles[scenario]}\n\n{markdown(header, lines)}")
    return "\n\n".join(parts)


def bars(runs: dict[Case, list[dict[str, Any]]]) -> list[tuple[str, float, str, float]]:
    """Measured figures beside what they are meant to reach; medians of the ratios of each round."""
    found = {case.contender: (case, each) for case, each in runs.items() if case.scenario == "events"}
    wanted = [
        ("next_message", "aiohttp_json", 1.0, 8),
        ("next_message", "websockets_json", 1.0, 60),
        ("batches", BY_HAND, 1.0, 0.95),
        *((name, BY_HAND, RUST_SHARE, bar) for name, bar in RUST_BARS.items()),
    ]
    out = []
    for name, other, share, bar in wanted:
        if name in found and other in found:
            (mine, ours), (theirs, others) = found[name], found[other]
            ratio = Spread.of(
                [
                    mine.events / one["seconds"] * two["seconds"] / theirs.events / share
                    for one, two in zip(ours, others, strict=True)
                ]
            )
            rival = LABELS[other] if share == 1.0 else "Rust, by way of C++"
            out.append((f"{LABELS[name]} : {rival}", ratio.median, ">=", bar))
    return out


def plots(result: dict[str, Any], folder: Path) -> list[Path]:
    rows = [row for row in result["rows"] if row["scenario"] == "events"]
    out = []
    if rows:
        bars_of = []
        for row in sorted(rows, key=lambda row: -row["events_per_second"]["median"]):
            rate = row["events_per_second"]
            bars_of.append(
                (LABELS[row["contender"]], *(rate[key] / 1e6 for key in ("median", "low", "high")))
            )
        path = folder / "throughput.png"
        _plots.bars(bars_of, "One stream of 128-byte events, asyncio", "million events per second", path)
        out.append(path)
    for scenario, x in (("sizes", "bytes per message"), ("connections", "connections")):
        lines: dict[str, list[tuple[float, float]]] = {}
        for row in result["rows"]:
            if row["scenario"] == scenario:
                at = float(row["parameter"].removesuffix(" B").replace(",", ""))
                lines.setdefault(LABELS[row["contender"]], []).append(
                    (at, row["megabytes_per_second"]["median"])
                )
        if lines:
            path = folder / f"throughput_{scenario}.png"
            _plots.lines(lines, f"Throughput against {x}", x, "MB/s", path)
            out.append(path)
    return out


def names_of(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in LABELS:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(LABELS)}")
    return names


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--events", type=int, help="per run of the fastest; the slow ones get 1/25 and less")
    parser.add_argument("--scenarios", type=lambda text: text.split(","), help=f"of {','.join(SCENARIOS)}")
    parser.add_argument("--only", type=names_of, metavar="NAMES", help=f"of {','.join(LABELS)}")
    parser.add_argument(
        "--connections",
        type=lambda text: [int(n) for n in text.split(",")],
        metavar="N,N,…",
        help="default: 1,10,100,1000",
    )


def defaults(options: argparse.Namespace) -> None:
    whole = {
        "events": 20_000_000,
        "scenarios": list(SCENARIOS),
        "only": list(LABELS),
        "connections": list(CONNECTIONS),
        "sizes": list(SIZES),
        "rounds": 7,
    }
    quick = {
        **whole,
        "events": 500_000,
        "rounds": 2,
        "connections": [1, 100],
        "sizes": [64, 1 << 14, 1 << 20],
    }
    for name, value in (quick if options.quick else whole).items():
        if getattr(options, name, None) is None:
            setattr(options, name, value)


def main(options: argparse.Namespace) -> dict[str, Any]:
    defaults(options)
    facts = machine(PACKAGES)
    print_machine(facts)
    source = random.Random(1)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rlfast-bench-")))
        names = available([name for name in LABELS if name in options.only], folder)
        everything = cases(options, names, stack)
        runs: dict[Case, list[dict[str, Any]]] = {case: [] for case in everything}
        for _ in range(options.rounds):
            for case in progress(source.sample(everything, len(everything))):
                runs[case].append(measure_one(case))
    rows = summarise(runs)
    text = report(rows)
    print(text)
    found = bars(runs)
    if found:
        print("\n" + against_bars(found))
    every = [
        {"scenario": case.scenario, "parameter": case.parameter, "contender": case.contender, "runs": found}
        for case, found in runs.items()
    ]
    return {"machine": facts, "runs": every, "rows": rows, "markdown": text, "bars": found}


def _worker() -> None:
    parser = argparse.ArgumentParser()
    for name in ("--work", "--url", "--warm-up", "--type", "--loop", "--authority"):
        parser.add_argument(name)
    parser.add_argument("--connections", type=int)
    work(parser.parse_args())


if __name__ == "__main__":
    _worker()
