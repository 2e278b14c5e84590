"""What importing rlfast costs and needs, and that imports point one way along the data path."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from rlfast import schema
from rlfast._core import buildinfo

#: The sources: an installed package has no .pyx files.
PACKAGE = Path(__file__).parent.parent / "src" / "rlfast"

#: The rooms from the bottom up, and what each may import from besides itself; "" is `rlfast` itself.
ROOMS: dict[str, set[str]] = {
    "_core": set(),
    "errors": set(),
    "schema": {"_core", "errors"},
    "decode": {"_core", "errors", "schema"},
    "metrics": {"errors", "decode"},
    "websocket": {"_core", "errors", "schema", "decode", "metrics"},
    "sinks": {"_core", "errors", "schema", "decode", "websocket"},
    "capture": {"_core", "errors", "schema", "decode", "websocket", "sinks"},
    "reasoning_layer": {"_core", "errors", "schema", "decode", "websocket"},
    "": {"_core", "errors", "schema", "decode", "metrics", "websocket", "capture", "reasoning_layer"},
    "simulator": {"errors", "reasoning_layer"},
    "cli": {
        *("_core", "errors", "schema", "decode", "metrics", "websocket", "sinks", "capture"),
        *("reasoning_layer", "simulator"),
    },
}


def room_of(module: str) -> str:
    room = module.partition(".")[0]
    assert room in ROOMS, f"rlfast.{module} is in no room; say in ROOMS where it belongs"
    return room


def modules() -> list[tuple[str, Path]]:
    """Name, without the leading ``rlfast.``, and file of every module and .pxd."""
    found = []
    for path in [*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.pyx"), *PACKAGE.rglob("*.pxd")]:
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found.append((".".join(parts[:-1] if parts[-1] == "__init__" else parts), path))
    return found


def python_imports(path: Path) -> set[str]:
    """Full names of what a .py file imports, inside functions too; ``from a import b`` counts as a.b."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = path.relative_to(PACKAGE.parent).parent.parts
                base = ".".join([*package[: len(package) - node.level + 1], *filter(None, [base])])
            names.update(f"{base}.{alias.name}" for alias in node.names)
    return names


def cython_imports(path: Path) -> set[str]:
    """The same for a .pyx or .pxd file, cimports included; only the module of a ``from``."""
    text = path.read_text("utf-8")
    pattern = r"^\s*(?:from\s+([\w.]+)\s+c?import\b|c?import\s+([\w.]+))"
    return {first or second for first, second in re.findall(pattern, text, re.MULTILINE)}


def imports_of(path: Path) -> set[str]:
    """Modules of rlfast that a file imports, without the leading ``rlfast.``."""
    known = {name for name, _ in modules()}
    names = python_imports(path) if path.suffix == ".py" else cython_imports(path)
    found = set()
    for name in names:
        if name.partition(".")[0] == "rlfast":
            inner = name.removeprefix("rlfast").removeprefix(".")
            # a.b is a module, or a name in module a
            found.add(inner if inner in known else inner.rpartition(".")[0])
    return found


def test_imports_point_along_the_data_path() -> None:
    found = modules()
    assert len(found) > 40
    backward = [
        f"{name or 'rlfast'} imports {target or 'rlfast'}"
        for name, path in found
        for target in imports_of(path)
        if room_of(target) not in {room_of(name), *ROOMS[room_of(name)]}
    ]
    assert backward == []


def test_rooms_and_modules_know_no_circles() -> None:
    TopologicalSorter(ROOMS).prepare()
    graph: dict[str, set[str]] = {}
    for name, path in modules():
        graph.setdefault(name, set()).update(imports_of(path) - {name})
    TopologicalSorter(graph).prepare()


def test_the_top_floor_is_small_and_the_map_names_every_room_and_module() -> None:
    top = {path.name for path in PACKAGE.iterdir() if path.name != "__pycache__"}
    assert len(top) <= 13
    assert {name.removesuffix(".py") for name in top} - {"__init__", "py.typed"} == set(ROOMS) - {""}
    design = (PACKAGE.parent.parent / "docs" / "design.md").read_text("utf-8")
    subjects = dict(re.findall(r"^\| `([\w/]+?)/?(?:\.pyx)?` \| ([^|]+) \|", design, re.MULTILINE))
    assert set(ROOMS) - {""} <= subjects.keys()
    described = ("_core", "schema", "decode", "metrics", "websocket", "sinks", "capture", "reasoning_layer")
    inside = {name.replace(".", "/") for name, path in modules() if path.name != "__init__.py"}
    assert {name for name in inside if name.partition("/")[0] in described} - subjects.keys() == set()


def test_a_module_is_either_exported_by_its_room_or_has_an_underscore() -> None:
    """What a room offers is what its `__init__` exports."""
    inside = [
        name
        for name, path in modules()
        if "." in name and path.suffix == ".py" and path.name != "__init__.py"
    ]
    assert len(inside) > 60
    public = [name for name in inside if not any(part.startswith("_") for part in name.split("."))]
    # A table, which a room exports whole.
    assert public == ["schema.kinds"]
    assert "kinds" in schema.__all__


def test_picows_is_cimported_by_one_module_only() -> None:
    users = {
        name
        for name, path in modules()
        if path.suffix != ".py" and any(target.startswith("picows") for target in cython_imports(path))
    }
    assert users == {"_core.frame_handler"}


def test_the_reader_of_imports_sees_every_form(tmp_path: Path) -> None:
    source = tmp_path / "sample.pyx"
    source.write_text(
        "cimport cython\nfrom rlfast._core.block cimport Block, \\\n    BlockQueue\n"
        "from libc.string cimport memcpy\nimport rlfast.errors\nfrom rlfast import batch\n"
        "cdef f():\n    from rlfast.websocket._connection import connect\n"
    )
    assert cython_imports(source) == {
        "cython",
        "rlfast._core.block",
        "libc.string",
        "rlfast.errors",
        "rlfast",
        "rlfast.websocket._connection",
    }


# -- what an import loads ----------------------------------------------------------------------------------


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)


EXTRAS = [
    "hdrh",
    "matplotlib",
    "pyarrow",
    "nanoarrow",
    "polars",
    "duckdb",
    "typer",
    "rich",
    "pydantic",
    "uvloop",
]
EXTRAS += ["reasoning_layer_python_sdk"]
HEAVY = ["numpy", *EXTRAS]


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
import asyncio, rlfast, rlfast.simulator, rlfast.capture, rlfast.reasoning_layer._sdk
for action in (
    lambda: rlfast.reasoning_layer._sdk.to_sdk(rlfast.HeartbeatEvent(timestamp="t")),
    lambda: asyncio.run(rlfast.capture.capture(rlfast.WebSocketConnection("ws://host/"), "/nowhere")),
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
    print("wire loaded:", "rlfast._core.frame_handler" in sys.modules)
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
