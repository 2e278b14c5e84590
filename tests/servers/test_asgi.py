"""uvicorn and hypercorn, restarted under a capture."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import rlfast

from .programs import Number, Program, capturing, check_numbers, free_port, running

COMMANDS = {
    "uvicorn": ["uvicorn", "--host", "127.0.0.1", "--port", "{port}", "servers.asgi_app:app"],
    "hypercorn": [
        "hypercorn",
        "--graceful-timeout",
        "1",
        "--bind",
        "127.0.0.1:{port}",
        "servers.asgi_app:app",
    ],
}
#: The codes that they close connections with when they are terminated.
CODES = {"uvicorn": 1012, "hypercorn": 1011}


@pytest.fixture(params=COMMANDS)
def server(request: pytest.FixtureRequest) -> str:
    pytest.importorskip(request.param)
    name: str = request.param
    return name


@contextlib.asynccontextmanager
async def serving(server: str, port: int, **env: str) -> AsyncIterator[Program]:
    command = [sys.executable, "-m", *(part.format(port=port) for part in COMMANDS[server])]
    async with running(*command, cwd=Path(__file__).parent.parent, env=env) as program:
        await program.printed(r"(?i)running on http")
        yield program


async def test_a_first_refusal_is_raised(server: str) -> None:
    port = free_port()
    async with serving(server, port, REFUSED="1"):
        with pytest.raises(rlfast.HandshakeRejectedError) as raised:
            await rlfast.connect(f"ws://127.0.0.1:{port}/")
    assert raised.value.status == 403


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["terminated", "killed"])
async def test_a_restart_under_a_capture(server: str, how: signal.Signals, tmp_path: Path) -> None:
    port = free_port()
    async with contextlib.AsyncExitStack() as stack:
        program = await stack.enter_async_context(serving(server, port))
        capture = await stack.enter_async_context(
            capturing(f"ws://127.0.0.1:{port}/", tmp_path / "out", type=Number)
        )
        await capture.received(1000)
        await program.end(how)
        await stack.enter_async_context(serving(server, port, FIRST="1000000", REFUSED="2"))
        # The restart, and the two that the new process closes as soon as they are open.
        await capture.reconnected(3)
        await capture.received(1000)
        await capture.end()
    assert [(gap.reason, gap.close_code) for gap in capture.ws.gaps] == [
        ("closed_by_peer", CODES[server]) if how == signal.SIGTERM else ("connection_lost", None),
        *[("closed_by_peer", 1013)] * 2,
    ]
    # Two were answered with 403.
    assert capture.ws.gaps[0].attempts >= 3
    check_numbers(tmp_path / "out", capture.ws)
