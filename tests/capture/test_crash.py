"""Captures that are killed: at each call that changes the disk, and at random moments at full speed.

``RLFAST_KILLS=1000 pytest tests/capture/test_crash.py`` for more than the kills of every day.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from sample_events import PAYLOADS
from wsserver import Peer, frame, serve

from rlfast.capture import compact, inspect_dataset, recover
from rlfast.simulator import Simulator, SimulatorOptions
from rlfast.sinks import ParquetOptions
from rlfast.sinks.parquet._manifest import read_manifest

from .crashing import (
    AT_FULL_SPEED,
    POOL,
    SEED,
    TESTS,
    Expected,
    Store,
    agent_url,
    capture_command,
    check,
    environment,
    has_journal,
    journal_end,
    journal_messages,
    recover_command,
    run,
)
from .helpers import STREAM, rows, sent, write
from .test_burial import UNKNOWN
from .test_recovery import leave

KILLS = int(os.environ.get("RLFAST_KILLS", "50"))
KILLED = -9
N = len(PAYLOADS)
TYPES = """
import msgspec
from rlfast import AgentEvent

class PlanRevised(msgspec.Struct, tag="plan_revised", tag_field="type"):
    plan: str
    steps: int

Event = AgentEvent | PlanRevised
"""


class Typed(msgspec.Struct):
    type: str


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="preloads a library; kills by SIGKILL")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The library that makes the file system fail."""
    if shutil.which("cc") is None:
        pytest.skip("needs a C compiler")
    path = tmp_path_factory.mktemp("faults") / "faults.so"
    source = Path(__file__).parent / "faults.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", path, source, "-ldl"], check=True)
    return str(path)


@pytest.fixture(scope="module")
def expected() -> Expected:
    return Expected()


def simulator_options(**arguments: object) -> SimulatorOptions:
    return SimulatorOptions(pool=POOL, seed=SEED, **arguments)  # type: ignore[arg-type]


def preload(library: str, out: Path, at: int, do: str, ops: str = "any", **more: str) -> dict[str, str]:
    return {
        "LD_PRELOAD": library,
        "FAULT_DIR": str(out),
        "FAULT_OPS": ops,
        "FAULT_AT": str(at),
        "FAULT_DO": do,
        **more,
    }


async def count_calls(command: list[str], library: str, out: Path, tmp_path: Path) -> int:
    counted = tmp_path / "calls"
    code, errors = await run(command, **preload(library, out, 0, "kill", FAULT_COUNT=str(counted)))
    assert (code, errors) == (0, "")
    return int(counted.read_text())


def some(calls: int, wanted: int) -> list[int]:
    """Numbers of calls: all of them, or as many as wanted, spread evenly, with the last ones among them."""
    if calls <= wanted:
        return list(range(1, calls + 1))
    step = calls / wanted
    return sorted({max(1, round(calls - i * step)) for i in range(wanted)})


SETTINGS = {"batch_rows": 700, "rotation": {"max_rows": 1500}, "journal_bytes": 8 << 20}


EACH_SINK = pytest.mark.parametrize("kind", ["parquet", "sqlite"])


@EACH_SINK
@pytest.mark.timeout(120 + 2 * KILLS)
@pytest.mark.parametrize("do", ["kill", "tear"])
async def test_killed_at_any_call_of_a_capture(
    tmp_path: Path, library: str, expected: Expected, do: str, kind: str
) -> None:
    async with Simulator(simulator_options(events=4_000, rate=100_000)) as simulator:
        url = agent_url(simulator.base_url)
        store = Store(kind, tmp_path / "counted")
        command = store.capture_command(url, **SETTINGS)
        calls = await count_calls(command, library, store.out, tmp_path)
        assert store.check(expected) == 4_000
        killed = 0
        for at in some(calls, max(6, KILLS // 4)):
            store = Store(kind, tmp_path / f"{do}-{at}")
            command = store.capture_command(url, **SETTINGS)
            code, _ = await run(command, **preload(library, store.out, at, do))
            killed += code == KILLED
            if store.log.exists():
                journal = journal_messages(store.log)
                store.recover()
                assert store.check(expected) >= max(journal, default=-1) + 1
                assert store.recover().nothing_to_do
                shutil.rmtree(store.out)
    assert killed


@EACH_SINK
@pytest.mark.timeout(120 + 2 * KILLS)
async def test_killed_at_any_call_of_a_recovery(
    tmp_path: Path, library: str, expected: Expected, kind: str
) -> None:
    left = Store(kind, tmp_path / "left")
    async with Simulator(simulator_options(rate=200_000)) as simulator:
        url = agent_url(simulator.base_url)
        command = left.capture_command(url, batch_rows=700, journal_bytes=8 << 20)
        process = await asyncio.create_subprocess_exec(*command, env=environment())
        while len(journal_messages(left.log)) < 3_000:
            await asyncio.sleep(0.01)
        process.kill()
        await process.wait()
    journal = journal_messages(left.log)
    store = Store(kind, tmp_path / "counted")
    shutil.copytree(left.out, store.out)
    calls = await count_calls(store.recover_command(), library, store.out, tmp_path)
    assert store.check(expected) == max(journal) + 1
    killed = 0
    for at in some(calls, max(6, KILLS // 4)):
        store = Store(kind, tmp_path / f"at-{at}")
        shutil.copytree(left.out, store.out)
        code, _ = await run(store.recover_command(), **preload(library, store.out, at, "kill"))
        killed += code == KILLED
        store.recover()
        assert store.check(expected) == max(journal) + 1
        shutil.rmtree(store.out)
    assert killed


@pytest.mark.timeout(120 + 2 * KILLS)
@pytest.mark.parametrize("work", ["compact", "redrive"])
async def test_killed_at_any_call_of_a_change_at_rest(tmp_path: Path, library: str, work: str) -> None:
    """Compaction and redrive: whatever the call, all events are there once, before and after recovery."""
    left = tmp_path / "left"
    for first in range(0, 3 * N, N):
        write(left, PAYLOADS, first_seq=first)
    write(left, [*PAYLOADS[:2], UNKNOWN % (1, 2), b"{", PAYLOADS[2]], first_seq=3 * N)
    (tmp_path / "newer_events.py").write_text(TYPES)
    paths = os.pathsep.join([str(tmp_path), str(TESTS), *filter(None, sys.path)])
    arguments = [work, *(["--types", "newer_events:Event"] if work == "redrive" else [])]

    def command(out: Path) -> list[str]:
        line = "import sys; from rlfast.cli import main; sys.exit(main())"
        return [sys.executable, "-c", line, arguments[0], str(out), *arguments[1:]]

    out = tmp_path / "counted"
    shutil.copytree(left, out)
    counted = tmp_path / "calls"
    variables = preload(library, out, 0, "kill", FAULT_COUNT=str(counted), PYTHONPATH=paths)
    assert await run(command(out), **variables) == (0, "")
    assert_at_rest(out, redriven=work == "redrive")
    killed = 0
    for at in some(int(counted.read_text()), max(8, KILLS // 4)):
        out = tmp_path / f"at-{at}"
        shutil.copytree(left, out)
        code, _ = await run(command(out), **preload(library, out, at, "kill", PYTHONPATH=paths))
        killed += code == KILLED
        recover(out)
        assert_at_rest(out, redriven=None if work == "redrive" else False)
        assert await run(command(out), PYTHONPATH=paths) == (0, "")
        assert_at_rest(out, redriven=work == "redrive")
        shutil.rmtree(out)
    assert killed


@pytest.mark.parametrize("end", ["stopped", "crashed"])
async def test_a_clock_set_back_hides_no_interruption(tmp_path: Path, library: str, end: str) -> None:
    out = tmp_path / "out"
    hours = [3, 2, 0, 1]
    async with Simulator(simulator_options(events=200, rate=100_000)) as simulator:
        command = capture_command(
            agent_url(simulator.base_url), out, batch_rows=20, rotation={"max_rows": 50}
        )
        for number, hour in enumerate(hours):
            ahead = {"LD_PRELOAD": library, "FAULT_CLOCK": str(3600 * hour)}
            if end == "crashed" and number < len(hours) - 1:
                fault = preload(library, out, 30, "kill", "write,rename")
                assert (await run(command, **{**fault, **ahead}))[0] == KILLED
                assert await run(recover_command(out), **ahead) == (0, "")
                assert recover(out).nothing_to_do
            else:
                assert await run(command, **ahead) == (0, "")
    reason = "crashed" if end == "crashed" else "capture_stopped"
    recorded = [gap for entry in read_manifest(out).entries for gap in entry.gaps]
    assert [gap.reason for gap in recorded] == 3 * [reason]
    assert [gap.epoch for gap in recorded] == [1, 2, 3]
    assert inspect_dataset(out).gaps == tuple(recorded)
    times = [gap.reconnected_at or 0 for gap in recorded]
    assert times[0] > times[1] < times[2]


WIDE = """
import asyncio, sys, typing
import wide_events
from rlfast import connect
from rlfast.capture import CaptureOptions, capture

async def main():
    union = typing.Union[tuple(wide_events.TYPES)]
    async with connect(sys.argv[1], type=union, stream="wide") as ws:
        await capture(ws, sys.argv[2], CaptureOptions(min_free=0))

asyncio.run(main())
"""
WIDE_EVENTS = """
import msgspec

TYPES = [
    msgspec.defstruct(f"EventOfAVeryWideUnion{n}", [("n", int)], tag=f"e{n}", module=__name__)
    for n in range(200)
]
globals().update({type_.__name__: type_ for type_ in TYPES})
"""


async def test_a_union_of_200_structs_is_recovered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wide_events.py").write_text(WIDE_EVENTS)
    monkeypatch.syspath_prepend(str(tmp_path))
    out = tmp_path / "out"

    async def handler(peer: Peer) -> None:
        await peer.write(*(frame(b'{"type":"e%d","n":%d}' % (n, n)) for n in range(200)))
        await peer.wait_closed()

    async with serve(handler) as server:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", WIDE, server.url, str(out), env=environment()
        )
        while len(journal_messages(out)) < 200:
            await asyncio.sleep(0.01)
            assert process.returncode is None
        process.kill()
        await process.wait()
    (found,) = recover(out).streams
    assert (found.messages, found.dead_letters) == (200, 0)
    assert rows(out) == {n: {"type": f"e{n}", "n": n} for n in range(200)}
    assert leftovers(out) == []


LEFTOVERS = ("capture", "recover", "compact --unify", "redrive --types newer_events:Event")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("work", LEFTOVERS)
async def test_nothing_is_left_after_a_kill_while_something_is_removed(
    tmp_path: Path, library: str, work: str
) -> None:
    """A kill at each removal of a file or folder; `recover`, `compact` and the next capture all clean up."""
    (tmp_path / "newer_events.py").write_text(TYPES)
    paths = os.pathsep.join([str(tmp_path), str(TESTS), *filter(None, sys.path)])
    left = tmp_path / "left"
    if work.startswith("recover"):
        leave(left, PAYLOADS)
        (left / "type=gone" / "date=2026-01-01").mkdir(parents=True)
        (left / "type=gone" / ".part-x.parquet.1b.tmp").touch()
    elif work.startswith("compact"):
        # The folder's name hides a column: its files move, as those of earlier versions do.
        write(left, [b'{"type":"a"}'], type_=Typed, options=ParquetOptions(partition_by="day"))
        (hidden,) = left.glob("rlfast_type=*")
        moved = hidden.rename(left / hidden.name.removeprefix("rlfast_"))
        manifest = left / "_manifest.jsonl"
        manifest.write_text(manifest.read_text().replace(hidden.name, moved.name))
    elif work.startswith("redrive"):
        write(left, [UNKNOWN % (1, 2)])

    async with Simulator(simulator_options(events=50, rate=100_000)) as simulator:

        def capture(out: Path) -> list[str]:
            return capture_command(agent_url(simulator.base_url), out)

        def command(out: Path) -> list[str]:
            if work == "capture":
                return capture(out)
            line = "import sys; from rlfast.cli import main; sys.exit(main())"
            name, *arguments = work.split()
            return [sys.executable, "-c", line, name, str(out), *arguments]

        def copy(name: str) -> Path:
            if left.exists():
                shutil.copytree(left, tmp_path / name)
            return tmp_path / name

        out = copy("counted")
        counted = tmp_path / "calls"
        variables = preload(library, out, 0, "kill", "unlink,rmdir", FAULT_COUNT=str(counted))
        assert await run(command(out), **variables, PYTHONPATH=paths) == (0, "")
        assert leftovers(out) == []
        calls = int(counted.read_text())
        assert calls > 1
        for at in range(1, calls + 1):
            out = copy(f"at-{at}")
            variables = preload(library, out, at, "kill", "unlink,rmdir", PYTHONPATH=paths)
            assert (await run(command(out), **variables))[0] == KILLED
            again = tmp_path / "again"
            for clean_up in (recover, compact):
                shutil.copytree(out, again)
                clean_up(again)
                assert leftovers(again) == []
                shutil.rmtree(again)
            if at in (1, calls - 1, calls):
                assert await run(capture(out)) == (0, "")
                assert leftovers(out) == []
            shutil.rmtree(out)


def leftovers(out: Path) -> list[str]:
    """What has no place in a data set at rest."""
    found = [path for path in out.rglob("*") if path.is_dir() and not any(path.iterdir())]
    found += [*out.rglob(".*"), *out.glob("_journal*"), *out.glob("_commit*"), *out.glob("_lock.json")]
    return sorted(path.relative_to(out).as_posix() for path in found)


def assert_at_rest(out: Path, redriven: bool | None) -> None:
    report = inspect_dataset(out)
    assert report.healthy
    assert (report.unlisted, report.lost, report.unfinished) == ((), (), ())
    assert report.streams[STREAM].holes == 0
    assert report.streams[STREAM].messages == 3 * N + 5
    assert report.dead_letters in ((1, 2) if redriven is None else (1,) if redriven else (2,))
    found = rows(out)
    found.pop(3 * N + 2, None)
    assert list(found.values()) == sent([*PAYLOADS * 3, *PAYLOADS[:3]])


# ENOSPC (28) and EIO (5), for good ("+") or once; short writes.
@pytest.mark.timeout(120 + 2 * KILLS)
@pytest.mark.parametrize(
    ("ops", "do", "message"),
    [
        ("write", "28+", "No space left on device"),
        ("write", "28", "No space left on device"),
        ("write", "5", "Input/output error"),
        ("fsync", "5", "Input/output error"),
        ("rename", "5", "Input/output error"),
        ("open", "28", "No space left on device"),
        ("allocate", "28", "No space left on device"),
        ("write", "short", ""),
    ],
)
async def test_a_failing_file_system_costs_nothing(
    tmp_path: Path, library: str, expected: Expected, ops: str, do: str, message: str
) -> None:
    async with Simulator(simulator_options(events=4_000, rate=100_000)) as simulator:
        url = agent_url(simulator.base_url)
        out = tmp_path / "counted"
        counted = tmp_path / "calls"
        variables = preload(library, out, 0, do, ops, FAULT_COUNT=str(counted))
        assert await run(capture_command(url, out, **SETTINGS), **variables) == (0, "")
        for at in some(int(counted.read_text()), max(3, KILLS // 12)):
            out = tmp_path / f"at-{at}"
            code, errors = await run(
                capture_command(url, out, **SETTINGS), **preload(library, out, at, do, ops)
            )
            if message and code:
                assert code == 1
                assert message in errors
                assert "Traceback" not in errors
            else:
                assert (code, errors) == (0, "")
            if out.exists():
                journal = journal_messages(out)
                recover(out)
                saved = check(out, expected)
                assert saved >= max(journal, default=-1) + 1
                assert code or saved == 4_000
                shutil.rmtree(out)


@EACH_SINK
@pytest.mark.timeout(120 + 8 * KILLS)
async def test_killed_at_full_speed(tmp_path: Path, expected: Expected, kind: str) -> None:
    """Runs that follow each other into one folder; every sixth recovery is killed, too."""
    source = random.Random(os.environ.get("RLFAST_SEED", "1"))
    # SQLite takes some ten thousand rows a second, from a script in Python.
    rate = None if kind == "parquet" else 10_000
    async with Simulator(simulator_options(rate=rate)) as simulator:
        url = agent_url(simulator.base_url)
        recovered = 0
        for folder in range(-(-KILLS // 10)):
            store = Store(kind, tmp_path / f"out-{folder}")
            total = 0
            for _ in range(min(10, KILLS - 10 * folder)):
                process = await asyncio.create_subprocess_exec(
                    *store.capture_command(url, **AT_FULL_SPEED), env=environment()
                )
                await has_journal(process, store.log)
                await asyncio.sleep(source.uniform(0.0, 0.6))
                process.kill()
                assert await process.wait() == KILLED
                least = max(total, await asyncio.to_thread(journal_end, store.log))
                if source.random() < 1 / 6:
                    recovery = await asyncio.create_subprocess_exec(
                        *store.recover_command(), env=environment(), stdout=subprocess.DEVNULL
                    )
                    await asyncio.sleep(source.uniform(0.0, 1.5))
                    if recovery.returncode is None:
                        recovery.kill()
                    await recovery.wait()
                report = await asyncio.to_thread(store.recover)
                recovered += sum(stream.messages for stream in report.streams)
                total = store.next_seq()
                assert total >= least
            assert await asyncio.to_thread(store.check, expected) == total
            shutil.rmtree(store.out)
    assert recovered
