"""Each benchmark at a tiny size: that it runs and reports, not what it measures."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
needs_compiler = pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler")


def bench(*arguments: str, out: Path) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments, "--rounds", "1", "--out", str(out)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, done.stderr
    assert (out / f"{arguments[0]}.md").read_text().startswith(f"# {arguments[0]}, ")
    found: dict[str, object] = json.loads((out / f"{arguments[0]}.json").read_text())
    assert found["machine"]
    return found


@needs_compiler
def test_latency(tmp_path: Path) -> None:
    arguments = ["--rates", "500", "--seconds", "0.4", "--echoes", "20", "--patterns", "poisson,bursts"]
    found = bench(
        "latency",
        *arguments,
        "--loops",
        "asyncio",
        "--consumers",
        "picows,next_message,batches_1ms",
        out=tmp_path,
    )
    rows = found["rows"]
    assert isinstance(rows, list)
    assert {(row["pattern"], row["consumer"]) for row in rows} >= {
        (pattern, name)
        for pattern in ("poisson", "bursts")
        for name in ("picows", "next_message", "batches_1ms")
    }
    runs = found["runs"]
    assert isinstance(runs, list)
    for run in runs:
        if run["pattern"] != "echo":
            assert run["received"] == run["server"]["count"] == 200
            # What is due cannot be there before: the clocks of both processes are one.
            assert 0 < run["p50"] <= run["max"]
    for name in ("latency_poisson.png", "latency_bursts.png", "latency_echo.png", "latency_p99.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


@needs_compiler
def test_throughput(tmp_path: Path) -> None:
    names = ["floor_discard", "floor_frames", "picows", "next_message", "batches", "websockets_msgspec"]
    if importlib.util.find_spec("Cython") is None:
        names.remove("picows")  # Its counting listener is compiled on the fly.
    arguments = ["--events", "2000", "--connections", "3", "--only", ",".join(names)]
    found = bench("throughput", *arguments, "--scenarios", "events,tls,connections", out=tmp_path)
    rows = found["rows"]
    assert isinstance(rows, list)
    assert [row["contender"] for row in rows if row["scenario"] == "events"] == names
    assert len(rows) == 3 * len(names) - 4
    for row in rows:
        assert row["events"] >= 2000
        assert row["events_per_second"]["median"] > 0
        assert row["cpu_us_per_event"]["median"] > 0
    assert (tmp_path / "throughput.png").read_bytes().startswith(b"\x89PNG")


def test_parquet(tmp_path: Path) -> None:
    found = bench("parquet", "--events", "1000", "--file-events", "1000", out=tmp_path)
    runs = found["runs"]
    assert isinstance(runs, dict)
    assert len(runs) == 9
    assert {run["events"] for each in runs.values() for run in each} == {1000}
    assert (tmp_path / "parquet.png").read_bytes().startswith(b"\x89PNG")


def test_instruction_counts_are_held_to_their_record() -> None:
    from benchmarks.bench_instructions import compare

    rows, worse = compare({"same": 100.0, "new": 5.0, "worse": 104.0}, {"same": 98.0, "worse": 100.0})
    assert worse == ["worse"]
    assert [row[3] for row in rows] == ["1.020", "-", "1.040"]


def test_every_counted_part_does_its_work() -> None:
    from benchmarks._instruction_parts import OTHERS

    for part in OTHERS.values():
        part.work()


def test_growth(tmp_path: Path) -> None:
    found = bench("growth", "--megabytes", "0", "--series", "types", out=tmp_path)
    rows = found["rows"]
    assert isinstance(rows, list)
    assert {row["mode"] for row in rows} == {"messages", "batches"}
    assert all(row["cpu_ns_per_event"]["median"] > 0 for row in rows)
    assert (tmp_path / "growth_types.png").read_bytes().startswith(b"\x89PNG")
