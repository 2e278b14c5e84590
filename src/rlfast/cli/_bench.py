"""``rlfast bench``: how fast a live stream is, how even, and how late."""

from __future__ import annotations

import asyncio
import sys
import time as clock
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rlfast.cli._common import Debug, duration, path, print_error, print_json
from rlfast.cli._continuity import no_numbers
from rlfast.cli._interrupts import Interrupts
from rlfast.cli._options import make, takes
from rlfast.cli._stream_options import stream_options
from rlfast.cli._target import Target, TargetOptions, find_target

if TYPE_CHECKING:
    from rlfast.metrics._stream import StreamMeasure
    from rlfast.websocket._connection import WebSocketConnection

__all__ = ["bench_command"]

STOP, MEASURE, OUTPUT = "When to stop", "What to measure", "Output"
STDOUT = Path("-")
MAX_ROWS = 65_536
MAX_WAIT = 0.05
"""Seconds that a batch may wait: how late the end of the time, or of the events, is seen."""


@takes(*stream_options("untyped", named=False))
def bench_command(
    time: Annotated[
        float,
        typer.Option(
            "--duration",
            parser=duration,
            metavar="TIME",
            help="After this time, such as 30s or 5m.",
            show_default="10s",
            rich_help_panel=STOP,
        ),
    ] = 10.0,
    events: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="After this many events, if that is sooner.", rich_help_panel=STOP
        ),
    ] = None,
    untyped: Annotated[
        bool, typer.Option("--untyped", help="Take messages as they are.", rich_help_panel=MEASURE)
    ] = False,
    timestamp: Annotated[
        str | None,
        typer.Option(
            metavar="FIELD",
            help="Field with the time of sending; - for none. Default: timestamp, ts, time, sent_at, "
            "created_at, event_time, E or T, whichever there is.",
            rich_help_panel=MEASURE,
        ),
    ] = None,
    json: Annotated[
        Path | None,
        typer.Option(
            "--json",
            metavar="FILE",
            parser=path,
            help="Write everything as JSON; - is stdout.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    png: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", parser=path, help="Plot the percentiles into a PNG file.", rich_help_panel=OUTPUT
        ),
    ] = None,
    debug: Debug = False,
    **given: Any,
) -> int:
    """Measure a live stream: its rate, the time between events, and their latency.

    Nothing is written but what you ask for. Events are read as fast as rlfast can, in batches, so it is the
    stream that is measured; if it is faster than rlfast, a warning says so.

    [bold]Inter-arrival[/bold] is the time between events that follow each other. Those that one socket read
    brings arrive together.

    [bold]Latency[/bold] is the time of arrival less the time that stands in the event, ISO 8601 or a number
    since 1970. The difference of the two machines' clocks is in it: a millisecond or so where NTP keeps them.

    [bold]Examples[/bold]

    \b
      rlfast bench wss://HOST/PATH
      rlfast bench wss://HOST/PATH --duration 5m --timestamp E --png stream.png
      rlfast bench --agent ID --tenant ID --base-url https://HOST --json -
      rlfast bench wss://HOST/PATH --types my_events:Event --events 1000000

    \b
      rlfast simulate --rate 50000 &
      rlfast bench --agent ID --tenant ID --base-url http://127.0.0.1:8765
      (the simulator takes any UUIDs)
    """
    wanted = make(TargetOptions, given)
    if wanted.types is not None and untyped:
        raise typer.BadParameter("give --types or --untyped, not both")
    target = find_target(given)
    if untyped:
        target = target.as_untyped()
    if target.warning is not None:
        print_error(target.warning)
    from rlfast.metrics._stream import StreamMeasure

    if png is not None:
        from rlfast.metrics._plot import check_plotting

        check_plotting()
    measure = StreamMeasure(None if timestamp == "-" else timestamp, timestamp != "-")
    note = "" if json == STDOUT else f"measuring {target.stream} for {time:g} s (Ctrl-C ends)"
    interrupts = Interrupts()
    facts = asyncio.run(_measure(target, measure, time, events, note, interrupts))
    return _report(target, measure, facts, json, png, interrupts)


async def _measure(
    target: Target,
    measure: StreamMeasure,
    seconds: float,
    events: int | None,
    note: str,
    interrupts: Interrupts,
) -> dict[str, Any]:
    """Read until a bound, a signal or the end of the stream; return what rlfast itself took and saw."""
    with interrupts:
        opening = asyncio.ensure_future(_open(target))
        stopping = asyncio.ensure_future(interrupts.stop.wait())
        try:
            await asyncio.wait((opening, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not opening.done():
                opening.cancel()
                await asyncio.gather(opening, return_exceptions=True)
                return {}
            ws = await opening
            used = clock.process_time()
            reading = asyncio.ensure_future(_read(ws, measure, events, note))
            try:
                await asyncio.wait((reading, stopping), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
                used = clock.process_time() - used
                if reading.done():
                    reading.result()
            finally:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)
                await ws.close()
        finally:
            stopping.cancel()
        stats = ws.stats
        error = ws.last_error
        facts = {
            "cpu_seconds": used,
            "pauses": stats.pauses,
            "checked_numbers": stats.checked_numbers,
            "unchecked_numbers": stats.unchecked_numbers,
            "sequence_gaps": stats.sequence_gaps,
            "skipped_numbers": stats.skipped_numbers,
            "peak_queued_bytes": stats.peak_queued_bytes,
            "error": None if error is None else str(error),
        }
        return facts


async def _open(target: Target) -> WebSocketConnection[Any]:
    return await target.connecting(reconnect=False)


async def _read(ws: WebSocketConnection[Any], measure: StreamMeasure, events: int | None, note: str) -> None:
    """Measure batches; `note` goes to stderr when the first one is there."""
    async for batch in ws.batches(min(MAX_ROWS, events or MAX_ROWS), max_wait=MAX_WAIT):
        measure.add(batch)
        if note:
            print(note, file=sys.stderr, flush=True)
            note = ""
        if events is not None and measure.events >= events:
            return


def _report(
    target: Target,
    measure: StreamMeasure,
    facts: dict[str, Any],
    json: Path | None,
    png: Path | None,
    interrupts: Interrupts,
) -> int:
    if facts.get("error") is not None:
        print_error(f"the stream ended: {facts['error']}")
    if measure.events == 0:
        if interrupts.stop.is_set():
            return interrupts.exit_code
        print_error("no event arrived; is anything sent to this stream? --duration makes it wait longer")
        return 1
    result = {"stream": target.stream, "typed": target.type is not None, **measure.as_dict(), **facts}
    if json == STDOUT:
        print_json(result)
    else:
        from rlfast.cli._bench_report import print_measure

        print_measure(measure, target.stream)
        if facts["checked_numbers"]:
            print(
                f"numbers of messages {facts['checked_numbers']:,}, gaps in them {facts['sequence_gaps']:,}, "
                f"jumped over {facts['skipped_numbers']:,}, not checked {facts['unchecked_numbers']:,}"
            )
        elif (sequence := target.arguments.get("sequence")) is not None:
            print_error(no_numbers(sequence))
        if facts["pauses"]:
            print_error(
                f"warning: rlfast paused the socket {facts['pauses']} times: the stream is faster than it"
            )
        if json is not None:
            import msgspec

            json.write_bytes(msgspec.json.format(msgspec.json.encode(result)) + b"\n")
    if png is not None:
        from rlfast.metrics._plot import percentile_curves, save

        panels = {"between events": {"inter-arrival": measure.inter_arrival}}
        if len(measure.latency):
            panels["latency"] = {"latency": measure.latency}
        save(percentile_curves(panels, target.stream), png)
    return interrupts.exit_code
