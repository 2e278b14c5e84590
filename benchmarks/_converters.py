"""Ways from events to Parquet files: rlfast's capture, scripts that a user would write, converters of a file.

Each takes where the events come from, a URL or the path of an NDJSON file, and a folder to write to; it
returns the number of rows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

CHUNK = 50_000
"""Rows that a script collects before it writes them."""

TEXTS = (
    *(
        "type",
        "change_type",
        "sort",
        "term_id",
        "action_sort",
        "deadline",
        "review_id",
        "agent_id",
        "from",
        "to",
    ),
    *("goal_id", "result", "blocked_goal", "impasse_type", "timestamp", "code", "message"),
)
"""Columns with text of the wide table."""


def capture(type_: Any = None, **options: Any) -> Callable[[str, Path], int]:
    """``rlfast capture`` of a type (None: the agent events): a table for each, the last commit included."""

    async def run(url: str, out: Path) -> int:
        import rlfast
        from rlfast.capture import CaptureOptions
        from rlfast.capture import capture as into
        from rlfast.sinks import ParquetOptions, ParquetSink

        names = ParquetOptions.__dataclass_fields__.keys() & options.keys()
        sink = ParquetSink(out / "events", ParquetOptions(**{name: options[name] for name in names}))
        settings = CaptureOptions(**{name: options[name] for name in options.keys() - names})
        async with rlfast.connect(url, type=type_ or rlfast.AgentEvent, backoff=None) as ws:
            return (await into(ws, sink, settings)).events

    return lambda url, out: asyncio.run(run(url, out))


def websockets_json_pyarrow(url: str, out: Path) -> int:
    """What most would write: one wide table, a row group for each chunk."""
    import json

    import pyarrow as pa
    import pyarrow.parquet as pq
    from websockets.asyncio.client import connect

    schema = pa.schema(
        [(name, pa.string()) for name in TEXTS]
        + [("confidence", pa.float64()), ("priority", pa.float64()), ("success", pa.bool_())]
        + [("actions_executed", pa.int64()), ("beliefs_updated", pa.int64())]
        + [(name, pa.list_(pa.string())) for name in ("pending_reviews", "recovery_suggestions")]
    )

    async def run() -> int:
        count = 0
        rows: list[dict[str, Any]] = []
        with pq.ParquetWriter(out / "all.parquet", schema, compression="zstd") as writer:
            async with connect(url, compression=None, max_size=None) as ws:
                async for message in ws:
                    rows.append(json.loads(message))
                    if len(rows) == CHUNK:
                        writer.write_table(pa.Table.from_pylist(rows, schema=schema))
                        count += len(rows)
                        rows.clear()
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))
        return count + len(rows)

    return asyncio.run(run())


def aiohttp_orjson_polars(url: str, out: Path) -> int:
    """The same by who wants it fast: a file for each chunk."""
    import aiohttp
    import orjson
    import polars

    def write(rows: list[dict[str, Any]], number: int) -> int:
        frame = polars.DataFrame(rows, infer_schema_length=None)
        frame.write_parquet(out / f"part-{number}.parquet", compression="zstd", compression_level=1)
        return len(rows)

    async def run() -> int:
        count = number = 0
        rows: list[dict[str, Any]] = []
        async with aiohttp.ClientSession() as session, session.ws_connect(url, max_msg_size=0) as ws:
            async for message in ws:
                rows.append(orjson.loads(message.data))
                if len(rows) == CHUNK:
                    count += write(rows, number)
                    number += 1
                    rows = []
        return count + (write(rows, number) if rows else 0)

    return asyncio.run(run())


def polars_file(source: str, out: Path) -> int:
    """Polars, streaming, on all cores."""
    import polars

    frame = polars.scan_ndjson(source, infer_schema_length=10_000)
    frame.sink_parquet(out / "all.parquet", compression="zstd", compression_level=1)
    return _rows(out)


def duckdb_file(source: str, out: Path) -> int:
    """DuckDB, on all cores."""
    import duckdb

    duckdb.execute(
        f"copy (select * from read_json('{source}', format='newline_delimited')) to '{out}/all.parquet' "
        "(format parquet, compression zstd, compression_level 1)"
    )
    return _rows(out)


def pyarrow_file(source: str, out: Path) -> int:
    """pyarrow, which reads on all cores and writes on one."""
    import pyarrow.json
    import pyarrow.parquet as pq

    pq.write_table(
        pyarrow.json.read_json(source), out / "all.parquet", compression="zstd", compression_level=1
    )
    return _rows(out)


def _rows(out: Path) -> int:
    import pyarrow.parquet as pq

    return int(pq.read_metadata(out / "all.parquet").num_rows)


STREAMS: dict[str, tuple[str, Callable[[str, Path], int], int]] = {
    "capture_none": ("rlfast capture, durability none", capture(durability="none"), 1),
    "capture_process": ("rlfast capture, durability process", capture(durability="process"), 1),
    "capture_machine": ("rlfast capture, durability machine", capture(durability="machine"), 1),
    "capture_binary": (
        "rlfast capture, --uuid binary --timestamps ns",
        capture(durability="process", uuid="binary", timestamps="ns"),
        1,
    ),
    "websockets_json_pyarrow": ("script: websockets + json + pyarrow", websockets_json_pyarrow, 25),
    "aiohttp_orjson_polars": ("script: aiohttp + orjson + polars", aiohttp_orjson_polars, 25),
}
"""Label, function, and which share of the events: the rate of the slow does not depend on the count."""
FILES: dict[str, tuple[str, Callable[[str, Path], int]]] = {
    "polars_file": ("Polars, from a file", polars_file),
    "duckdb_file": ("DuckDB, from a file", duckdb_file),
    "pyarrow_file": ("pyarrow, from a file", pyarrow_file),
}
MODULES = (
    "rlfast.capture",
    "rlfast.capture._recovery",
    "pyarrow.parquet",
    "pyarrow.json",
    "polars",
    "duckdb",
)
