"""A connection's decoding thread, as the event loop sees it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from rlfast._core.decode import BlockDecoder
from rlfast._core.worker import PlanThread


class DecodeThread:
    """Runs a decoder's compiled plan on a thread of its own. For one event loop, one run at a time.

    Owns the thread and a socket pair, by which the thread wakes the loop without the GIL, until `close`.

    Args:
        loop: the running event loop.
        on_done: called in the loop when a run has ended; `collect` must follow.

    Raises:
        NotImplementedError: (from the constructor) the loop cannot watch a socket.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, on_done: Callable[[], None]) -> None:
        self._loop = loop
        self._on_done = on_done
        self._here, self._there = socket.socketpair()
        try:
            self._here.setblocking(False)
            loop.add_reader(self._here, self._wake)
        except BaseException:
            self._here.close()
            self._there.close()
            raise
        self._thread = PlanThread(self._there)
        self._thread.start()

    def _wake(self) -> None:
        self._here.recv(16)
        self._on_done()

    def run(self, decoder: BlockDecoder) -> None:
        """Run the plan up to the end, or to the first message that is not for it."""
        decoder.submit(self._thread)

    def collect(self, decoder: BlockDecoder) -> None:
        """Wait for the run, if it has not ended yet. Raises MemoryError if that is what ended it."""
        decoder.collect(self._thread)

    def close(self) -> None:
        """End the thread. Nothing may be running."""
        self._thread.stop()
        if not self._loop.is_closed():
            self._loop.remove_reader(self._here)
        self._here.close()
        self._there.close()
