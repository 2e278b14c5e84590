"""One capture from the command line: signals, display, summary, exit code."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, final

from rlfast.capture import CaptureOptions, CaptureSummary, StreamState, capture, prepare_folder, stream_state
from rlfast.cli.common import print_error
from rlfast.cli.display import Display
from rlfast.connection import Connecting

if TYPE_CHECKING:
    from rlfast.capture.recovery import RecoveryReport

__all__ = ["Interrupts", "capture_until_stopped", "describe_recovery", "exit_code", "prepare"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@final
@dataclass
class Interrupts:
    """SIGINT and SIGTERM as an event. The second signal ends the process at once.

    A context manager, for the main thread and a running loop.

    Attributes:
        stop: set by the first signal.
        at_exit: called before the process ends at the second one, latest first.
    """

    stop: asyncio.Event = field(default_factory=asyncio.Event)
    at_exit: list[Callable[[], object]] = field(default_factory=list)
    _signalled: bool = False
    _previous: dict[int, Any] = field(default_factory=dict)

    def __enter__(self) -> Interrupts:
        """Take over the signals."""
        loop = asyncio.get_running_loop()

        def on_signal(number: int, frame: FrameType | None) -> None:
            if self._signalled:
                self._exit_at_once()
            self._signalled = True
            loop.call_soon_threadsafe(self.stop.set)

        for number in _SIGNALS:
            # signal.signal, not loop.add_signal_handler: the event loops of Windows have no such method.
            self._previous[number] = signal.signal(number, on_signal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the signals back."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _exit_at_once(self) -> None:
        for action in reversed(self.at_exit):
            action()
        print_error("stopped at once; run rlfast recover to save what was received since the last commit")
        # Not 130, which promises that everything is saved.
        os._exit(1)


async def prepare(out: Path, stream: str, type_: Any, options: CaptureOptions, quiet: bool) -> StreamState:
    """Do what is slow or may fail before there is a connection, so that it costs no event.

    What a killed capture left in the folder is recovered, and told on stderr unless `quiet`.

    Returns:
        Where the stream goes on.

    Raises:
        MissingExtraError: pyarrow is not installed.
        CaptureError: the folder cannot be written to, another capture uses it, or it holds files that cannot
            be read.
    """

    def work() -> tuple[RecoveryReport, StreamState]:
        from rlfast.capture.lock import DatasetLock
        from rlfast.capture.recovery import recover_locked

        prepare_folder(out, options.min_free)
        with DatasetLock(out, f"start of a capture of {stream}"):
            return recover_locked(out, type_, only=stream), stream_state(out, stream)

    report, state = await asyncio.to_thread(work)
    if not quiet:
        for line in describe_recovery(report):
            print(line, file=sys.stderr)
    return state


def describe_recovery(report: RecoveryReport) -> list[str]:
    """Return what recovery did, in lines."""
    lines = []
    if report.commit is not None:
        lines.append(f"a commit that was under way: {report.commit.replace('_', ' ')}")
    for found in report.streams:
        span = f", seq {found.first_seq:,} to {found.last_seq:,}" if found.first_seq is not None else ""
        gaps = f", {found.gaps:,} gaps" if found.gaps else ""
        dead = f", {found.dead_letters:,} of them dead letters" if found.dead_letters else ""
        lines.append(f"recovered {found.messages:,} messages of {found.stream}{span}{dead}{gaps}")
        if found.damaged:
            lines.append("  the journal ended in a record that was not written whole; it is left out")
    if report.removed:
        lines.append(f"removed {len(report.removed):,} temporary files")
    lines += [f"left the journal of {stream}: {reason}" for stream, reason in report.left]
    return lines


async def capture_until_stopped(
    connecting: Connecting[Any], out: Path, options: CaptureOptions, interrupts: Interrupts, display: Display
) -> CaptureSummary | None:
    """Connect and capture. Returns None if a signal came before there was a connection.

    Raises:
        NetworkError: the connection cannot be opened.
        CaptureError: a file cannot be written.
    """
    asyncio.get_running_loop().set_exception_handler(_report_unhandled)
    stop = interrupts.stop
    opening = asyncio.ensure_future(connecting)
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait((opening, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not opening.done():
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)
        return None
    ws = await opening
    try:
        with display:
            interrupts.at_exit.append(display.stop)
            return await capture(ws, out, options, progress=display.show, stop=stop)
    finally:
        await ws.close()


def _report_unhandled(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Leave out what aiofastnet (1.2) reports of a failed TLS handshake, which `connect` raises anyway.

    It reports an exception class where asyncio expects an instance, and logging fails on that.
    """
    if not isinstance(context.get("exception"), type):
        loop.default_exception_handler(context)


def exit_code(summary: CaptureSummary) -> int:
    """Return the exit code of a capture; a connection that was lost for good gets its line on stderr."""
    if summary.error is not None:
        print_error(f"the stream ended: {summary.error}; what was received before is saved")
        return 1
    return 130 if summary.interrupted else 0
