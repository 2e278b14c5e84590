"""``rlfast capture``: a stream into Parquet files."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer

from rlfast.capture import CaptureOptions, CaptureSummary, RotationPolicy
from rlfast.cli._common import Debug, Json, path, print_error, print_json, terminal_may_be_gone
from rlfast.cli._continuity import ContinuityOptions, no_numbers
from rlfast.cli._display import Display, print_summary
from rlfast.cli._interrupts import Interrupts
from rlfast.cli._options import Field, Group, make, takes
from rlfast.cli._running import capture_until_stopped, exit_code
from rlfast.cli._stream_options import stream_options
from rlfast.cli._target import Target, find_target
from rlfast.sinks import ParquetOptions
from rlfast.websocket._options import ConnectionOptions

__all__ = ["capture_command"]

STOP, FILES, SAFETY = "When to stop", "Files", "Safety"
OPTIONS = (
    *stream_options("each message is one row of JSON text", named=True),
    Group(
        CaptureOptions,
        STOP,
        (
            Field("duration", "After this time, such as 30s or 5m.", form="time"),
            Field("max_events", "After exactly this many events.", least=1),
        ),
    ),
    Group(
        RotationPolicy,
        FILES,
        (
            Field("max_bytes", "Commit at this size, such as 256MB.", "--rotate-bytes", form="size"),
            Field("max_rows", "Commit at this many rows.", "--rotate-rows", least=1),
            Field(
                "interval",
                "Commit at this age; the longest time that an event stays invisible.",
                "--rotate-interval",
                form="time",
            ),
        ),
    ),
    Group(
        ParquetOptions,
        FILES,
        (
            Field("timestamps", "Times in microseconds, or in nanoseconds, which Spark and Delta refuse."),
            Field(
                "uuid",
                "UUIDs as text, or as 16 bytes with Parquet's UUID type: smaller, and not for every reader.",
            ),
            Field("compression", "Codec."),
            Field("partition_by", "Folders by hour or day (UTC) of receipt, below the types."),
            Field("schema_change", "Begin although the folder holds files of a type with other columns?"),
        ),
    ),
    Group(
        ContinuityOptions,
        SAFETY,
        (
            Field(
                "resume",
                "Go on behind the last message, after a disconnect, a restart or a crash: parameter of URL "
                "and JSON Pointer to its value in a message, such as cursor=/time_us.",
                metavar="NAME=POINTER",
            ),
            Field(
                "resume_gone",
                "The message by which the server says that it cannot go on from there, such as "
                "/object/code=410 of Kubernetes: then without.",
                metavar="POINTER=VALUE",
            ),
        ),
    ),
    Group(
        ConnectionOptions,
        SAFETY,
        (
            Field(
                "idle_timeout",
                "Without a message for so long, ping; without an answer, reconnect.",
                form="time",
            ),
            Field(
                "data_timeout",
                "Without a message for so long, reconnect whatever it answers.",
                form="time",
                absent="never",
            ),
        ),
    ),
    Group(
        CaptureOptions,
        SAFETY,
        (
            Field(
                "durability",
                "What received events survive: the end of the process, a loss of power, or neither.",
            ),
            Field("sync_interval", "With machine: what a loss of power may cost.", form="time"),
            Field("journal_bytes", "Bound of the journal's files.", "--journal-size", form="size"),
            Field(
                "max_backlog",
                "What may wait in the journal when memory is full; then the server has to wait.",
                form="size or zero",
            ),
            Field("min_free", "Stop cleanly when the disk has less room.", form="size or zero"),
        ),
    ),
)


@takes(*OPTIONS)
def capture_command(
    out: Annotated[
        Path, typer.Option(metavar="DIR", parser=path, help="Folder of the data set.", rich_help_panel=FILES)
    ] = Path("events"),
    no_reconnect: Annotated[
        bool, typer.Option("--no-reconnect", help="End when the connection ends.", rich_help_panel=STOP)
    ] = False,
    as_json: Json = False,
    debug: Debug = False,
    **given: Any,
) -> int:
    """Capture a stream into Parquet files: one folder per type of event.

    Name the stream by its URL, or by --agent, --cycle or --session with --base-url and --tenant. The
    connection is opened anew whenever it is lost. Ctrl-C ends the capture cleanly, with everything that
    was received saved, and so do SIGTERM and the end of the terminal; a second Ctrl-C, more than a second
    later, ends it at once. What is received is in a journal first: if the process is killed, the next capture
    into the folder, or rlfast recover, saves it.

    [bold]Examples[/bold]

    \b
      export RLFAST_TOKEN=…
      rlfast capture --agent ID --tenant ID --base-url https://HOST --out events
      rlfast capture wss://HOST/PATH --types my_events:Event --duration 1h
      rlfast capture --session ID --tenant ID --base-url URL --max-events 1000 --json

    \b
      rlfast inspect events
      duckdb -c "from read_parquet('events/type=kb_change/*.parquet') limit 5"
    """
    options = make(CaptureOptions, given, rotation=make(RotationPolicy, given))
    files = make(ParquetOptions, given)
    limits = make(ConnectionOptions, given)
    target = find_target(given)
    if target.warning is not None:
        print_error(target.warning)
    interrupts = Interrupts()
    capturing = _capture(
        target, out, files, options, limits, interrupts, reconnect=not no_reconnect, quiet=as_json
    )
    summary = asyncio.run(capturing)
    if summary is None:
        return interrupts.exit_code
    with terminal_may_be_gone():
        if as_json:
            print_json({"out": str(out), **summary.as_dict()})
        else:
            print_summary(summary, out)
        sequence = target.arguments.get("sequence")
        if sequence is not None and summary.events and not summary.checked_numbers:
            print_error(no_numbers(sequence))
    return exit_code(summary, interrupts)


async def _capture(
    target: Target,
    out: Path,
    files: ParquetOptions,
    options: CaptureOptions,
    limits: ConnectionOptions,
    interrupts: Interrupts,
    *,
    reconnect: bool,
    quiet: bool,
) -> CaptureSummary | None:
    with interrupts:
        display = Display(f"capturing {target.stream} into {out} (Ctrl-C ends)", quiet)
        connecting = target.connecting(reconnect, limits)
        from rlfast.sinks import ParquetSink

        sink = ParquetSink(out, files)
        return await capture_until_stopped(connecting, sink, options, interrupts, display)
