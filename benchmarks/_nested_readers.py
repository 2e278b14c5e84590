"""What decodes the nested messages: rlfast and its rivals, from memory into columns of their own.

Each has one thread. The readers of NDJSON get a line for each event: those of ``trades`` are split out of
their arrays beforehand, which spares them what a user would have to do.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from benchmarks import _nested_schemas as schemas
from benchmarks._nested_checks import Checksum
from benchmarks._nested_workloads import Workload
from benchmarks._workload import compact
from rlfast._core.messages import MessageReader, MessageSource
from rlfast._core.queue import BlockQueue
from rlfast.decode._assembler import BatchAssembler
from rlfast.decode._batch import EventBatch
from rlfast.decode._messages import MessageDecoder
from rlfast.errors import UsageError

BATCH_ROWS = 65_536
BATCH_BYTES = 8 << 20
"""What so many agent events have. A batch of 65,536 pods would be 250 MB, which nobody waits for."""


@dataclass(frozen=True)
class Reader:
    """Decodes all messages of a workload.

    Attributes:
        run: does it once; the time that this takes is measured.
        checksum: of what it decodes.
        prepare: what must be done before each run, outside of the measured time.
    """

    run: Callable[[], Any]
    checksum: Callable[[], Checksum]
    prepare: Callable[[], None] = lambda: None


def fill(payloads: list[bytes]) -> BlockQueue:
    """Payloads in blocks, as they come from a socket."""
    queue = BlockQueue(1 << 20, 1 << 40, 1, 0)
    for payload in payloads:
        queue.feed(payload)
    queue.end_of_read()
    return queue


class Columns:
    """rlfast's columns: blocks that were filled before, to batches that are dropped.

    Raises:
        UnsupportedFieldError: the type has no columns.
    """

    def __init__(self, type_: Any, payloads: list[bytes], kernel: str = "auto") -> None:
        self.assembler = BatchAssembler(type_, kernel)
        queue = fill(payloads)
        self.blocks = []
        while (block := queue.take_block()) is not None:
            self.blocks.append(block)

    def __call__(self) -> None:
        for batch in self.batches():
            # Before the next one is begun, as the C++ peer clears its columns.
            del batch

    def batches(self) -> Iterator[EventBatch]:
        """Decode all messages once."""
        assembler = self.assembler
        for block in self.blocks:
            start = 0
            while start < block.count:
                stop = min(block.count, start + BATCH_ROWS - assembler.num_rows)
                assembler.add(block, start, stop)
                start = stop
                if assembler.num_rows == BATCH_ROWS or assembler.payload_bytes >= BATCH_BYTES:
                    yield assembler.finish()
        if assembler.num_rows:
            yield assembler.finish()

    def check(self, name: str) -> None:
        """What msgspec had to judge, or what became a dead letter, would be the time of something else."""
        if self.assembler.num_fallback or self.assembler.num_dead_letters:
            raise SystemExit(
                f"{name}: msgspec judged {self.assembler.num_fallback} messages, "
                f"{self.assembler.num_dead_letters} are dead letters"
            )


def rlfast_columns(workload: Workload, payloads: list[bytes]) -> Reader:
    run = Columns(workload.type, payloads)
    columns = schemas.fields(workload.type, None)

    def checksum() -> Checksum:
        import pyarrow as pa

        found = Checksum()
        for batch in run.batches():
            for table in batch.values():
                found.add_table(columns, pa.record_batch(table))
        run.check("rlfast columns")
        return found

    return Reader(run, checksum)


class _Messages(MessageSource):
    """A stream of which everything has arrived."""

    def __init__(self, payloads: list[bytes], decoding: MessageDecoder) -> None:
        self._reader = MessageReader(
            fill(payloads), decoding.decode, decoding.recover, UsageError, decoding.make_compiled
        )

    def next_messages(self) -> list[Any]:
        """Those of a connection, while messages are there."""
        return self._reader.take_nowait(1024)


def rlfast_messages(workload: Workload, payloads: list[bytes], lists: bool = False) -> Reader:
    """Message mode, by one or in lists: the compiled decoder, and msgspec where there is none."""
    decoding = MessageDecoder(workload.type)
    # Which the process does once for a type.
    decoding.make_compiled()
    filled: list[_Messages] = []

    def prepare() -> None:
        filled[:] = [_Messages(payloads, decoding)]

    async def drop_each() -> None:
        source = filled.pop()
        # Not over the payloads, which would fetch objects into the cache that this reader does not read.
        for _ in range(len(payloads)):
            await source.next_message()

    def drop_lists() -> None:
        source = filled.pop()
        while source.next_messages():
            pass

    async def keep_each() -> list[Any]:
        source = filled.pop()
        return [await source.next_message() for _ in payloads]

    def keep_lists() -> list[Any]:
        return [message for messages in iter(filled.pop().next_messages, []) for message in messages]

    def checksum() -> Checksum:
        prepare()
        found = Checksum()
        found.add_values(workload.type, keep_lists() if lists else _result(keep_each()))
        return found

    return Reader(drop_lists if lists else lambda: _result(drop_each()), checksum, prepare)


def _result(coroutine: Coroutine[Any, None, Any]) -> Any:
    """What a coroutine returns that has nothing to wait for, without an event loop."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise SystemExit("a message was waited for that was there")


def msgspec_structs(workload: Workload, payloads: list[bytes]) -> Reader:
    decode = msgspec.json.Decoder(workload.type).decode

    def run() -> None:
        for payload in payloads:
            decode(payload)

    def checksum() -> Checksum:
        found = Checksum()
        found.add_values(workload.type, map(decode, payloads))
        return found

    return Reader(run, checksum)


def events_of(payload: bytes) -> list[bytes]:
    """The events of a message: itself, or the items of its array."""
    if not payload.startswith(b"["):
        return [payload]
    return [msgspec.json.encode(event) for event in json.loads(payload)]


def _from_file(run: Callable[[], Any], to_arrow: Callable[[Any], Any], workload: Workload) -> Reader:
    columns = schemas.fields(workload.type, None)

    def checksum() -> Checksum:
        found = Checksum()
        found.add_table(columns, to_arrow(run()))
        return found

    return Reader(run, checksum)


def polars(workload: Workload, payloads: list[bytes], folder: Path) -> Reader:
    if "polars" not in sys.modules:
        # Polars reads it once, when it is imported.
        os.environ["POLARS_MAX_THREADS"] = "1"
    import polars as pl

    if pl.thread_pool_size() != 1:
        raise SystemExit("polars was imported before the benchmark could limit it to one thread")
    path = write_ndjson(folder / "rows.ndjson", payloads)
    columns = schemas.fields(workload.type, workload.tag_field)
    schema, times = schemas.polars(columns), schemas.polars_times(columns)

    def run() -> pl.DataFrame:
        return pl.scan_ndjson(path, schema=schema).with_columns(times).collect(engine="streaming")

    return _from_file(run, lambda frame: frame.to_arrow(), workload)


def duckdb(workload: Workload, payloads: list[bytes], folder: Path) -> Reader:
    import duckdb

    columns = schemas.fields(workload.type, workload.tag_field)
    path = write_duckdb(folder / "duckdb.ndjson", payloads, columns)
    connection = duckdb.connect(config={"threads": 1})
    select = f"select * from {schemas.duckdb_source(path, columns)}"
    return _from_file(
        lambda: connection.sql(select).to_arrow_table(),
        lambda table: table.rename_columns(list(columns)),
        workload,
    )


def pyarrow(workload: Workload, payloads: list[bytes], folder: Path) -> Reader:
    import pyarrow as pa
    import pyarrow.json

    path = write_ndjson(folder / "rows.ndjson", payloads)
    columns = schemas.fields(workload.type, workload.tag_field)
    schema = schemas.arrow(columns, keys_of_maps(payloads))
    parsing = pyarrow.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
    reading = pyarrow.json.ReadOptions(use_threads=False, block_size=8 << 20)
    ndjson = pa.py_buffer(path.read_bytes())
    return _from_file(
        lambda: pyarrow.json.read_json(pa.BufferReader(ndjson), read_options=reading, parse_options=parsing),
        lambda table: table,
        workload,
    )


def write_ndjson(path: Path, payloads: list[bytes]) -> Path:
    """Write a line for each event, unless it is there."""
    if not path.exists():
        path.write_bytes(b"".join(event + b"\n" for payload in payloads for event in events_of(payload)))
    return path


def write_duckdb(path: Path, payloads: list[bytes], columns: dict[str, Any]) -> Path:
    """The same for DuckDB, which does not know ``u`` from ``U``: one of the two has another name."""
    names = dict(zip(columns, schemas.duckdb(columns), strict=True))
    if all(name == other for name, other in names.items()):
        return write_ndjson(path, payloads)
    with path.open("wb") as file:
        for payload in payloads:
            for event in events_of(payload):
                renamed = {names[key]: value for key, value in json.loads(event).items()}
                file.write(compact(renamed) + b"\n")
    return path


def keys_of_maps(payloads: list[bytes]) -> dict[str, list[str]]:
    """All keys that occur in maps of the pods, by the name of the map's field."""
    found: dict[str, dict[str, None]] = {name: {} for name in ("labels", "annotations", "limits", "requests")}

    def see(value: Any) -> None:
        if isinstance(value, list):
            for item in value:
                see(item)
        elif isinstance(value, dict):
            for key, item in value.items():
                if key in found and isinstance(item, dict):
                    found[key] |= dict.fromkeys(item)
                else:
                    see(item)

    for payload in payloads:
        see(json.loads(payload))
    return {name: list(keys) for name, keys in found.items()}


IN_MEMORY: dict[str, Callable[[Workload, list[bytes]], Reader]] = {
    "rlfast": rlfast_columns,
    "messages": rlfast_messages,
    "lists": partial(rlfast_messages, lists=True),
    "msgspec": msgspec_structs,
}
FROM_FILES: dict[str, Callable[[Workload, list[bytes], Path], Reader]] = {
    "polars": polars,
    "duckdb": duckdb,
    "pyarrow": pyarrow,
}
