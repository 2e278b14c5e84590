"""What is done with many bytes at once, against the same byte by byte, for each instruction set."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).with_name("simd")
CSRC = Path(__file__).parents[2] / "src" / "rlfast" / "_core" / "csrc"
X86 = platform.machine().lower() in ("x86_64", "amd64")
ARM = platform.machine().lower() in ("aarch64", "arm64")


def check(folder: Path, compiler: str, simd: str, *flags: str, runner: tuple[str, ...] = ()) -> str:
    """Compile and run the comparison; returns what it says."""
    common = [compiler, "-O2", "-g", "-Wall", f"-I{CSRC}", f"-I{HERE}", *flags]
    objects = []
    for name in ("scalar", simd):
        objects.append(str(folder / f"{name}.o"))
        defines = [f'-DSIMD="simd_{name}.h"', f"-DOPERATIONS={name}"]
        subprocess.run([*common, *defines, "-c", str(HERE / "operations.c"), "-o", objects[-1]], check=True)
    program = str(folder / "check")
    subprocess.run(
        [*common, f"-DOPERATIONS={simd}", str(HERE / "check.c"), *objects, "-o", program], check=True
    )
    done = subprocess.run([*runner, program], capture_output=True, text=True)
    assert not done.returncode, done.stdout + done.stderr
    return done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="the comparison is written for gcc and clang")
@pytest.mark.parametrize(
    ("simd", "flags"),
    [
        pytest.param("sse2", (), marks=pytest.mark.skipif(not X86, reason="no x86-64 processor")),
        pytest.param("avx2", ("-mavx2",), marks=pytest.mark.skipif(not X86, reason="no x86-64 processor")),
        pytest.param("neon", (), marks=pytest.mark.skipif(not ARM, reason="no ARM processor; see below")),
    ],
)
def test_simd_of_this_machine_equal_the_bytewise_ones(
    simd: str, flags: tuple[str, ...], tmp_path: Path
) -> None:
    assert check(tmp_path, "cc", simd, *flags, "-fsanitize=address,undefined") == f"{simd} is right\n"


EMULATOR = shutil.which("qemu-aarch64-static") or shutil.which("qemu-aarch64")


@pytest.mark.skipif(
    not EMULATOR or not shutil.which("aarch64-linux-gnu-gcc"),
    reason="needs the packages gcc-aarch64-linux-gnu and qemu-user-static",
)
def test_neon_in_an_emulator(tmp_path: Path) -> None:
    assert EMULATOR is not None
    found = check(tmp_path, "aarch64-linux-gnu-gcc", "neon", "-static", runner=(EMULATOR,))
    assert found == "neon is right\n"
