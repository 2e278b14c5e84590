"""Cancellation at every await, calls at the wrong time, and many connections at once."""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import re
import subprocess
import sys
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any

import pytest
from streams import FakeTiming
from wsserver import BINARY, CLOSE, TEXT, Peer, close_frame, frame, serve, turns, until

import rlfast
from rlfast import ConnectionOptions, WebSocketConnection, connect

# -- cancellation --------------------------------------------------------------------------------------------


@types.coroutine
def cancelled_at(step: int, awaitable: Awaitable[Any]) -> Generator[Any, Any, tuple[bool, Any]]:
    """Await, and cancel at the n-th suspension (from 1). Returns whether it was cancelled, and the result."""
    inner = awaitable.__await__()
    sent: Any = None
    error: BaseException | None = None
    count = 0
    while True:
        try:
            waited = inner.send(sent) if error is None else inner.throw(error)
        except StopIteration as stop:
            return False, stop.value
        except asyncio.CancelledError:
            if count < step:
                raise
            return True, None
        count += 1
        if count == step:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
        try:
            sent, error = (yield waited), None
        except BaseException as raised:
            error = raised
            if count == step and isinstance(raised, asyncio.CancelledError) and sys.version_info >= (3, 11):
                task = asyncio.current_task()
                assert task is not None
                task.uncancel()


async def cancelled_after(count: int, awaitable: Awaitable[Any]) -> tuple[bool, Any]:
    """The same after so many turns of the event loop, for what goes on in tasks of its own."""
    task = asyncio.ensure_future(_awaiting(awaitable))
    await turns(count)
    task.cancel()
    try:
        return False, await task
    except asyncio.CancelledError:
        return True, None


async def _awaiting(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


async def every_step(operation: Callable[[int], Coroutine[Any, Any, bool]]) -> int:
    """Run `operation(n)` for n = 1, 2, … until it was not cancelled; returns the number of suspensions.

    On a busy machine the event loop turns often while the resolver's thread gets its turn: larger steps then.
    """
    for step in itertools.chain(range(1, 60), (60 << n for n in range(12))):
        cancelled = await asyncio.wait_for(asyncio.ensure_future(operation(step)), 20)
        if not cancelled:
            return step - 1
    raise AssertionError("it never completes")


def tasks() -> set[asyncio.Task[Any]]:
    return {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}


async def numbers(peer: Peer) -> None:
    """Send 1 to 300, a frame at a time, and wait for the close."""
    for n in range(1, 301):
        await peer.text(str(n))
        await turns(9)
    await peer.wait_closed()


async def test_connect_cancelled_at_every_await_leaves_nothing_open() -> None:
    hung_up = 0

    async def handler(peer: Peer) -> None:
        nonlocal hung_up
        await peer.hang()
        hung_up += 1

    async def headers() -> dict[str, str]:
        await asyncio.sleep(0)
        return {"X-Test": "1"}

    connections: list[WebSocketConnection[Any]] = []
    async with serve(handler) as server:
        before = tasks()

        async def once(step: int) -> bool:
            connecting = connect(server.url, headers=headers, options=ConnectionOptions(close_timeout=0.1))
            cancelled, ws = await cancelled_after(step, connecting)
            if ws is not None:
                connections.append(ws)
            return cancelled

        assert await every_step(once) >= 5
        (ws,) = connections
        assert ws.connected
        # Every connection but the last is dropped, as soon as its server knows of it.
        await until(lambda: hung_up == len(server.requests) - 1)
        await ws.close()
        await until(lambda: hung_up == len(server.requests))
        await until(lambda: len(tasks() - before) == 0)


@pytest.mark.parametrize("reading", ["next_message", "next_messages", "async for"])
async def test_reading_cancelled_at_every_await_loses_nothing(reading: str) -> None:
    async with serve(numbers) as server, connect(server.url) as ws:
        got: list[int] = []

        async def once(step: int) -> bool:
            step = 1 + step % 3
            if reading == "next_message":
                cancelled, message = await cancelled_at(step, ws.next_message())
                messages = [message] if not cancelled else []
            elif reading == "async for":
                cancelled, message = await cancelled_at(step, ws.__anext__())
                messages = [message] if not cancelled else []
            else:
                cancelled, messages = await cancelled_at(step, ws.next_messages(7))
            got.extend(messages or [])
            return bool(cancelled)

        cancellations = 0
        step = 0
        while len(got) < 300:
            step += 1
            cancellations += await asyncio.wait_for(once(step), 20)
        assert got == list(range(1, 301))
        assert cancellations > 10


async def test_batches_cancelled_at_every_await_lose_nothing() -> None:
    async with serve(numbers) as server, connect(server.url) as ws:
        got: list[int] = []
        cancellations = step = 0
        batches = ws.batches(max_rows=17, max_wait=0.001)
        while len(got) < 300:
            step += 1
            cancelled, batch = await asyncio.wait_for(cancelled_at(1 + step % 5, batches.__anext__()), 20)
            cancellations += cancelled
            if not cancelled:
                got += [int(text) for text in batch["message"]["json"]]
        assert got == list(range(1, 301))
        assert cancellations > 10


async def test_send_cancelled_while_it_waits_sends_nothing_and_stays_usable() -> None:
    read = asyncio.Event()
    received: list[bytes] = []

    async def handler(peer: Peer) -> None:
        await read.wait()
        while True:
            opcode, payload = await peer.read_frame()
            if opcode == CLOSE:
                await peer.write(close_frame())
                return
            received.append(payload)

    async with serve(handler) as server, connect(server.url) as ws:
        sent = []
        assert ws._reconnector.frame_handler is not None
        while not ws._reconnector.frame_handler.write_paused:
            sent.append(b"%08d" % len(sent) + b"x" * 100_000)
            await ws.send(sent[-1])
        cancelled, _ = await cancelled_at(1, ws.send(b"never"))
        assert cancelled
        read.set()
        sent.append(b"afterwards")
        await ws.send(sent[-1])
        await until(lambda: len(received) == len(sent))
        assert received == sent


@pytest.mark.parametrize("state", ["open", "peer silent", "reconnecting"])
async def test_close_cancelled_at_every_await_closes_all_the_same(state: str) -> None:
    hung_up = 0

    async def handler(peer: Peer) -> None:
        nonlocal hung_up
        await peer.text("1")
        if state == "open":
            await peer.wait_closed()
        elif state == "peer silent":
            await peer.hang()
        else:
            peer.reset()
        hung_up += 1

    async with serve(handler) as server:
        before = tasks()

        async def once(step: int) -> bool:
            timing = FakeTiming()
            if state == "reconnecting":

                async def forever(seconds: float) -> None:
                    await asyncio.Event().wait()

                timing.sleep = forever  # type: ignore[method-assign]
            ws = await connect(
                server.url, options=ConnectionOptions(close_timeout=0.05), timing=timing.timing
            )
            assert await ws.next_message() == 1
            if state == "reconnecting":
                await until(lambda: not ws.connected)
            cancelled, _ = await cancelled_at(step, ws.close())
            # The second call finds everything done, or waits for it; it never fails.
            await ws.close()
            assert ws.closed
            assert not ws.connected
            assert await ws.next_message() is None
            return cancelled

        assert await every_step(once) >= 1
        await until(lambda: len(tasks() - before) == 0)
        await until(lambda: hung_up == len(server.requests))


@pytest.mark.parametrize("turn", range(25))
async def test_close_cancelled_while_an_attempt_succeeds_leaves_nothing_open(turn: int) -> None:
    """It does not wait for the attempt any more, which must hang up by itself."""
    asked, answer, hung_up = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def dropped(peer: Peer) -> None:
        await peer.accept()
        await peer.text("1")

    async def late(peer: Peer) -> None:
        asked.set()
        await answer.wait()
        await peer.accept()
        await peer.hang()
        hung_up.set()

    async with serve(dropped, late, accept=False) as server:
        before = tasks()
        ws = await connect(server.url, timing=FakeTiming().timing)
        await asyncio.wait_for(asked.wait(), 10)
        answer.set()
        await turns(turn)
        await cancelled_at(1, ws.close())
        await asyncio.wait_for(hung_up.wait(), 10)
        assert not ws.connected
        assert ws.closed
        await until(lambda: len(tasks() - before) == 0)


async def test_close_cancelled_while_a_gap_is_told_leaves_no_task() -> None:
    told = asyncio.Event()

    async def on_gap(_: rlfast.Gap) -> None:
        told.set()
        await asyncio.Event().wait()

    async def dropped(peer: Peer) -> None:
        await peer.text("1")

    async with serve(dropped) as server:

        async def once(step: int) -> bool:
            before = tasks()
            told.clear()
            ws = await connect(
                server.url, backoff=None, on_gap=on_gap, options=ConnectionOptions(close_timeout=0.05)
            )
            await asyncio.wait_for(told.wait(), 10)
            cancelled, _ = await cancelled_at(step, ws.close())
            await turns(3)
            assert len(tasks() - before) == 0
            return cancelled

        assert await every_step(once) >= 1


# -- states --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["callback", "delay", "attempt"])
async def test_close_while_reconnecting(where: str) -> None:
    reached = asyncio.Event()

    async def hold(*_: object) -> None:
        reached.set()
        await asyncio.Event().wait()

    async def dropped(peer: Peer) -> None:
        await peer.text("1")
        peer.reset()

    async def silent(peer: Peer) -> None:
        reached.set()
        await peer.hang()

    async def accepting(peer: Peer) -> None:
        await peer.accept()
        await dropped(peer)

    timing = FakeTiming()
    if where == "delay":
        timing.sleep = hold  # type: ignore[method-assign]
    async with serve(accepting, silent, accept=False) as server:
        before = tasks()
        ws = await connect(
            server.url, timing=timing.timing, on_reconnect=hold if where == "callback" else None
        )
        assert await ws.next_message() == 1
        await asyncio.wait_for(reached.wait(), 10)
        await asyncio.wait_for(ws.close(), 10)
        assert await ws.next_message() is None
        await until(lambda: len(tasks() - before) == 0)


async def test_send_while_the_socket_is_paused() -> None:
    """Backpressure is on the reading side only."""
    received = asyncio.Event()

    async def handler(peer: Peer) -> None:
        for _ in range(64):
            await peer.write(frame(b'"' + b"x" * 1000 + b'"'))
        assert await peer.read_frame() == (TEXT, b"[1]")
        received.set()
        await peer.wait_closed()

    options = ConnectionOptions(high_water=4096, low_water=1024, block_size=4096)
    async with serve(handler) as server, connect(server.url, options=options) as ws:
        await until(lambda: ws.stats.paused)
        await ws.send([1])
        await asyncio.wait_for(received.wait(), 10)
        assert ws.stats.paused


async def test_concurrent_sends_keep_message_borders() -> None:
    messages = [bytes([n]) * (n * 997 + 1) for n in range(256)]
    received: list[bytes] = []

    async def handler(peer: Peer) -> None:
        while len(received) < len(messages):
            opcode, payload = await peer.read_frame()
            assert opcode == BINARY
            received.append(payload)
        await peer.close()

    async with serve(handler) as server, connect(server.url, backoff=None) as ws:
        await asyncio.gather(*(ws.send(message) for message in messages))
        assert await ws.next_message() is None
    assert sorted(received) == messages


async def test_a_sender_that_gives_up_leaves_nothing_behind() -> None:
    """A time-out around send, again and again, while the peer does not read."""

    async def deaf(peer: Peer) -> None:
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await gone.wait()

    def futures() -> int:
        gc.collect()
        return sum(isinstance(thing, asyncio.Future) for thing in gc.get_objects())

    gone = asyncio.Event()
    async with serve(deaf) as server:
        ws = await connect(server.url, options=ConnectionOptions(close_timeout=0.05))
        assert ws._reconnector.frame_handler is not None
        while not ws._reconnector.frame_handler.write_paused:
            await ws.send(b"x" * 100_000)
        before = futures()
        for _ in range(100):
            cancelled, _ = await cancelled_at(1, ws.send(b"never"))
            assert cancelled
        assert futures() < before + 10
        await ws.close()
        gone.set()


async def test_senders_that_waited_do_not_fill_the_buffer_together() -> None:
    size = 1 << 20
    received = 0

    async def slow(peer: Peer) -> None:
        nonlocal received
        while received < 40:
            await peer.read_frame()
            received += 1
        await peer.close()

    async with serve(slow) as server, connect(server.url, backoff=None) as ws:
        assert ws._reconnector.frame_handler is not None
        transport = ws._reconnector.frame_handler.transport.underlying_transport
        sending = asyncio.gather(*(ws.send(b"x" * size) for _ in range(40)))
        largest = 0
        while not sending.done():
            largest = max(largest, transport.get_write_buffer_size())
            await turns(1)
        await sending
        assert await ws.next_message() is None
    assert received == 40
    # One message and the transport's own high-water mark.
    assert size // 2 < largest < 2 * size


async def test_send_after_the_peers_close_is_refused() -> None:
    """It would be dropped without a word: RFC 6455 section 5.5.1 allows nothing behind a CLOSE frame."""
    full, closed = asyncio.Event(), asyncio.Event()

    async def closing(peer: Peer) -> None:
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await full.wait()
        await peer.write(close_frame(1001))
        await closed.wait()

    async with serve(closing) as server, connect(server.url, backoff=None) as ws:
        loop = ws._reconnector.frame_handler
        assert loop is not None
        while not loop.write_paused:
            await ws.send(b"x" * 100_000)
        full.set()
        await until(lambda: loop.close_received)
        # Our answer, and the end of TCP, wait behind what the peer does not read.
        assert not loop.lost
        with pytest.raises(rlfast.NotConnectedError):
            await ws.send("too late")
        assert not ws.connected
        closed.set()


async def test_close_inside_on_reconnect() -> None:
    closed: list[int] = []

    async def give_up(attempt: int) -> None:
        if attempt == 2:
            await ws.close()
            closed.append(attempt)

    async def dropped(peer: Peer) -> None:
        await peer.accept()
        await peer.text("1")

    async def refuse(peer: Peer) -> None:
        await peer.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")

    async with serve(dropped, refuse, accept=False) as server:
        before = tasks()
        fake = FakeTiming()
        ws = await connect(server.url, timing=fake.timing, on_reconnect=give_up)
        assert [message async for message in ws] == [1]
        await until(lambda: len(tasks() - before) == 0)
        assert closed == [2]
        # Nor does the task wait for the delay of the attempt that is not made.
        assert fake.log == [("sleep", 1.0)]
        assert len(server.requests) == 2


async def test_a_callback_that_cannot_be_cancelled_does_not_hold_close_up() -> None:
    reached, end = asyncio.Event(), asyncio.Event()

    async def stubborn(_: int) -> None:
        reached.set()
        while not end.is_set():
            try:
                await end.wait()
            except asyncio.CancelledError:
                pass

    async def dropped(peer: Peer) -> None:
        await peer.text("1")

    async with serve(dropped) as server:
        before = tasks()
        ws = await connect(
            server.url,
            timing=FakeTiming().timing,
            on_reconnect=stubborn,
            options=ConnectionOptions(close_timeout=0.05),
        )
        await asyncio.wait_for(reached.wait(), 10)
        await asyncio.wait_for(ws.close(), 10)
        assert ws.closed
        end.set()
        await until(lambda: len(tasks() - before) == 0)
        # It did not go on to connect.
        assert len(server.requests) == 1


# -- many connections ----------------------------------------------------------------------------------------

ID = "5f0c1e9a-7d3b-4c56-9e21-a1b2c3d4e5f6"


def start_simulator(*arguments: str) -> tuple[subprocess.Popen[str], str]:
    """A simulator in a process of its own, and its base URL."""
    process = subprocess.Popen(
        [sys.executable, "-m", "rlfast.simulator", "--pool", "1000", *arguments],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    with process.stdout:
        found = re.search(r"http(://\S+)", process.stdout.readline())
    assert found is not None
    return process, f"ws{found[1]}"


async def test_many_connections_in_one_loop() -> None:
    """RLFAST_CONNECTIONS=1000 is the full form: 1,000 connections with 1,000 events per second each."""
    count = int(os.environ.get("RLFAST_CONNECTIONS", "100"))
    events, rate = (10_000, 1000) if count >= 1000 else (500, 500)
    process, base = start_simulator("--rate", str(rate), "--events", str(events))
    received = 0

    async def receive(n: int) -> None:
        nonlocal received
        url = f"{base}/api/v1/cognitive/agents/ws?agent_id={ID}&tenant_id={ID}"
        async with connect(url, backoff=None, options=ConnectionOptions(connect_timeout=120)) as ws:
            mine = 0
            while messages := await ws.next_messages():
                mine += len(messages)
            assert mine == events
            assert ws.last_error is None
            received += mine

    try:
        await asyncio.wait_for(asyncio.gather(*map(receive, range(count))), 100)
    finally:
        process.terminate()
        process.wait()
    assert received == count * events


@pytest.mark.skipif(sys.platform == "win32", reason="the resident size is read from /proc or ps")
@pytest.mark.parametrize("events", [0, 1], ids=["silent", "one event each"])
def test_memory_of_an_idle_connection(events: int) -> None:
    """At most 64 KiB by default, all that Python keeps for it included."""
    program = """
import asyncio, gc, sys, psutil
from rlfast import connect
url, events = sys.argv[1], int(sys.argv[2])
async def some(count):
    opened = [await connect(url) for _ in range(count)]
    for ws in opened:
        for _ in range(events):
            await ws.next_message()
    gc.collect()
    return opened
async def main():
    first = await some(20)
    before = psutil.Process().memory_info().rss
    many = await some(400)
    print((psutil.Process().memory_info().rss - before) // 400)
    await asyncio.gather(*(ws.close() for ws in first + many))
asyncio.run(main())
"""
    if events:
        process, base = start_simulator("--rate", "0.01")
        url = f"{base}/api/v1/cognitive/agents/ws?agent_id={ID}&tenant_id={ID}"
    else:
        process, base = start_simulator()
        url = f"{base}/ws/cognitive/{ID}?tenant_id={ID}"
    try:
        done = subprocess.run(
            [sys.executable, "-c", program, url, str(events)], capture_output=True, text=True, timeout=60
        )
    finally:
        process.terminate()
        process.wait()
    assert done.returncode == 0, done.stderr
    assert 1024 < int(done.stdout) <= 64 * 1024
