"""The channels of a kernel of jupyter_server.

Its subprotocol has binary messages of several parts, which are no JSON. A client that does not offer it is
sent the same as JSON text, which is what rlfast captures.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import rlfast

from .programs import Program, captured_tables, capturing, listening, relay, running

LINES = 1500
TOKEN = "not a secret"
SESSION = "5f0c9d53"


class Text(msgspec.Struct):
    text: str


class Stream(msgspec.Struct, tag_field="msg_type", tag="stream"):
    content: Text


class Code(msgspec.Struct):
    code: str


class Input(msgspec.Struct, tag_field="msg_type", tag="execute_input"):
    content: Code


class Outcome(msgspec.Struct):
    status: str


class Reply(msgspec.Struct, tag_field="msg_type", tag="execute_reply"):
    content: Outcome


def execute(code: str) -> dict[str, Any]:
    header = {"msg_id": "execute", "msg_type": "execute_request", "session": SESSION, "version": "5.3"}
    content = {"code": code, "silent": False, "store_history": False, "allow_stdin": False}
    return {
        "channel": "shell",
        "header": {**header, "username": "", "date": ""},
        "parent_header": {},
        "metadata": {},
        "content": content,
    }


class Jupyter:
    """A server, and a kernel of it."""

    def __init__(self, program: Program, port: int, kernel: str) -> None:
        self.program = program
        self.port = port
        self.kernel = kernel

    def url(self, port: int) -> str:
        return f"ws://127.0.0.1:{port}/api/kernels/{self.kernel}/channels?session_id={SESSION}"


SUBPROTOCOL = "v1.kernel.websocket.jupyter.org"
HEADERS = {"Authorization": f"token {TOKEN}"}


@pytest.fixture
async def jupyter(tmp_path: Path) -> AsyncIterator[Jupyter]:
    pytest.importorskip("jupyter_server")
    pytest.importorskip("ipykernel")
    env = {"JUPYTER_TOKEN": TOKEN, "JUPYTER_PLATFORM_DIRS": "1", "HOME": str(tmp_path)}
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        env[name] = str(tmp_path / name)
    command = [sys.executable, "-m", "jupyter", "server", "--no-browser", "--allow-root"]
    options = ["--ServerApp.ip=127.0.0.1", "--ServerApp.port=0"]
    async with running(*command, *options, cwd=tmp_path, env=env) as program:
        port = int((await program.printed(r"http://127\.0\.0\.1:(\d+)/"))[1])
        await listening(port)
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/api/kernels", data=b'{"name": "python3"}', headers=HEADERS
        )
        with await asyncio.to_thread(urllib.request.urlopen, request) as answer:
            kernel = json.load(answer)["id"]
        yield Jupyter(program, port, kernel)


# A message for each line: it is written in one piece, and flushed.
WRITE = """
import os, sys, time
def write(first, end):
    for i in range(first, end):
        sys.stdout.write(f"{i}\\n")
        sys.stdout.flush()
"""
PRINT = f"{WRITE}write(0, {LINES})"
# The same when nobody is there to be told.
PRINT_LATER = f"""
while not os.path.exists("go"): time.sleep(0.01)
write({LINES}, {2 * LINES})
"""


async def test_everything_that_a_kernel_prints_arrives(jupyter: Jupyter, tmp_path: Path) -> None:
    """Also what it prints while there is no connection: the server keeps that for the session."""

    async def run(connection: rlfast.NewConnection) -> None:
        if connection.epoch == 1:
            await connection.send(execute(PRINT))

    async with contextlib.AsyncExitStack() as stack:
        between = await stack.enter_async_context(relay(jupyter.port))
        url = jupyter.url(between.port)
        out, type_ = tmp_path / "out", Stream | Input | Reply
        capture = await stack.enter_async_context(
            capturing(url, out, type=type_, headers=HEADERS, on_connect=run)
        )
        await capture.until(lambda: capture.events >= LINES + 2)
        await capture.ws.send(execute(PRINT_LATER))
        await capture.until(lambda: capture.events >= LINES + 3)
        between.cut()
        await jupyter.program.printed("Starting buffering")
        (tmp_path / "go").touch()
        between.open = True
        await capture.until(lambda: capture.events >= 2 * (LINES + 2))
        summary = await capture.end()
    assert summary.gap_reasons == {"connection_lost": 1}
    tables = captured_tables(out)
    lines = [content["text"] for content in tables["stream"]["content"].to_pylist()]
    assert lines == [f"{i}\n" for i in range(2 * LINES)]
    assert tables["stream"]["epoch"].to_pylist() == [1] * LINES + [2] * LINES
    assert [content["code"] for content in tables["execute_input"]["content"].to_pylist()] == [
        PRINT,
        PRINT_LATER,
    ]
    assert tables["execute_reply"]["content"].to_pylist() == [{"status": "ok"}] * 2


async def test_its_subprotocol_is_spoken_to_those_who_offer_it(jupyter: Jupyter, tmp_path: Path) -> None:
    async with capturing(
        jupyter.url(jupyter.port),
        tmp_path / "out",
        type=Stream | Input | Reply,
        headers=HEADERS,
        subprotocols=[SUBPROTOCOL],
    ) as capture:
        # The server greets the kernel, which says that it is busy, and idle again.
        await capture.received(2)
        assert capture.ws.subprotocol == SUBPROTOCOL
        summary = await capture.end()
    assert (summary.events, summary.dead_letters) == (0, capture.ws.stats.messages)
    assert capture.ws.stats.binary_messages == summary.dead_letters
