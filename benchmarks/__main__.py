"""``python -m benchmarks``: every benchmark, by one command.

python -m benchmarks all --quick
python -m benchmarks latency --rates 1000,50000 --out benchmarks/results
"""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

from benchmarks._harness import write_results

SUBJECTS = {
    "throughput": (
        "bench_throughput",
        "from the socket to the program, beside what a user would pick instead",
    ),
    "parquet": ("bench_parquet", "from the socket to Parquet, beside scripts and converters of files"),
    "latency": ("bench_latency", "from the server's schedule to the consumer's hand, under load"),
    "growth": ("bench_growth", "cost against size, fields, types, connections, backlog"),
    "instructions": (
        "bench_instructions",
        "instructions per event of the compiled steps, against the record",
    ),
    "nested": (
        "bench_nested",
        "nested messages to columns, structs and Parquet, beside other readers of JSON",
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="subject", required=True, metavar="SUBJECT")
    modules = {}
    for name, (module, text) in SUBJECTS.items():
        modules[name] = importlib.import_module(f"benchmarks.{module}")
        sub = commands.add_parser(
            name,
            help=text,
            description=modules[name].__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        _common(sub)
        modules[name].add_arguments(sub)
    _common(commands.add_parser("all", help="all of these, one after the other"))
    options = parser.parse_args()
    for name in modules if options.subject == "all" else [options.subject]:
        print(f"## {name}\n")
        # Each gets its own: what one fills in is not the next one's.
        result = modules[name].main(argparse.Namespace(**vars(options)))
        if options.out is not None:
            for path in write_results(name, result, options.out, modules[name].plots):
                print(f"wrote {path}")
        print()


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--quick", action="store_true", help="some minutes at most: to see that it works")
    parser.add_argument("--rounds", type=int, help="measured runs of each contender")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write JSON, Markdown and PNG there")


if __name__ == "__main__":
    main()
