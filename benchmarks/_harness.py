"""What the benchmarks share: the simulator and the contenders as processes, and statistics."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
import random
import signal
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

ROOT = Path(__file__).resolve().parent.parent
AGENT_ID = "0a8ee6c5-7d7a-4d24-9d6d-3a0c1b1f6d70"
TENANT_ID = "5f0c9d53-92c5-4b5f-8f3e-0d8a5b0a2c11"


def environment() -> dict[str, str]:
    """The environment of every child: this tree's rlfast, if it is compiled, or the installed one."""
    source = ROOT / "src"
    # A tree that was not compiled in place would hide the rlfast that is installed.
    compiled = any((source / "rlfast" / "_core").glob("columns.cp*"))
    paths = [str(source) if compiled else "", str(ROOT), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def machine(packages: Iterable[str]) -> dict[str, Any]:
    versions = {}
    for package in packages:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return {
        "cpu": _cpu_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": platform.platform(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "load_before": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "versions": versions,
    }


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def print_machine(facts: Mapping[str, Any]) -> None:
    print(f"{facts['cpu']}, {facts['cores']} cores, {facts['system']}, {facts['python']}")
    print(", ".join(f"{name} {version}" for name, version in facts["versions"].items()))
    if facts["load_before"] is not None and facts["load_before"] > 0.5:
        print(f"warning: the machine is busy (load {facts['load_before']}); the figures will be too low")


# Processes


@contextmanager
def simulator(*arguments: str) -> Iterator[str]:
    """Run ``python -m rlfast.simulator`` and give the URL of its agent stream."""
    process = subprocess.Popen(
        [sys.executable, "-m", "rlfast.simulator", *arguments],
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        base = process.stdout.readline().removeprefix("listening on ").strip()
        if not base:
            raise SystemExit("the simulator did not start; its message is above")
        path = f"/api/v1/cognitive/agents/ws?agent_id={AGENT_ID}&tenant_id={TENANT_ID}"
        yield base.replace("http", "ws", 1) + path
    finally:
        _end(process)


class Worker:
    """A contender in a process of its own: it starts once, then it runs whenever it is its turn."""

    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            command,
            env=environment(),
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, what: str = "run") -> dict[str, float]:
        """One measurement, or what else it gives for a line; no answer ends the benchmark."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(what + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("a contender ended early; its message is above")
        result: dict[str, float] = json.loads(line)
        return result

    def end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        _end(self._process)


def _end(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


# Statistics


@dataclass(frozen=True)
class Spread:
    """Median, smallest and largest of a list of measurements."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(statistics.median(values), min(values), max(values))

    def text(self, digits: int) -> str:
        return f"{self.median:.{digits}f} ({self.low:.{digits}f}-{self.high:.{digits}f})"


def orders(names: Sequence[str], rounds: int, seed: int = 1) -> Iterator[list[str]]:
    """A new random order for every round: no contender always follows the same one, or goes first."""
    source = random.Random(seed)
    for _ in range(rounds):
        yield source.sample(names, len(names))


def in_rounds(
    commands: Mapping[str, list[str]], rounds: int, check: Callable[[str, dict[str, float]], bool]
) -> dict[str, list[dict[str, float]]]:
    """Run every command once as a warm-up, then once in each round, in random order.

    A command is a process of its own that prints its measurement as JSON. `check` tells whether one is
    complete; if it is not, the benchmark ends.
    """
    runs: dict[str, list[dict[str, float]]] = {label: [] for label in commands}
    for label, command in commands.items():
        run(label, command)
    for number, order in enumerate(orders(list(commands), rounds), 1):
        if sys.stderr.isatty():
            print(f"\rround {number} of {rounds}", end="", file=sys.stderr, flush=True)
        for label in order:
            result = run(label, commands[label])
            if not check(label, result):
                raise SystemExit(f"{label} is not complete: {result}")
            runs[label].append(result)
    if sys.stderr.isatty():
        print("\r" + " " * 20 + "\r", end="", file=sys.stderr)
    return runs


def run(name: str, command: list[str]) -> dict[str, float]:
    """One measurement, in a new process; its start is not in it."""
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{name} failed: {done.stderr[-2000:]}")
    result: dict[str, float] = json.loads(done.stdout)
    return result


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [list(header), *map(list, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = []
    for line in lines:
        first = line[0].ljust(widths[0])
        rest = (cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))
        text.append("  ".join([first, *rest]).rstrip())
    text.insert(1, "-" * sum(widths, 2 * (len(widths) - 1)))
    return "\n".join(text)


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """The table as Markdown; all columns but the first are aligned to the right."""
    lines = [list(header), ["---"] + ["--:"] * (len(header) - 1), *map(list, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


T = TypeVar("T")


def progress(items: Sequence[T]) -> Iterator[T]:
    """The items, while a terminal's last line says how far they are."""
    for number, item in enumerate(items, 1):
        if sys.stderr.isatty():
            print(f"\r{number} of {len(items)} ", end="", file=sys.stderr, flush=True)
        yield item
    if sys.stderr.isatty():
        print("\r" + " " * 20 + "\r", end="", file=sys.stderr)


def against_bars(bars: Iterable[tuple[str, float, str, float]]) -> str:
    """Measured figures beside what they are meant to reach: (what, measured, "<=" or ">=", bar)."""
    rows = [
        (what, f"{value:.2f}", f"{sign} {bar:g}", f"{value / bar:.2f}") for what, value, sign, bar in bars
    ]
    return table(("bars", "measured", "bar", "measured / bar"), rows)


def write_json(path: str, result: object) -> None:
    text = json.dumps(result, indent=2)
    if path == "-":
        print(text)
    else:
        Path(path).write_text(text + "\n")


def write_results(
    name: str, result: dict[str, Any], folder: Path, plots: Callable[[dict[str, Any], Path], list[Path]]
) -> list[Path]:
    """Write a benchmark's JSON, Markdown and plots into the folder; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    out = [folder / f"{name}.json", folder / f"{name}.md"]
    date = datetime.date.today().isoformat()
    text = result.pop("markdown")
    out[0].write_text(json.dumps({"date": date, **result}) + "\n")
    facts = result["machine"]
    versions = ", ".join(f"{key} {value}" for key, value in facts["versions"].items())
    lines = [
        f"# {name}, {date}",
        f"{facts['cpu']}, {facts['cores']} cores, {facts['system']}, {facts['python']}.",
    ]
    lines += [f"{versions}. Load before: {facts['load_before']}.", text]
    if result.get("bars"):
        rows = [(what, f"{value:.3g}", f"{sign} {bar:g}") for what, value, sign, bar in result["bars"]]
        lines.append("### Bars\n\n" + markdown(("bar", "measured", "wanted"), rows))
    out[1].write_text("\n\n".join(lines) + "\n")
    try:
        return out + plots(result, folder)
    except ImportError as error:
        print(f"without plots: {error}", file=sys.stderr)
        return out
