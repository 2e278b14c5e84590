from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
from capture.crashing import journal_messages
from capture.helpers import STREAM, dead_letters, rows, sent, stored, write
from capture.test_burial import UNKNOWN
from capture.test_recovery import leave
from sample_events import PAYLOADS

from .helpers import assert_one_line, environment, run

N = len(PAYLOADS)

TYPES = """
import msgspec
from rlfast import AgentEvent

class PlanRevised(msgspec.Struct, tag="plan_revised", tag_field="type"):
    plan: str
    steps: int

Event = AgentEvent | PlanRevised
"""


def test_recover_saves_and_says_so(tmp_path: Path) -> None:
    leave(tmp_path, PAYLOADS)
    (tmp_path / ".probe.1.tmp").touch()
    done = run("recover", tmp_path)
    assert f"recovered {N} messages of {STREAM}, seq 0 to {N - 1}" in done.stdout
    assert "removed 1 temporary files" in done.stdout
    assert stored(tmp_path) == sent(PAYLOADS)
    assert run("recover", tmp_path).stdout == f"{tmp_path} is whole: nothing to do\n"
    report = json.loads(run("recover", tmp_path, "--json").stdout)
    assert report == {"commit": None, "streams": [], "removed": [], "left": []}


def test_a_type_is_for_one_stream(tmp_path: Path) -> None:
    for stream in ("weather", "trades"):
        leave(tmp_path, [b'{"celsius":1.5}'], stream=stream, type="no_such_module:Reading")
    typed = ("--types", "rlfast.reasoning_layer._events:OversightAlert")
    done = run("recover", tmp_path, *typed)
    assert (done.returncode, "--stream NAME" in done.stderr) == (1, True)
    assert run("recover", tmp_path, "--stream", "trades").returncode == 2
    done = run("recover", tmp_path, *typed, "--stream", "trades")
    assert "recovered 1 messages of trades" in done.stdout
    assert "left the journal of weather" in done.stdout
    assert run("recover", tmp_path, *typed).returncode == 0
    done = run("redrive", tmp_path, *typed)
    assert (done.returncode, "--stream NAME" in done.stderr) == (1, True)
    assert run("redrive", tmp_path, *typed, "--stream", "weather").stdout.startswith("1 dead letters")


def test_recover_of_no_folder_is_one_line(tmp_path: Path) -> None:
    done = run("recover", tmp_path / "missing")
    assert done.returncode == 1
    assert_one_line(done.stderr, "is not a folder; name the folder of a capture")


def test_dead_letters_and_redrive(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write(out, [PAYLOADS[0], UNKNOWN % (1, 2), b"{\x1b[31m"])
    listed = run("dead-letters", out).stdout
    assert "unknown_type: 1" in listed
    assert "malformed_json: 1" in listed
    assert '{"type":"plan_revised","plan":"p1","steps":2}' in listed
    assert "\x1b" not in listed
    groups = json.loads(run("dead-letters", out, "--json", "--samples", "1").stdout)["dead_letters"]
    assert {group["reason"] for group in groups} == {"unknown_type", "malformed_json"}
    (tmp_path / "newer_events.py").write_text(TYPES)
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    done = run("redrive", out, "--types", "newer_events:Event", PYTHONPATH=path)
    assert done.stdout.splitlines() == [
        "2 dead letters decoded again, 1 are events now",
        "  plan_revised: 1",
        "still dead, malformed_json: 1",
    ]
    assert rows(out)[1] == {"type": "plan_revised", "plan": "p1", "steps": 2}
    assert [letter["seq"] for letter in dead_letters(out)] == [2]


def test_compact(tmp_path: Path) -> None:
    for first in (0, N, 2 * N):
        write(tmp_path, PAYLOADS, first_seq=first)
    assert run("compact", tmp_path).stdout.startswith("merged ")
    assert stored(tmp_path) == sent(PAYLOADS * 3)
    assert run("compact", tmp_path).stdout == "nothing to merge\n"
    assert json.loads(run("compact", tmp_path, "--json").stdout)["merged"] == 0


def test_a_killed_capture_is_recovered_by_the_next_one(tmp_path: Path, base_url: str) -> None:
    from .helpers import RLFAST, agent_arguments

    command = [
        *RLFAST,
        "capture",
        *agent_arguments(base_url),
        "--out",
        str(tmp_path),
        "--rotate-interval",
        "1h",
    ]
    process = subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert "capturing" in process.stderr.readline()
    while not journal_messages(tmp_path):
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stderr.close()
    done = run("capture", *agent_arguments(base_url), "--out", tmp_path, "--max-events", "10")
    assert "recovered" in done.stderr
    assert len(stored(tmp_path)) > 10
    shown = run("inspect", tmp_path).stdout
    assert "gaps          1 (crashed 1)" in shown


def test_the_options_of_safety_are_checked(tmp_path: Path, base_url: str) -> None:
    from .helpers import agent_arguments

    arguments = ("capture", *agent_arguments(base_url), "--out", tmp_path)
    done = run(*arguments, "--durability", "none", "--max-backlog", "1MB")
    assert done.returncode != 0
    assert_one_line(done.stderr, "max_backlog needs a journal")
    done = run(*arguments, "--min-free", "1000TB")
    assert done.returncode == 1
    assert_one_line(done.stderr, "must stay free; free some space")


def test_messages_of_other_kinds_are_redriven_too(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write(out, [PAYLOADS[0], UNKNOWN % (1, 2), b'{"id":1}'], other=True)
    assert (out / "_other").is_dir()
    assert not (out / "_dead_letters").exists()
    (tmp_path / "newer_events.py").write_text(TYPES)
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    done = run("redrive", out, "--types", "newer_events:Event", PYTHONPATH=path)
    assert "  plan_revised: 1" in done.stdout.splitlines()
    assert rows(out)[1] == {"type": "plan_revised", "plan": "p1", "steps": 2}
    [left] = (out / "_other").glob("*.parquet")
    assert pq.read_table(left)["json"].to_pylist() == ['{"id":1}']
