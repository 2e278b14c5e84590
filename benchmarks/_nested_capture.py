"""Nested messages to zstd Parquet: rlfast's capture from the socket, polars and DuckDB from an NDJSON file.

    python -m benchmarks._nested_capture WAY WORKLOAD SOURCE

is one run of one of them, in a process of its own, with all cores; it prints its measurement as JSON.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks import _nested_schemas as schemas
from benchmarks._converters import MODULES, capture
from benchmarks._harness import orders, progress, run
from benchmarks._nested_readers import events_of, write_duckdb, write_ndjson
from benchmarks._nested_workloads import WORKLOADS, Workload, payloads
from benchmarks._servers import firehose
from benchmarks._usage import Usage


def rlfast_capture(workload: Workload, source: str, out: Path) -> None:
    capture(workload.type, durability="process")(source, out)


def polars_file(workload: Workload, source: str, out: Path) -> None:
    import polars as pl

    columns = schemas.fields(workload.type, workload.tag_field)
    frame = pl.scan_ndjson(source, schema=schemas.polars(columns))
    frame = frame.with_columns(schemas.polars_times(columns))
    frame.sink_parquet(out / "all.parquet", compression="zstd", compression_level=1)


def duckdb_file(workload: Workload, source: str, out: Path) -> None:
    import duckdb

    columns = schemas.fields(workload.type, workload.tag_field)
    duckdb.execute(
        f"copy (select * from {schemas.duckdb_source(source, columns)}) to '{out}/all.parquet' "
        "(format parquet, compression zstd, compression_level 1)"
    )


WAYS: dict[str, tuple[str, Callable[[Workload, str, Path], None]]] = {
    "capture": ("rlfast capture, durability process", rlfast_capture),
    "polars_file": ("polars, from a file", polars_file),
    "duckdb_file": ("DuckDB, from a file", duckdb_file),
}


def work(way: str, workload: str, source: str) -> None:
    """Run one contender."""
    for module in MODULES:
        with contextlib.suppress(ModuleNotFoundError):
            importlib.import_module(module)
    out = Path(tempfile.mkdtemp(prefix="rlfast-bench-"))
    try:
        usage = Usage()
        WAYS[way][1](WORKLOADS[workload], source, out)
        result = usage.result()
        files = [path for path in out.rglob("*.parquet") if not path.parent.name.startswith("_")]
        size = sum(path.stat().st_size for path in files)
        print(json.dumps({"rows": sum(map(_rows, files)), "file_bytes": size, **result}))
    finally:
        shutil.rmtree(out)


def _rows(path: Path) -> int:
    import pyarrow.parquet as pq

    return int(pq.read_metadata(path).num_rows)


def measure(
    workloads: list[str], names: list[str], size: int, pool: int, rounds: int
) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Runs by workload and way, each with the bytes of its messages; every event must be in the files."""
    commands: dict[str, list[str]] = {}
    expected: dict[str, tuple[int, int]] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rlfast-bench-")))
        for workload in workloads:
            found = payloads(workload, min(pool, size))
            total = sum(map(len, found))
            repeats = max(1, round(size / total))
            expected[workload] = (
                repeats * sum(len(events_of(payload)) for payload in found),
                repeats * total,
            )
            feed = WORKLOADS[workload]
            columns = schemas.fields(feed.type, feed.tag_field)
            sources: dict[str, str] = {}
            if "capture" in names:
                server = stack.enter_context(firehose(found, repeats))
                sources["capture"] = f"ws://127.0.0.1:{server.port}/"
            if "polars_file" in names:
                path = write_ndjson(folder / f"{workload}.ndjson", found)
                sources["polars_file"] = str(_repeated(path, repeats))
            if "duckdb_file" in names:
                path = write_duckdb(folder / f"{workload}.duckdb.ndjson", found, columns)
                sources["duckdb_file"] = str(_repeated(path, repeats))
            for way, source in sources.items():
                command = [sys.executable, "-m", "benchmarks._nested_capture", way, workload, source]
                commands[f"{workload}/{way}"] = command
        # In the order in which they are shown.
        runs: dict[str, dict[str, list[dict[str, Any]]]] = {workload: {} for workload in workloads}
        for workload, way in (name.split("/") for name in commands):
            runs[workload][way] = []
        # The first round is for the caches of the disk and of the files.
        plan = [*commands, *(name for order in orders(list(commands), rounds) for name in order)]
        for number, name in enumerate(progress(plan)):
            workload, way = name.split("/")
            result: dict[str, Any] = run(name, commands[name])
            rows, total = expected[workload]
            if result["rows"] != rows:
                raise SystemExit(
                    f"{workload}, {WAYS[way][0]}: {result['rows']} of {rows} events are in the files"
                )
            if number >= len(commands):
                runs[workload][way].append({**result, "bytes": total})
    return runs


def _repeated(path: Path, repeats: int) -> Path:
    once = path.read_bytes()
    with path.open("ab") as file:
        for _ in range(repeats - 1):
            file.write(once)
    return path


if __name__ == "__main__":
    work(*sys.argv[1:])
