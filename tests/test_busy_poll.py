"""`ConnectionOptions.busy_poll`: the socket is polled while a task waits for a message.

The server is in a thread of its own: while the client polls, its event loop does nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import ssl
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import trustme
from wsserver import CLOSE, Peer, close_frame, frame, serve, turns

import rlfast
from rlfast import ConnectionOptions

POLLING = ConnectionOptions(busy_poll=0.001)


@contextlib.contextmanager
def server_in_a_thread(handler: Any, **arguments: Any) -> Iterator[str]:
    """Its URL."""
    started: queue.Queue[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]] = queue.Queue()

    async def main() -> None:
        async with serve(handler, **arguments) as server:
            stop = asyncio.Event()
            started.put((server.url, asyncio.get_running_loop(), stop))
            await stop.wait()
        # Until the transports have closed their sockets.
        await turns(10)

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    url, loop, stop = started.get(timeout=30)
    try:
        yield url
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


async def echo(peer: Peer) -> None:
    while True:
        opcode, payload = await peer.read_frame()
        await peer.write(frame(payload, opcode))
        if opcode == CLOSE:
            return


class Turns:
    """Counts the event loop's turns, and keeps it from sleeping."""

    def __init__(self) -> None:
        self.count = 0
        self.running = True
        self._loop = asyncio.get_running_loop()
        self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self.count += 1
        if self.running:
            self._loop.call_soon(self._turn)


async def trips_within_a_turn(ws: Any, trips: int, enough: int) -> int:
    """How often an answer came before the loop's next turn."""
    loop_turns = Turns()
    found = 0
    for number in range(trips):
        before = loop_turns.count
        await ws.send(number)
        assert await ws.next_message() == number
        found += loop_turns.count == before
        if found == enough:
            break
    loop_turns.running = False
    return found


async def test_an_answer_is_read_in_the_callback_of_the_read_before() -> None:
    with server_in_a_thread(echo) as url:
        async with rlfast.connect(url, backoff=None, options=POLLING) as ws:
            assert await trips_within_a_turn(ws, 10_000, 20) == 20


async def test_it_is_not_without_the_option() -> None:
    with server_in_a_thread(echo) as url:
        async with rlfast.connect(url, backoff=None) as ws:
            assert await trips_within_a_turn(ws, 300, 1) == 0


async def test_a_connection_with_tls_is_not_polled() -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    with server_in_a_thread(echo, ssl_context=context) as url:
        async with rlfast.connect(url, backoff=None, options=POLLING, ssl=trusting) as ws:
            assert await trips_within_a_turn(ws, 300, 1) == 0


async def test_the_loops_other_work_goes_on_during_a_stream_without_a_pause() -> None:
    async def stream(peer: Peer) -> None:
        try:
            while True:
                await peer.write(frame(b"1"))
        finally:
            peer.writer.transport.abort()

    options = ConnectionOptions(busy_poll=0.001, read_buffer_size=4096, close_timeout=0.05)
    with server_in_a_thread(stream) as url:
        ws = await rlfast.connect(url, backoff=None, options=options)
        loop = asyncio.get_running_loop()
        timer = asyncio.Event()
        loop.call_later(0.01, timer.set)
        reading = True

        async def read() -> None:
            while reading:
                assert await ws.next_message() == 1

        reader = asyncio.create_task(read())
        await timer.wait()
        loop_turns = Turns()
        while loop_turns.count < 20:
            await asyncio.sleep(0)
        loop_turns.running = reading = False
        await reader
        await ws.close()


@pytest.mark.parametrize("end", ["close", "end", "reset"])
async def test_the_end_of_the_connection_while_it_is_polled(end: str) -> None:
    async def handler(peer: Peer) -> None:
        await peer.write(frame(b"0"))
        while (await peer.read_frame())[1] != b"9":
            await peer.write(frame(b"1"))
        await peer.write(frame(b"2"), close_frame(4000) if end == "close" else b"")
        if end == "reset":
            peer.reset()
        elif end == "close":
            await peer.hang()

    with server_in_a_thread(handler) as url:
        async with rlfast.connect(url, backoff=None, options=POLLING) as ws:
            assert await ws.next_message() == 0
            for number in range(10):
                await ws.send(number)
                assert await ws.next_message() == (2 if number == 9 else 1)
            assert await ws.next_message() is None
            assert [(gap.reason, gap.close_code, gap.last_seq) for gap in ws.gaps] == [
                ("closed_by_peer", 4000, 10) if end == "close" else ("connection_lost", None, 10)
            ]


async def test_the_consumer_may_close_while_it_is_polled() -> None:
    with server_in_a_thread(echo) as url:
        ws = await rlfast.connect(url, backoff=None, options=POLLING)
        for number in range(50):
            await ws.send(number)
            assert await ws.next_message() == number
        await ws.close()
        assert await ws.next_message() is None
        assert ws.gaps == ()


async def test_a_full_queue_is_not_polled() -> None:
    """The reader stops behind each message until the rest has arrived: all of it is bounded and delivered."""

    async def stream(peer: Peer) -> None:
        for number in range(2000):
            await peer.write(frame(b'"%04d%s"' % (number, b"x" * 1000)))
        await peer.close()

    options = ConnectionOptions(busy_poll=0.001, high_water=50_000, low_water=10_000, read_buffer_size=8192)
    with server_in_a_thread(stream) as url:
        async with rlfast.connect(url, backoff=None, options=options) as ws:
            got = []
            async for message in ws:
                got.append(int(message[:4]))
                if len(got) % 100 == 0:
                    await asyncio.sleep(0)
            assert got == list(range(2000))
            assert ws.stats.peak_queued_bytes < 50_000 + 8192 + 2000
