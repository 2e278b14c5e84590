"""The Python examples of the README and of docs/: mypy takes them, and they do what is said of them."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import msgspec
import pytest
from streams import FakeTiming
from wsserver import Peer, close_frame, frame, serve

import rlfast

ROOT = Path(__file__).parent.parent

IMPORTS = """\
import contextlib
import msgspec
import polars
import rlfast
from rlfast.reasoning_layer import from_sdk_event, to_sdk
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


# -- subscriptions -----------------------------------------------------------------------------------------

CONNECTIONS = 15


class SubscriptionServer:
    """Says nothing on a connection before it is asked to, sends three ticks, and drops it; in turns hard."""

    def __init__(self) -> None:
        self.connections = 0
        self.subscriptions: list[tuple[int, object]] = []
        self.is_over = asyncio.Event()

    async def __call__(self, peer: Peer) -> None:
        self.connections += 1
        number = self.connections
        if number % 5 == 4:
            peer.reset()  # before it can be asked
            return
        _, payload = await peer.read_frame()
        self.subscriptions.append((number, json.loads(payload)))
        await peer.write(*[frame(b'{"symbol":"EUR/USD","price":%d}' % number)] * 3)
        if number >= CONNECTIONS:
            await self.is_over.wait()
        elif number % 2:
            await peer.write(close_frame(1012))
            await peer.hang()


@pytest.mark.parametrize("document", ["README.md", "docs/connection.md"])
async def test_the_subscription_is_renewed_on_every_connection(document: str) -> None:
    (block,) = (block for block in python_blocks(ROOT / document) if '"subscribe":' in block)
    block = re.sub(r'connect\((url|"wss:[^"]*")', "connect(url, timing=timing", block)
    block = re.sub(r"    async for .*", "", block, flags=re.DOTALL)
    block += "    await read(ws)\n"
    server, received = SubscriptionServer(), []

    async def read(ws: rlfast.WebSocketConnection[Any]) -> None:
        async for tick in ws:
            received.append(int(msgspec.to_builtins(tick)["price"]))
            if received[-3:] == [CONNECTIONS] * 3:
                server.is_over.set()
                break

    names: dict[str, Any] = {}
    program = f"{IMPORTS}\nasync def example(key, url, timing, read):\n{textwrap.indent(block, '    ')}"
    exec(compile(program, document, "exec", dont_inherit=True), names)
    async with serve(server) as served:
        await names["example"]("k", served.url, FakeTiming().timing, read)
    wanted = {"subscribe": ["EUR/USD"]}
    asked = [number for number in range(1, CONNECTIONS + 1) if number % 5 != 4]
    assert server.subscriptions == [(number, wanted) for number in asked]
    assert received == [number for number in asked for _ in range(3)][-len(received) :]
    # The block itself has taken a few.
    assert len(received) >= 3 * (len(asked) - 2)


async def test_the_login_is_one() -> None:
    (block,) = (block for block in python_blocks(ROOT / "docs" / "connection.md") if "log_in" in block)

    async def home(peer: Peer) -> None:
        await peer.text('{"type":"auth_required"}')
        assert json.loads((await peer.read_frame())[1]) == {"type": "auth", "access_token": "k"}
        await peer.text('{"type":"auth_ok"}')
        assert json.loads((await peer.read_frame())[1]) == {"id": 1, "type": "subscribe_events"}
        await peer.text('{"type":"event"}')
        await peer.wait_closed()

    names: dict[str, Any] = {"key": "k"}
    exec(compile(f"{IMPORTS}\n{block}", "connection.md", "exec", dont_inherit=True), names)
    async with serve(home) as served, rlfast.connect(served.url, on_connect=names["log_in"]) as ws:
        assert [(await anext(ws))["type"] for _ in range(3)] == ["auth_required", "auth_ok", "event"]
