from __future__ import annotations

import asyncio
import json
import signal
import uuid
from pathlib import Path

import psutil
from capture.helpers import part_files, rows

from rlfast.capture import inspect_dataset
from rlfast.sinks.parquet._manifest import read_manifest

from .helpers import assert_one_line, run, start

MARK = uuid.uuid4().hex
MARKED = {"RLFAST_TEST_MARK": MARK}


def simulators() -> list[int]:
    """Processes of the simulator that this test module's demos have started and that still run."""
    found = []
    for process in psutil.process_iter():
        try:
            arguments, marked = process.cmdline(), process.environ().get("RLFAST_TEST_MARK")
        except (psutil.AccessDenied, psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
        if "rlfast.simulator" in arguments and marked == MARK:
            found.append(process.pid)
    return found


def test_the_demo_writes_shows_and_names_a_folder(tmp_path: Path) -> None:
    done = run("demo", "--seconds", "1", TMPDIR=str(tmp_path), **MARKED)
    assert done.returncode == 0, done.stderr
    (out,) = tmp_path.glob("rlfast-demo-*")
    for text in ("kb_change", "share", "events/s", "files", "size", "bytes/event", "all types"):
        assert text in done.stdout
    assert f"rlfast inspect {out}" in done.stdout
    assert f"from read_parquet('{out}/type=kb_change/*.parquet') limit 5" in done.stdout
    report = inspect_dataset(out)
    assert report.healthy
    assert report.events > 10_000
    assert report.streams[next(iter(report.streams))].holes == 0
    assert f"{report.events:,}" in done.stdout
    assert simulators() == []


def test_the_demo_as_json_at_a_rate_into_a_folder(tmp_path: Path) -> None:
    done = run("demo", "--seconds", "1s", "--rate", "2000", "--out", tmp_path, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    summary = json.loads(done.stdout)
    assert done.stdout.count("\n") == 1
    assert 500 < summary["events"] < 10_000
    assert summary["events"] == len(rows(tmp_path))
    assert summary["out"] == str(tmp_path)
    again = json.loads(run("demo", "--seconds", "1s", "--rate", "2000", "--out", tmp_path, "--json").stdout)
    assert again["first_seq"] == summary["last_seq"] + 1


async def test_an_interrupted_demo_saves_its_data_and_ends_its_simulator(tmp_path: Path) -> None:
    process = await start("demo", "--seconds", "60", "--rate", "20000", "--out", tmp_path, extra=MARKED)
    assert process.stderr is not None
    while b"capturing simulated events" not in await process.stderr.readline():
        pass
    process.send_signal(signal.SIGINT)
    out, err = await process.communicate()
    assert process.returncode == 130, err
    assert b"Try next" in out
    assert len(rows(tmp_path)) == sum(entry.events for entry in read_manifest(tmp_path).entries)
    assert simulators() == []


async def test_a_demo_interrupted_before_its_simulator_is_ready(tmp_path: Path) -> None:
    process = await start("demo", "--out", tmp_path, extra=MARKED)
    while not simulators():
        await asyncio.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    out, err = await process.communicate()
    assert (process.returncode, err) == (0, b"")
    assert part_files(tmp_path) == []
    assert b"Traceback" not in out
    assert simulators() == []


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = run("demo", "--out", tmp_path / "file")
    assert (done.returncode, done.stdout) == (1, "")
    assert_one_line(done.stderr, "cannot write to the folder")


def test_a_simulator_that_does_not_start_is_told(tmp_path: Path) -> None:
    done = run("demo", "--rate", "-1", "--out", tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert_one_line(done.stderr, "the simulator did not start: ", "rate must be a positive number")
