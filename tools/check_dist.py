"""Check what is in an sdist and a wheel: ``python tools/check_dist.py dist/``.

The sdist must hold every source, and nothing that a build made. The wheel must hold the package, with the
compiled modules, their stubs and .pxd files instead of the .pyx files, and nothing else.
"""

from __future__ import annotations

import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = {".py", ".pyi", ".pxd", ".h", ".typed"}
GENERATED = {".c", ".cpp", ".o", ".so", ".pyd", ".html", ".pyc"}
FOLDERS = ("src", "tests", "benchmarks", "examples", "fuzz", "tools", "docs")
FILES = {
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "MANIFEST.in",
    "Makefile",
    "README.md",
    "cibuildwheel.toml",
    "pyproject.toml",
    "setup.py",
}


def files_below(folder: Path, suffixes: set[str]) -> set[Path]:
    """Return the files with one of the suffixes."""
    return {path for path in folder.rglob("*") if path.suffix in suffixes and path.is_file()}


def check_sdist(path: Path) -> list[str]:
    """Return what is wrong with an sdist, one line each."""
    with tarfile.open(path) as archive:
        found = {name.partition("/")[2] for name in archive.getnames()}
    expected = set(FILES)
    for folder in FOLDERS:
        below = files_below(ROOT / folder, {*SOURCES, ".pyx", ".md", ".sh", ".xz"})
        # C that was written by hand.
        below |= files_below(ROOT / folder / "rlfast" / "_core" / "csrc", {".c"})
        below |= files_below(ROOT / folder / "peers", {".c", ".cpp", ".hpp", ".js"})
        below |= files_below(ROOT / folder / "core" / "simd", {".c"})
        below |= files_below(ROOT / folder / "capture", {".c"})
        below |= files_below(ROOT / folder / "servers", {".cjs", ".json"})
        below = {file for file in below if ".egg-info" not in str(file) and "node_modules" not in file.parts}
        expected |= {file.relative_to(ROOT).as_posix() for file in below}
    return [f"{path.name} lacks {name}" for name in sorted(expected - found)] + [
        f"{path.name} holds {name}" for name in sorted(found - expected) if Path(name).suffix in GENERATED
    ]


def check_wheel(path: Path) -> list[str]:
    """Return what is wrong with a wheel, one line each."""
    with zipfile.ZipFile(path) as archive:
        found = {name for name in archive.namelist() if not name.endswith("/")}
        debug = [name for name in found if name.endswith(".so") and b".debug_info" in archive.read(name)]
    package = ROOT / "src" / "rlfast"
    sources = {file.relative_to(package.parent).as_posix() for file in files_below(package, SOURCES)}
    modules = {file.relative_to(package.parent).with_suffix("") for file in files_below(package, {".pyx"})}
    compiled = {name for name in found if name.endswith((".so", ".pyd"))}
    information = {name for name in found if name.partition("/")[0].endswith(".dist-info")}
    problems = [f"{path.name} lacks {name}" for name in sorted(sources - found)]
    problems += [
        f"{path.name} lacks the compiled {module.as_posix()}"
        for module in sorted(modules)
        if not any(name.startswith(f"{module.as_posix()}.") for name in compiled)
    ]
    problems += [f"{path.name} holds {name}" for name in sorted(found - sources - compiled - information)]
    if len(compiled) != len(modules):
        problems.append(f"{path.name} holds {len(compiled)} compiled modules, not {len(modules)}")
    problems += [f"{path.name}: {name} has debug symbols" for name in sorted(debug)]
    for ending in ("/licenses/LICENSE", "/entry_points.txt"):
        if not any(name.endswith(ending) for name in information):
            problems.append(f"{path.name} lacks {ending[1:]}")
    return problems


def main(folder: str) -> None:
    """Check the one sdist and the wheels of a folder."""
    (sdist,) = Path(folder).glob("*.tar.gz")
    wheels = sorted(Path(folder).glob("*.whl"))
    problems = check_sdist(sdist) + [problem for wheel in wheels for problem in check_wheel(wheel)]
    if problems or not wheels:
        raise SystemExit("\n".join(problems) or f"no wheel in {folder}")
    print(f"{sdist.name} and {', '.join(wheel.name for wheel in wheels)} hold what they should")


if __name__ == "__main__":
    main(*sys.argv[1:])
