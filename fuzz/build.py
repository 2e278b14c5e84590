"""Build the fuzzer: ``python fuzz/build.py`` makes ``fuzz/target.*.so``, with clang.

The decoder's C sources are compiled into it with coverage, AddressSanitizer and UndefinedBehaviorSanitizer; the
rest of rlfast is the installed one.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
CORE = ROOT / "src" / "rlfast" / "_core"
SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-shared-libasan"]


def clang_file(name: str) -> str:
    """Path of a file that comes with clang."""
    try:
        out = subprocess.run(
            ["clang", f"-print-file-name={name}"], capture_output=True, text=True, check=True
        )
    except FileNotFoundError:
        raise SystemExit("the fuzzer needs clang and its libFuzzer: apt-get install clang") from None
    path = out.stdout.strip()
    if not Path(path).is_file():
        raise SystemExit(f"this clang has no {name}; on Debian: apt-get install clang libclang-rt-dev")
    return path


def main() -> None:
    """Translate, compile, link."""
    build = HERE / "build"
    build.mkdir(exist_ok=True)
    subprocess.run(
        [
            sys.executable,
            "-m",
            "cython",
            "-3",
            "-I",
            str(ROOT / "src"),
            "-X",
            "cdivision=True",
            str(HERE / "target.pyx"),
            "-o",
            str(build / "target.c"),
        ],
        check=True,
    )
    flags = [
        "-g",
        "-O1",
        "-fPIC",
        "-fno-omit-frame-pointer",
        f"-I{sysconfig.get_path('include')}",
        f"-I{CORE}",
    ]
    covered = ["-fsanitize=fuzzer-no-link", *SANITIZE, "-Wall"]
    objects = []
    for source in sorted((CORE / "csrc").glob("*.c")):
        objects.append(build / f"{source.stem}.o")
        subprocess.run(["clang", *flags, *covered, "-c", str(source), "-o", str(objects[-1])], check=True)
    objects.append(build / "target.o")
    subprocess.run(["clang", *flags, "-w", "-c", str(build / "target.c"), "-o", str(objects[-1])], check=True)
    # -Bsymbolic: the coverage callbacks are libFuzzer's, not the empty ones of the sanitizers' library.
    subprocess.run(
        [
            "clang++",
            "-shared",
            *SANITIZE,
            "-Wl,-Bsymbolic",
            *map(str, objects),
            clang_file("libclang_rt.fuzzer_no_main-x86_64.a"),
            "-o",
            str(HERE / f"target{sysconfig.get_config_var('EXT_SUFFIX')}"),
        ],
        check=True,
    )


if __name__ == "__main__":
    main()
