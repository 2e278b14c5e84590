"""A connection's decoding thread, as the event loop sees it."""

from __future__ import annotations

import asyncio
import socket
import weakref
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
        OSError, RuntimeError: (from the constructor) there is no socket, or no thread, to be had.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, on_done: Callable[[], None]) -> None:
        self._closed = True
        self._loop = loop
        self._on_done = on_done
        # Held by the loop, it holds this object during a run, and so the task that waits for the result.
        self._at_work: list[DecodeThread] = []
        self._here, self._there = socket.socketpair()
        try:
            self._here.setblocking(False)
            # Not to a method: the loop would keep this object, and its thread, alive for ever.
            loop.add_reader(self._here, _wake, weakref.ref(self), self._at_work)
            self._thread = PlanThread(self._there)
            try:
                self._thread.start()
            except BaseException:
                loop.remove_reader(self._here)
                raise
        except BaseException:
            self._here.close()
            self._there.close()
            raise
        self._closed = False

    def _wake(self) -> None:
        self._here.recv(16)
        self._on_done()

    def __del__(self) -> None:
        if not self._closed:
            self.close()

    def run(self, decoder: BlockDecoder) -> None:
        """Run the plan up to the end, or to the first message that is not for it."""
        decoder.submit(self._thread)
        self._at_work.append(self)

    def collect(self, decoder: BlockDecoder) -> None:
        """Wait for the run, if it has not ended yet. Raises MemoryError if that is what ended it."""
        self._at_work.clear()
        decoder.collect(self._thread)

    def close(self) -> None:
        """End the thread, when its run has ended; the loop hears no more of that."""
        self._closed = True
        self._at_work.clear()
        self._thread.stop()
        if not self._loop.is_closed():
            self._loop.remove_reader(self._here)
        self._here.close()
        self._there.close()


def _wake(reference: weakref.ref[DecodeThread], _: list[DecodeThread]) -> None:
    thread = reference()
    if thread is not None:
        thread._wake()
