"""Instructions per event of the compiled decoder: the same on a busy machine as on a quiet one.

    python -m benchmarks.bench_instructions                 # count, and compare with instructions.json
    python -m benchmarks.bench_instructions --record        # count, and write instructions.json

Counts depend on the compiler: compare with the one that instructions.json names. Needs valgrind.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from benchmarks import _workload
from benchmarks._harness import ROOT, environment, table
from rlfast._core.plan import KERNELS

BASELINE = Path(__file__).with_name("instructions.json")
EVENTS = 4_000
REPEATS = 5
TOLERANCE = 1.03


def work(variant: str, kernel: str) -> None:
    """In the process that callgrind watches: decode the same events again and again."""
    from benchmarks.bench_decode import Columns

    run = Columns(_workload.AgentEvent, _workload.payloads(variant, EVENTS), kernel)
    for _ in range(REPEATS):
        run()


def count(variant: str, kernel: str) -> float:
    with tempfile.TemporaryDirectory(prefix="rlfast-bench-") as folder:
        command = ["valgrind", "--tool=callgrind", "--toggle-collect=rl_run_kernel*"]
        command += [f"--callgrind-out-file={folder}/out", sys.executable, "-m", __spec__.name]
        command += ["--work", variant, "--kernel", kernel]
        environ = {**environment(), "PYTHONHASHSEED": "0"}
        try:
            done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True)
        except FileNotFoundError:
            raise SystemExit("this needs valgrind: apt-get install valgrind") from None
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode or not found:
        raise SystemExit(done.stderr[-2000:])
    return int(found[1]) / (EVENTS * REPEATS)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.bench_instructions",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--record", action="store_true", help="write the counts to instructions.json")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    parser.add_argument("--kernel", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.work, options.kernel)
        return
    command = [sysconfig.get_config_var("CC").split()[0], "--version"]
    compiler = subprocess.run(command, capture_output=True, text=True, check=True)
    facts = {"compiler": compiler.stdout.splitlines()[0], "events": EVENTS}
    pairs = itertools.product(_workload.VARIANTS, KERNELS)
    counts = {f"{variant} {kernel}": round(count(variant, kernel), 1) for variant, kernel in pairs}
    baseline = json.loads(BASELINE.read_text()) if BASELINE.exists() else {"counts": {}}
    rows = []
    worse = []
    for name, value in counts.items():
        before = baseline["counts"].get(name)
        compared = (f"{before:.1f}", f"{value / before:.3f}") if before else ("-", "-")
        rows.append((name, f"{value:.1f}", *compared))
        if before and value > TOLERANCE * before:
            worse.append(name)
    print(table(("instructions per event", "now", "recorded", "ratio"), rows))
    if options.record:
        BASELINE.write_text(json.dumps({**facts, "counts": counts}, indent=2) + "\n")
    elif worse:
        if baseline.get("compiler") != facts["compiler"]:
            print(f"not comparable: recorded with {baseline['compiler']}")
        else:
            raise SystemExit(f"more than {TOLERANCE - 1:.0%} over the record: {', '.join(worse)}")


if __name__ == "__main__":
    main()
