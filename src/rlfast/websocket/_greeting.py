"""What is said on a new connection before readers get anything of it, within a time-out of its own."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from rlfast._core.frame_handler import FrameHandler
from rlfast.errors import ConnectError
from rlfast.websocket._sending import NewConnection, send_encoded
from rlfast.websocket._settings import OnConnect, Settings
from rlfast.websocket._timeouts import wait_within

__all__ = ["call", "greet", "retrieve"]

T = TypeVar("T")


async def greet(
    frame_handler: FrameHandler,
    connection: NewConnection,
    settings: Settings,
    on_connect: OnConnect | None,
    failed: str,
) -> None:
    """Send what `settings` subscribe to, and call `on_connect`.

    Raises:
        ConnectError: the attempt has failed; its text is `failed` and why.
    """
    options = settings.options
    greeting = asyncio.get_running_loop().create_task(
        _say(frame_handler, settings.subscribe, on_connect, connection)
    )
    greeting.add_done_callback(retrieve)
    try:
        await wait_within([greeting], options.connect_timeout)
    finally:
        is_late = not greeting.done()
        if is_late:
            frame_handler.abort()
            greeting.cancel()
            await wait_within([greeting], options.close_timeout)
        connection.end()
    if is_late:
        raise ConnectError(f"{failed} did not end within {options.connect_timeout:g} s")
    if greeting.cancelled():
        raise ConnectError(f"{failed} was cancelled")
    failure = greeting.exception()
    if failure is not None:
        # What it says is not ours to quote: it may hold a secret.
        raise ConnectError(f"{failed} raised {type(failure).__name__}") from failure


async def _say(
    frame_handler: FrameHandler,
    subscribe: list[tuple[bytes, bool]],
    on_connect: OnConnect | None,
    connection: NewConnection,
) -> None:
    for payload, binary in subscribe:
        await send_encoded(frame_handler, payload, binary)
    if on_connect is not None:
        await call(on_connect, connection)


async def call(callback: Callable[[T], Awaitable[None] | None], argument: T) -> None:
    """Call a function that may be sync or async."""
    result = callback(argument)
    if inspect.isawaitable(result):
        await result


def retrieve(task: asyncio.Future[Any]) -> None:
    """Take note of its exception, which asyncio would log in full."""
    if not task.cancelled():
        task.exception()
