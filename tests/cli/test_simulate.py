from __future__ import annotations

import itertools
import signal
import socket

import pytest
import websockets
from websockets.asyncio.client import connect

from rlfast.simulator._endpoints import Stream
from rlfast.simulator._events import agent_events

from .helpers import AGENT, TENANT, assert_one_line, run, start


async def first_line(process: object) -> str:
    line: bytes = await process.stdout.readline()  # type: ignore[attr-defined]
    assert line.startswith(b"listening on http://127.0.0.1:")
    return line.decode().split()[-1].replace("http", "ws")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_it_serves_the_seeded_stream_until_a_signal(number: signal.Signals) -> None:
    process = await start("simulate", "--port", "0", "--events", "40", "--seed", "9", "--rate", "5000")
    url = Stream.AGENT_EVENTS.url(await first_line(process), AGENT, TENANT)
    async with connect(url) as ws:
        received = [message.encode() async for message in ws]
    assert received == list(itertools.islice(agent_events(9, AGENT, 65_536), 40))
    process.send_signal(number)
    out, err = await process.communicate()
    assert (process.returncode, err) == (0, b"")
    assert b"rlfast capture --agent" in out


async def test_it_requires_the_token_of_the_environment() -> None:
    process = await start(
        *("simulate", "--port", "0", "--events", "1", "--require-token", "--token-env", "MINE"),
        extra={"MINE": "t0ken-7"},
    )
    url = Stream.AGENT_EVENTS.url(await first_line(process), AGENT, TENANT)
    with pytest.raises(websockets.InvalidStatus) as caught:
        await connect(url)
    assert caught.value.response.status_code == 401
    async with connect(url, additional_headers={"Authorization": "Bearer t0ken-7"}) as ws:
        assert b"connected" in await ws.recv(decode=False)
    process.terminate()
    out, err = await process.communicate()
    assert process.returncode == 0
    assert b"t0ken-7" not in out + err


def test_a_taken_port_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run("simulate", "--port", str(port))
    assert (done.returncode, done.stdout) == (1, "")
    assert_one_line(done.stderr, f"cannot listen on 127.0.0.1:{port}: ", "choose another --port")
