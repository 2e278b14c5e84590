"""``rlfast inspect``: what is in a data set folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rlfast.cli._common import Debug, Folder, Json, print_error, print_json
from rlfast.cli._units import format_bytes

if TYPE_CHECKING:
    from rich.console import Console

    from rlfast.sinks.parquet._inspect import DatasetReport, StreamReport
    from rlfast.websocket._gaps import Gap

__all__ = ["inspect_command"]

SHOWN = 10
"""Holes and files that are shown of a longer list."""


def inspect_command(
    folder: Folder,
    as_json: Json = False,
    debug: Debug = False,
) -> int:
    """Show what is in a data set: events by type, time span, sequence numbers and their holes, files.

    Reads the files themselves. The exit code is 1 if a file cannot be read or an event is there twice.

    [bold]Examples[/bold]

    \b
      rlfast inspect events
      rlfast inspect events --json
    """
    from rlfast.capture import inspect_dataset

    report = inspect_dataset(folder)
    if as_json:
        print_json(report)
    else:
        _print_report(report, folder)
    if not report.healthy:
        problems = [f"cannot read {file.path}: {file.error}" for file in report.unreadable[:SHOWN]]
        twice = sum(stream.duplicates for stream in report.streams.values())
        if twice:
            problems.append(f"{twice:,} sequence numbers occur twice: two captures wrote at the same time")
        for problem in problems:
            print_error(problem)
        return 1
    return 0


def _print_report(report: DatasetReport, folder: Path) -> None:
    from rich.table import Table
    from rich.text import Text

    from rlfast.cli._display import make_console

    console = make_console()
    table = Table(title=f"{report.events:,} events in {folder}", title_justify="left")
    table.add_column("type")
    for name in ("events", "share", "files", "size", "bytes/event"):
        table.add_column(name, justify="right")
    for name, found in report.types.items():
        table.add_row(
            Text(name),
            f"{found.events:,}",
            f"{found.events / report.events:.1%}",
            f"{found.files:,}",
            format_bytes(found.bytes),
            f"{found.bytes / found.events:.1f}",
        )
    console.print(table)
    _print(console, f"files         {report.files:,} in {report.segments:,} segments")
    _print(console, f"size          {format_bytes(report.bytes)}")
    if report.received_at is not None:
        _print(console, f"received at   {_time(report.received_at[0])} to {_time(report.received_at[1])}")
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in report.dead_letter_reasons.items())
    _print(console, f"dead letters  {report.dead_letters:,}{f' ({reasons})' if reasons else ''}")
    for name, stream in report.streams.items():
        _print(console, f"stream        {name}")
        _print_stream(console, stream)
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in report.gap_reasons.items())
    _print(console, f"gaps          {report.num_gaps:,}{f' ({reasons})' if reasons else ''}")
    _print_gaps(console, report.gaps, report.num_gaps)
    if report.num_sequence_gaps:
        _print(console, f"  in numbers  {report.num_sequence_gaps:,}")
        _print_gaps(console, report.sequence_gaps, report.num_sequence_gaps)
    for name, count in report.uncommitted.items():
        _print(
            console,
            f"in the journal of {name}: {count:,} messages, not committed yet; "
            f"if no capture is running: rlfast recover {folder}",
        )
    for label, paths in (
        ("unfinished", report.unfinished),
        ("not in the manifest", report.unlisted),
        ("in the manifest, but gone", report.lost),
    ):
        if paths:
            more = f" and {len(paths) - SHOWN:,} more" if len(paths) > SHOWN else ""
            _print(console, f"{label}: {', '.join(paths[:SHOWN])}{more}")
    for name, changes in report.schemas.items():
        _print(
            console,
            f"several schemas: {name}: {', '.join(changes[:SHOWN])}; readers take the columns of one file "
            f"for all; run: rlfast compact {folder} --unify",
        )
    for name in report.hidden[:SHOWN]:
        _print(
            console,
            f"hidden column: {name.partition('=')[0]} of the files in {name}, by the folder's name; "
            f"run: rlfast compact {folder} --unify",
        )
    if report.damaged_manifest_lines:
        lines = ", ".join(map(str, report.damaged_manifest_lines[:SHOWN]))
        _print(console, f"damaged lines of the manifest: {lines}")


def _print_gaps(console: Console, gaps: Sequence[Gap], count: int) -> None:
    for gap in gaps[:SHOWN]:
        end = _time(gap.reconnected_at) if gap.reconnected_at is not None else "the end of the run"
        span = f"{_time(gap.disconnected_at)} to {end}"
        filled = "" if gap.filled is None else ", filled" if gap.filled else ", not filled"
        _print(console, f"              behind seq {gap.last_seq:,}: {span}, {gap.describe()}{filled}")
    if count > SHOWN:
        _print(console, f"              and {count - SHOWN:,} more (--json lists more)")


def _print_stream(console: Console, stream: StreamReport) -> None:
    _print(
        console, f"  seq         {stream.first_seq:,} to {stream.last_seq:,} ({stream.messages:,} messages)"
    )
    if not stream.holes:
        _print(console, "  holes       none")
        return
    _print(console, f"  holes       {stream.holes:,}, {stream.missing:,} messages missing")
    for first, last in stream.hole_list[:SHOWN]:
        _print(console, f"              {first:,} to {last:,}")
    if stream.holes > SHOWN:
        _print(console, f"              and {stream.holes - SHOWN:,} more (--json lists more)")


def _print(console: Console, line: str) -> None:
    from rich.text import Text

    console.print(Text(line), soft_wrap=True)


def _time(nanoseconds: int) -> str:
    from datetime import datetime, timezone

    whole = datetime.fromtimestamp(nanoseconds // 1_000_000_000, timezone.utc)
    return f"{whole:%Y-%m-%d %H:%M:%S}.{nanoseconds % 1_000_000_000 // 1_000_000:03d} UTC"
