"""The Cython extensions and their switches; everything else about the project is in pyproject.toml.

Switches are environment variables, because PEP 517 builds pass no arguments to this file:

RLFAST_DEBUG=1     assertions, bounds and None checks in the compiled code, no optimisation, debug symbols
RLFAST_COVERAGE=1  line tracing for coverage of .pyx files
RLFAST_SANITIZE=1  AddressSanitizer and UndefinedBehaviorSanitizer (gcc or clang)
RLFAST_ANNOTATE=1  write the annotated HTML of every .pyx beside it
"""

import os
import sys
from importlib.metadata import version
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

MODULES = sorted(path.stem for path in Path("src/rlfast/_core").glob("*.pyx"))
# The compiled decoder is plain C, once for each instruction set, and runs on structs that `plan` makes.
C_SOURCES = {"plan": ("kernel_scalar", "kernel_simd", "kernel_avx2", "kernels")}

# zlib is found where the compiler looks; on Windows, name its folders in INCLUDE and LIB. `worker` wakes the
# event loop by a socket.
ZLIB = ["zlib"] if sys.platform == "win32" else ["z"]
LIBRARIES = {"encodings": ZLIB, "inflate": ZLIB}
if sys.platform == "win32":
    LIBRARIES["worker"] = ["ws2_32"]

HEADERS = sorted(map(str, Path("src/rlfast/_core").rglob("*.h")))


def switch(name: str) -> bool:
    return os.environ.get(name, "0") not in ("", "0")


DEBUG = switch("RLFAST_DEBUG")
COVERAGE = switch("RLFAST_COVERAGE")
SANITIZE = switch("RLFAST_SANITIZE")
MSVC = sys.platform == "win32"

macros: list[tuple[str, str | None]] = [
    ("RLFAST_PICOWS_VERSION", '"' + ".".join(version("picows").split(".")[:2]) + '"'),
    ("RLFAST_DEBUG", str(int(DEBUG))),
    ("RLFAST_SANITIZE", str(int(SANITIZE))),
]
compile_args: list[str] = []
link_args: list[str] = []

if DEBUG:
    compile_args += ["/Od", "/Zi"] if MSVC else ["-O0", "-g"]
else:
    macros.append(("CYTHON_WITHOUT_ASSERTIONS", "1"))
    # Python's own flags ask for debug symbols: five sixths of a wheel.
    compile_args += ["/O2"] if MSVC else ["-O3", "-g0"]
if not MSVC:
    compile_args += ["-Wall", "-Wextra", "-Wno-unused-parameter", "-Wno-missing-field-initializers"]
    compile_args += ["-Wno-cast-function-type", "-Wno-unused-function"]
if sys.platform == "linux":
    # A call of the interpreter goes there straight, and not by way of a table of jumps.
    compile_args.append("-fno-plt")
if COVERAGE:
    macros += [("CYTHON_TRACE", "1"), ("CYTHON_TRACE_NOGIL", "1"), ("CYTHON_USE_SYS_MONITORING", "0")]
if SANITIZE:
    compile_args += ["-fsanitize=address,undefined", "-fno-omit-frame-pointer", "-g", "-O1"]
    link_args += ["-fsanitize=address,undefined"]

directives = {
    "language_level": "3",
    "binding": False,
    "autotestdict": False,
    # A copied object would free the memory of the original a second time.
    "auto_pickle": False,
    "embedsignature": True,
    "boundscheck": DEBUG,
    "wraparound": False,
    "nonecheck": DEBUG,
    "initializedcheck": DEBUG,
    "overflowcheck": DEBUG,
    "cdivision": True,
    "linetrace": COVERAGE,
}

# Cython's worker processes import this file again where processes are spawned (macOS, Windows, Python 3.14).
if __name__ == "__main__":
    setup(
        ext_modules=cythonize(
            [
                Extension(
                    f"rlfast._core.{name}",
                    [
                        f"src/rlfast/_core/{name}.pyx",
                        *(f"src/rlfast/_core/csrc/{source}.c" for source in C_SOURCES.get(name, ())),
                    ],
                    depends=HEADERS,
                    include_dirs=["src/rlfast/_core"],
                    define_macros=macros,
                    libraries=LIBRARIES.get(name, []),
                    extra_compile_args=compile_args,
                    extra_link_args=link_args,
                )
                for name in MODULES
            ],
            include_path=["src"],
            compiler_directives=directives,
            annotate=switch("RLFAST_ANNOTATE"),
            # A switch changes the generated C without touching the .pyx, so a time stamp is not enough.
            force=True,
            nthreads=os.cpu_count() or 1,
        )
    )
