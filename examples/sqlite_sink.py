"""A sink of one's own: a capture into an SQLite file, exactly once, also through `kill -9`.

    python sqlite_sink.py wss://HOST/PATH events.db

What a sink promises is that a commit is one: its rows, its gaps and its state are there together, or none of
them is. Here that is one transaction. The write-ahead log, the recovery after a crash and the decision when
to commit are the capture's. Needs ``rlfast[capture]``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

import rlfast
from rlfast.capture import capture
from rlfast.sinks import FolderLock, Opened, Rows, Sink, StreamState, StreamWriter

SCHEMA = """
create table if not exists events
    (stream text, seq integer, epoch integer, received_at integer, type text, fields text, primary key
    (stream, seq));
create table if not exists dead_letters
    (stream text, seq integer, epoch integer, received_at integer, reason text, error text, raw blob,
     primary key (stream, seq));
create table if not exists gaps
    (stream text, epoch integer, last_seq integer, disconnected_at integer, reason text, gap text);
create table if not exists streams (stream text primary key, state text);
"""


class SqliteSink(Sink):
    """Rows into the tables of one file; beside it, a folder for the log and the lock."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).absolute()
        self.folder = self.path.with_name(f"{self.path.name}.log")
        self._open = contextlib.ExitStack()

    def open(self, work: str) -> Opened:
        lock = FolderLock(self.folder, work)
        lock.acquire()
        with contextlib.ExitStack() as undo:
            undo.callback(lock.release)
            try:
                # A transaction that a crash left half made is rolled back by SQLite.
                self.connection = sqlite3.connect(self.path, check_same_thread=False)
                undo.callback(self.connection.close)
                # A commit is durable when it returns: the log is freed then.
                self.connection.executescript(f"pragma synchronous = extra; {SCHEMA}")
            except sqlite3.Error as error:
                raise rlfast.CaptureError(f"cannot open {self.path}: {error}") from error
            self._open = undo.pop_all()
        return Opened()

    def close(self) -> None:
        self._open.close()

    def state(self, stream: str) -> StreamState:
        found = self.connection.execute("select state from streams where stream = ?", (stream,)).fetchone()
        return StreamState() if found is None else msgspec.json.decode(found[0], type=StreamState)

    def gaps(self, stream: str) -> Collection[rlfast.Gap]:
        rows = self.connection.execute("select gap from gaps where stream = ?", (stream,))
        return [msgspec.json.decode(text, type=rlfast.Gap) for (text,) in rows]

    def writer(self, stream: str, settings: Mapping[str, Any] | None = None) -> SqliteWriter:
        return SqliteWriter(self.connection, stream)


class SqliteWriter(StreamWriter):
    """Writes one stream. What is not committed is in an open transaction."""

    def __init__(self, connection: sqlite3.Connection, stream: str) -> None:
        self._connection = connection
        self._stream = stream
        self._size = 0

    def prepare(self, batch: rlfast.EventBatch, last_seq: int) -> Sequence[Rows]:
        return [Rows.of(batch, last_seq, batch)]

    def write(self, rows: Rows) -> int:
        batch: rlfast.EventBatch = rows.content
        for type_, table in (*batch.items(), (None, batch.dead_letters)):
            own = table.own_names
            count = rows.counts.get(type_, 0)
            received_at = table[own.received_at][:count].view("int64").tolist() if count else []
            columns = pa.record_batch(table).drop_columns([own.received_at])
            found = columns.slice(0, count).to_pylist() if count else []
            for row, time in zip(found, received_at, strict=True):
                head = (self._stream, row.pop(own.seq), row.pop(own.epoch), time)
                if type_ is None:
                    values = (*head, row["reason"], row["error"], row["raw"])
                    self._connection.execute("insert into dead_letters values (?, ?, ?, ?, ?, ?, ?)", values)
                else:
                    fields = {name: value for name, value in row.items() if value is not None}
                    text = json.dumps(fields, default=str)
                    self._connection.execute(
                        "insert into events values (?, ?, ?, ?, ?, ?)", (*head, type_, text)
                    )
        self._size += batch.payload_bytes
        return self._size

    def add_gap(self, gap: rlfast.Gap) -> None:
        values = self._stream, gap.epoch, gap.last_seq, gap.disconnected_at, gap.reason
        text = msgspec.json.encode(gap).decode()
        self._connection.execute("insert into gaps values (?, ?, ?, ?, ?, ?)", (*values, text))

    def commit(self, state: StreamState) -> None:
        text = msgspec.json.encode(state).decode()
        self._connection.execute("insert or replace into streams values (?, ?)", (self._stream, text))
        self._connection.commit()
        self._size = 0

    def abort(self) -> None:
        self._connection.rollback()
        self._size = 0


async def main(url: str, path: str) -> None:
    summary = await capture(rlfast.connect(url, backoff=rlfast.Backoff.capture()), SqliteSink(path))
    print(f"{summary.events} events, {summary.gaps} gaps: {summary.reason}")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
