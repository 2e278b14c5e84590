"""Compile counting.pyx against the installed picows, into a folder that is thrown away."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

SOURCE = Path(__file__).with_name("counting.pyx")


def build(folder: Path) -> Path:
    """Return the path of the extension module; exit with what is missing if it cannot be built."""
    try:
        from Cython.Build import cythonize
        from setuptools import Distribution, Extension
        from setuptools.command.build_ext import build_ext
        from setuptools.errors import BaseError, CompileError, LinkError
    except ImportError as error:
        raise SystemExit(
            f"the picows yardstick needs Cython and setuptools: pip install 'rlfast[dev]' ({error})"
        ) from error
    flags = ["/O2"] if sys.platform == "win32" else ["-O3"]
    # Compilers talk on standard output, which carries results when --json - is given.
    with contextlib.redirect_stdout(sys.stderr):
        extension = Extension("counting", [str(SOURCE)], extra_compile_args=flags)
        modules = cythonize([extension], build_dir=str(folder), quiet=True)
        command = build_ext(Distribution({"name": "counting", "ext_modules": modules}))
        command.build_lib = command.build_temp = str(folder)
        command.ensure_finalized()
        try:
            command.run()
        except (BaseError, CompileError, LinkError) as error:
            raise SystemExit(
                "the picows yardstick needs a C compiler (Debian, Ubuntu: apt install build-essential "
                f"python3-dev); or leave it out with --only ({error})"
            ) from error
    return Path(command.get_ext_fullpath("counting"))


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("counting", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
