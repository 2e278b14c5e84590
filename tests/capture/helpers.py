"""Reading a data set back, and writing one without a network."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from sample_events import assemble

from rlfast import AgentEvent, ConnectionOptions, EventBatch
from rlfast.capture import open_dataset
from rlfast.capture._committer import Committer
from rlfast.capture._options import RotationPolicy
from rlfast.reasoning_layer._client import ClientConfig, ReasoningLayerClient
from rlfast.simulator import Simulator
from rlfast.sinks._base import RunEnd, StreamState
from rlfast.sinks.parquet._dataset import DatasetFolder
from rlfast.sinks.parquet._options import ParquetOptions
from rlfast.sinks.parquet._rows import RowMaker
from rlfast.sinks.parquet._sink import ParquetWriter
from rlfast.websocket._connection import Connecting, connect

AGENT = "0a8ee6c5-7d7a-4d24-9d6d-3a0c1b1f6d70"
TENANT = "5f0c9d53-92c5-4b5f-8f3e-0d8a5b0a2c11"
STREAM = "test-stream"


class DatasetWriter(Committer):
    """Writes one stream into a data set, without a thread and, after the constructor, without its lock."""

    def __init__(
        self,
        out: Path,
        stream: str = STREAM,
        options: ParquetOptions | None = None,
        clock: Callable[[], float] = time.monotonic,
        *,
        rotation: RotationPolicy | None = None,
        **arguments: Any,
    ) -> None:
        dataset = DatasetFolder(out, "test")
        assert dataset._lock is not None
        dataset._lock.release()
        (out / "_lock").unlink()
        self.parquet = ParquetWriter(dataset, stream, options or ParquetOptions())
        super().__init__(
            self.parquet, dataset.state(stream), rotation or RotationPolicy(), clock, **arguments
        )


def write(
    out: Path,
    payloads: Iterable[bytes],
    *,
    first_seq: int = 0,
    stream: str = STREAM,
    options: ParquetOptions | None = None,
    type_: Any = AgentEvent,
    end: RunEnd | None = None,
    other: bool = False,
) -> DatasetWriter:
    """Commit payloads as one segment."""
    out.mkdir(exist_ok=True)
    writer = DatasetWriter(out, stream, options)
    add(writer, batch_of(payloads, first_seq, type_, other), stream=stream)
    writer.commit(end)
    return writer


def state_of(out: Path, stream: str = STREAM) -> StreamState:
    return open_dataset(out).state(stream)


def add(writer: DatasetWriter, batch: EventBatch, last_seq: int | None = None, stream: str = STREAM) -> None:
    writer.add(RowMaker(stream).make(batch, batch.last_seq if last_seq is None else last_seq))


def batch_of(
    payloads: Iterable[bytes], first_seq: int = 0, type_: Any = AgentEvent, other: bool = False
) -> EventBatch:
    return assemble(type_, payloads, first_seq=first_seq, other=other)


def connect_to(simulator: Simulator, first_seq: int = 0, **arguments: Any) -> Connecting[Any]:
    client = ReasoningLayerClient(ClientConfig(simulator.base_url, TENANT))
    arguments.setdefault("type", AgentEvent)
    return connect(
        client.cognitive.agent_events_url(AGENT),
        stream=STREAM,
        options=ConnectionOptions(first_seq=first_seq),
        **arguments,
    )


def files(out: Path) -> list[str]:
    """Every file below the folder, relative, sorted."""
    return sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())


def part_files(out: Path) -> list[Path]:
    """Files of events and dead letters."""
    return sorted(path for path in out.rglob("part-*.parquet") if path.parent.name != "_gaps")


def gaps(out: Path) -> list[dict[str, Any]]:
    """All recorded gaps, times as int in nanoseconds, in order."""
    found: list[dict[str, Any]] = []
    for path in out.glob("_gaps/part-*.parquet"):
        table = pq.ParquetFile(path).read()
        for name in ("disconnected_at", "reconnected_at"):
            i = table.column_names.index(name)
            table = table.set_column(i, name, table[name].cast(pa.timestamp("ns", "UTC")).cast("int64"))
        found += table.to_pylist()
    return sorted(found, key=lambda gap: gap["disconnected_at"])


def rows(out: Path) -> dict[int, dict[str, Any]]:
    """All events of a data set by seq, as the JSON objects that they were; no seq may occur twice."""
    found: dict[int, dict[str, Any]] = {}
    for path in part_files(out):
        if path.parent.name == "_dead_letters":
            continue
        table = pq.ParquetFile(path).read()
        names = [
            name for name in table.column_names if name not in ("epoch", "received_at", "stream", "_extra")
        ]
        for row in table.select(names).to_pylist():
            seq = row.pop("seq")
            assert seq not in found
            event = {name: plain(value) for name, value in row.items() if value is not None}
            found[seq] = {"type": path.relative_to(out).parts[0].removeprefix("type="), **event}
    return dict(sorted(found.items()))


def stored(out: Path) -> list[dict[str, Any]]:
    """All events in order of seq, which has no holes and begins with 0."""
    found = rows(out)
    assert list(found) == list(range(len(found)))
    return list(found.values())


def column(out: Path, type_: str, name: str) -> list[Any]:
    """One column of one type, over all files."""
    paths = sorted(out.glob(f"type={type_}/part-*.parquet"))
    return [value for path in paths for value in pq.ParquetFile(path).read([name])[name].to_pylist()]


def dead_letters(out: Path) -> list[dict[str, Any]]:
    found = []
    for path in sorted(out.glob("_dead_letters/part-*.parquet")):
        found += pq.ParquetFile(path).read(["seq", "stream", "reason", "error", "raw"]).to_pylist()
    return found


def plain(value: Any) -> Any:
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def sent(payloads: Iterable[bytes]) -> list[dict[str, Any]]:
    """What `rows` gives for payloads, in order: null and absent are one."""
    events = (json.loads(payload) for payload in payloads)
    return [{name: value for name, value in event.items() if value is not None} for event in events]
