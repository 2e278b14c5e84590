"""Build the fuzzers: ``python fuzz/build.py`` makes ``fuzz/target.*.so`` and ``fuzz/driver.*.so``, with clang.

The first holds the decoder's C sources, the second the frame loop, the queue and picows, all compiled with coverage,
AddressSanitizer and UndefinedBehaviorSanitizer; the rest of rlfast is the installed one.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
CORE = ROOT / "src" / "rlfast" / "_core"
BUILD = HERE / "build"
# What the driver of the frame loop's fuzzer carries: see fuzz/instrumented.py.
FRAME_MODULES = (
    "picows.picows",
    *(
        f"rlfast._core.{name}"
        for name in ("frame_handler", "socket_reader", "assembly", "block", "queue", "inflate", "encodings")
    ),
)
# Of picows' files, which are chosen at run time.
VECTORS = {"mask_avx2": ["-mavx2"], "mask_avx512": ["-mavx512f"]}
FLAGS = [
    "-g",
    "-O1",
    "-fPIC",
    "-fno-omit-frame-pointer",
    f"-I{sysconfig.get_path('include')}",
    f"-I{CORE}",
]
COVERED = ["-fsanitize=fuzzer-no-link"]
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


def translate(source: Path, target: Path, *directives: str) -> None:
    """Cython to C."""
    subprocess.run(
        [
            sys.executable,
            "-m",
            "cython",
            "-3",
            *("-I", str(ROOT / "src")),
            *(argument for directive in directives for argument in ("-X", directive)),
            str(source),
            "-o",
            str(target),
        ],
        check=True,
    )


def compile_object(source: Path, target: Path, *flags: str) -> Path:
    """C to an object file."""
    subprocess.run(["clang", *FLAGS, *flags, "-c", str(source), "-o", str(target)], check=True)
    return target


def link(name: str, objects: list[Path], *libraries: str) -> None:
    """Object files to an extension module."""
    # -Bsymbolic: the coverage callbacks are libFuzzer's, not the empty ones of the sanitizers' library.
    subprocess.run(
        [
            "clang++",
            "-shared",
            *SANITIZE,
            "-Wl,-Bsymbolic",
            *map(str, objects),
            clang_file("libclang_rt.fuzzer_no_main-x86_64.a"),
            *libraries,
            "-o",
            str(HERE / f"{name}{sysconfig.get_config_var('EXT_SUFFIX')}"),
        ],
        check=True,
    )


def build_decoder() -> None:
    """Make the target that is the compiled decoder."""
    translate(HERE / "target.pyx", BUILD / "target.c", "cdivision=True")
    objects = [
        compile_object(source, BUILD / f"{source.stem}.o", *COVERED, *SANITIZE, "-Wall")
        for source in sorted((CORE / "csrc").glob("*.c"))
    ]
    objects.append(compile_object(BUILD / "target.c", BUILD / "target.o", "-w"))
    link("target", objects)


def build_module(module: str) -> list[Path]:
    """Object files of one of `FRAME_MODULES`, with coverage and sanitizers."""
    package, _, name = module.rpartition(".")
    ours = package == "rlfast._core"
    spec = None if ours else find_spec(package)
    folder = CORE if spec is None else Path((spec.submodule_search_locations or [""])[0])
    # The directives are those of setup.py, and of picows' own.
    directives = ["wraparound", "boundscheck", "binding", "initializedcheck", "overflowcheck", "nonecheck"]
    # Cython takes a module's name from the packages around its source, so that stays where it is.
    source = BUILD / f"{name}.c"
    translate(
        folder / f"{name}.pyx", source, "cdivision=True", *(f"{directive}=False" for directive in directives)
    )
    flags = [*COVERED, *SANITIZE, "-DCYTHON_WITHOUT_ASSERTIONS=1", f"-I{folder}", "-w"]
    if ours:
        return [compile_object(source, BUILD / f"{name}.o", *flags)]
    # picows reads integers where they lie, aligned or not: no business of ours, and right on this machine.
    flags += ["-fno-sanitize=undefined", f"-fsanitize-ignorelist={HERE / 'ignored.txt'}"]
    return [compile_object(source, BUILD / f"{name}.o", *flags)] + [
        compile_object(extra, BUILD / f"{extra.stem}.o", f"-I{folder}", "-w", *VECTORS.get(extra.stem, ()))
        for extra in sorted(folder.glob("*.c"))
    ]


def build_frames() -> None:
    """Make libFuzzer's driver for the frame loop, which carries the modules that are to be watched."""
    translate(HERE / "driver.pyx", BUILD / "driver.c")
    objects = [compile_object(BUILD / "driver.c", BUILD / "driver.o", "-w")]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for made in pool.map(build_module, FRAME_MODULES):
            objects += made
    link("driver", objects, "-lz")


def main() -> None:
    """Translate, compile, link."""
    BUILD.mkdir(exist_ok=True)
    targets = {"decoder": build_decoder, "frames": build_frames}
    for name in sys.argv[1:] or targets:
        targets[name]()


if __name__ == "__main__":
    main()
