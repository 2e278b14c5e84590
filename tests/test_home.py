"""Use from other threads, other event loops, and other processes."""

from __future__ import annotations

import asyncio
import gc
import os
import re
import warnings
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest
from wsserver import TEXT, Peer, serve, until

from rlfast import UsageError, WebSocketConnection, connect


async def awaiting(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


#: Each as a coroutine. They are called where there is no message: those that read would have to wait.
CALLS: dict[str, Callable[[WebSocketConnection[Any]], Coroutine[Any, Any, Any]]] = {
    "send": lambda ws: ws.send("x"),
    "next_message": lambda ws: awaiting(ws.next_message()),
    "next_messages": lambda ws: ws.next_messages(),
    "batches": lambda ws: ws.batches().__anext__(),
    "close": lambda ws: ws.close(),
}


def refusal(call: Coroutine[Any, Any, Any]) -> str:
    """Text of the error that a call gets in an event loop of its own."""
    with pytest.raises(UsageError) as caught:
        asyncio.run(call)
    return str(caught.value)


async def quiet(peer: Peer) -> None:
    await peer.wait_closed()


async def test_another_thread_is_told_how_to_call() -> None:
    async with serve(quiet) as server, connect(server.url) as ws:

        def elsewhere() -> dict[str, str]:
            return {name: refusal(call(ws)) for name, call in CALLS.items()}

        for name, text in (await asyncio.to_thread(elsewhere)).items():
            assert text.startswith(f"{name} was called from another thread")
            assert f"asyncio.run_coroutine_threadsafe(ws.{name}(...), loop)" in text
        assert ws.connected


async def test_another_thread_without_an_event_loop_is_told_the_same() -> None:
    async with serve(quiet) as server, connect(server.url) as ws:

        def elsewhere() -> None:
            for name, call in CALLS.items():
                coroutine = call(ws)
                with pytest.raises(UsageError, match=f"^{name} was called from another thread"):
                    coroutine.send(None)

        await asyncio.to_thread(elsewhere)


async def test_what_the_error_advises_works() -> None:
    async def handler(peer: Peer) -> None:
        assert await peer.read_frame() == (TEXT, b"go")
        await peer.text("1", "2")
        await peer.wait_closed()

    async with serve(handler) as server, connect(server.url) as ws:
        loop = asyncio.get_running_loop()

        def elsewhere() -> list[Any]:
            def run(call: Coroutine[Any, Any, Any]) -> Any:
                return asyncio.run_coroutine_threadsafe(call, loop).result(10)

            # next_message is handed over as it is: its awaitable counts as a coroutine.
            return [run(ws.send("go")), run(ws.next_message()), run(ws.next_messages()), run(ws.close())]  # type: ignore[arg-type]

        assert await asyncio.to_thread(elsewhere) == [None, 1, [2], None]
        assert ws.closed


async def test_what_was_received_can_be_read_anywhere() -> None:
    """Nothing is checked when there is no need to wait: that would cost on every message."""

    async def handler(peer: Peer) -> None:
        await peer.text("1", "2")
        await peer.wait_closed()

    async with serve(handler) as server, connect(server.url) as ws:
        await until(lambda: ws.stats.messages == 2)
        assert await asyncio.to_thread(lambda: asyncio.run(awaiting(ws.next_message()))) == 1
        assert await ws.next_message() == 2


def test_another_loop_in_the_same_thread() -> None:
    first, second = asyncio.new_event_loop(), asyncio.new_event_loop()

    async def opened() -> tuple[Any, WebSocketConnection[Any]]:
        serving = serve(quiet)
        return serving, await connect((await serving.__aenter__()).url)

    try:
        serving, ws = first.run_until_complete(opened())
        for name, call in CALLS.items():
            with pytest.raises(UsageError, match=f"^{name} was called in another event loop"):
                second.run_until_complete(call(ws))
        first.run_until_complete(ws.close())
        first.run_until_complete(serving.__aexit__(None, None, None))
        assert ws.closed
    finally:
        first.close()
        second.close()


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # of the transport whose loop was closed too early
def test_use_after_its_event_loop_is_closed() -> None:
    async def handler(peer: Peer) -> None:
        await peer.text("1")
        await peer.hang()

    async def opened() -> WebSocketConnection[Any]:
        async with serve(handler) as server:
            ws = await connect(server.url)
            await until(lambda: ws.stats.messages == 1)
            return ws

    ws = asyncio.run(opened())
    # What was received is there; there is nothing to wait for.
    assert asyncio.run(awaiting(ws.next_message())) == 1
    for name, call in CALLS.items():
        if name != "close":
            assert re.match(f"{name} was called, and the event loop .* is closed", refusal(call(ws)))
    asyncio.run(ws.close())
    assert ws.closed
    assert not ws.connected
    assert asyncio.run(awaiting(ws.next_message())) is None
    asyncio.run(ws.close())
    del ws
    gc.collect()


# -- forks ---------------------------------------------------------------------------------------------------

forks = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]


async def in_a_fork(act: Callable[[], None]) -> int:
    """Exit status of a child that acts: 0, or 1 if it raised."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            act()
            status = 0
        except BaseException as error:
            os.write(2, f"in the child: {error!r}\n".encode())
        finally:
            os._exit(status)
    _, status = await asyncio.to_thread(os.waitpid, child, 0)
    return os.waitstatus_to_exitcode(status)


class TestFork:
    pytestmark = forks

    async def check(self, act: Callable[[list[WebSocketConnection[Any]]], None]) -> None:
        """The parent and its server notice nothing of what a child does with its copy of a connection."""
        forked = asyncio.Event()
        received: list[tuple[int, bytes]] = []

        async def handler(peer: Peer) -> None:
            await peer.text("1")
            await forked.wait()
            await peer.text("2")
            received.append(await peer.read_frame())
            await peer.wait_closed()

        async with serve(handler) as server:
            held = [await connect(server.url)]
            assert await held[0].next_message() == 1
            assert await in_a_fork(lambda: act(held)) == 0
            forked.set()
            (ws,) = held
            assert await ws.next_message() == 2
            await ws.send("still there")
            await ws.close()
        assert received == [(TEXT, b"still there")]
        assert ws.gaps == ()

    async def test_calls_are_refused(self) -> None:
        def act(held: list[WebSocketConnection[Any]]) -> None:
            for name, call in CALLS.items():
                if name != "close":
                    assert re.match(f"{name} was called in a fork of", refusal(call(held[0])))
                    with pytest.raises(UsageError, match=f"^{name} was called in a fork of"):
                        call(held[0]).send(None)

        await self.check(act)

    async def test_the_end_of_an_async_with_does_nothing(self) -> None:
        def act(held: list[WebSocketConnection[Any]]) -> None:
            async def leave() -> None:
                async with held[0]:
                    pass

            asyncio.run(leave())
            with pytest.raises(StopIteration):
                held[0].close().send(None)

        await self.check(act)

    async def test_the_garbage_collector_does_nothing(self) -> None:
        def act(held: list[WebSocketConnection[Any]]) -> None:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                held.clear()
                gc.collect()
            assert not [str(warning.message) for warning in caught if "rlfast" in str(warning.message)]
            assert not [str(warning.message) for warning in caught if "WebSocket" in str(warning.message)]

        await self.check(act)

    async def test_a_child_may_open_a_connection_of_its_own(self) -> None:
        async def handler(peer: Peer) -> None:
            await peer.text("1")
            await peer.wait_closed()

        async with serve(handler) as server, connect(server.url) as ws:
            url = server.url

            def act() -> None:
                async def read() -> Any:
                    async with connect(url) as own:
                        return await own.next_message()

                assert asyncio.run(asyncio.wait_for(read(), 10)) == 1

            assert await in_a_fork(act) == 0
            assert await ws.next_message() == 1
