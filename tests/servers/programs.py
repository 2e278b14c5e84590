"""Programs that are servers, each started for one test; and what a capture makes of what they send."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import re
import shutil
import signal
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import rlfast
from rlfast.capture import CaptureOptions, CaptureProgress, CaptureSummary, capture

#: A lost connection is opened anew at once, as often as it takes.
AT_ONCE = rlfast.Backoff(initial=0.02, cap=0.1, jitter=False)


def find_program(*names: str) -> str:
    """The path of the first of `names` that is installed; without any, the test is skipped."""
    # Debian keeps servers where the PATH of a user does not lead.
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin"])
    for name in names:
        if found := shutil.which(name, path=path):
            return found
    pytest.skip(f"{' or '.join(names)} is not installed")


def free_port() -> int:
    """A port that was free a moment ago, for programs that cannot choose one or must keep it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


async def listening(port: int) -> None:
    """Wait until somebody listens, for programs that say so before they do."""
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            await asyncio.sleep(0.02)
        else:
            writer.close()
            return await writer.wait_closed()


class Program:
    """A program that runs, and the lines that it has printed."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []
        self._read = 0
        self._more = asyncio.Event()
        self._reading = asyncio.create_task(self._read_lines())

    async def _read_lines(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.lines.append(line.decode(errors="replace").rstrip("\n"))
            self._more.set()

    async def printed(self, pattern: str) -> re.Match[str]:
        """Wait for a line with `pattern` in it, behind the one that was found before."""
        while True:
            while self._read < len(self.lines):
                self._read += 1
                if match := re.search(pattern, self.lines[self._read - 1]):
                    return match
            assert not self._reading.done(), "\n".join([f"{pattern} was not printed:", *self.lines])
            self._more.clear()
            more = asyncio.ensure_future(self._more.wait())
            await asyncio.wait([more, self._reading], return_when=asyncio.FIRST_COMPLETED)
            more.cancel()

    def tell(self, line: str) -> None:
        """Write a line to its standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode() + b"\n")

    async def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it, and wait until it has ended. SIGKILL goes to the processes that it has started, too."""
        if self.process.returncode is None:
            (os.killpg if how == signal.SIGKILL else os.kill)(self.process.pid, how)
        await self.process.wait()

    async def finish(self) -> None:
        """End it and whatever it has started, which is in its process group."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self.end(), 10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        if self.process.stdin is not None:
            self.process.stdin.close()
        await self.process.wait()
        await self._reading


@contextlib.asynccontextmanager
async def running(
    *command: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> AsyncIterator[Program]:
    """Run a program; standard error goes where standard output goes."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        limit=1 << 20,
        start_new_session=True,
    )
    program = Program(process)
    try:
        yield program
    finally:
        await program.finish()


class Capture:
    """A capture that runs beside the test.

    Attributes:
        ws: its connection.
        out: its folder.
        events: that it has handed to its writer so far.
    """

    def __init__(self, connecting: Any, out: Path) -> None:
        self.ws = connecting.connection
        self.out = out
        self.stop = asyncio.Event()
        self._news = asyncio.Event()
        self.ws.on_gap(lambda _: self._news.set())
        options = CaptureOptions(batch_wait=0.01, progress_interval=0.02)
        self.events = 0
        self.running = asyncio.create_task(
            capture(connecting, out, options, stop=self.stop, progress=self._note)
        )
        self.running.add_done_callback(lambda _: self._news.set())

    def _note(self, progress: CaptureProgress) -> None:
        self.events = progress.events
        self._news.set()

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until `condition` holds; it is looked at when there is a gap, and as the capture goes on."""
        while not condition():
            if self.running.done():
                self.running.result()
                raise AssertionError("the capture has ended")
            self._news.clear()
            await self._news.wait()

    async def received(self, count: int) -> None:
        """Wait for `count` more messages."""
        least = self.ws.stats.messages + count
        await self.until(lambda: self.ws.stats.messages >= least)

    async def reconnected(self, times: int = 1) -> None:
        """Wait until there were `times` gaps, and they are over."""
        await self.until(
            lambda: len(self.ws.gaps) >= times and self.ws.gaps[times - 1].reconnected_at is not None
        )

    async def end(self) -> CaptureSummary:
        self.stop.set()
        return await self.running


@contextlib.asynccontextmanager
async def capturing(url: str, out: Path, **arguments: Any) -> AsyncIterator[Capture]:
    """Capture what a server sends until `Capture.end`."""
    arguments.setdefault("backoff", AT_ONCE)
    running = Capture(rlfast.connect(url, **arguments), out)
    try:
        yield running
    finally:
        running.stop.set()
        await asyncio.wait([running.running])


def captured_tables(out: Path) -> dict[str, pa.Table]:
    """All tables of a data set by type, ``_other`` among them; together they have every seq once."""
    tables: dict[str, pa.Table] = {}
    for path in sorted(out.glob("*/part-*.parquet")):
        type_ = path.parent.name.removeprefix("type=")
        if type_ != "_gaps":
            table = pq.ParquetFile(path).read()
            tables[type_] = pa.concat_tables([*([tables[type_]] if type_ in tables else []), table])
    assert "_dead_letters" not in tables
    tables = {type_: table.sort_by("seq") for type_, table in tables.items()}
    seqs = sorted(seq for table in tables.values() for seq in table["seq"].to_pylist())
    assert seqs == list(range(len(seqs)))
    return tables


class Number(msgspec.Struct):
    """What the servers send that count: one number after the other, to everybody who listens."""

    n: int


def number_of(row: dict[str, Any]) -> Any:
    return row["n"]


def check_numbers(
    out: Path,
    ws: rlfast.WebSocketConnection[Any],
    type_: str = "Number",
    number: Callable[[dict[str, Any]], Any] = number_of,
) -> dict[str, pa.Table]:
    """In a table, numbers are missing where a gap is on record, and nowhere else; none comes twice."""
    tables = captured_tables(out)
    rows = [(row["epoch"], number(row)) for row in tables[type_].to_pylist()]
    for (epoch, n), (next_epoch, next_n) in itertools.pairwise(rows):
        assert next_n == n + 1 if next_epoch == epoch else next_n > n
    epochs = {
        seq: epoch
        for table in tables.values()
        for seq, epoch in zip(table["seq"].to_pylist(), table["epoch"].to_pylist(), strict=True)
    }
    assert len(epochs) == ws.stats.messages
    last_seqs = [max(seq for seq, epoch in epochs.items() if epoch <= gap.epoch) for gap in ws.gaps]
    assert last_seqs == [gap.last_seq for gap in ws.gaps]
    assert [gap.epoch for gap in ws.gaps] == list(range(1, ws.epoch))
    assert all(gap.reconnected_at is not None for gap in ws.gaps)
    return tables


class Relay:
    """TCP between a client and a server, which is cut when a test says so.

    Attributes:
        port: where it listens, on loopback.
        open: while this is not set, whoever connects is hung up on.
    """

    def __init__(self, target: int) -> None:
        self.port = 0
        self.open = True
        self._target = target
        self._writers: set[asyncio.StreamWriter] = set()

    def cut(self) -> None:
        """Cut everything off, and refuse what comes until `open` is set again."""
        self.open = False
        for writer in self._writers:
            writer.transport.abort()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.open:
            writer.transport.abort()
            return
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers |= {writer, far_writer}
        await asyncio.gather(self._copy(reader, far_writer), self._copy(far_reader, writer))
        self._writers -= {writer, far_writer}

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@contextlib.asynccontextmanager
async def relay(target: int) -> AsyncIterator[Relay]:
    """A relay to a port on loopback."""
    between = Relay(target)
    server = await asyncio.start_server(between.accept, "127.0.0.1", 0)
    async with server:
        between.port = server.sockets[0].getsockname()[1]
        yield between
        between.cut()
