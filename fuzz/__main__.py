"""``python -m fuzz``: fuzz for a while, on one or more processes, and report what was found.

Targets: ``decoder``, the compiled decoder against msgspec; ``frames``, the frame loop against RFC 6455.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent


class Target(NamedTuple):
    """What is fuzzed, and how."""

    command: list[str]
    corpus: Path
    options: list[str]
    #: Python's own allocator hides its small objects from AddressSanitizer, and is three times as fast; C memory
    #: and picows' buffers are beyond its size, and are seen in any case.
    allocator: str


TARGETS = {
    "decoder": Target(
        ["-c", "import sys; from fuzz import target; target.run(sys.argv[1:])"],
        HERE / "corpus",
        [f"-dict={HERE / 'json.dict'}", "-max_len=2048"],
        "malloc",
    ),
    "frames": Target(
        ["-m", "fuzz.instrumented"],
        HERE / "corpus_frames",
        [f"-dict={HERE / 'frames.dict'}", "-max_len=1024", "-report_slow_units=60", "-timeout=120"],
        "pymalloc",
    ),
}


def environment(target: Target) -> dict[str, str]:
    """Environment of a process that loads the instrumented module."""
    from fuzz.build import clang_file

    return {
        **os.environ,
        "LD_PRELOAD": clang_file("libclang_rt.asan-x86_64.so"),
        "PYTHONMALLOC": target.allocator,
        "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1:quarantine_size_mb=16",
        "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
    }


def libfuzzer(target: Target, arguments: list[str], log: Path) -> subprocess.Popen[bytes]:
    """Start one process with libFuzzer's arguments."""
    command = [sys.executable, *target.command, *arguments]
    return subprocess.Popen(command, cwd=ROOT, env=environment(target), stderr=log.open("wb"))


def executions(log: Path) -> int:
    """Executions that a log tells of."""
    found = re.findall(rb"stat::number_of_executed_units: (\d+)|^#(\d+)", log.read_bytes(), re.MULTILINE)
    return max((int(a or b) for a, b in found), default=0)


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("inputs", nargs="*", help="inputs to execute once, instead of fuzzing")
    parser.add_argument("--target", choices=TARGETS, default="decoder")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--corpus", type=Path, help="folder to keep new inputs in (default: a temporary one)")
    parser.add_argument("--findings", type=Path, default=Path(tempfile.gettempdir()) / "rlfast-findings")
    options = parser.parse_args()
    target = TARGETS[options.target]
    with tempfile.TemporaryDirectory(prefix="rlfast-fuzz-") as scratch:
        if options.inputs:
            log = Path(scratch) / "log"
            inputs = [str(Path(name).resolve()) for name in options.inputs]
            code = libfuzzer(target, inputs, log).wait()
            sys.stderr.write(log.read_text(errors="replace"))
            return code
        corpus = options.corpus or Path(scratch) / "corpus"
        corpus.mkdir(parents=True, exist_ok=True)
        options.findings.mkdir(parents=True, exist_ok=True)
        logs = [Path(scratch) / f"log{job}" for job in range(options.jobs)]
        processes = [
            libfuzzer(
                target,
                [
                    str(corpus),
                    str(target.corpus),
                    f"-max_total_time={options.seconds}",
                    f"-artifact_prefix={options.findings}/",
                    f"-seed={job + 1}",
                    *target.options,
                    "-reload=30",
                    "-print_final_stats=1",
                ],
                log,
            )
            for job, log in enumerate(logs)
        ]
        codes = [process.wait() for process in processes]
        for code, log in zip(codes, logs, strict=True):
            if code:
                sys.stderr.write(log.read_text(errors="replace")[-8000:])
        total = sum(map(executions, logs))
        verdict = "a finding, see above" if any(codes) else "no finding"
        print(f"{total:,} executions in {options.seconds} s on {options.jobs} processes: {verdict}")
        return 1 if any(codes) or not total else 0


if __name__ == "__main__":
    sys.exit(main())
