"""What importing rlfast costs and needs, and that imports point one way along the data path."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import rlfast
from rlfast._core import buildinfo

PACKAGE = Path(rlfast.__file__).parent

# Rooms in the order of the data path; a module may import from its own room and from those before it.
ROOMS: list[set[str]] = [
    {"errors", "version", "_core.buildinfo"},
    {"_compat", "events", "backoff", "options"},
    {"_core.block"},
    {"_core.columns", "_core.wire", "_core.messages"},
    {"_core.arrow", "_core.decode", "_core"},
    {"schema", "batch"},
    {"decoding"},
    {"batches", "opening"},
    {"connection"},
    {"sdk"},
    {"client"},
    {""},
    {"simulator"},
    {"capture"},
    {"cli"},
]
#: Packages whose modules share a room.
FOLDERS = ("simulator", "capture", "cli")


def room_of(module: str) -> int:
    name = next((folder for folder in FOLDERS if module == folder or module.startswith(folder + ".")), module)
    for number, room in enumerate(ROOMS):
        if name in room:
            return number
    raise AssertionError(f"rlfast.{module} is in no room; say in ROOMS where it belongs")


def modules() -> list[tuple[str, Path]]:
    found = []
    for path in [*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.pyx"), *PACKAGE.rglob("*.pxd")]:
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found.append((name, path))
    return found


def imports_of(path: Path) -> set[str]:
    """Modules of rlfast that a file imports, without the leading ``rlfast.``."""
    text = path.read_text(encoding="utf-8")
    names: set[str] = set()
    if path.suffix == ".py":
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Import):
                names.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = node.module or ""
                if node.level:
                    package = path.relative_to(PACKAGE.parent).parent.parts
                    base = ".".join([*package[: len(package) - node.level + 1], *filter(None, [base])])
                names.update(f"{base}.{alias.name}" for alias in node.names)
                names.add(base)
    else:
        for match in re.finditer(r"^\s*from ([\w.]+) c?import (.*)$", text, re.MULTILINE):
            names.add(match[1])
        for match in re.finditer(r"^\s*c?import ([\w.]+)", text, re.MULTILINE):
            names.add(match[1])
    known = {name for name, _ in modules()}
    return {
        name.removeprefix("rlfast.")
        for name in names
        if name.startswith("rlfast.") and name.removeprefix("rlfast.") in known
    }


def test_imports_point_along_the_data_path() -> None:
    found = modules()
    assert len(found) > 40
    backward = [
        f"{name} imports {target}"
        for name, path in found
        for target in imports_of(path)
        if room_of(target) > room_of(name)
    ]
    assert backward == []


def test_the_core_imports_nothing_from_the_python_layer() -> None:
    for name, path in modules():
        if name.startswith("_core"):
            assert all(target.startswith("_core") for target in imports_of(path)), name


def test_picows_is_cimported_by_one_file_only() -> None:
    users = [
        name for name, path in modules() if re.search(r"from picows\S* cimport", path.read_text("utf-8"))
    ]
    assert users == ["_core.wire"]


# -- what an import loads ----------------------------------------------------------------------------------


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)


HEAVY = [
    "numpy",
    "pyarrow",
    "nanoarrow",
    "polars",
    "duckdb",
    "typer",
    "rich",
    "pydantic",
    "reasoning_layer_python_sdk",
    "uvloop",
]


def test_import_loads_nothing_that_can_wait() -> None:
    result = python(f"import sys, rlfast; print([name for name in {HEAVY} if name in sys.modules])")
    assert (result.stdout.strip(), result.returncode) == ("[]", 0), result.stderr


def test_import_works_without_any_extra_and_says_which_one_is_missing() -> None:
    result = python(
        f"""
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {EXTRAS}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Block())
import asyncio, rlfast, rlfast.simulator, rlfast.capture, rlfast.sdk
for action in (
    lambda: rlfast.sdk.to_sdk(rlfast.Heartbeat(timestamp="t")),
    lambda: asyncio.run(rlfast.capture.capture(None, "/nowhere")),
):
    try:
        action()
    except rlfast.MissingExtraError as error:
        print(error)
"""
    )
    assert result.returncode == 0, result.stderr
    assert "pip install 'rlfast[sdk]'" in result.stdout
    assert "pip install 'rlfast[capture]'" in result.stdout


def test_the_command_line_without_its_extra_names_the_pip_command() -> None:
    result = python(
        """
import sys
sys.modules["typer"] = None
sys.argv = ["rlfast", "demo"]
from rlfast.cli import main
sys.exit(main())
"""
    )
    assert result.returncode == 1
    assert "pip install 'rlfast[capture]'" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("installed", ["2.2.9", "2.4.0", "3.0.0", "1.20.0"])
def test_another_minor_version_of_picows_is_refused_before_anything_compiled_loads(installed: str) -> None:
    result = python(
        f"""
import sys, picows, picows.version
picows.__version__ = picows.version.__version__ = {installed!r}
try:
    import rlfast
except ImportError as error:
    print(error)
    print("wire loaded:", "rlfast._core.wire" in sys.modules)
"""
    )
    assert result.returncode == 0, result.stderr
    assert f"built against picows {buildinfo.PICOWS_VERSION}" in result.stdout
    assert f"picows {installed} is installed" in result.stdout
    assert f"pip install 'picows=={buildinfo.PICOWS_VERSION}.*'" in result.stdout
    assert "wire loaded: False" in result.stdout


def test_a_patch_version_of_picows_is_accepted() -> None:
    result = python(
        f"""
import picows, picows.version
picows.__version__ = picows.version.__version__ = "{buildinfo.PICOWS_VERSION}.99"
import rlfast
"""
    )
    assert result.returncode == 0, result.stderr
