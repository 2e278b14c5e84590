"""Instructions per event of the compiled steps: the same on a busy machine as on a quiet one.

    python -m benchmarks instructions                 # count, and compare with instructions.json
    python -m benchmarks instructions --record        # count, and write instructions.json

Counts depend on the compiler, and those of the message decoder on msgspec and Python: they are compared where
these are the ones that instructions.json names. More than 3 % above the record is an error, exit code 1; who
means it records anew in the same commit. Needs valgrind; without it there is a line, and no error.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import _workload
from benchmarks._harness import ROOT, environment, machine, markdown, progress
from benchmarks._instruction_parts import EVENTS, REPEATS, Part, parts
from rlfast._core.plan import KERNELS

BASELINE = Path(__file__).with_name("instructions.json")
TOLERANCE = 1.03
PACKAGES = ("rlfast", "picows", "msgspec", "Cython")


def toolchain() -> dict[str, str]:
    """What the counts depend on."""
    command = [sysconfig.get_config_var("CC").split()[0], "--version"]
    compiler = subprocess.run(command, capture_output=True, text=True, check=True)
    return {
        "compiler": compiler.stdout.splitlines()[0],
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in ("picows", "msgspec")},
    }


def count(name: str, part: Part) -> float:
    """Run the part under callgrind in a process of its own; return instructions per event."""
    with tempfile.TemporaryDirectory(prefix="rlfast-bench-") as folder:
        command = ["valgrind", "--tool=callgrind", f"--toggle-collect={part.function}"]
        command += [f"--callgrind-out-file={folder}/out", sys.executable, "-m", __spec__.name, name]
        environ = {**environment(), "PYTHONHASHSEED": "0"}
        done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode or not found:
        raise SystemExit(f"{name}: {done.stderr[-2000:]}")
    if int(found[1]) == 0:
        raise SystemExit(f"{name}: no function {part.function} was called; are the modules stripped?")
    return int(found[1]) / (EVENTS * REPEATS)


def compare(
    counts: dict[str, float], recorded: dict[str, float]
) -> tuple[list[tuple[str, str, str, str]], list[str]]:
    """Rows of the table, and which counts have grown too much."""
    rows, worse = [], []
    for name, value in counts.items():
        before = recorded.get(name)
        compared = (f"{before:.1f}", f"{value / before:.3f}") if before else ("-", "-")
        rows.append((name, f"{value:.1f}", *compared))
        if before and value > TOLERANCE * before:
            worse.append(name)
    return rows, worse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--record", action="store_true", help="write the counts to instructions.json")
    parser.add_argument("--only", metavar="TEXT", help="parts with this text in their name")


def plots(result: dict[str, Any], folder: Path) -> list[Path]:
    return []


def main(options: argparse.Namespace) -> dict[str, Any]:
    facts = machine(PACKAGES)
    if shutil.which("valgrind") is None:
        text = "instructions are not counted: there is no valgrind (Debian, Ubuntu: apt install valgrind)"
        print(text)
        return {"machine": facts, "counts": {}, "markdown": text}
    variants = ["base"] if options.quick else list(_workload.VARIANTS)
    wanted = parts(variants, list(KERNELS))
    names = [name for name in wanted if (getattr(options, "only", None) or "") in name]
    counts = {name: round(count(name, wanted[name]), 1) for name in progress(names)}
    known: dict[str, Any] = json.loads(BASELINE.read_text()) if BASELINE.exists() else {"counts": {}}
    rows, worse = compare(counts, known["counts"])
    text = markdown(("instructions per event", "now", "recorded", "ratio"), rows)
    print(text)
    tools = toolchain()
    if getattr(options, "record", False):
        merged = {**known["counts"], **counts}
        BASELINE.write_text(json.dumps({**tools, "events": EVENTS, "counts": merged}, indent=2) + "\n")
    elif worse:
        others = [f"{name} {known.get(name)}" for name in tools if known.get(name) != tools[name]]
        if others:
            print(f"not comparable: recorded with {', '.join(others)}")
        else:
            raise SystemExit(
                f"more than {TOLERANCE - 1:.0%} over the record: {', '.join(worse)}; if that is meant, "
                "record it: python -m benchmarks instructions --record"
            )
    return {"machine": facts, "toolchain": tools, "counts": counts, "markdown": text}


if __name__ == "__main__":
    parts(list(_workload.VARIANTS), list(KERNELS))[sys.argv[1]].work()
