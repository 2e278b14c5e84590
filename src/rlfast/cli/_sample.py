"""Messages to look at: from a live stream, from a file, from a data set."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlfast.cli._common import print_error
from rlfast.cli._display import LINE_INTERVAL, Display
from rlfast.cli._interrupts import Interrupts
from rlfast.cli._target import Target
from rlfast.errors import ConfigError
from rlfast.schema._framing import Framing, documents

if TYPE_CHECKING:
    from rlfast.decode._batch import EventBatch, EventTable
    from rlfast.websocket._connection import WebSocketConnection

__all__ = ["Sample", "sample_path", "sample_stream"]

MAX_BYTES = 64 << 20
"""Of a sample: as Python objects it takes ten times that."""
MAX_LINE = 16 << 20
MAX_ROWS, MAX_WAIT = 1024, 0.05
GZIP = b"\x1f\x8b"


@dataclass
class Sample:
    """Messages of one origin.

    Attributes:
        limit: how many are wanted.
        framing: what parts the documents of a message, each of which is one here; None: it is one.
        unzipped: how many of them were compressed, each for itself.
    """

    limit: int
    framing: Framing | None = None
    messages: list[bytes] = field(default_factory=list)
    unzipped: int = 0
    _size: int = 0

    @property
    def full(self) -> bool:
        """Whether there are enough."""
        return len(self.messages) >= self.limit or self._size >= MAX_BYTES

    def add(self, message: bytes) -> None:
        """Take a message, unless there are enough; what is compressed as a file of gzip is unpacked."""
        if self.full:
            return
        if message.startswith(GZIP):
            try:
                message = zlib.decompressobj(31).decompress(message, MAX_LINE)
                self.unzipped += 1
            except zlib.error:
                pass
        for document in [message] if self.framing is None else documents(message, self.framing):
            if not self.full:
                self.messages.append(document)
                self._size += len(document)


def sample_path(path: Path, limit: int, framing: Framing | None = None) -> Sample:
    """Read messages from a file with one per line, or from a folder of a capture without a type.

    Raises:
        ConfigError: there is no such file, or it is none of these.
        CaptureError: the folder cannot be read.
        MissingExtraError: it is a folder, and pyarrow is not installed.
    """
    sample = Sample(limit, framing)
    if path.is_dir():
        _read_folder(path, sample)
        return sample
    try:
        with path.open("rb") as file:
            zipped = file.read(2) == GZIP
        with gzip.open(path) if zipped else path.open("rb") as lines:
            _read_lines(path, lines, sample)
    except FileNotFoundError:
        raise ConfigError(
            f"there is no file {path}; name a ws:// or wss:// URL, a file with one message per line, or the "
            "folder of a capture"
        ) from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        # A file that is being written, or was cut off: what is in front of that is as good.
        if not sample.messages:
            raise ConfigError(f"cannot unpack {path}: {error}; is it complete?") from error
        print_error(
            f"warning: {path} ends early ({error}); using the {len(sample.messages):,} messages before"
        )
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or error}") from error
    return sample


def _read_lines(path: Path, lines: Any, sample: Sample) -> None:
    while not sample.full and (line := lines.readline(MAX_LINE + 1)):
        if len(line) > MAX_LINE:
            raise ConfigError(
                f"{path} has a line of more than {MAX_LINE >> 20} MiB; write one message per line"
            )
        if line := line.strip():
            sample.add(line)


def _read_folder(path: Path, sample: Sample) -> None:
    from rlfast.capture import open_dataset
    from rlfast.decode._assembler import UNTYPED_TABLE
    from rlfast.sinks.parquet._arrow import pa, pq

    tables = open_dataset(path).tables
    table = tables.get(UNTYPED_TABLE)
    for name in table.paths if table is not None else ():
        try:
            with pq.ParquetFile(name) as file:
                if "json" not in file.schema_arrow.names:
                    continue
                for batch in file.iter_batches(MAX_ROWS, columns=["json"]):
                    for text in batch.column(0).to_pylist():
                        if text is not None:
                            sample.add(text.encode())
                    if sample.full:
                        return
        except (OSError, pa.ArrowException) as error:
            raise ConfigError(f"cannot read {name}: {error}") from error
    if not sample.messages:
        there = f"it has columns of {', '.join(sorted(tables))}" if tables else "it has no messages"
        raise ConfigError(
            f"{path} has no messages as JSON text: {there}; name the folder of a capture without --types"
        )


async def sample_stream(
    target: Target, limit: int, seconds: float, display: Display, interrupts: Interrupts
) -> Sample:
    """Read messages until there are enough, the time is over, a signal comes, or the stream ends.

    Raises:
        NetworkError: the connection cannot be opened.
    """
    sample = Sample(limit, target.arguments.get("framing"))
    with interrupts, display:
        display.status("connecting")
        opening = asyncio.ensure_future(_open(target))
        stopping = asyncio.ensure_future(interrupts.stop.wait())
        deadline = asyncio.get_running_loop().time() + seconds
        try:
            await asyncio.wait((opening, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not opening.done():
                opening.cancel()
                await asyncio.wait((opening,))
                return sample
            ws = await opening
            reading = asyncio.ensure_future(_read(ws, sample, display))
            left = deadline - asyncio.get_running_loop().time()
            await asyncio.wait((reading, stopping), timeout=left, return_when=asyncio.FIRST_COMPLETED)
            stopped = not reading.done()
            # What was received before is read to its end.
            await ws.close()
            await reading
        finally:
            stopping.cancel()
    if not stopped and not sample.full:
        print_error(f"the stream ended: {ws.last_error or 'the server closed the connection'}")
    return sample


async def _open(target: Target) -> WebSocketConnection[Any]:
    return await target.as_untyped().connecting(reconnect=False)


async def _read(ws: WebSocketConnection[Any], sample: Sample, display: Display) -> None:
    """Fill the sample, until it is full or the stream is over."""
    loop = asyncio.get_running_loop()
    display.begin()
    next_line = loop.time() + LINE_INTERVAL
    async for batch in ws.batches(min(MAX_ROWS, sample.limit), max_wait=MAX_WAIT):
        _take(batch, sample)
        text = f"{len(sample.messages):,} of {sample.limit:,} messages"
        display.status(text)
        if loop.time() >= next_line and not display.live:
            next_line = loop.time() + LINE_INTERVAL
            display.note(text)
        if sample.full:
            return


def _take(batch: EventBatch, sample: Sample) -> None:
    """Take the messages of a batch in their order; what is no JSON is among the dead letters."""
    found: list[tuple[int, int, bytes]] = []
    for table in batch.values():
        texts = table["json"].tolist()
        found += zip(*_places(table), (text.encode() for text in texts), strict=True)
    letters = batch.dead_letters
    if len(letters):
        found += zip(*_places(letters), letters["raw"].tolist(), strict=True)
    for _, _, message in sorted(found):
        sample.add(message)


def _places(table: EventTable) -> tuple[list[int], list[int]]:
    """The numbers of messages, and the places of documents in them."""
    names = table.own_names
    items = [0] * len(table) if names.item is None else table[names.item].tolist()
    return table[names.seq].tolist(), [item or 0 for item in items]
