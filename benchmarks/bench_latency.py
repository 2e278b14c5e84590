"""Latency: from when an event was due at the server to when the consumer holds it decoded.

    python -m benchmarks latency --rates 1000,10000,50000 --seconds 3 --rounds 5

A server in C, in a process of its own, sends by a schedule that is fixed in advance and knows nothing of the
client: Poisson arrivals, or Poisson bursts. Latency counts from the scheduled time, so a consumer that makes
the server wait is charged for every event that had to wait (no coordinated omission). Consumers take turns in
random order; the schedule of a round is the same for all of them. README.md has the doubts.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import _compile, _latency_consumers, _plots
from benchmarks._harness import (
    Spread,
    against_bars,
    machine,
    markdown,
    print_machine,
    progress,
    run,
)
from benchmarks._usage import Usage
from rlfast.metrics._histogram import Histogram

PACKAGES = ("rlfast", "picows", "msgspec", "websockets", "aiohttp", "uvloop", "hdrhistogram", "numpy")
WARM_UP = 0.2
"""Share of the events, at the beginning, that are not counted."""
BURST = 100
YARDSTICK = "picows"
POINTS = ("p50", "p90", "p99", "p99.9", "max")
BAR_RATE = 50_000


class Sender:
    """The server; `finished` gives what it says of each client, in turn."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        assert process.stdout is not None
        self.port = int(process.stdout.readline())

    def finished(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        found: dict[str, Any] = json.loads(self._process.stdout.readline())
        return found


@contextmanager
def sender() -> Iterator[Sender | None]:
    program = _compile.c_program("sender")
    if program is None:
        yield None
        return
    process = subprocess.Popen([str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield Sender(process)
    finally:
        process.stdin.close()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def work(name: str, url: str, echoes: int, loop: str) -> None:
    """One consumer's process: print its distribution as JSON."""
    gc.collect()
    gc.freeze()
    usage = Usage()
    found = _latency_consumers.run(name, url, echoes, loop)
    result = usage.result()
    histogram = Histogram()
    histogram.record(found[int(len(found) * WARM_UP) :])
    print(json.dumps({"received": len(found), **result, **histogram.summary()}))


def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Every run, in order: what was measured, by whom, and what the server says of it."""
    runs: list[dict[str, Any]] = []
    source = random.Random(1)
    with sender() as server:
        if server is None:
            return runs
        consumers = list(options.consumers)
        if "floor" in consumers:
            if (program := _compile.c_program("latency")) is not None:
                os.environ["BENCH_LATENCY"] = str(program)
            else:
                consumers.remove("floor")
        cases = [(pattern, rate) for pattern in options.patterns for rate in options.rates]
        plan = [(case, number) for number in range(options.rounds) for case in cases]
        names = [(name, loop) for loop in options.loops for name in consumers]
        for (pattern, rate), number in progress(plan):
            for name, loop in source.sample(names, len(names)):
                path = f"{pattern}?rate={rate}&seconds={options.seconds}&seed={number + 1}&burst={BURST}"
                found = _one(server, name, path, 0, loop)
                runs.append({"pattern": pattern, "rate": rate, "loop": loop, "consumer": name, **found})
        echoes = [(name, loop) for loop in options.loops for name in _latency_consumers.ECHOES]
        for _ in progress(range(options.rounds if options.echoes else 0)):
            for name, loop in source.sample(echoes, len(echoes)):
                found = _one(server, name, "echo", options.echoes, loop)
                runs.append({"pattern": "echo", "rate": 0, "loop": loop, "consumer": name, **found})
    return runs


def _one(server: Sender, name: str, path: str, echoes: int, loop: str) -> dict[str, Any]:
    url = f"ws://127.0.0.1:{server.port}/{path}"
    command = [sys.executable, "-m", __spec__.name, "--work", name, "--url", url]
    found: dict[str, Any] = run(name, [*command, "--echoes", str(echoes), "--loops", loop])
    said = server.finished()
    return {**found, "server": said, "saturated": found["received"] < said["count"]}


def summarise(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row per case: medians over the rounds, ratios to the yardstick of the same round."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for one in runs:
        key = (one["pattern"], one["rate"], one["loop"], one["consumer"])
        groups.setdefault(key, []).append(one)
    rows = []
    order = list(_latency_consumers.CONSUMERS)
    for key in sorted(groups, key=lambda key: (key[0], key[1], key[2], order.index(key[3]))):
        pattern, rate, loop, consumer = key
        found = groups[key]
        yardstick = groups.get((pattern, rate, loop, YARDSTICK))
        row: dict[str, Any] = {"pattern": pattern, "rate": rate, "loop": loop, "consumer": consumer}
        for point in POINTS:
            row[point] = Spread.of([one[point] / 1e3 for one in found]).__dict__
            if yardstick is not None:
                pairs = zip(found, yardstick, strict=True)
                row[f"{point} : {YARDSTICK}"] = Spread.of(
                    [mine[point] / other[point] for mine, other in pairs]
                ).__dict__
        row["cpu_us_per_event"] = Spread.of(
            [one["cpu_seconds"] / one["received"] * 1e6 for one in found]
        ).__dict__
        row["server_cpu_us_per_event"] = Spread.of(
            [one["server"]["cpu_seconds"] / max(1, one["server"]["sent"]) * 1e6 for one in found]
        ).__dict__
        row["server_late_p99_us"] = Spread.of(
            [one["server"].get("late_p99", 0) / 1e3 for one in found]
        ).__dict__
        row["peak_rss_mb"] = max(one["peak_rss_bytes"] for one in found) / 1e6
        row["saturated"] = any(one["saturated"] for one in found)
        row["hdr"] = _together(filter(None, [one.pop("hdr", None) for one in found]))
        rows.append(row)
    return rows


def _together(texts: Iterable[str]) -> str | None:
    """One histogram of all rounds, in the same text form; None: nothing was received."""
    whole = Histogram()
    for text in texts:
        whole.merge(Histogram.from_text(text))
    return str(whole.summary()["hdr"]) if len(whole) else None


def label(row: dict[str, Any]) -> str:
    names = _latency_consumers.ECHOES if row["pattern"] == "echo" else _latency_consumers.CONSUMERS
    return names[row["consumer"]][0] + (", uvloop" if row["loop"] == "uvloop" else "")


def report(rows: list[dict[str, Any]]) -> str:
    """Markdown tables, one per case."""
    parts = []
    for pattern, rate in dict.fromkeys((row["pattern"], row["rate"]) for row in rows):
        title = "Round trip (echo)" if pattern == "echo" else f"{pattern.capitalize()}, {rate:,} events/s"
        header = ["µs, median (lowest-highest)", *POINTS, f"p50 : {YARDSTICK}", f"p99 : {YARDSTICK}"]
        header += ["CPU µs/event", "server's", "sent late, p99", "RSS MB"]
        lines = []
        for row in rows:
            if (row["pattern"], row["rate"]) != (pattern, rate):
                continue
            cells = [label(row) + (" (saturated)" if row["saturated"] else "")]
            cells += [f"{Spread(**row[point]).text(0)}" for point in POINTS]
            cells += [
                Spread(**row[key]).text(2) if (key := f"{point} : {YARDSTICK}") in row else "-"
                for point in ("p50", "p99")
            ]
            cells += [f"{row[key]['median']:.2f}" for key in ("cpu_us_per_event", "server_cpu_us_per_event")]
            cells += [f"{row['server_late_p99_us']['median']:.0f}", f"{row['peak_rss_mb']:.0f}"]
            lines.append(cells)
        parts.append(f"### {title}\n\n{markdown(header, lines)}")
    return "\n\n".join(parts)


def bars(runs: list[dict[str, Any]]) -> list[tuple[str, float, str, float]]:
    """Measured figures beside what they are meant to reach; medians of the ratios of each round."""
    found: dict[str, list[dict[str, Any]]] = {}
    for one in runs:
        if (one["pattern"], one["rate"], one["loop"]) == ("poisson", BAR_RATE, "asyncio"):
            found.setdefault(one["consumer"], []).append(one)
    out = []
    for name in ("next_message", "busy_poll"):
        for point in ("p50", "p99"):
            for other, bar in ((YARDSTICK, 1.15), ("websockets", 0.5)):
                if name in found and other in found:
                    pairs = zip(found[name], found[other], strict=True)
                    ratio = Spread.of([mine[point] / theirs[point] for mine, theirs in pairs]).median
                    out.append((f"{name} : {other}, {point} at {BAR_RATE:,}/s", ratio, "<=", bar))
    return out


def histograms(rows: list[dict[str, Any]], pattern: str, rate: int, loop: str) -> dict[str, Histogram]:
    """All rounds of each consumer of a case together."""
    out: dict[str, Histogram] = {}
    for row in rows:
        if (row["pattern"], row["rate"], row["loop"]) == (pattern, rate, loop) and row["hdr"]:
            out[label(row)] = Histogram.from_text(row["hdr"])
    # The same colours in every plot.
    order = list(_latency_consumers.ECHOES if pattern == "echo" else _latency_consumers.CONSUMERS)
    labels = [label({"pattern": pattern, "consumer": consumer, "loop": loop}) for consumer in order]
    return {name: out[name] for name in labels if name in out}


def plots(result: dict[str, Any], folder: Path) -> list[Path]:
    """Percentile curves at each rate, and p99 against rate."""
    rows = result["rows"]
    out = []
    cases = dict.fromkeys((row["pattern"], row["rate"]) for row in rows)
    for pattern in dict.fromkeys(pattern for pattern, _ in cases):
        panels = {
            "round trip" if pattern == "echo" else f"{rate:,} events/s": histograms(
                rows, pattern, rate, "asyncio"
            )
            for each, rate in cases
            if each == pattern
        }
        path = folder / f"latency_{pattern}.png"
        _plots.percentiles(panels, f"Latency, {pattern}", path)
        out.append(path)
    lines: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        if row["pattern"] == "poisson" and row["loop"] == "asyncio":
            lines.setdefault(label(row), []).append((row["rate"], row["p99"]["median"]))
    if lines:
        path = folder / "latency_p99.png"
        _plots.lines(lines, "p99 latency against rate, Poisson", "events/s", "µs", path)
        out.append(path)
    return out


def names_of(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in _latency_consumers.CONSUMERS:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(_latency_consumers.CONSUMERS)}")
    return names


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--rates", type=lambda text: [int(rate) for rate in text.split(",")], metavar="N,N,…", help="events/s"
    )
    parser.add_argument("--patterns", type=lambda text: text.split(","), help="poisson,bursts")
    parser.add_argument("--consumers", type=names_of, help=f"of {','.join(_latency_consumers.CONSUMERS)}")
    parser.add_argument("--seconds", type=float, help="of each schedule")
    parser.add_argument("--echoes", type=int, help="round trips in each run; 0: none")
    parser.add_argument("--loops", type=lambda text: text.split(","), help="asyncio,uvloop")


def defaults(options: argparse.Namespace) -> None:
    """What was not given: the whole benchmark, or with --quick a short one."""
    whole = {
        "rates": [1_000, 10_000, 50_000, 100_000, 200_000, 500_000],
        "patterns": ["poisson", "bursts"],
        "consumers": list(_latency_consumers.CONSUMERS),
        "seconds": 5.0,
        "echoes": 20_000,
        "loops": ["asyncio", "uvloop"],
        "rounds": 5,
    }
    quick = {
        **whole,
        "rates": [1_000, 10_000, 50_000],
        "patterns": ["poisson"],
        "seconds": 1.0,
        "echoes": 2_000,
        "loops": ["asyncio"],
        "rounds": 3,
    }
    for name, value in (quick if options.quick else whole).items():
        if getattr(options, name, None) is None:
            setattr(options, name, value)


def main(options: argparse.Namespace) -> dict[str, Any]:
    defaults(options)
    facts = machine(PACKAGES)
    print_machine(facts)
    runs = measure(options)
    rows = summarise(runs)
    text = report(rows)
    print(text)
    found = bars(runs)
    if found:
        print("\n" + against_bars(found))
    return {"machine": facts, "runs": runs, "rows": rows, "markdown": text, "bars": found}


def _worker(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--work")
    parser.add_argument("--url")
    parser.add_argument("--echoes", type=int)
    parser.add_argument("--loops")
    options = parser.parse_args(arguments)
    work(options.work, options.url, options.echoes, options.loops)


if __name__ == "__main__":
    _worker(sys.argv[1:])
