"""Where a connection belongs: the process, the thread and the event loop that it was opened in."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable

from rlfast.errors import UsageError

__all__ = ["LoopAffinity"]

_forks = 0
"""How often this process is a fork of a process that had rlfast loaded."""


def _forked() -> None:
    global _forks
    _forks += 1


if hasattr(os, "register_at_fork"):  # Windows has no fork.
    os.register_at_fork(after_in_child=_forked)


class LoopAffinity:
    """The running event loop, its thread and its process.

    Raises:
        RuntimeError: (from the constructor) no event loop is running.
    """

    __slots__ = ("_forks", "_loop", "_thread_id")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread_id = threading.get_ident()
        self._forks = _forks

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop."""
        return self._loop

    @property
    def is_inherited(self) -> bool:
        """Whether this process is a fork of the one that it belongs to."""
        return self._forks != _forks

    @property
    def is_closed(self) -> bool:
        """Whether the event loop is closed."""
        return self._loop.is_closed()

    @property
    def is_here(self) -> bool:
        """Whether the caller runs in the event loop."""
        try:
            return asyncio.get_running_loop() is self._loop and not self.is_inherited
        except RuntimeError:
            return False

    def check(self, call: str) -> None:
        """Let a call from the event loop pass.

        Args:
            call: name of the method, for the text.

        Raises:
            UsageError: it comes from elsewhere; the text says what to do instead.
        """
        if not self.is_here:
            raise UsageError(self._explain(call))

    def call_soon(self, function: Callable[[], object]) -> None:
        """Call a function in the event loop, from any thread; never, if the loop is closed."""
        try:
            self._loop.call_soon_threadsafe(function)
        except RuntimeError:
            if not self._loop.is_closed():
                raise

    def _explain(self, call: str) -> str:
        if self.is_inherited:
            return (
                f"{call} was called in a fork of the process that opened this connection, "
                "which goes on using it; open another connection in the new process"
            )
        if self._loop.is_closed():
            return (
                f"{call} was called, and the event loop that this connection was opened in is closed; "
                "open another connection in the loop that is running now"
            )
        if self._thread_id != threading.get_ident():
            return (
                f"{call} was called from another thread than its event loop's; "
                f"call asyncio.run_coroutine_threadsafe(ws.{call}(...), loop), "
                "with the loop that the connection was opened in"
            )
        return (
            f"{call} was called in another event loop than the one that this connection was opened in; "
            "a connection cannot move: open it in the loop that uses it"
        )
