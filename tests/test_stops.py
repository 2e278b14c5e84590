"""A process that is stopped for longer than a time-out, and goes on: docker pause, a debugger, Ctrl-Z."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import textwrap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from wsserver import PING, PONG, Peer, close_frame, frame, serve

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="no SIGSTOP")

LOOPS = ["asyncio", "uvloop"]
#: Longer than any time-out of a client here.
LONG = 0.6

CLIENT = """
import asyncio, json, sys
import rlfast

async def main(url, limits):
    options = rlfast.ConnectionOptions(**limits)
    async with rlfast.connect(url, backoff=None, options=options) as ws:
        received = [await ws.next_message()]
        print("reading", flush=True)
        if sys.argv[4] == "close":
            await ws.close()
        received += [message async for message in ws]
        discarded = ws.stats.discarded_messages
        print(json.dumps([received, [gap.reason for gap in ws.gaps], str(ws.last_error), discarded]))

if sys.argv[1] == "uvloop":
    import uvloop
    loop = uvloop.new_event_loop()
else:
    loop = asyncio.new_event_loop()
loop.run_until_complete(main(sys.argv[2], json.loads(sys.argv[3])))
"""


@pytest.fixture(params=LOOPS)
def loop_name(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    pytest.importorskip(name)
    return name


@asynccontextmanager
async def client(
    loop_name: str, url: str, what: str = "read", **limits: Any
) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        textwrap.dedent(CLIENT),
        loop_name,
        url,
        json.dumps(limits),
        what,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def reading(process: asyncio.subprocess.Process) -> None:
    """Wait until the client has got its first message."""
    assert process.stdout is not None
    assert await process.stdout.readline() == b"reading\n"


async def stop(process: asyncio.subprocess.Process) -> None:
    process.send_signal(signal.SIGSTOP)
    await asyncio.sleep(LONG)
    process.send_signal(signal.SIGCONT)


async def result(process: asyncio.subprocess.Process) -> Any:
    output, _ = await process.communicate()
    return json.loads(output)


class Feed:
    """A server that sends a number every hundredth of a second, and on while nobody reads it."""

    def __init__(self) -> None:
        self.sent = 0
        self.flowing = asyncio.Event()
        self.is_over = asyncio.Event()

    async def __call__(self, peer: Peer) -> None:
        while not self.is_over.is_set():
            await peer.text(str(self.sent))
            self.sent += 1
            if self.sent == 20:
                self.flowing.set()
            await asyncio.sleep(0.01)
        await peer.close()


async def test_what_arrived_during_a_stop_is_read_before_any_verdict(loop_name: str) -> None:
    feed = Feed()
    async with serve(feed) as served:
        async with client(loop_name, served.url, idle_timeout=None, data_timeout=LONG / 3) as process:
            await reading(process)
            await feed.flowing.wait()
            for _ in range(3):
                await stop(process)
                # It may go on reading for a while, and be stopped at another point.
                await asyncio.sleep(0.05)
            feed.is_over.set()
            received, *_ = await result(process)
    assert received == list(range(feed.sent))


async def test_a_message_that_is_not_complete_is_looked_for_to_its_end(loop_name: str) -> None:
    """It takes many reads, and it is the message that counts."""
    large = b'"' + b"x" * 1_000_000 + b'"'
    stopped = asyncio.Event()

    async def serving(peer: Peer) -> None:
        await peer.text("0")
        await stopped.wait()
        await peer.write(frame(large), close_frame())
        await peer.hang()

    async with serve(serving) as served:
        limits = {"idle_timeout": None, "data_timeout": LONG / 3, "read_buffer_size": 8192}
        async with client(loop_name, served.url, **limits) as process:
            await reading(process)
            process.send_signal(signal.SIGSTOP)
            stopped.set()
            await asyncio.sleep(LONG)
            process.send_signal(signal.SIGCONT)
            received, *_ = await result(process)
    assert received == [0, large[1:-1].decode()]


async def test_the_answer_to_a_ping_that_arrived_during_a_stop_counts(loop_name: str) -> None:
    pinged, go_on = asyncio.Event(), asyncio.Event()

    async def serving(peer: Peer) -> None:
        await peer.text("0")
        opcode, payload = await peer.read_frame()
        assert opcode == PING
        pinged.set()
        await asyncio.sleep(LONG / 10)
        await peer.write(frame(payload, PONG), frame(b"1"))
        await go_on.wait()
        await peer.close()

    async with serve(serving) as served:
        async with client(loop_name, served.url, idle_timeout=LONG / 3, pong_timeout=LONG / 3) as process:
            await reading(process)
            await pinged.wait()
            await stop(process)
            go_on.set()
            received, *_ = await result(process)
    assert received == [0, 1]


@pytest.mark.parametrize("reason", ["data_timeout", "idle_timeout"])
async def test_who_was_silent_all_the_time_is_found_dead(loop_name: str, reason: str) -> None:
    async def serving(peer: Peer) -> None:
        await peer.text("0")
        await peer.hang()

    limits = {"idle_timeout": None, "pong_timeout": LONG / 3, reason: LONG / 3}
    async with serve(serving) as served, client(loop_name, served.url, **limits) as process:
        await reading(process)
        await stop(process)
        received, gaps, error, _ = await result(process)
    assert (received, gaps) == ([0], [reason])
    assert reason in error


async def test_an_upgrade_that_was_answered_during_a_stop_is_open(loop_name: str) -> None:
    asked, answered = asyncio.Event(), asyncio.Event()

    async def serving(peer: Peer) -> None:
        asked.set()
        await answered.wait()
        await peer.accept()
        await peer.write(frame(b"0"), close_frame())
        await peer.hang()

    async with serve(serving, accept=False) as served:
        async with client(loop_name, served.url, connect_timeout=LONG / 2) as process:
            await asked.wait()
            process.send_signal(signal.SIGSTOP)
            answered.set()
            await asyncio.sleep(LONG)
            process.send_signal(signal.SIGCONT)
            await reading(process)
            received, gaps, error, _ = await result(process)
    assert (received, gaps, error) == ([0], [], "None")


async def test_a_close_that_was_answered_during_a_stop_is_in_order(loop_name: str) -> None:
    asked, answered = asyncio.Event(), asyncio.Event()

    async def serving(peer: Peer) -> None:
        await peer.text("0")
        await peer.read_frame()
        asked.set()
        await answered.wait()
        await peer.text("1", "2")
        await peer.close()

    async with serve(serving) as served:
        async with client(loop_name, served.url, "close", close_timeout=LONG / 2) as process:
            await asked.wait()
            process.send_signal(signal.SIGSTOP)
            answered.set()
            await asyncio.sleep(LONG)
            process.send_signal(signal.SIGCONT)
            await reading(process)
            received, gaps, _, discarded = await result(process)
    assert (received, gaps, discarded) == ([0], [], 2)
