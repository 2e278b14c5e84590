"""One capture from the command line: recovery, display, exit code."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlfast.capture import CaptureOptions, CaptureSummary, capture
from rlfast.cli._common import print_error
from rlfast.cli._display import Display
from rlfast.cli._interrupts import Interrupts
from rlfast.sinks import Sink
from rlfast.websocket._connection import Connecting

if TYPE_CHECKING:
    from rlfast.capture._recovery import RecoveryReport

__all__ = ["capture_until_stopped", "describe_recovery", "exit_code"]


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
    connecting: Connecting[Any],
    out: Path | Sink,
    options: CaptureOptions,
    interrupts: Interrupts,
    display: Display,
) -> CaptureSummary | None:
    """Capture. Returns None if a signal came before there was a connection.

    What a killed capture left in the folder is recovered first, and told by the display.

    Raises:
        NetworkError: the connection cannot be opened.
        CaptureError: a file cannot be written.
        MissingExtraError: pyarrow is not installed.
    """
    asyncio.get_running_loop().set_exception_handler(_report_unhandled)

    def recovered(report: RecoveryReport) -> None:
        for line in describe_recovery(report):
            display.note(line)
        display.status("connecting")

    with display:
        interrupts.at_exit.append(display.stop)
        interrupts.on_stop.append(
            lambda: display.note("stopping: saving what was received (a second signal stops at once)")
        )
        summary = await capture(
            connecting, out, options, progress=display.show, stop=interrupts.stop, on_recovery=recovered
        )
    return summary if connecting.connection.opened_at is not None else None


def _report_unhandled(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Leave out what aiofastnet (1.2) reports of a failed TLS handshake, which `connect` raises anyway.

    It reports an exception class where asyncio expects an instance, and logging fails on that.
    """
    if not isinstance(context.get("exception"), type):
        loop.default_exception_handler(context)


def exit_code(summary: CaptureSummary, interrupts: Interrupts) -> int:
    """Return the exit code of a capture; a connection that was lost for good gets its line on stderr."""
    if summary.error is not None:
        print_error(f"the stream ended: {summary.error}; what was received before is saved")
        return 1
    return interrupts.exit_code if summary.interrupted else 0
