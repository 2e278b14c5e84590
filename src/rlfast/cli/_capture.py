"""``rlfast capture``: a stream into Parquet files."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Literal

import typer

from rlfast.capture import CaptureOptions, CaptureSummary, RotationPolicy
from rlfast.cli._common import (
    Debug,
    Json,
    duration,
    path,
    print_error,
    print_json,
    size,
    size_or_zero,
    terminal_may_be_gone,
)
from rlfast.cli._display import Display, print_summary
from rlfast.cli._interrupts import Interrupts
from rlfast.cli._running import capture_until_stopped, exit_code
from rlfast.cli._stream_options import (
    STREAM,
    Agent,
    BaseUrl,
    Cycle,
    Deflate,
    Proxy,
    Session,
    Tenant,
    TokenEnv,
    Url,
)
from rlfast.cli._target import Target, TargetOptions, find_target
from rlfast.cli._units import write_duration, write_size
from rlfast.sinks import ParquetOptions
from rlfast.websocket._options import ConnectionOptions

__all__ = ["capture_command"]

STOP, FILES, SAFETY = "When to stop", "Files", "Safety"
DEFAULT = CaptureOptions()
FORMAT = ParquetOptions()
LIMITS = ConnectionOptions()


def capture_command(
    url: Url = None,
    agent: Agent = None,
    cycle: Cycle = None,
    session: Session = None,
    base_url: BaseUrl = None,
    tenant: Tenant = None,
    token_env: TokenEnv = None,
    types: Annotated[
        str | None,
        typer.Option(
            metavar="MODULE:TYPE",
            help="msgspec struct, or union of them, of the messages. Default: the agent events for an agent, "
            "otherwise each message is one row of JSON text.",
            rich_help_panel=STREAM,
        ),
    ] = None,
    stream: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Name for the column stream; its seq goes on. Default: agent_events:ID and the like, or "
            "host and path of the URL with a hash of its query.",
            rich_help_panel=STREAM,
        ),
    ] = None,
    proxy: Proxy = None,
    deflate: Deflate = False,
    no_reconnect: Annotated[
        bool, typer.Option("--no-reconnect", help="End when the connection ends.", rich_help_panel=STOP)
    ] = False,
    time: Annotated[
        float | None,
        typer.Option(
            "--duration",
            parser=duration,
            metavar="TIME",
            help="After this time, such as 30s or 5m.",
            rich_help_panel=STOP,
        ),
    ] = None,
    max_events: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="After exactly this many events.", rich_help_panel=STOP),
    ] = None,
    out: Annotated[
        Path, typer.Option(metavar="DIR", parser=path, help="Folder of the data set.", rich_help_panel=FILES)
    ] = Path("events"),
    rotate_bytes: Annotated[
        int,
        typer.Option(
            parser=size,
            metavar="SIZE",
            help="Commit at this size, such as 256MB.",
            show_default=write_size(RotationPolicy().max_bytes),
            rich_help_panel=FILES,
        ),
    ] = RotationPolicy().max_bytes,
    rotate_rows: Annotated[
        int, typer.Option(metavar="N", min=1, help="Commit at this many rows.", rich_help_panel=FILES)
    ] = RotationPolicy().max_rows,
    rotate_interval: Annotated[
        float,
        typer.Option(
            parser=duration,
            metavar="TIME",
            help="Commit at this age; the longest time that an event stays invisible.",
            show_default=write_duration(RotationPolicy().interval),
            rich_help_panel=FILES,
        ),
    ] = RotationPolicy().interval,
    timestamps: Annotated[
        Literal["us", "ns"],
        typer.Option(
            help="Times in microseconds, or in nanoseconds, which Spark and Delta refuse.",
            rich_help_panel=FILES,
        ),
    ] = FORMAT.timestamps,
    uuid: Annotated[
        Literal["text", "binary"],
        typer.Option(
            help="UUIDs as text, or as 16 bytes with Parquet's UUID type: smaller, and not for every reader.",
            rich_help_panel=FILES,
        ),
    ] = FORMAT.uuid,
    compression: Annotated[
        Literal["zstd", "lz4", "none"], typer.Option(help="Codec.", rich_help_panel=FILES)
    ] = "zstd",
    idle_timeout: Annotated[
        float | None,
        typer.Option(
            parser=duration,
            metavar="TIME",
            help="Without a message for so long, ping; without an answer, reconnect.",
            show_default=write_duration(LIMITS.idle_timeout or 0.0),
            rich_help_panel=SAFETY,
        ),
    ] = LIMITS.idle_timeout,
    data_timeout: Annotated[
        float | None,
        typer.Option(
            parser=duration,
            metavar="TIME",
            help="Without a message for so long, reconnect whatever it answers.",
            show_default="never",
            rich_help_panel=SAFETY,
        ),
    ] = LIMITS.data_timeout,
    partition_by: Annotated[
        Literal["hour", "day"] | None,
        typer.Option(help="Folders by hour or day (UTC) of receipt, below the types.", rich_help_panel=FILES),
    ] = None,
    schema_change: Annotated[
        Literal["refuse", "allow"],
        typer.Option(
            help="Begin although the folder holds files of a type with other columns?", rich_help_panel=FILES
        ),
    ] = FORMAT.schema_change,
    durability: Annotated[
        Literal["none", "process", "machine"],
        typer.Option(
            help="What received events survive: the end of the process, a loss of power, or neither.",
            rich_help_panel=SAFETY,
        ),
    ] = DEFAULT.durability,
    sync_interval: Annotated[
        float,
        typer.Option(
            parser=duration,
            metavar="TIME",
            help="With machine: what a loss of power may cost.",
            show_default=write_duration(DEFAULT.sync_interval),
            rich_help_panel=SAFETY,
        ),
    ] = DEFAULT.sync_interval,
    journal_size: Annotated[
        int,
        typer.Option(
            parser=size,
            metavar="SIZE",
            help="Bound of the journal's files.",
            show_default=write_size(DEFAULT.journal_bytes),
            rich_help_panel=SAFETY,
        ),
    ] = DEFAULT.journal_bytes,
    max_backlog: Annotated[
        int,
        typer.Option(
            parser=size_or_zero,
            metavar="SIZE",
            help="What may wait in the journal when memory is full; then the server has to wait.",
            show_default="0",
            rich_help_panel=SAFETY,
        ),
    ] = DEFAULT.max_backlog,
    min_free: Annotated[
        int,
        typer.Option(
            parser=size_or_zero,
            metavar="SIZE",
            help="Stop cleanly when the disk has less room.",
            show_default=write_size(DEFAULT.min_free),
            rich_help_panel=SAFETY,
        ),
    ] = DEFAULT.min_free,
    as_json: Json = False,
    debug: Debug = False,
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
    options = CaptureOptions(
        rotation=RotationPolicy(max_bytes=rotate_bytes, max_rows=rotate_rows, interval=rotate_interval),
        max_events=max_events,
        duration=time,
        durability=durability,
        sync_interval=sync_interval,
        journal_bytes=journal_size,
        max_backlog=max_backlog,
        min_free=min_free,
    )
    files = ParquetOptions(
        compression=compression,
        timestamps=timestamps,
        uuid=uuid,
        partition_by=partition_by,
        schema_change=schema_change,
    )
    target = find_target(
        TargetOptions(url, agent, cycle, session, base_url, tenant, token_env, types, stream, proxy, deflate)
    )
    if target.warning is not None:
        print_error(target.warning)
    limits = {"idle_timeout": idle_timeout, "data_timeout": data_timeout}
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
    return exit_code(summary, interrupts)


async def _capture(
    target: Target,
    out: Path,
    files: ParquetOptions,
    options: CaptureOptions,
    limits: dict[str, float | None],
    interrupts: Interrupts,
    *,
    reconnect: bool,
    quiet: bool,
) -> CaptureSummary | None:
    with interrupts:
        display = Display(f"capturing {target.stream} into {out} (Ctrl-C ends)", quiet)
        connecting = target.connecting(reconnect, **limits)
        from rlfast.sinks import ParquetSink

        sink = ParquetSink(out, files)
        return await capture_until_stopped(connecting, sink, options, interrupts, display)
