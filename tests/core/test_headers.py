"""The C headers: each includes what it uses, and none includes itself by way of another."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

CSRC = Path(__file__).parents[2] / "src" / "rlfast" / "_core" / "csrc"
HEADERS = sorted(CSRC.glob("*.h"))

#: Values hold values, so these call what the other one defines.
COMPLETED_BY = dict.fromkeys(
    ("fields.h", "members.h", "containers.h", "tokens.h", "token_values.h"), "token_containers.h"
)


def compiler_of(header: Path) -> str | None:
    return shutil.which("aarch64-linux-gnu-gcc" if header.name == "simd_neon.h" else "cc")


@pytest.mark.skipif(sys.platform == "win32", reason="the flags are those of gcc and clang")
@pytest.mark.parametrize("header", HEADERS, ids=lambda path: path.name)
def test_each_header_compiles_alone(header: Path) -> None:
    compiler = compiler_of(header)
    if compiler is None:
        pytest.skip("there is no compiler for its processor")
    flags = ["-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-Wno-unused-function", "-Wno-unused-parameter"]
    flags += ["-mavx2"] if header.name == "simd_avx2.h" else []
    # Included, and not compiled itself: what a header defines may stay unused.
    last = COMPLETED_BY.get(header.name, header.name)
    source = f'#include "{header.name}"\n#include "{last}"\nint unused;\n'
    done = subprocess.run(
        [compiler, *flags, f"-I{CSRC}", "-x", "c", "-"], input=source, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_headers_know_no_circle() -> None:
    includes = {
        header.name: set(re.findall(r'^#include "(\w+\.h)"', header.read_text(), re.MULTILINE))
        for header in HEADERS
    }
    assert len(includes) > 15
    assert set().union(*includes.values()) <= includes.keys()
    order = list(TopologicalSorter(includes).static_order())
    assert order.index("lex.h") < order.index("tokens.h") < order.index("kernel.h")
