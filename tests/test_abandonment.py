"""Connections that nobody refers to any more, and who counts as somebody."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
import warnings
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from streams import HEARTBEAT
from wsserver import Peer, frame, serve, turns, until

import rlfast
from rlfast import ConnectionOptions, Timing, WebSocketConnection, connect


@pytest.fixture(autouse=True)
def no_collector() -> Iterator[None]:
    """The garbage collector runs where a test says so: elsewhere the last reference must do."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def tasks() -> set[asyncio.Task[Any]]:
    return {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}


class Hanging:
    """A server that sends one message and counts who hung up."""

    def __init__(self) -> None:
        self.count = 0
        self.go = asyncio.Event()

    async def __call__(self, peer: Peer) -> None:
        await peer.text("1")
        await peer.hang()
        self.count += 1


async def test_the_last_reference_closes_with_a_warning() -> None:
    server = Hanging()
    async with serve(server) as served:
        before = tasks()
        ws = await connect(served.url)
        assert await ws.next_message() == 1
        reference = weakref.ref(ws)
        with pytest.warns(ResourceWarning, match=r"unclosed <WebSocketConnection ws://.* open epoch=1>; use"):
            del ws
        assert reference() is None
        await until(lambda: server.count == 1)
        await until(lambda: len(tasks() - before) == 0)


@pytest.mark.parametrize("reading", ["next_message", "next_messages", "async for", "batches"])
async def test_so_it_does_after_every_way_to_read(reading: str) -> None:
    server = Hanging()
    async with serve(server) as served:
        ws = await connect(served.url)
        if reading == "next_message":
            await ws.next_message()
        elif reading == "next_messages":
            await ws.next_messages()
        elif reading == "async for":
            async for _ in ws:
                break
        else:
            batches = ws.batches(max_wait=0)
            await batches.__anext__()
            del batches
        with pytest.warns(ResourceWarning, match="unclosed <WebSocketConnection"):
            del ws
        await until(lambda: server.count == 1)


async def test_the_last_reference_may_go_in_another_thread() -> None:
    server = Hanging()
    async with serve(server) as served:
        held: list[Any] = [await connect(served.url)]
        caught: list[type[Warning]] = []

        def drop() -> None:
            with warnings.catch_warnings(record=True) as found:
                warnings.simplefilter("always")
                held.clear()
            caught.extend(warning.category for warning in found)

        thread = threading.Thread(target=drop)
        thread.start()
        await asyncio.to_thread(thread.join)
        assert caught == [ResourceWarning]
        await until(lambda: server.count == 1)


@pytest.mark.parametrize("where", ["delay", "attempt", "callback"])
async def test_one_that_reconnects_is_given_up(where: str) -> None:
    """During a delay at once; during an attempt, or a callback, when that is over."""
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def dropped(peer: Peer) -> None:
        await peer.accept()
        await peer.text("1")
        peer.reset()

    async def later(peer: Peer) -> None:
        reached.set()
        await go_on.wait()
        await peer.accept()
        await peer.hang()
        hung_up.set()

    async def hold(*_: object) -> None:
        reached.set()
        await go_on.wait()

    async def at_once(_: float) -> None:
        await asyncio.sleep(0)

    hung_up = asyncio.Event()
    async with serve(dropped, later, accept=False) as served:
        before = tasks()
        ws = await connect(
            served.url,
            timing=Timing(sleep=hold if where == "delay" else at_once),
            on_reconnect=hold if where == "callback" else None,
        )
        assert await ws.next_message() == 1
        await asyncio.wait_for(reached.wait(), 10)
        reference = weakref.ref(ws)
        if where == "delay":
            with pytest.warns(ResourceWarning, match=r"<WebSocketConnection .* disconnected epoch=1>"):
                del ws
            assert reference() is None
            await until(lambda: len(tasks() - before) == 0)
            assert len(served.requests) == 1
            return
        # Not recorded: a recorded warning holds what it is about.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            del ws
            go_on.set()
            await asyncio.wait_for(until(lambda: reference() is None), 10)
        if where == "attempt":
            await asyncio.wait_for(hung_up.wait(), 10)
        await until(lambda: not any("_reconnect" in repr(task) for task in tasks() - before))
        assert len(served.requests) == (2 if where == "attempt" else 1)


async def test_failed_attempts_do_not_keep_it_alive() -> None:
    """Exceptions hold tracebacks, which hold frames, which hold what they work for."""
    delays = 0
    third = asyncio.Event()

    async def sleep(_: float) -> None:
        nonlocal delays
        delays += 1
        if delays == 3:
            third.set()
            await asyncio.Event().wait()

    async def dropped(peer: Peer) -> None:
        await peer.accept()

    async def refuse(peer: Peer) -> None:
        await peer.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")

    async with serve(dropped, refuse, accept=False) as served:
        ws = await connect(served.url, timing=Timing(sleep=sleep))
        await asyncio.wait_for(third.wait(), 10)
        # picows' future of the upgrade and its exception hold each other, and by their frames the connection.
        gc.collect()
        reference = weakref.ref(ws)
        with pytest.warns(ResourceWarning, match="unclosed <WebSocketConnection"):
            del ws
        assert reference() is None


async def test_a_closed_connection_goes_without_a_word() -> None:
    async def handler(peer: Peer) -> None:
        await peer.wait_closed()

    async with serve(handler) as server:
        async with connect(server.url) as ws:
            pass
        reference = weakref.ref(ws)
        del ws
        # The context manager still has it.
        await until(lambda: (gc.collect(), reference() is None)[1])


async def test_one_that_ended_goes_without_a_word() -> None:
    async def handler(peer: Peer) -> None:
        await peer.text("1")

    async with serve(handler) as server:
        ws = await connect(server.url, backoff=None)
        assert [message async for message in ws] == [1]
        reference = weakref.ref(ws)
        del ws
        assert reference() is None


async def test_one_whose_arguments_are_wrong_goes_without_a_word() -> None:
    with pytest.raises(rlfast.ConfigError):
        WebSocketConnection("http://h/")


# -- who holds a connection ----------------------------------------------------------------------------------


@pytest.mark.parametrize("reading", ["next_message", "bound method", "async for", "batches", "next_messages"])
async def test_who_reads_holds_the_connection(reading: str) -> None:
    go = asyncio.Event()

    async def handler(peer: Peer) -> None:
        await go.wait()
        await peer.text("1")
        await peer.wait_closed()

    async def read(url: str) -> Any:
        if reading == "next_message":
            return await (await connect(url)).next_message()
        if reading == "bound method":
            following = (await connect(url)).next_message
            gc.collect()
            await asyncio.sleep(0)
            return await following()
        if reading == "next_messages":
            return (await (await connect(url)).next_messages())[0]
        if reading == "async for":
            async for message in await connect(url):
                return message
        async for batch in (await connect(url)).batches(max_wait=0):
            return int(batch["message"]["json"][0])
        raise AssertionError

    async with serve(handler) as server:
        task = asyncio.ensure_future(read(server.url))
        await until(lambda: server.requests)
        await turns(10)
        gc.collect()
        await turns(10)
        assert not task.done()
        go.set()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            assert await asyncio.wait_for(task, 10) == 1
            del task
            gc.collect()


async def test_a_task_that_nobody_holds_reads_on_over_a_reconnect() -> None:
    """An event loop refers to its tasks weakly: what they wait for must hold them."""
    got: list[int] = []
    waiting, go_on = asyncio.Event(), asyncio.Event()

    async def sleep(_: float) -> None:
        waiting.set()
        await go_on.wait()

    async def dropped(peer: Peer) -> None:
        await peer.text("1")

    async def second(peer: Peer) -> None:
        await peer.text("2")
        await peer.wait_closed()

    async def read(url: str) -> None:
        async with connect(url, timing=Timing(sleep=sleep)) as ws:
            async for message in ws:
                got.append(message)
                if message == 2:
                    return

    async with serve(dropped, second) as server:
        before = tasks()
        asyncio.ensure_future(read(server.url))  # noqa: RUF006 - the point of the test
        # An event that somebody waits for holds who waits: look without waiting.
        await until(waiting.is_set)
        await turns(10)
        gc.collect()
        await turns(10)
        go_on.set()
        await until(lambda: got == [1, 2] and len(tasks() - before) == 0)


async def test_a_task_that_nobody_holds_reads_batches_on() -> None:
    """While its blocks are with the decoding thread, the connection is not what it waits for."""
    rounds, total = 20, 20_000
    counts: list[int] = []
    read_on = asyncio.Event()
    connection: list[weakref.ref[WebSocketConnection[Any]]] = []

    async def handler(peer: Peer) -> None:
        for _ in range(rounds):
            await peer.write(frame(HEARTBEAT.encode()) * total)
            await read_on.wait()
            read_on.clear()
        await peer.close()

    async def read(url: str) -> None:
        async with connect(url, type=rlfast.AgentEvent, backoff=None) as ws:
            connection.append(weakref.ref(ws))
            async for batch in ws.batches(max_rows=total, max_wait=60):
                counts.append(batch.num_events)
                read_on.set()

    def with_the_thread() -> bool:
        ws = connection[0]() if connection else None
        if ws is None or ws._block_decoding is None or not ws._block_decoding.running:
            return False
        return bool(ws._block_decoding._thread)

    async with serve(handler) as server:
        before = tasks()
        asyncio.ensure_future(read(server.url))  # noqa: RUF006 - the point of the test
        collections = 0

        async def watch() -> None:
            nonlocal collections
            while sum(counts) < rounds * total:
                # A collection takes a third of a second where many tests were run before.
                if with_the_thread() and collections < 20:
                    collections += 1
                    gc.collect()
                await asyncio.sleep(0)

        await asyncio.wait_for(watch(), 100)
        assert counts == [total] * rounds
        assert collections > 0
        await until(lambda: len(tasks() - before) == 0)


# -- the end of the program ----------------------------------------------------------------------------------

PROGRAM = """
import asyncio, sys
from rlfast import connect
from rlfast.simulator import Simulator, SimulatorOptions
ID = "5f0c1e9a-7d3b-4c56-9e21-a1b2c3d4e5f6"
async def main():
    simulator = Simulator(SimulatorOptions(rate=100, pool=10))
    async with simulator:
        global ws
        ws = await connect(simulator.agent_events_url(ID, ID))
        print((await ws.next_message())["type"])
        if sys.argv[1] == "open":
            sys.exit(3)
    while ws.connected:
        await asyncio.sleep(0)
    sys.exit(3)
asyncio.run(main())
"""


@pytest.mark.parametrize("state", ["open", "reconnecting"])
def test_the_interpreter_may_end_with_a_connection(state: str) -> None:
    """No traceback, no hang, no destroyed task."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, state], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (3, "connected\n", "")


def test_a_loop_that_was_closed_too_early_gives_its_sockets_back() -> None:
    """The transport has a warning of its own then."""

    async def opened(url: str) -> WebSocketConnection[Any]:
        return await connect(url, options=ConnectionOptions(idle_timeout=None))

    first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
    try:
        server = Hanging()
        ready: threading.Event = threading.Event()
        stop = asyncio.Event()
        url: list[str] = []

        async def run() -> None:
            async with serve(server) as served:
                url.append(served.url)
                ready.set()
                await asyncio.wait_for(stop.wait(), 30)

        thread = threading.Thread(target=lambda: second.run_until_complete(run()))
        thread.start()
        assert ready.wait(10)
        ws = first.run_until_complete(opened(url[0]))
        first.close()
        with pytest.warns(ResourceWarning, match="unclosed <WebSocketConnection"):
            del ws
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()

        async def seen() -> None:
            await asyncio.wait_for(until(lambda: server.count == 1), 10)
            stop.set()

        asyncio.run_coroutine_threadsafe(seen(), second).result(20)
        thread.join()
    finally:
        first.close()
        second.close()
