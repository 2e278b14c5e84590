"""What a person sees of a capture: a live line while it runs, and a table at its end."""

from __future__ import annotations

import sys
from pathlib import Path
from types import TracebackType
from typing import final

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from rlfast.capture._summary import CaptureProgress, CaptureSummary
from rlfast.cli._common import terminal_may_be_gone
from rlfast.cli._units import format_bytes, format_seconds

__all__ = ["Display", "make_console", "print_summary"]

LINE_INTERVAL = 5.0
"""Seconds between two lines where stderr is not a terminal."""
SHOWN_REASONS = 5
"""Reasons of gaps in the summary."""


def make_console(stderr: bool = False) -> Console:
    """Return a console; where it is not a terminal, its width does not depend on the machine."""
    console = Console(stderr=stderr, highlight=False)
    if not console.is_terminal:
        console.width = 120
    return console


@final
class Display:
    """Progress on stderr: a live line on a terminal, otherwise a plain line every few seconds.

    A context manager; `show` is a progress callback of `rlfast.capture.capture`. Where stderr is not a
    terminal, the first line says that there is a connection.
    """

    def __init__(self, title: str, quiet: bool = False) -> None:
        """Prepare the display; `title` names the stream, `quiet` shows nothing."""
        self._title = title
        self._console = make_console(stderr=True)
        self._quiet = quiet
        self._live: Live | None = None
        self._titled = False
        self._before = (0.0, 0, 0)
        self._rates = (0.0, 0.0)
        self._next_line = LINE_INTERVAL

    def __enter__(self) -> Display:
        """Begin to show."""
        if self._quiet:
            return self
        if self._console.is_terminal:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
            self.status("preparing")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the terminal as it was."""
        self.stop()

    def stop(self) -> None:
        """Take the live line away; also for a program that is about to end at once."""
        live, self._live = self._live, None
        if live is not None:
            with terminal_may_be_gone():
                live.stop()

    def note(self, text: str) -> None:
        """Print one line of its own."""
        if not self._quiet:
            with terminal_may_be_gone():
                self._console.print(Text(text), soft_wrap=True)

    def status(self, text: str) -> None:
        """Show on the live line what is done before there is a connection."""
        if self._live is not None:
            self._live.update(Text(f"{self._title}\n{text}"), refresh=True)

    @property
    def live(self) -> bool:
        """Whether there is a live line."""
        return self._live is not None

    def begin(self) -> None:
        """Say, once, that there is a connection."""
        if self._live is None and not self._titled:
            self.note(self._title)
        self._titled = True

    def show(self, progress: CaptureProgress) -> None:
        """Show the state of the capture."""
        if self._quiet:
            return
        self.begin()
        if self._live is not None:
            self._measure(progress)
            with terminal_may_be_gone():
                self._live.update(Text(f"{self._title}\n{self._line(progress)}"), refresh=True)
        elif progress.seconds >= self._next_line:
            self._measure(progress)
            self._next_line = progress.seconds + LINE_INTERVAL
            self.note(self._line(progress))

    def _measure(self, progress: CaptureProgress) -> None:
        seconds, events, payload = self._before
        passed = progress.seconds - seconds
        if passed > 0:
            self._rates = ((progress.events - events) / passed, (progress.payload_bytes - payload) / passed)
        self._before = (progress.seconds, progress.events, progress.payload_bytes)

    def _line(self, progress: CaptureProgress) -> str:
        events, payload = self._rates
        parts = [
            format_seconds(progress.seconds),
            f"{progress.events:,} events",
            f"{events:,.0f} events/s",
            f"{format_bytes(payload)}/s",
            _backlog(progress),
            f"reconnects {progress.reconnects}",
            f"files {progress.files} ({format_bytes(progress.bytes)})",
        ]
        if progress.gaps:
            parts.append(f"gaps {progress.gaps:,}")
        if progress.sequence_gaps:
            parts.append(f"gaps in the numbers {progress.sequence_gaps:,}")
        if progress.dead_letters:
            parts.append(f"dead letters {progress.dead_letters:,}")
        if not progress.connected:
            parts.append("not connected")
        return "  ".join(parts)


def _backlog(progress: CaptureProgress) -> str:
    """Where events wait, stage by stage: memory, journal, server."""
    text = f"backlog {format_bytes(progress.backlog_bytes)}"
    if progress.spilled_bytes:
        text += f" + {format_bytes(progress.spilled_bytes)} in the journal"
    if progress.journal_bytes:
        text += f"  journal {format_bytes(progress.journal_bytes)}"
    return text + (" (paused)" if progress.paused else "")


def _summary_table(summary: CaptureSummary, out: Path) -> Table:
    """Return the table of what a capture wrote, by type."""
    table = Table(title=f"{summary.events:,} events in {out}", title_justify="left")
    table.add_column("type")
    for name in ("events", "share", "events/s", "files", "size", "bytes/event"):
        table.add_column(name, justify="right")
    seconds = summary.receiving_seconds or 1.0
    for name, found in summary.types.items():
        table.add_row(
            Text(name),
            f"{found.events:,}",
            f"{found.events / summary.events:.1%}",
            f"{found.events / seconds:,.0f}",
            f"{found.files:,}",
            format_bytes(found.bytes),
            f"{found.bytes / found.events:.1f}",
        )
    table.add_section()
    in_types = sum(found.bytes for found in summary.types.values())
    table.add_row(
        "all types",
        f"{summary.events:,}",
        "",
        f"{summary.events / seconds:,.0f}",
        f"{sum(found.files for found in summary.types.values()):,}",
        format_bytes(in_types),
        f"{in_types / summary.events:.1f}" if summary.events else "",
    )
    return table


def print_summary(summary: CaptureSummary, out: Path) -> None:
    """Print the table and what else is to be known to stdout."""
    console = make_console()
    console.print(_summary_table(summary, out))
    span = "nothing received"
    if summary.first_seq is not None:
        span = f"seq {summary.first_seq:,} to {summary.last_seq:,}"
    received, seconds = summary.payload_bytes, summary.receiving_seconds
    rate = received / (seconds or 1.0)
    lines = [
        f"{span}; {format_bytes(received)} of JSON in {format_seconds(seconds)} "
        f"({format_bytes(rate)}/s) as {format_bytes(summary.bytes)} of Parquet",
        f"gaps {summary.gaps}, reconnects {summary.reconnects}, dead letters {summary.dead_letters:,}",
    ]
    if summary.checked_numbers or summary.unchecked_numbers:
        lines.append(
            f"numbers of messages {summary.checked_numbers:,}, gaps in them {summary.sequence_gaps:,}"
            + (f" (in {out / '_gaps'})" if summary.sequence_gaps else "")
            + (f", not checked {summary.unchecked_numbers:,}" if summary.unchecked_numbers else "")
        )
    if summary.dead_letters:
        lines[1] += f" (in {out / '_dead_letters'})"
    reasons = [f"  {count:,} {reason}" for reason, count in summary.gap_reasons.items()]
    if len(reasons) > SHOWN_REASONS:
        reasons[SHOWN_REASONS:] = [f"  and {len(reasons) - SHOWN_REASONS} other reasons (--json lists them)"]
    for line in lines + reasons:
        console.print(Text(line), soft_wrap=True)
    sys.stdout.flush()
