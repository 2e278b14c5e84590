"""What signals do to a command: the first one is a request to stop, a later one ends the process."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType, TracebackType
from typing import Any, final

from rlfast.cli._common import leave_terminal, print_error

__all__ = ["Interrupts", "stop_signals"]

SAME_STOP = 1.0
"""Seconds after the first signal in which others belong to it: ``timeout`` and supervisors signal the process
and its group, ``uv run`` and ``npm`` pass on a Ctrl-C that the terminal has sent already."""


def stop_signals() -> list[signal.Signals]:
    """Return the signals that ask for a clean stop, but for those that are ignored from the start.

    ``nohup`` ignores SIGHUP, a shell SIGINT for what it runs in the background.
    """
    names = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")  # The last two: not on, and only on, Windows.
    known = [getattr(signal, name) for name in names if hasattr(signal, name)]
    return [number for number in known if signal.getsignal(number) != signal.SIG_IGN]


@final
@dataclass
class Interrupts:
    """SIGINT, SIGTERM and SIGHUP as an event. A second stop ends the process at once.

    Signals within `SAME_STOP` seconds of the first are the same stop. A context manager, for the main thread
    and a running loop.

    Attributes:
        stop: set by the first signal.
        on_stop: called on the event loop at the first signal.
        at_exit: called before the process ends at the second stop, latest first.
        clock: monotonic seconds.
    """

    stop: asyncio.Event = field(default_factory=asyncio.Event)
    on_stop: list[Callable[[], object]] = field(default_factory=list)
    at_exit: list[Callable[[], object]] = field(default_factory=list)
    clock: Callable[[], float] = time.monotonic
    _signal: int | None = None
    _signalled_at: float = 0.0
    _previous: dict[int, Any] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """Of a command that a signal ended with everything saved: 130 for Ctrl-C, 0 for the others."""
        return 130 if self._signal == signal.SIGINT else 0

    def __enter__(self) -> Interrupts:
        """Take over the signals."""
        loop = asyncio.get_running_loop()

        def on_signal(number: int, frame: FrameType | None) -> None:
            if number == getattr(signal, "SIGHUP", None):
                leave_terminal()  # What is still printed must not fail for that.
            if self._signal is None:
                self._signal, self._signalled_at = number, self.clock()
                loop.call_soon_threadsafe(self._stop)
            elif self.clock() - self._signalled_at >= SAME_STOP:
                self._exit_at_once()

        for number in stop_signals():
            # signal.signal, not loop.add_signal_handler: the event loops of Windows have no such method.
            self._previous[number] = signal.signal(number, on_signal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the signals back; after a stop they are ignored, because the process is about to end.

        The second of two that are one stop would end it by the signal, when everything is saved.
        """
        for number, handler in self._previous.items():
            # No handler of ours: Python takes those away before it ends.
            signal.signal(number, handler if self._signal is None else signal.SIG_IGN)

    def _stop(self) -> None:
        self.stop.set()
        for action in self.on_stop:
            action()

    def _exit_at_once(self) -> None:
        for action in reversed(self.at_exit):
            action()
        print_error("stopped at once; run rlfast recover to save what was received since the last commit")
        # Not 130, which promises that everything is saved.
        os._exit(1)
