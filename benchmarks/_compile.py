"""Compile the C programs of `peers`; what cannot be compiled is left out, with a line that says why."""

from __future__ import annotations

import functools
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PEERS = Path(__file__).with_name("peers")
COMPILERS = ("cc", "gcc", "clang")


@functools.cache
def c_program(name: str) -> Path | None:
    """The program made from ``peers/NAME.c``, for as long as this process lasts; None: do without it."""
    compiler = next(filter(None, map(shutil.which, COMPILERS)), None)
    if compiler is None:
        print(f"without {name}: it needs a C compiler (Debian, Ubuntu: apt install gcc)", file=sys.stderr)
        return None
    program = Path(_folder().name) / name
    command = [compiler, "-O3", "-o", str(program), str(PEERS / f"{name}.c"), "-lm"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        print(f"without {name}: {shlex.join(command)} failed\n{done.stderr[-2000:]}", file=sys.stderr)
        return None
    return program


@functools.cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="rlfast-bench-")
