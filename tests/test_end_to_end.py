"""The main job: a stream captured by the command line holds exactly the events that were sent, in order.

Reference: the generator's payloads, parsed by the standard library's json; the files are read by DuckDB. The
number of events is RLFAST_E2E_EVENTS (default 200,000); the full proof takes 5,000,000.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import ssl
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
import trustme
import websockets

from rlfast.simulator._events import agent_events

EVENTS = int(os.environ.get("RLFAST_E2E_EVENTS", "200000"))
POOL = 65_536
SEED = 11
AGENT = str(uuid.UUID(int=0xA))
TENANT = str(uuid.UUID(int=0xB))
PATH = f"/api/v1/cognitive/agents/ws?agent_id={AGENT}&tenant_id={TENANT}"

UUIDS = {"term_id", "review_id", "agent_id", "from", "to", "goal_id", "blocked_goal"}


@contextlib.contextmanager
def simulator(events: int) -> Iterator[str]:
    """The simulator in a process of its own; yields its ws:// URL."""
    command = [sys.executable, "-m", "rlfast.simulator", "--port", "0", "--events", str(events)]
    command += ["--seed", str(SEED), "--pool", str(POOL)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().split()[-1].replace("http://", "ws://")
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


async def run_capture(url: str, out: Path, *arguments: str, **environment: str) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        *[Path(sys.executable).with_name("rlfast"), "capture", url, "--out", str(out), "--json", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **environment},
    )
    stdout, stderr = await process.communicate()
    assert process.returncode == 0, stderr.decode()
    summary: dict[str, Any] = json.loads(stdout)
    return summary


def expected_tables(seed: int) -> dict[str, pa.Table]:
    """The payloads 1..POOL by type, ids as text, with their place in the pool as `place`."""
    rows: dict[str, list[dict[str, Any]]] = {}
    payloads = itertools.islice(agent_events(seed, AGENT, POOL), 1, POOL + 1)
    for place, payload in enumerate(payloads):
        event = json.loads(payload)
        rows.setdefault(event.pop("type"), []).append({"place": place, **event})
    return {name: pa.Table.from_pylist(events) for name, events in rows.items()}


def equal(field: str) -> str:
    """SQL: the captured field of `a` and the sent field of `e` are the same, null included."""
    captured = f'a."{field}"'
    if field in UUIDS:
        captured = f"cast({captured} as varchar)"
    elif field == "pending_reviews":
        captured = f"list_transform({captured}, lambda item: cast(cast(item as uuid) as varchar))"
    return f'{captured} is not distinct from e."{field}"'


def check(out: Path, count: int, seed: int = SEED) -> None:
    """Every event of the stream is in the files once, under its number, with its values."""
    database = duckdb.connect()

    def ask(query: str) -> tuple[Any, ...]:
        row: tuple[Any, ...] = database.execute(query).fetchall()[0]
        return row

    everything = f"read_parquet('{out}/type=*/*.parquet', union_by_name=true, hive_partitioning=true)"
    spans = ask(f"select count(*), count(distinct seq), min(seq), max(seq) from {everything}")
    assert spans == (count, count, 0, count - 1)
    assert ask(f"select type from {everything} where seq = 0") == ("connected",)
    seen = 1
    for name, expected in expected_tables(seed).items():
        database.register("e", expected)
        conditions = [equal(field) for field in expected.column_names if field != "place"]
        options = "filename=true, file_row_number=true"
        database.execute(
            f"""create or replace view a as
            select * from read_parquet('{out}/type={name}/*.parquet', {options}) where seq > 0"""
        )
        (rows,) = ask("select count(*) from a")
        (same,) = ask(
            f"""select count(*) from a join e on (a.seq - 1) % {POOL} = e.place
            where a._extra is null and {" and ".join(conditions)}"""
        )
        assert same == rows, name
        # In order within each file: a reader of one type needs no sort.
        (unordered,) = ask(
            """select count(*) from (
            select seq - lag(seq) over (partition by filename order by file_row_number) as step from a
            ) where step <= 0"""
        )
        assert unordered == 0
        seen += rows
    assert seen == count


async def test_a_capture_of_the_simulator_holds_exactly_the_events_sent(tmp_path: Path) -> None:
    out = tmp_path / "events"
    with simulator(EVENTS) as base:
        summary = await run_capture(base + PATH, out, "--no-reconnect", "--rotate-rows", str(EVENTS // 3))
    assert summary["events"] == EVENTS
    assert (summary["dead_letters"], summary["gaps"]) == (0, 0)
    check(out, EVENTS)
    with pytest.raises(AssertionError):
        check(out, EVENTS, seed=SEED + 1)


@contextlib.asynccontextmanager
async def websockets_server(count: int, context: ssl.SSLContext | None) -> AsyncIterator[int]:
    """The same payloads from a server of another library."""
    payloads = list(itertools.islice(agent_events(SEED, AGENT, POOL), POOL + 1))
    texts = [payload.decode() for payload in payloads]

    async def handler(connection: websockets.ServerConnection) -> None:
        await connection.send(texts[0])
        for number in range(count - 1):
            await connection.send(texts[1 + number % POOL])

    server = await websockets.serve(handler, "127.0.0.1", 0, ssl=context, compression=None)
    try:
        yield next(iter(server.sockets)).getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize("scheme", ["ws", "wss"])
async def test_the_same_from_a_server_of_another_library(tmp_path: Path, scheme: str) -> None:
    count = EVENTS // 4
    out = tmp_path / "events"
    authority = trustme.CA()
    trust = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(trust))
    context = None
    if scheme == "wss":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(context)
    async with websockets_server(count, context) as port:
        url = f"{scheme}://localhost:{port}{PATH}"
        summary = await run_capture(url, out, "--no-reconnect", SSL_CERT_FILE=str(trust))
    assert summary["events"] == count
    assert (summary["dead_letters"], summary["gaps"]) == (0, 0)
    check(out, count)
