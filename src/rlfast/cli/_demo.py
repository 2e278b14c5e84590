"""``rlfast demo``: the simulator in a second process, and a capture of some seconds."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated

import typer

from rlfast.capture import CaptureOptions, CaptureSummary
from rlfast.cli._common import Debug, Json, duration, path, print_json
from rlfast.cli._display import Display, make_console, print_summary
from rlfast.cli._interrupts import Interrupts
from rlfast.cli._running import capture_until_stopped, exit_code
from rlfast.cli._target import TargetOptions, target_of
from rlfast.errors import ConnectError
from rlfast.simulator import SimulatorOptions

__all__ = ["demo_command"]

AGENT = "5f0c1e9a-7d3b-4c56-9e21-a1b2c3d4e5f6"
TENANT = "9a41c2d3-1e4f-4a5b-8c6d-7e8f90a1b2c3"
START_TIMEOUT = 60.0
"""Seconds for the simulator to start: it generates its events first."""
STOP_TIMEOUT = 10.0


def demo_command(
    seconds: Annotated[
        float, typer.Option(parser=duration, metavar="TIME", help="How long to capture.")
    ] = 3.0,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", parser=path, help="Folder of the data set. Default: a new temporary folder."
        ),
    ] = None,
    rate: Annotated[
        float | None, typer.Option(metavar="N", help="Events per second. Default: as fast as possible.")
    ] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> int:
    """Show what rlfast does: capture a simulated stream for some seconds, and print what was written.

    Starts the simulator as a second process on this machine, captures its agent events as Parquet files,
    and keeps the files. Needs no platform and no network.

    [bold]Examples[/bold]

    \b
      rlfast demo
      rlfast demo --seconds 10 --out events --rate 50000
    """
    if out is None:
        out = Path(tempfile.mkdtemp(prefix="rlfast-demo-"))
    interrupts = Interrupts()
    summary = asyncio.run(_demo(out, seconds, rate, interrupts, quiet=as_json))
    if summary is None:
        return interrupts.exit_code
    if as_json:
        print_json({"out": str(out), **summary.as_dict()})
        return exit_code(summary, interrupts)
    print_summary(summary, out)
    console = make_console()
    for line in (
        f"(Simulated events repeat every {SimulatorOptions().pool:,}: they compress better than real ones.)",
        "",
        "Try next:",
        f"  rlfast inspect {out}",
        f"  duckdb -c \"from read_parquet('{out}/type=kb_change/*.parquet') limit 5\"",
        "  rlfast capture --help",
    ):
        console.print(line, markup=False, soft_wrap=True)
    return exit_code(summary, interrupts)


async def _demo(
    out: Path, seconds: float, rate: float | None, interrupts: Interrupts, quiet: bool
) -> CaptureSummary | None:
    with interrupts:
        options = CaptureOptions(duration=seconds)
        async with _simulator(interrupts, rate) as base_url:
            if base_url is None:
                return None
            target = target_of(TargetOptions(agent=AGENT, base_url=base_url, tenant=TENANT))
            display = Display(f"capturing simulated events into {out} for {seconds:g} s", quiet)
            connecting = target.connecting(reconnect=False)
            return await capture_until_stopped(connecting, out, options, interrupts, display)


@contextlib.asynccontextmanager
async def _simulator(interrupts: Interrupts, rate: float | None) -> AsyncIterator[str | None]:
    """Run the simulator as a process; yield its base URL, None if a signal came before it was ready."""
    arguments = ["-m", "rlfast.simulator", "--port", "0"]
    if rate is not None:
        arguments += ["--rate", str(rate)]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        # Ctrl-C on a terminal goes to the whole process group; the capture is to end before its server.
        start_new_session=True,
    )

    def kill() -> None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()

    interrupts.at_exit.append(kill)
    try:
        yield await _base_url(process, interrupts.stop)
    finally:
        await _end(process)
        interrupts.at_exit.remove(kill)


async def _base_url(process: Process, stop: asyncio.Event) -> str | None:
    assert process.stdout is not None and process.stderr is not None  # noqa: PT018 (pipes were asked for)
    reading = asyncio.ensure_future(process.stdout.readline())
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait((reading, stopping), timeout=START_TIMEOUT, return_when=asyncio.FIRST_COMPLETED)
        if stop.is_set():
            return None
        line = reading.result().decode() if reading.done() else ""
    finally:
        for task in (reading, stopping):
            task.cancel()
        await asyncio.gather(reading, stopping, return_exceptions=True)
    prefix = "listening on "
    if not line.startswith(prefix):
        if reading.done() and not reading.cancelled():
            await _wait(process)  # It has closed its stdout: it is ending by itself.
        await _end(process)
        complaint = (await process.stderr.read()).decode(errors="replace").strip().splitlines()
        reason = complaint[-1] if complaint else f"it said nothing within {START_TIMEOUT:g} s"
        raise ConnectError(f"the simulator did not start: {reason}")
    return line.removeprefix(prefix).strip()


async def _end(process: Process) -> None:
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    if not await _wait(process):
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _wait(process: Process) -> bool:
    """Wait for the process to end; False if it does not within `STOP_TIMEOUT`."""
    try:
        await asyncio.wait_for(process.wait(), STOP_TIMEOUT)
    except asyncio.TimeoutError:
        return False
    return True
