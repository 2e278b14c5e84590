"""What a task awaits while there is no message: when it runs, in which context, and how it is cancelled."""

from __future__ import annotations

import asyncio
import contextvars
import selectors
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest
from streams import sender
from wsserver import Peer, serve

import rlfast
from rlfast._core.waiter import Waiter


async def suspended(waiter: Waiter, log: list[str], **options: Any) -> asyncio.Task[None]:
    """A task that waits, and says when it goes on."""

    async def wait() -> None:
        await waiter
        log.append("task")

    task = asyncio.get_running_loop().create_task(wait(), **options)
    await asyncio.sleep(0)
    return task


async def by_callback(call: Callable[[], object], **options: Any) -> None:
    """Call as the loop does for a socket that can be read: while no task is running."""
    done = asyncio.get_running_loop().create_future()

    def callback() -> None:
        call()
        done.set_result(None)

    asyncio.get_running_loop().call_soon(callback, **options)
    await done


# -- when the task runs ----------------------------------------------------------------------------------


async def test_the_task_runs_at_once_or_in_the_next_turn() -> None:
    for at_once, expected in ((True, ["task", "caller"]), (False, ["caller"])):
        log: list[str] = []
        waiter = Waiter(asyncio.get_running_loop())
        task = await suspended(waiter, log)
        await by_callback(lambda w=waiter, now=at_once, to=log: (w.complete(now), to.append("caller")))  # type: ignore[misc]
        assert log[: len(expected)] == expected
        await task
        assert sorted(log) == ["caller", "task"]
        assert waiter.done()
        assert not waiter.cancelled()


async def test_no_task_runs_inside_another() -> None:
    log: list[str] = []
    waiter = Waiter(asyncio.get_running_loop())
    task = await suspended(waiter, log)
    waiter.complete(True)
    log.append("caller")
    await task
    assert log == ["caller", "task"]


async def test_it_is_completed_once() -> None:
    log: list[str] = []
    waiter = Waiter(asyncio.get_running_loop())
    task = await suspended(waiter, log)
    await by_callback(lambda: (waiter.complete(True), waiter.complete(True), waiter.complete()))
    await task
    assert log == ["task"]
    assert not waiter.cancel()
    assert not waiter.cancelled()


async def test_what_is_completed_before_it_is_awaited_does_not_suspend() -> None:
    waiter = Waiter(asyncio.get_running_loop())
    waiter.complete(True)
    with pytest.raises(StopIteration):
        waiter.__await__().send(None)


async def test_awaited_by_nobody() -> None:
    waiter = Waiter(asyncio.get_running_loop())
    await by_callback(lambda: waiter.complete(True))
    assert waiter.done()


async def test_the_second_task_that_awaits_it_is_told() -> None:
    log: list[str] = []
    waiter = Waiter(asyncio.get_running_loop())
    task = await suspended(waiter, log)
    other = await suspended(waiter, log)
    with pytest.raises(RuntimeError, match="another task"):
        await other
    waiter.complete()
    await task
    assert log == ["task"]


# -- in which context ------------------------------------------------------------------------------------

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


async def test_the_task_runs_in_its_own_context() -> None:
    waiter = Waiter(asyncio.get_running_loop())
    seen: list[str] = []

    async def wait() -> None:
        variable.set("the task's")
        await waiter
        seen.append(variable.get())
        variable.set("changed")

    task = asyncio.ensure_future(wait())
    await asyncio.sleep(0)
    await by_callback(lambda: (waiter.complete(True), seen.append(variable.get())))
    await task
    assert seen == ["the task's", "unset"]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="tasks take a context from Python 3.11 on")
async def test_a_context_that_cannot_be_entered_twice_is_entered_in_the_next_turn() -> None:
    log: list[str] = []
    context = contextvars.copy_context()
    waiter = Waiter(asyncio.get_running_loop())
    task = await suspended(waiter, log, context=context)
    await by_callback(lambda: (waiter.complete(True), log.append("caller")), context=context)
    await task
    assert log == ["caller", "task"]


# -- cancelled -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("message", [None, "enough"])
async def test_a_task_that_is_cancelled(message: str | None) -> None:
    log: list[str] = []
    waiter = Waiter(asyncio.get_running_loop())
    task = await suspended(waiter, log)
    task.cancel() if message is None else task.cancel(message)
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    # Python 3.10 keeps the message of a task that is awaited to itself.
    if sys.version_info >= (3, 11):
        assert caught.value.args == (() if message is None else (message,))
    assert waiter.cancelled()
    assert waiter.done()
    waiter.complete(True)
    assert log == []


async def test_cancelled_after_it_was_completed() -> None:
    log: list[str] = []
    waiter = Waiter(asyncio.get_running_loop())
    task = await suspended(waiter, log)
    waiter.complete()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not waiter.cancelled()
    assert log == []


async def test_a_callback_can_be_forgotten() -> None:
    waiter = Waiter(asyncio.get_running_loop())
    calls: list[Waiter] = []
    waiter.add_done_callback(calls.append)
    assert waiter.remove_done_callback(print) == 0
    assert waiter.remove_done_callback(calls.append) == 1
    waiter.complete(True)
    await asyncio.sleep(0)
    assert calls == []
    waiter.add_done_callback(calls.append)
    await asyncio.sleep(0)
    assert calls == [waiter]
    assert waiter.get_loop() is asyncio.get_running_loop()


# -- with a connection -----------------------------------------------------------------------------------


class WatchedSelector(selectors.DefaultSelector):
    """Calls `look` whenever the loop is about to wait for sockets."""

    look: Callable[[], object] | None = None

    def select(self, timeout: float | None = None) -> Any:
        if self.look is not None:
            self.look()
        return super().select(timeout)


def run(main: Callable[[WatchedSelector], Coroutine[Any, Any, None]]) -> None:
    """`asyncio.run` on a loop whose turns can be watched."""
    selector = WatchedSelector()
    loop = asyncio.SelectorEventLoop(selector)
    try:
        loop.run_until_complete(main(selector))
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


Read = Callable[[Any], Awaitable[Any]]


async def _messages(ws: Any) -> Any:
    (message,) = await ws.next_messages()
    return message


@pytest.mark.parametrize("read", [lambda ws: ws.next_message(), lambda ws: ws.__anext__(), _messages])
def test_no_message_waits_for_another_turn_of_the_loop(read: Read) -> None:
    waited: list[int] = []

    async def main(selector: WatchedSelector) -> None:
        asked = asyncio.Event()

        async def handler(peer: Peer) -> None:
            for i in range(20):
                await asked.wait()
                asked.clear()
                await peer.text(str(i))
            await peer.close()

        async with serve(handler) as server, rlfast.connect(server.url, backoff=None) as ws:
            selector.look = lambda: waited.append(0) if ws._queue.empty else waited.append(1)
            for i in range(20):
                asked.set()
                assert await read(ws) == i
            selector.look = None

    run(main)
    assert len(waited) >= 20
    assert not any(waited)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_program_goes_through_the_loop(error: type[BaseException]) -> None:
    states: list[tuple[bool, Any]] = []

    async def main(_: WatchedSelector) -> None:
        async with serve(sender("1", "2")) as server, rlfast.connect(server.url, backoff=None) as ws:

            async def consume() -> None:
                assert await ws.next_message() == 1
                raise error

            task = asyncio.ensure_future(consume())
            try:
                await asyncio.wait({task})
            finally:
                # The connection has not suffered: it is the loop that was stopped.
                states.append((ws.last_error is None, await ws.next_message()))

    with pytest.raises(error):
        run(main)
    assert states == [(True, 2)]


async def test_a_consumer_that_closes_its_connection() -> None:
    async with serve(sender("1", "2", "3")) as server:
        ws = await rlfast.connect(server.url, backoff=None)

        async def consume() -> list[Any]:
            got = [await ws.next_message()]
            await ws.close()
            return got

        assert await asyncio.ensure_future(consume()) == [1]
        assert ws.closed
        # What has arrived by then is still there.
        assert [message async for message in ws] in ([], [2], [2, 3])


async def test_a_consumer_that_fails_fails_alone() -> None:
    async with serve(sender("1", "2")) as server, rlfast.connect(server.url, backoff=None) as ws:

        async def consume() -> None:
            await ws.next_message()
            raise LookupError("of the consumer")

        with pytest.raises(LookupError, match="of the consumer"):
            await asyncio.ensure_future(consume())
        assert await ws.next_message() == 2
        assert await ws.next_message() is None
        assert ws.last_error is None


async def test_a_consumer_that_opens_and_reads_another_connection() -> None:
    async with (
        serve(sender("1", "2")) as server,
        rlfast.connect(server.url, backoff=None) as first,
        rlfast.connect(server.url, backoff=None) as second,
    ):
        pairs = [(a, await second.next_message()) async for a in first]
    assert pairs == [(1, 1), (2, 2)]
