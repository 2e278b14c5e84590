"""For the tests of crashes: a slow reader of the journal, a check of a whole data set, processes to kill."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import struct
import subprocess
import sys
import uuid
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from rlfast.capture import RecoveryReport, recover
from rlfast.simulator._events import agent_events
from rlfast.sinks import ParquetSink, Sink
from rlfast.sinks.parquet._manifest import read_manifest

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
from sqlite_sink import SqliteSink

from .helpers import AGENT, STREAM, TENANT, gaps, part_files

POOL = 5_000
SEED = 7
META = ("seq", "epoch", "received_at", "stream", "_extra")
TESTS = Path(__file__).parents[1]
EXAMPLES = TESTS.parent / "examples"


def environment(**variables: str) -> dict[str, str]:
    paths = os.pathsep.join([str(TESTS), str(EXAMPLES), *filter(None, sys.path)])
    return {**os.environ, "PYTHONPATH": paths, **variables}


# -- the journal, read from its description -----------------------------------------------------------


def journal_messages(out: Path) -> dict[int, bytes]:
    """Payload of every message in the journal by sequence number, over all segments: the reference reader."""
    found: dict[int, tuple[int, bytes]] = {}
    for generation, first_seq, payloads in _records(out):
        for seq, payload in enumerate(payloads, first_seq):
            if seq not in found or found[seq][0] < generation:
                found[seq] = (generation, payload)
    return {seq: payload for seq, (_, payload) in sorted(found.items())}


def journal_end(out: Path) -> int:
    """Sequence number behind the last message in the journal."""
    return max((first_seq + len(payloads) for _, first_seq, payloads in _records(out)), default=0)


def _records(out: Path) -> Iterator[tuple[int, int, Payloads]]:
    for folder in out.glob("_journal/*"):
        if not (folder / "finished").exists():
            for path in folder.glob("segment-*.rlj"):
                yield from _segment_records(path.read_bytes())


class Payloads(Sequence[bytes]):
    """Payloads of one record, cut out when they are wanted."""

    def __init__(self, data: bytes, at: int, offsets: tuple[int, ...]) -> None:
        self._data = data
        self._at = at
        self._offsets = offsets

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def __getitem__(self, index: Any) -> Any:
        base = self._at - self._offsets[0]
        return self._data[base + self._offsets[index] : base + self._offsets[index + 1]]


def _segment_records(data: bytes) -> Iterator[tuple[int, int, Payloads]]:
    if len(data) < 4096:
        return  # Killed while it was made.
    size, checksum = struct.unpack_from("<IQ", data, 8)
    body = data[20 : 20 + size]
    if data[:8] != b"RLFASTJ1" or xxhash.xxh3_64_intdigest(body) != checksum:
        return
    generation = json.loads(body)["generation"]
    at = 4096
    while at + 64 <= len(data):
        header = struct.Struct("<IIQQqIIQIIQ").unpack_from(data, at)
        magic, kind, of, first_seq, _, _, count, payload_size, note_size, _, checksum = header
        length = 64 + (4 * (count + 1) if count else 0) + payload_size + note_size
        if magic != 0x314A4C52 or of != generation or at + length > len(data):
            return
        whole = data[at : at + 56] + bytes(8) + data[at + 64 : at + length]
        if xxhash.xxh3_64_intdigest(whole, seed=generation) != checksum:
            return
        if kind == 1:
            offsets = struct.unpack_from(f"<{count + 1}I", data, at + 64)
            yield generation, first_seq, Payloads(data, at + 64 + 4 * (count + 1), offsets)
        at += (length + 7) & ~7


# -- a data set, checked ------------------------------------------------------------------------------


class Expected:
    """The simulator's stream as columns: message 0 of a connection is ``connected``; the pool repeats."""

    def __init__(self) -> None:
        payloads = [json.loads(payload) for payload in islice(agent_events(SEED, AGENT, POOL), POOL + 1)]
        self.payloads = payloads
        self.connected = payloads[0]
        self.types = np.array([event["type"] for event in payloads[1:]])
        self.places = np.zeros(POOL, np.int64)
        self.events: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for i, event in enumerate(payloads[1:]):
            self.places[i] = len(self.events[event["type"]])
            self.events[event["type"]].append(event)
        self._tables: dict[str, pa.Table] = {}

    def rows(self, type_: str, schema: pa.Schema, places: Any) -> pa.Table:
        """The rows of one type at these places of the pool, as columns of `schema`."""
        if type_ not in self._tables:
            columns = {
                field.name: pa.array(
                    [_value(event.get(field.name), field.type) for event in self.events[type_]]
                )
                for field in schema
            }
            self._tables[type_] = pa.table(columns)
        return self._tables[type_].take(pa.array(places))


def _value(value: Any, kind: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, list):
        return [_value(item, kind.value_type) for item in value]
    return uuid.UUID(value).bytes if kind == pa.uuid() else value


def _plain(column: Any) -> Any:
    """A column of a file without extension types."""
    column = column.combine_chunks()
    if column.type == pa.uuid():
        return column.storage.cast(pa.binary())
    if pa.types.is_list(column.type) and column.type.value_type == pa.uuid():
        return pa.array([[item.bytes for item in row] for row in column.to_pylist()], pa.list_(pa.binary()))
    if pa.types.is_dictionary(column.type):
        return column.cast(pa.utf8())
    return column


def check(out: Path, expected: Expected, *, least: int = 0) -> int:
    """Check every promise about a data set at rest. Returns the number of its messages, at least `least`.

    All files are readable by two libraries and as the manifest says; seq has no hole and no duplicate; within
    each connection the events are what the simulator sent, from its first one on; between two runs there is a
    gap.
    """
    assert not list(out.rglob(".*.tmp"))
    assert not (out / "_commit.json").exists()
    manifest = read_manifest(out)
    listed = manifest.files
    assert manifest.damaged_lines == ()
    on_disk = [*part_files(out), *out.glob("_gaps/part-*.parquet")]
    assert {path.relative_to(out).as_posix() for path in on_disk} == set(listed)
    for name, file in listed.items():
        data = (out / name).read_bytes()
        assert (len(data), xxhash.xxh3_64_hexdigest(data)) == (file.bytes, file.checksum)
    if not part_files(out):
        assert least == 0
        return 0
    seqs, epochs = [], []
    tables: dict[str, list[pa.Table]] = defaultdict(list)
    for path in part_files(out):
        table = pq.ParquetFile(path).read()
        type_ = next(part for part in path.relative_to(out).parts if part.startswith("type="))
        tables[type_.removeprefix("type=")].append(table)
        seqs.append(table["seq"].to_numpy())
        epochs.append(table["epoch"].to_numpy())
    seq, epoch = np.concatenate(seqs), np.concatenate(epochs)
    order = np.argsort(seq)
    seq, epoch = seq[order], epoch[order]
    np.testing.assert_array_equal(seq, np.arange(len(seq)))
    assert (np.diff(epoch.astype(np.int64)) >= 0).all()
    counted = duckdb.sql(
        f"select count(*), sum(seq), max(seq) from read_parquet('{out}/type=*/**/*.parquet', "
        "union_by_name=true, hive_partitioning=false)"
    ).fetchall()
    assert counted == [(len(seq), len(seq) * (len(seq) - 1) // 2, len(seq) - 1)]
    firsts = dict(zip(*np.unique(epoch, return_index=True), strict=True))
    for type_, found in tables.items():
        for table in found:
            _check_table(type_, table, firsts, expected)
    assert sum(len(found) for found in tables.values()) > 0
    assert len(seq) >= least
    recorded = {gap["epoch"] for gap in gaps(out)}
    assert set(firsts) - {max(firsts)} <= recorded
    return len(seq)


def _check_table(type_: str, table: pa.Table, firsts: dict[int, int], expected: Expected) -> None:
    index = table["seq"].to_numpy() - np.array([firsts[e] for e in table["epoch"].to_numpy()], np.int64)
    if type_ == "connected":
        assert (index == 0).all()
        assert set(map(str, table["agent_id"].to_pylist())) == {AGENT}
        return
    assert (index > 0).all()
    slots = (index - 1) % POOL
    assert (expected.types[slots] == type_).all()
    fields = [field for field in table.schema if field.name not in META]
    wanted = expected.rows(type_, pa.schema(fields), expected.places[slots])
    for field in fields:
        assert _plain(table[field.name]).equals(
            wanted[field.name].combine_chunks().cast(_plain(table[field.name]).type)
        )


# -- processes -----------------------------------------------------------------------------------------


AT_FULL_SPEED = {"rotation": {"max_rows": 100_000, "interval": 0.2}, "batch_wait": 0.05}
RLFAST = [sys.executable, "-c", "import sys; from rlfast.cli import main; sys.exit(main())"]

CAPTURE = """
import asyncio, os, sys
from rlfast import AgentEvent, ConnectionOptions, connect
from rlfast.capture import CaptureOptions, RotationPolicy, capture
from rlfast.errors import CaptureError
from sqlite_sink import SqliteSink

url, stream, out, settings = sys.argv[1], sys.argv[2], sys.argv[3], eval(sys.argv[4])
rotation = RotationPolicy(**settings.pop("rotation", {}))
limits = ConnectionOptions(**settings.pop("limits", {}))
chdir = settings.pop("chdir", None)

if settings.pop("sink", "parquet") == "sqlite":
    out = SqliteSink(out + "/events.db")

async def main():
    if chdir is not None:
        folder, seconds = chdir
        asyncio.get_running_loop().call_later(seconds, os.chdir, folder)
    connecting = connect(url, type=AgentEvent, stream=stream, options=limits, backoff=None)
    await capture(connecting, out, CaptureOptions(rotation=rotation, min_free=0, **settings))

try:
    asyncio.run(main())
except CaptureError as error:
    sys.exit(f"CaptureError: {error}")
"""


def capture_command(url: str, out: Path, **settings: Any) -> list[str]:
    return [sys.executable, "-c", CAPTURE, url, STREAM, str(out), repr(settings)]


def recover_command(out: Path) -> list[str]:
    return [*RLFAST, "recover", str(out)]


RECOVER = """
import sys
from rlfast.capture import recover
from sqlite_sink import SqliteSink
recover(SqliteSink(sys.argv[1]))
"""


class Store:
    """Where the capture of a test goes: a data set, or the example's SQLite file, in the folder `out`."""

    def __init__(self, kind: str, out: Path) -> None:
        self.kind = kind
        self.out = out
        self.log = out if kind == "parquet" else out / "events.db.log"

    def sink(self) -> Sink:
        return ParquetSink(self.out) if self.kind == "parquet" else SqliteSink(self.out / "events.db")

    def capture_command(self, url: str, **settings: Any) -> list[str]:
        return capture_command(url, self.out, sink=self.kind, **settings)

    def recover_command(self) -> list[str]:
        if self.kind == "parquet":
            return recover_command(self.out)
        program = "import sys; from rlfast.capture import recover; from sqlite_sink import SqliteSink; "
        return [
            sys.executable,
            "-c",
            f"{program}recover(SqliteSink(sys.argv[1]))",
            str(self.out / "events.db"),
        ]

    def recover(self) -> RecoveryReport:
        return recover(self.sink())

    def next_seq(self) -> int:
        sink = self.sink()
        sink.folder.mkdir(parents=True, exist_ok=True)
        sink.open("test")
        try:
            return sink.state(STREAM).next_seq
        finally:
            sink.close()

    def check(self, expected: Expected) -> int:
        """Check every promise; return the number of messages."""
        if self.kind == "parquet":
            return check(self.out, expected)
        if not (self.out / "events.db").exists():
            return 0
        with closing(sqlite3.connect(self.out / "events.db")) as connection:
            query = "select seq, epoch, type, fields from events order by seq"
            rows = connection.execute(query).fetchall()
            assert [row[0] for row in rows] == list(range(len(rows)))
            firsts: dict[int, int] = {}
            for seq, epoch, type_, fields in rows:
                index = seq - firsts.setdefault(epoch, seq)
                sent = expected.payloads[index and (index - 1) % POOL + 1]
                found = {"type": type_, **json.loads(fields)}
                assert found == {name: value for name, value in sent.items() if value is not None}
            gaps = connection.execute("select epoch, disconnected_at from gaps").fetchall()
            assert len(set(gaps)) == len(gaps)
            assert set(firsts) - {max(firsts, default=0)} <= {epoch for epoch, _ in gaps}
            return len(rows)


def journal_files(out: Path) -> list[Path]:
    return list(out.glob("_journal/*/segment-*.rlj"))


async def has_journal(process: asyncio.subprocess.Process, out: Path) -> None:
    """Return when a capture into `out` has its journal. No event tells what another process has made."""
    while not journal_files(out):
        await asyncio.sleep(0.002)
        assert process.returncode is None


async def run(command: list[str], **variables: str) -> tuple[int, str]:
    """Run to the end; exit code (negative: signal) and stderr."""
    process = await asyncio.create_subprocess_exec(
        *command, env=environment(**variables), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    _, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, errors.decode()


def agent_url(base: str) -> str:
    return f"{base.replace('http', 'ws', 1)}/api/v1/cognitive/agents/ws?agent_id={AGENT}&tenant_id={TENANT}"
