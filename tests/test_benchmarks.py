"""Each benchmark at a tiny size: that it runs and reports, not what it measures."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
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


FEEDS = ("jetstream", "depth", "pods", "trades")


@pytest.mark.parametrize("name", FEEDS)
def test_nested_messages_are_the_same_each_time_and_as_large_as_said(name: str) -> None:
    from benchmarks._nested_workloads import WORKLOADS, payloads

    found = payloads(name, 500_000)
    assert 500_000 <= sum(map(len, found)) < 500_000 + len(found[-1])
    assert payloads(name, 500_000) == found
    few = payloads(name, 50_000)
    assert few == found[: len(few)]
    mean = sum(map(len, found)) / len(found)
    assert mean == pytest.approx(WORKLOADS[name].message_bytes, rel=0.1)


@pytest.mark.parametrize("name", FEEDS)
def test_nested_messages_fit_their_types(name: str) -> None:
    from benchmarks._nested_workloads import WORKLOADS, payloads

    def assert_known(sent: Any, kept: Any) -> None:
        """A field that the type does not have would be measured as something else."""
        if isinstance(sent, dict):
            for key, value in sent.items():
                assert_known(value, kept[key])
        elif isinstance(sent, list):
            for value, other in zip(sent, kept, strict=True):
                assert_known(value, other)

    decode = msgspec.json.Decoder(WORKLOADS[name].type).decode
    for payload in payloads(name, 100_000):
        assert_known(json.loads(payload), json.loads(msgspec.json.encode(decode(payload))))


@pytest.mark.parametrize("name", FEEDS)
def test_readers_of_nested_messages_agree(name: str, tmp_path: Path) -> None:
    from benchmarks._nested_readers import FROM_FILES, IN_MEMORY
    from benchmarks._nested_workloads import WORKLOADS, payloads

    feed, found = WORKLOADS[name], payloads(name, 50_000)
    expected = IN_MEMORY["msgspec"](feed, found).checksum()
    assert expected.rows >= len(found)
    readers = [IN_MEMORY[mode](feed, found) for mode in ("messages", "lists")]
    readers += [FROM_FILES[other](feed, found, tmp_path) for other in ("duckdb", "pyarrow")]
    for reader in readers:
        assert reader.checksum().difference(expected) == ""
    # One message less, and they would not.
    assert IN_MEMORY["msgspec"](feed, found[1:]).checksum().difference(expected).startswith("rows ")


def test_checksum_of_rlfasts_columns_is_that_of_structs() -> None:
    from benchmarks._nested_readers import IN_MEMORY
    from benchmarks._nested_workloads import Workload

    class Left(msgspec.Struct, tag=True):
        number: int
        text: str | None = None
        texts: list[str] = []

    class Right(msgspec.Struct, tag=True):
        number: int
        share: float
        done: bool

    events = [Left(i, None if i % 3 else f"é{i}", ["a"] * (i % 4)) for i in range(-50, 50)]
    events += [Right(i, i / 7, i % 2 == 0) for i in range(100)]
    found = [msgspec.json.encode(event) for event in events]
    feed = Workload(Left | Right, lambda source: iter(found), 40, "type")
    expected = IN_MEMORY["msgspec"](feed, found).checksum()
    assert (expected.rows, expected.trues, expected.items) == (200, 50, 150)
    assert IN_MEMORY["rlfast"](feed, found).checksum().difference(expected) == ""


def test_nested(tmp_path: Path) -> None:
    only = "cpp,polars,duckdb,pyarrow,messages,lists,msgspec,polars_file,duckdb_file"
    sizes = ["--megabytes", "0.1", "--capture-megabytes", "0.1"]
    found = bench("nested", *sizes, "--workloads", "pods,trades", "--only", only, out=tmp_path)
    decode, capture = found["decode"], found["capture"]
    assert isinstance(decode, dict)
    assert isinstance(capture, dict)
    for name in ("pods", "trades"):
        assert decode["sizes"][name]["bytes"] >= 100_000
        assert decode["seconds"][name].keys() >= {*only.split(",")} - {"cpp", "polars_file", "duckdb_file"}
        assert all(seconds > 0 for each in decode["seconds"][name].values() for seconds in each)
        assert capture[name].keys() == {"polars_file", "duckdb_file"}
    assert (tmp_path / "nested.png").read_bytes().startswith(b"\x89PNG")
