"""``python -m rlfast.simulator`` as a user runs it."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import socket
import subprocess
import sys

import pytest
import websockets
from websockets.asyncio.client import connect

from rlfast.simulator._endpoints import Stream
from rlfast.simulator._events import agent_events

from .ids import AGENT, TENANT


def start(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "rlfast.simulator", *arguments],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def base_url(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("listening on http://127.0.0.1:")
    return line.removeprefix("listening on ").strip().replace("http", "ws")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_it_serves_until_a_signal(number: signal.Signals) -> None:
    process = start("--events", "50", "--seed", "3", "--pool", "20", "--rate", "1000")
    try:
        url = Stream.AGENT_EVENTS.url(base_url(process), AGENT, TENANT)
        async with connect(url) as ws:
            received = [message.encode() async for message in ws]
        assert received == list(itertools.islice(agent_events(3, AGENT, 20), 50))
        process.send_signal(number)
        out, err = await asyncio.to_thread(process.communicate, timeout=30)
        assert (process.returncode, out, err) == (0, "", "")
    finally:
        process.kill()
        process.wait()


async def test_the_token_comes_from_the_environment_and_is_not_shown() -> None:
    process = start("--require-token-env", "SIM_TOKEN", "--events", "1", "--pool", "20", SIM_TOKEN="t0ken-7")
    try:
        url = Stream.AGENT_EVENTS.url(base_url(process), AGENT, TENANT)
        with pytest.raises(websockets.InvalidStatus) as caught:
            await connect(url)
        assert caught.value.response.status_code == 401
        async with connect(url, additional_headers={"Authorization": "Bearer t0ken-7"}) as ws:
            assert b"connected" in await ws.recv(decode=False)
        process.terminate()
        out, err = await asyncio.to_thread(process.communicate, timeout=30)
        assert process.returncode == 0
        assert "t0ken-7" not in out + err
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rate", "-1"], "rate must be a positive number"),
        (["--port", "99999"], "port must be between"),
        (["--require-token-env", "SIM_TOKEN_THAT_IS_NOT_SET"], "SIM_TOKEN_THAT_IS_NOT_SET is not set"),
        (["--events", "many"], "invalid int value"),
    ],
)
def test_wrong_arguments_exit_with_2(arguments: list[str], message: str) -> None:
    process = start(*arguments)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, "")
    assert message in err
    assert "Traceback" not in err


def test_a_taken_port_exits_with_1() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = start("--port", str(port), "--pool", "20")
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, "")
    assert err.startswith(f"cannot listen on 127.0.0.1:{port}: ")
    assert err.count("\n") == 1
