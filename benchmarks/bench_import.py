"""What ``import rlfast`` costs beyond ``import picows, msgspec``, in fresh interpreters.

python -m benchmarks.bench_import --rounds 30 --limit 30
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile

from benchmarks._harness import Spread, environment, machine, orders, print_machine, table, write_json

STATEMENTS = ("import picows, msgspec", "import rlfast")
HEAVY = ("numpy", "pyarrow", "typer", "rich", "pydantic")
PROBE = """
import sys, time
start = time.perf_counter()
{statement}
seconds = time.perf_counter() - start
import json
print(json.dumps([seconds, [name for name in {heavy!r} if name in sys.modules]]))
"""


def probe(statement: str, bytecode: str) -> tuple[float, list[str]]:
    """Milliseconds for a statement in a fresh interpreter, and the heavy modules that it loaded."""
    # Where writing bytecode is switched off, a source tree has none, unlike installed packages. A folder of
    # our own, for all bytecode, treats both sides alike.
    env = {**environment(), "PYTHONPYCACHEPREFIX": bytecode}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    code = PROBE.format(statement=statement, heavy=HEAVY)
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{statement!r} failed:\n{done.stderr}")
    seconds, loaded = json.loads(done.stdout)
    return seconds * 1e3, loaded


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.bench_import", description=__doc__.split("\n")[0]
    )
    parser.add_argument(
        "--rounds", type=int, default=30, help="fresh interpreters per statement (default: 30)"
    )
    parser.add_argument(
        "--limit", type=float, metavar="MS", help="exit with 1 if rlfast costs more than this beyond"
    )
    parser.add_argument("--json", metavar="FILE", help="write everything as JSON; - is standard output")
    args = parser.parse_args()
    if args.rounds < 1:
        parser.error("--rounds must be at least 1")
    facts = machine(("rlfast", "picows", "msgspec"))
    loaded: dict[str, list[str]] = {}
    times: dict[str, list[float]] = {statement: [] for statement in STATEMENTS}
    with tempfile.TemporaryDirectory(prefix="rlfast-bench-") as bytecode:
        for statement in STATEMENTS:
            # Not counted: the first import compiles.
            _, loaded[statement] = probe(statement, bytecode)
        for order in orders(STATEMENTS, args.rounds):
            for statement in order:
                times[statement].append(probe(statement, bytecode)[0])
    base, ours = (statistics.median(times[statement]) for statement in STATEMENTS)
    if args.json != "-":
        print_machine(facts)
        rows = [
            (statement, Spread.of(times[statement]).text(1), ", ".join(loaded[statement]) or "none")
            for statement in STATEMENTS
        ]
        header = ("median (lowest-highest)", "ms", "heavy modules loaded")
        print(f"{args.rounds} rounds\n\n{table(header, rows)}")
        print(f"\nimport rlfast costs {ours - base:+.1f} ms beyond picows and msgspec")
    if args.json:
        write_json(
            args.json, {"machine": facts, "milliseconds": times, "beyond": ours - base, "loaded": loaded}
        )
    if args.limit is not None and ours - base > args.limit:
        raise SystemExit(f"more than {args.limit} ms")


if __name__ == "__main__":
    main()
