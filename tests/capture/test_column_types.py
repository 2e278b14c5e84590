"""Which types the columns of the files have, and that whatever rewrites or recovers files keeps them."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sample_events import PAYLOADS
from wsserver import Peer, frame, serve
from xxhash import xxh3_64_digest

from rlfast import AgentEvent, Gap, UUIDStr, connect
from rlfast.capture import CaptureOptions, CaptureProgress, capture, compact, recover, redrive
from rlfast.capture._wal import _decode_header
from rlfast.sinks import ParquetOptions, ParquetSink
from rlfast.sinks.parquet._file import schema_fingerprint
from rlfast.sinks.parquet._manifest import read_manifest

from .helpers import STREAM, DatasetWriter, add, batch_of, write
from .test_journal import INFO
from .test_recovery import leave

N = len(PAYLOADS)
PLAN = b'{"type":"plan_revised","plan":"0b5c6f0e-6e55-4e6c-a9a5-4f5a0f6f1c11"}'
TIMESTAMPS = pytest.mark.parametrize("timestamps", ["us", "ns"])
TYPES = pytest.mark.parametrize(
    "types", [{}, {"timestamps": "ns", "uuid": "binary"}, {"uuid": "binary"}], ids=str
)
OTHER = {"us": "ns", "ns": "us", "text": "binary", "binary": "text"}


class PlanRevised(msgspec.Struct, tag="plan_revised", tag_field="type"):
    plan: UUIDStr


def times(out: Path, folder: str, name: str) -> tuple[str, list[Any]]:
    """Unit and values, as integers, of a column of times."""
    (path,) = out.glob(f"{folder}/part-*.parquet")
    column = pq.ParquetFile(path).read([name])[name]
    return column.type.unit, column.cast(pa.int64()).to_pylist()


def written_types(out: Path) -> set[tuple[str, Any]]:
    """Unit of the times and type of the ids in all files that have both."""
    schemas = [pq.read_schema(path) for path in out.glob("type=*/**/part-*.parquet")]
    return {
        (schema.field("received_at").type.unit, schema.field(name).type)
        for schema in schemas
        for name in {"term_id", "plan"} & set(schema.names)
    }


def wanted_types(options: ParquetOptions) -> set[tuple[str, Any]]:
    return {(options.timestamps, pa.utf8() if options.uuid == "text" else pa.uuid())}


def schemas(out: Path) -> dict[str, pa.Schema]:
    """The one schema of each table; the manifest has its fingerprint."""
    found: dict[str, pa.Schema] = {}
    for name, file in read_manifest(out).files.items():
        schema = pq.read_schema(out / name).remove_metadata()
        assert file.schema == schema_fingerprint(schema)
        assert found.setdefault(name.partition("/")[0], schema) == schema
    return found


@TIMESTAMPS
def test_times_are_rounded_down_to_microseconds_unless_asked_otherwise(
    tmp_path: Path, timestamps: Any
) -> None:
    options = ParquetOptions() if timestamps == "us" else ParquetOptions(timestamps="ns")
    began, ended = 1_790_000_000_123_456_999, 1_790_000_001_123_456_001
    writer = DatasetWriter(tmp_path, STREAM, options)
    batch = batch_of([*PAYLOADS, b"{"])
    add(writer, batch)
    writer.add_gap(Gap(1, 0, began, "closed_by_peer", close_code=1001, reconnected_at=ended))
    writer.commit()

    def wanted(nanoseconds: list[int]) -> tuple[str, list[int]]:
        return timestamps, [time // 1000 if timestamps == "us" else time for time in nanoseconds]

    for name, table in batch.items():
        measured = table["received_at"].astype(np.int64).tolist()
        assert times(tmp_path, f"type={name}", "received_at") == wanted(measured)
    measured = batch.dead_letters["received_at"].astype(np.int64).tolist()
    assert times(tmp_path, "_dead_letters", "received_at") == wanted(measured)
    assert times(tmp_path, "_gaps", "disconnected_at") == wanted([began])
    assert times(tmp_path, "_gaps", "reconnected_at") == wanted([ended])
    (entry,) = read_manifest(tmp_path).entries
    assert (entry.gaps[0].disconnected_at, entry.gaps[0].reconnected_at) == (began, ended)


@TYPES
async def test_a_recovery_writes_what_the_capture_would_have_written(tmp_path: Path, types: Any) -> None:
    out, killed = tmp_path / "out", tmp_path / "killed"
    received, copied = asyncio.Event(), asyncio.Event()

    def progress(now: CaptureProgress) -> None:
        if now.events + now.dead_letters == N + 1:
            received.set()

    async def handler(peer: Peer) -> None:
        await peer.write(*map(frame, [*PAYLOADS, b"{"]))
        await copied.wait()
        await peer.close()

    async with serve(handler) as server:
        async with connect(server.url, type=AgentEvent, stream=STREAM, backoff=None) as ws:
            options = ParquetOptions(**types)
            settings = CaptureOptions(min_free=0, progress_interval=0.01)
            sink = ParquetSink(out, options)
            capturing = asyncio.create_task(capture(ws, sink, settings, progress=progress))
            await received.wait()
            # What a process that is killed now would leave.
            shutil.copytree(out / "_journal", killed / "_journal")
            copied.set()
            await capturing
    assert recover(killed).streams[0].messages == N + 1
    assert schemas(killed).items() <= {**schemas(out), "_gaps": None}.items()
    assert written_types(killed) == wanted_types(options)


def test_a_journal_from_before_the_option_is_recovered_in_nanoseconds(tmp_path: Path) -> None:
    info = {"stream": "s", "type": None, "uuid": "text", "compression": "lz4", "partition_by": None, "run": 1}
    body = msgspec.json.encode({"generation": 1, "first_seq": 0, "info": info})
    page = b"RLFASTJ1" + len(body).to_bytes(4, "little") + xxh3_64_digest(body)[::-1] + body
    header = _decode_header(page)
    assert header is not None
    assert header.info.sink == {
        "uuid": "text",
        "compression": "lz4",
        "partition_by": None,
        "timestamps": "ns",
    }
    leave(tmp_path, PAYLOADS, sink={**INFO.sink, "timestamps": "ns"})
    recover(tmp_path)
    assert times(tmp_path, "type=kb_change", "received_at")[0] == "ns"


@TYPES
def test_compaction_keeps_the_types(tmp_path: Path, types: Any) -> None:
    options = ParquetOptions(**types)
    write(tmp_path, [*PAYLOADS, PLAN], options=options)
    before = schemas(tmp_path)
    write(tmp_path, [*PAYLOADS, PLAN], first_seq=N + 1, options=options)
    assert compact(tmp_path).written == len(before)
    assert schemas(tmp_path) == before
    assert written_types(tmp_path) == wanted_types(options)
    # Also what no column tells: the next redrive is to follow.
    redrive(tmp_path, PlanRevised)
    assert written_types(tmp_path) == wanted_types(options)


def test_compaction_never_mixes_types(tmp_path: Path) -> None:
    options = [ParquetOptions(), ParquetOptions(timestamps="ns"), ParquetOptions(uuid="binary")] * 2
    for i, each in enumerate(options):
        write(tmp_path, PAYLOADS[1:2], first_seq=i, options=each)
    compact(tmp_path)
    assert written_types(tmp_path) == set.union(*map(wanted_types, options))
    assert len(read_manifest(tmp_path).files) == 3


@TYPES
@pytest.mark.parametrize("partition_by", [None, "hour"])
def test_redrive_follows_the_newest_files(tmp_path: Path, types: Any, partition_by: Any) -> None:
    options = ParquetOptions(partition_by=partition_by, **types)
    older = replace(options, timestamps=OTHER[options.timestamps], uuid=OTHER[options.uuid])  # type: ignore[arg-type]
    write(tmp_path, PAYLOADS, options=older)
    write(tmp_path, [PLAN, b"{"], first_seq=N, options=options)
    unit, received_at = times(tmp_path, "_dead_letters", "received_at")
    assert unit == options.timestamps
    assert redrive(tmp_path, PlanRevised).events == {"plan_revised": 1}
    assert written_types(tmp_path) == wanted_types(older) | wanted_types(options)
    assert times(tmp_path, "type=plan_revised/**", "received_at") == (unit, received_at[:1])
    assert times(tmp_path, "_dead_letters", "received_at") == (unit, received_at[1:])


def test_redrive_writes_the_types_that_it_is_told(tmp_path: Path) -> None:
    write(tmp_path, [PLAN])
    _, (received_at,) = times(tmp_path, "_dead_letters", "received_at")
    redrive(tmp_path, PlanRevised, "binary", "ns")
    assert times(tmp_path, "type=plan_revised", "received_at") == ("ns", [1000 * received_at])
    assert written_types(tmp_path) == {("ns", pa.uuid())}


def test_a_file_that_is_lost_does_not_keep_redrive_from_its_work(tmp_path: Path) -> None:
    options = ParquetOptions(timestamps="ns", uuid="binary")
    write(tmp_path, [PLAN], options=options)
    write(tmp_path, PAYLOADS[1:2], first_seq=1)
    next(tmp_path.glob("type=kb_change/*")).unlink()
    assert redrive(tmp_path, PlanRevised).events == {"plan_revised": 1}
    assert written_types(tmp_path) == wanted_types(options)
