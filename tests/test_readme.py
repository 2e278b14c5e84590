"""The Python examples of the README and of docs/ are accepted by mypy in a user's strict project."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import rlfast

ROOT = Path(__file__).parent.parent

IMPORTS = """\
import msgspec
import polars
import rlfast
from rlfast.sdk import from_sdk_event, to_sdk
from rlfast.capture import CaptureOptions, capture, compact, recover, redrive, resume
"""

#: What the examples take for granted.
GIVEN = """\
class Event(msgspec.Struct):
    type: str

class NewerEvent(msgspec.Struct):
    type: str

"""
ARGUMENTS = """\
    key: str,
    url: str,
    event: rlfast.AgentEvent,
    official_client: object,
"""
CONNECTION = """\
    ws: rlfast.WebSocketConnection[rlfast.AgentEvent | rlfast.UnknownEvent],
"""


def python_blocks(path: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", path.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def as_program(block: str) -> str:
    """A block that stands for itself, as it is; another one as the body of a coroutine function."""
    if "asyncio.run(" in block:
        return block
    given = ARGUMENTS + ("" if " as ws:" in block else CONNECTION)
    return f"{IMPORTS}\n{GIVEN}async def example(\n{given}) -> None:\n{textwrap.indent(block, '    ')}"


def mypy(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    source = Path(rlfast.__file__).parent.parent
    environment = {**os.environ, "MYPYPATH": str(source)} if source.name == "src" else dict(os.environ)
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", os.devnull, *arguments]
    command += ["--follow-imports", "silent", "--cache-dir", str(folder / ".mypy_cache"), str(folder)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder)


def test_mypy_accepts_the_examples_in_a_strict_project(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    paths = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    blocks = [block for path in paths for block in python_blocks(path)]
    assert len(blocks) >= 5
    for number, block in enumerate(blocks):
        (tmp_path / f"example_{number}.py").write_text(as_program(block), "utf-8")
    result = mypy(tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr


def test_mypy_knows_what_a_message_is(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    (tmp_path / "user.py").write_text(
        textwrap.dedent(
            """\
            from typing import assert_type
            import msgspec
            import rlfast

            class Tick(msgspec.Struct):
                price: float

            async def read(url: str) -> None:
                async with rlfast.connect(url, type=Tick) as ws:
                    assert_type(ws, rlfast.WebSocketConnection[Tick])
                    assert_type(await ws.next_message(), Tick | None)
                    assert_type(await ws.next_messages(), list[Tick])
                    assert_type(await anext(ws), Tick)
                    async for tick in ws:
                        assert_type(tick, Tick)
                    assert_type([tick async for tick in ws], list[Tick])
                    tick.symbol
            """
        ),
        "utf-8",
    )
    result = mypy(tmp_path, "--python-version", "3.11")
    errors = [line for line in result.stdout.splitlines() if "error:" in line]
    assert len(errors) == 1, result.stdout + result.stderr
    assert 'has no attribute "symbol"' in errors[0]
