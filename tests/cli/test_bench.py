from __future__ import annotations

import json
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from rlfast import Sequence
from rlfast.cli._continuity import ContinuityOptions
from rlfast.metrics._histogram import Histogram

from .helpers import agent_arguments, assert_one_line, environment, run, simulator, start

STAMPING = """
import asyncio, json, sys, time
from websockets.asyncio.server import serve

async def stamp(ws):
    late = {"/old": 7200, "/early": -5}.get(ws.request.path, 0.002)
    for i in range(500):
        if i % 10 == 0:
            await asyncio.sleep(0.001)
        field = "when" if ws.request.path == "/other" else "ts"
        await ws.send(json.dumps({"n": i + i // 100, field: time.time() - late}))
    if ws.request.path == "/drop":
        ws.transport.abort()

async def main():
    async with serve(stamp, "127.0.0.1", 0, compression=None) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)

asyncio.run(main())
"""
"""A server of 500 events in each stream, which say that they were sent two milliseconds ago."""


@pytest.fixture(scope="module")
def stamping() -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", STAMPING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield f"ws://127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


def measured(*arguments: str | Path) -> dict[str, object]:
    done = run("bench", *arguments, "--json", "-")
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert done.stdout.count("\n") == 1
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_the_rate_of_agent_events_for_a_time(base_url: str) -> None:
    found = measured(*agent_arguments(base_url), "--duration", "1.5s")
    assert found["typed"] is True
    assert found["dead_letters"] == 0
    rates = found["events_per_second"]
    assert isinstance(rates, dict)
    # Paced at 20,000; a busy machine may be behind for a while.
    assert 2_000 < rates["mean"] < 60_000
    assert rates["min"] <= rates["median"] <= rates["max"]
    between = found["inter_arrival_ns"]
    assert isinstance(between, dict)
    assert between["count"] == found["events"] - 1
    assert len(Histogram.from_text(between["hdr"])) == between["count"]
    # The simulator's times are those of its story, not of sending.
    assert found["latency_ns"]["count"] == 0
    assert found["latency_ns"]["late"] > 0


def test_a_number_of_events_untyped(base_url: str) -> None:
    found = measured(*agent_arguments(base_url), "--events", "3000", "--untyped", "--timestamp", "-")
    assert found["typed"] is False
    assert 3000 <= found["events"] < 60_000
    assert found["latency_ns"] == {"count": 0, "early": 0, "late": 0, "untimed": 0}


def test_latency_where_events_say_when_they_were_sent(stamping: str) -> None:
    found = measured(f"{stamping}/")
    assert (found["events"], found["error"]) == (500, None)
    latency = found["latency_ns"]
    assert isinstance(latency, dict)
    assert (latency["count"], latency["early"], latency["late"]) == (500, 0, 0)
    assert 2e6 <= latency["p50"] <= latency["p99"] <= latency["max"] < 60e9


def test_the_field_with_the_time_can_be_named(stamping: str) -> None:
    assert measured(f"{stamping}/other")["latency_ns"]["untimed"] == 500
    assert measured(f"{stamping}/other", "--timestamp", "when")["latency_ns"]["count"] == 500


def test_times_that_cannot_be_latencies_are_counted_apart(stamping: str) -> None:
    assert measured(f"{stamping}/early")["latency_ns"] == {"count": 0, "early": 500, "late": 0, "untimed": 0}
    assert measured(f"{stamping}/old")["latency_ns"] == {"count": 0, "early": 0, "late": 500, "untimed": 0}
    done = run("bench", f"{stamping}/early")
    assert "500 events have a time later than their arrival" in done.stdout


def test_a_person_gets_figures_bars_json_and_a_plot(stamping: str, tmp_path: Path) -> None:
    files = ["--json", tmp_path / "out.json", "--png", tmp_path / "out.png"]
    done = run("bench", f"{stamping}/", *files)
    assert done.returncode == 0
    assert_one_line(f"rlfast: {done.stderr}", "measuring 127.0.0.1", "for 10 s")
    for text in ("500 events", "events/s", "between events", "together", "latency", "p99.9", "█", "ms"):
        assert text in done.stdout
    assert json.loads((tmp_path / "out.json").read_text())["events"] == 500
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")


def test_types_that_do_not_fit_are_counted(stamping: str, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("import msgspec\nclass Tick(msgspec.Struct):\n    n: str\n")
    path = f"{environment()['PYTHONPATH']}:{tmp_path}"
    done = run("bench", f"{stamping}/", "--types", "mine:Tick", PYTHONPATH=path)
    assert done.returncode == 0, done.stderr
    assert "500 events do not fit the type" in done.stdout


def test_a_lost_connection_is_told_and_what_came_is_shown(stamping: str) -> None:
    done = run("bench", f"{stamping}/drop", "--json", "-")
    assert done.returncode == 0
    assert_one_line(done.stderr, "the stream ended: ", "connection_lost")


def test_a_stream_without_events() -> None:
    with simulator("--events", "0") as url:
        done = run("bench", *agent_arguments(url), "--duration", "2s")
    assert (done.returncode, done.stdout) == (1, "")
    assert_one_line(done.stderr, "no event arrived")


def test_nobody_listens() -> None:
    done = run("bench", "ws://127.0.0.1:9/")
    assert (done.returncode, done.stdout) == (1, "")
    assert_one_line(done.stderr, "connect failed")


async def test_an_interrupt_ends_it_with_the_report(base_url: str) -> None:
    process = await start("bench", *agent_arguments(base_url), "--duration", "1h")
    assert process.stderr is not None
    assert b"measuring" in await process.stderr.readline()
    process.send_signal(signal.SIGINT)
    out, err = await process.communicate()
    assert (process.returncode, err) == (130, b"")
    assert b"events/s" in out


@pytest.mark.parametrize(("package", "arguments"), [("hdrh", []), ("matplotlib", ["--png", "x.png"])])
def test_without_the_extra_the_command_says_what_to_install(package: str, arguments: list[str]) -> None:
    code = (
        f"import sys; sys.modules[{package!r}] = None; sys.modules['hdrh.histogram'] = "
        f"None if {package!r} == 'hdrh' else __import__('hdrh.histogram').histogram; "
        f"from rlfast.cli import main; sys.exit(main(['bench', 'ws://127.0.0.1:9/', *{arguments!r}]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert_one_line(done.stderr, "is not installed; run: pip install 'rlfast[bench]'")


def test_the_numbers_of_messages(stamping: str) -> None:
    stream = f"{stamping}/stream"
    found = measured(stream, "--events", "500", "--sequence", "/n")
    assert (found["checked_numbers"], found["sequence_gaps"], found["skipped_numbers"]) == (500, 4, 4)
    done = run("bench", stream, "--events", "500", "--sequence", "/n")
    assert "numbers of messages 500, gaps in them 4, jumped over 4, not checked 0\n" in done.stdout
    done = run("bench", stream, "--events", "500", "--sequence", "/m")
    assert_one_line(done.stderr.splitlines(keepends=True)[-1], "no message has a whole number at /m")
    options = ContinuityOptions(sequence="/U", sequence_by="/s", sequence_last="/u", sequence_step=0)
    assert options.arguments()["sequence"] == Sequence("/U", by="/s", last="/u", step=0)
    for option in ("--sequence-by=/n", "--sequence-last=/n", "--sequence-step=0"):
        done = run("bench", stream, option)
        assert done.returncode == 2
        assert_one_line(done.stderr, "need --sequence POINTER")


def test_the_examples_with_a_simulator_work_as_the_help_shows_them() -> None:
    """Every line of the help that names this machine, with ids and a port of this test's own."""
    shown = run("bench", "--help", COLUMNS="200").stdout
    examples = [line.split() for line in shown.replace("│", " ").splitlines() if "127.0.0.1" in line]
    assert examples
    with simulator("--rate", "5000") as base_url:
        for program, command, *arguments in examples:
            assert (program, command) == ("rlfast", "bench")
            words = [word.replace("http://127.0.0.1:8765", base_url) for word in arguments]
            words = [str(uuid.uuid4()) if word == "ID" else word for word in words]
            found = measured(*words, "--events", "20")
            assert found["events"] >= 20
