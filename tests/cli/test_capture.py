"""``rlfast capture`` as a user runs it, against real servers."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import select
import shutil
import signal
import ssl
import subprocess
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow.parquet as pq
import pytest
import trustme
from capture.helpers import column, part_files, rows, sent, stored
from wsserver import CLOSE, PING, PONG, Peer, frame, serve

from rlfast.capture import recover
from rlfast.cli import main
from rlfast.simulator._events import agent_events
from rlfast.sinks.parquet._manifest import read_manifest

from .helpers import AGENT, POOL, TENANT, agent_arguments, assert_one_line, environment, run, simulator, start

EVENTS_MODULE = """
import msgspec

class Tick(msgspec.Struct, tag_field="kind", tag="tick"):
    price: float
    symbol: str

class Trade(msgspec.Struct, tag_field="kind", tag="trade"):
    size: int

class Namespace:
    Event = Tick | Trade

Prices = dict[str, float]
Broken = dict[int, 3]
"""


def payloads(count: int) -> list[bytes]:
    return list(itertools.islice(agent_events(7, AGENT, POOL), count))


def capture(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> dict[str, Any]:
    code = main(["capture", *map(str, arguments), "--json"])
    out, err = capsys.readouterr()
    assert (code, err) == (0, "")
    assert out.count("\n") == 1
    summary: dict[str, Any] = json.loads(out)
    return summary


def test_an_agent_is_captured(base_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "events"
    summary = capture(capsys, *agent_arguments(base_url), "--out", out, "--max-events", "1500")
    assert stored(out) == sent(payloads(1500))
    assert summary["events"] == 1500
    assert summary["bytes"] == sum(path.stat().st_size for path in part_files(out))
    assert summary["files"] == len(part_files(out))
    assert (summary["dead_letters"], summary["gaps"], summary["reconnects"]) == (0, 0, 0)
    assert (summary["first_seq"], summary["last_seq"], summary["reason"]) == (0, 1499, "max_events")
    assert (summary["out"], summary["stream"]) == (str(out), f"agent_events:{AGENT}")
    assert summary["seconds"] > 0
    assert summary["error"] is None
    assert summary["interrupted"] is False
    assert summary["types"]["kb_change"]["events"] == column_length(out, "kb_change")


def column_length(out: Path, type_: str) -> int:
    return len(column(out, type_, "seq"))


def test_the_url_of_an_agent_is_the_same_stream(
    base_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"{base_url.replace('http', 'ws')}/api/v1/cognitive/agents/ws?agent_id={AGENT}&tenant_id={TENANT}"
    capture(capsys, *agent_arguments(base_url), "--out", tmp_path, "--max-events", "100")
    summary = capture(capsys, url, "--out", tmp_path, "--max-events", "100")
    assert (summary["first_seq"], summary["last_seq"]) == (100, 199)
    assert stored(tmp_path) == sent(payloads(100) * 2)
    assert {entry.stream for entry in read_manifest(tmp_path).entries} == {f"agent_events:{AGENT}"}


def test_a_session_is_captured_as_text_or_by_type(
    base_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    session = ["--session", "s-1", "--tenant", TENANT, "--base-url", base_url, "--max-events", "50"]
    summary = capture(capsys, *session, "--out", tmp_path / "text")
    assert summary["stream"] == "oversight:s-1"
    texts = column(tmp_path / "text", "message", "json")
    assert len(texts) == 50
    summary = capture(
        capsys, *session, "--out", tmp_path / "typed", "--types", "rlfast:OversightAlert", "--stream", "mine"
    )
    assert summary["stream"] == "mine"
    layers = column(tmp_path / "typed", "OversightAlert", "layer")
    assert layers == [json.loads(text)["layer"] for text in texts]


def test_settings_of_the_environment(
    base_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RLFAST_BASE_URL", base_url)
    monkeypatch.setenv("RLFAST_TENANT", TENANT)
    monkeypatch.chdir(tmp_path)
    summary = capture(capsys, "--agent", AGENT, "--max-events", "10")
    assert summary["out"] == "events"
    assert len(rows(tmp_path / "events")) == 10


def test_files_are_rotated_and_formats_chosen(
    base_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    formats = ["--timestamps", "ns", "--uuid", "binary", "--compression", "none"]
    rotation = ["--rotate-rows", "300", "--rotate-interval", "10s"]
    arguments = [*agent_arguments(base_url), "--out", tmp_path, "--max-events", "20000", *formats, *rotation]
    summary = capture(capsys, *arguments)
    assert len(read_manifest(tmp_path).entries) > 1
    assert summary["files"] == len(part_files(tmp_path)) > len(summary["types"])
    assert stored(tmp_path) == sent(payloads(20_000))
    assert all(isinstance(value, UUID) for value in column(tmp_path, "kb_change", "term_id"))
    assert {pq.read_schema(path).field("received_at").type.unit for path in part_files(tmp_path)} == {"ns"}


def test_the_table_for_people(base_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [*agent_arguments(base_url), "--out", str(tmp_path), "--max-events", "1000"]
    assert main(["capture", *arguments]) == 0
    out, err = capsys.readouterr()
    # A long path is wrapped.
    assert f"1,000eventsin{tmp_path}" in "".join(out.split())
    for text in (
        "kb_change",
        "share",
        "events/s",
        "bytes/event",
        "all types",
        "seq 0 to 999",
        "dead letters 0",
    ):
        assert text in out
    assert err == f"capturing agent_events:{AGENT} into {tmp_path} (Ctrl-C ends)\n"


def test_types_of_ones_own_and_dead_letters(tmp_path: Path) -> None:
    (tmp_path / "my_events.py").write_text(EVENTS_MODULE)
    messages = [
        b'{"kind":"tick","price":1.5,"symbol":"X"}',
        b'{"kind":"trade","size":3}',
        b'{"kind":"quote"}',
        b"{",
    ]

    async def handler(peer: Peer) -> None:
        await peer.write(*map(frame, messages))
        await peer.close()

    async def capture_it(types: str) -> tuple[int | None, bytes, bytes]:
        async with serve(handler) as server:
            arguments = [server.url, "--types", types, "--no-reconnect", "--json", "--out", "out"]
            process = await start("capture", *arguments, cwd=tmp_path)
            out, err = await process.communicate()
            return process.returncode, out, err

    code, out, err = asyncio.run(capture_it("my_events:Namespace.Event"))
    assert (code, err) == (0, b"")
    summary = json.loads(out)
    assert (summary["events"], summary["dead_letters"], summary["reason"]) == (2, 1, "end_of_stream")
    assert rows(tmp_path / "out") == {
        0: {"type": "tick", "price": 1.5, "symbol": "X"},
        1: {"type": "trade", "size": 3},
        2: {"type": "_other", "reason": "unknown kind 'quote'", "json": '{"kind":"quote"}'},
    }
    code, out, err = asyncio.run(capture_it("my_events:Broken"))
    assert (code, out) == (2, b"")
    assert_one_line(err.decode(), "--types 'my_events:Broken'")


async def test_how_messages_become_events_is_an_option(tmp_path: Path) -> None:
    (tmp_path / "my_events.py").write_text(
        """
import msgspec

class Metres:
    def __init__(self, length):
        self.length = length

def hook(type_, value):
    return Metres(float(value))

class Tick(msgspec.Struct):
    price: float | None
    size: int
    height: Metres

class Broken(msgspec.Struct):
    other: int
"""
    )

    async def handler(peer: Peer) -> None:
        await peer.text('{"from":"x","data":{"price":NaN,"size":"5","height":"1.5"},"text":"\\ud800"}')
        await peer.text('{"from":"x","data":{"price":1,"size":5,"height":"high"}}')
        await peer.close()

    async def run_it(*arguments: str) -> tuple[int | None, str, str]:
        process = await start(*arguments, cwd=tmp_path)
        out, err = await process.communicate()
        return process.returncode, out.decode(), err.decode()

    options = ["--events-at", "/data", "--lax", "--nan", "null", "--surrogates", "replace"]
    async with serve(handler) as server:
        arguments = ["capture", server.url, "--no-reconnect", "--json", "--stream", "s", *options]
        strict = [*arguments[:6], "--types", "my_events:Tick", "--events-at", "/data", "--out", "strict"]
        assert (await run_it(*strict))[0] == 0
        hook = ["--types", "my_events:Tick", "--dec-hook", "my_events:hook"]
        code, out, _ = await run_it(*arguments, *hook, "--out", "lax")
        assert (code, json.loads(out)["events"], json.loads(out)["dead_letters"]) == (0, 1, 1)
        for wrong, text in (
            (
                ["--types", "my_events:Tick", "--dec-hook", "my_events:nothing"],
                "--dec-hook 'my_events:nothing'",
            ),
            (["--types", "my_events:Broken", "--events-at", "data"], "begins with a slash"),
            (["--types", "my_events:Broken", "--events-at", "/other"], "needs a struct"),
            ([], "events_at needs a type"),
        ):
            code, out, err = await run_it(*arguments, *wrong, "--out", "no")
            assert (code, out) == (2 if wrong else 1, "")
            assert text in " ".join(err.split())
    [row] = pq.read_table(*(tmp_path / "lax").glob("type=*/*.parquet")).to_pylist()
    assert (row["price"], row["size"], json.loads(row["height"])) == (None, 5, "1.5")
    assert json.loads(row["_extra"]) == {"from": "x", "text": "\ufffd"}
    assert recover(tmp_path / "strict").nothing_to_do
    code, out, _ = await run_it("redrive", "strict", "--json", *options, *hook)
    assert (code, json.loads(out)["events"]) == (0, {"Tick": 1})
    code, out, err = await run_it("recover", "lax", "--nan", "null")
    assert (code, out) == (2, "")
    assert "knows how its messages are decoded" in " ".join(err.split())


def test_messages_that_are_no_structs(tmp_path: Path) -> None:
    (tmp_path / "my_events.py").write_text(EVENTS_MODULE)

    async def handler(peer: Peer) -> None:
        await peer.write(*map(frame, [b'{"X":1.5,"Y":2}', b'["subscribed"]', b"{}"]))
        await peer.close()

    async def capture_it() -> int | None:
        async with serve(handler) as server:
            arguments = [server.url, "--types", "my_events:Prices", "--no-reconnect", "--out", "out"]
            return await (await start("capture", *arguments, cwd=tmp_path)).wait()

    assert asyncio.run(capture_it()) == 0
    assert rows(tmp_path / "out") == {
        0: {"type": "value", "value": [("X", 1.5), ("Y", 2.0)]},
        1: {"type": "_other", "reason": "no object", "json": '["subscribed"]'},
        2: {"type": "value", "value": []},
    }


async def capture_in_full_run(
    base_url: str, out: Path, *prefix: str, **options: Any
) -> asyncio.subprocess.Process:
    """A capture that has committed one segment. Its output is one JSON object."""
    process = await start(
        *("capture", *agent_arguments(base_url), "--out", out, "--json", "--rotate-interval", "300ms"),
        prefix=prefix,
        **options,
    )
    while not await asyncio.to_thread(lambda: read_manifest(out).entries):
        await asyncio.sleep(0.02)
    return process


def check_saved(out: Path, summary: dict[str, Any]) -> None:
    """Everything that was received is committed, and nothing is left in the journal."""
    assert summary["interrupted"] is True
    found = stored(out)
    assert len(found) == summary["events"] > 1000
    assert found == sent(payloads(len(found)))
    assert not (out / "_journal").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("times", [1, 2, 5])
async def test_a_signal_ends_with_everything_saved_however_often_it_comes(
    base_url: str, tmp_path: Path, number: signal.Signals, times: int
) -> None:
    process = await capture_in_full_run(base_url, tmp_path)
    for _ in range(times):
        process.send_signal(number)
        await asyncio.sleep(0)
    out, err = await process.communicate()
    assert (process.returncode, err) == (130 if number == signal.SIGINT else 0, b"")
    check_saved(tmp_path, json.loads(out))


@pytest.mark.skipif(shutil.which("timeout") is None, reason="needs the command timeout of GNU coreutils")
async def test_the_command_timeout_which_signals_twice(base_url: str, tmp_path: Path) -> None:
    process = await capture_in_full_run(base_url, tmp_path, "timeout", "--preserve-status", "4")
    out, err = await process.communicate()
    assert (process.returncode, err) == (0, b"")
    check_saved(tmp_path, json.loads(out))


@pytest.mark.skipif(shutil.which("nohup") is None, reason="needs the command nohup")
async def test_an_end_of_the_terminal_that_is_ignored_stays_so(base_url: str, tmp_path: Path) -> None:
    process = await capture_in_full_run(base_url, tmp_path, "nohup")
    before = len(read_manifest(tmp_path).entries)
    process.send_signal(signal.SIGHUP)
    while len(await asyncio.to_thread(lambda: read_manifest(tmp_path).entries)) < before + 3:
        await asyncio.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    out, _ = await process.communicate()
    assert process.returncode == 0
    check_saved(tmp_path, json.loads(out))


@pytest.mark.parametrize("ignored", [False, True])
async def test_a_terminal_that_is_gone_costs_nothing(base_url: str, tmp_path: Path, ignored: bool) -> None:
    """Neither the data nor the exit code: with SIGHUP, and without it where it is ignored."""
    import fcntl
    import pty
    import termios

    master, slave = pty.openpty()

    def take_terminal() -> None:
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        if ignored:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)

    process = await start(
        *("capture", *agent_arguments(base_url), "--out", tmp_path, "--rotate-interval", "300ms"),
        *(("--duration", "4s") if ignored else ()),
        **dict.fromkeys(("stdin", "stdout", "stderr"), slave),
        start_new_session=True,
        preexec_fn=take_terminal,
        extra={"TERM": "xterm-256color", "COLUMNS": "200"},
    )
    os.close(slave)
    while not await asyncio.to_thread(lambda: read_manifest(tmp_path).entries):
        while select.select([master], [], [], 0.02)[0]:
            os.read(master, 65536)
    os.close(master)
    assert await process.wait() == 0
    found = stored(tmp_path)
    assert found == sent(payloads(len(found)))
    assert read_manifest(tmp_path).entries[-1].end_reason == "capture_stopped"
    assert not (tmp_path / "_journal").exists()


async def test_a_signal_before_there_is_a_connection(tmp_path: Path) -> None:
    asked = asyncio.Event()

    async def handler(peer: Peer) -> None:
        asked.set()
        await peer.hang()

    async with serve(handler, accept=False) as server:
        process = await start("capture", server.url, "--out", tmp_path, "--json")
        await asked.wait()
        process.send_signal(signal.SIGINT)
        out, err = await process.communicate()
    assert (process.returncode, out, err) == (130, b"", b"")


async def test_a_signal_after_a_second_ends_at_once(tmp_path: Path) -> None:
    capturing = asyncio.Event()

    async def handler(peer: Peer) -> None:
        await peer.write(frame(b'{"a":1}'), frame(b"", PING))
        # The answer tells that the capture has its connection: before, a signal ends it without a close.
        while (opcode := (await peer.read_frame())[0]) != CLOSE:
            if opcode == PONG:
                capturing.set()
        await peer.hang()  # Never answers, so the capture waits for its close time-out.

    async with serve(handler) as server:
        process = await start("capture", server.url, "--out", tmp_path)
        await capturing.wait()
        ending = asyncio.create_task(process.communicate())
        while process.returncode is None:
            process.send_signal(signal.SIGINT)
            await asyncio.wait([ending], timeout=0.1)
        out, err = await ending
    assert (process.returncode, out) == (1, b"")
    *told, at_once = err.decode().splitlines()
    # The line that tells of the connection comes with the first progress: mostly before, not always.
    assert len(told) <= 2
    assert [line for line in told if not line.startswith("capturing")] == [
        "stopping: saving what was received (a second signal stops at once)"
    ]
    assert_one_line(f"{at_once}\n", "stopped at once; run rlfast recover")
    assert part_files(tmp_path) == []
    assert recover(tmp_path).streams[0].messages == 1


def test_a_token_is_taken_from_the_environment_and_not_shown(tmp_path: Path) -> None:
    secret = "s3cr3t-t0ken"
    with simulator("--require-token-env", "SIM_TOKEN", "--rate", "20000", SIM_TOKEN=secret) as base_url:
        arguments = ["capture", *agent_arguments(base_url), "--out", tmp_path, "--max-events", "5", "--json"]
        done = run(*arguments)
        assert (done.returncode, done.stdout) == (1, "")
        assert_one_line(done.stderr, "401")
        done = run(*arguments, RLFAST_TOKEN="wr0ng-t0ken")
        assert (done.returncode, done.stdout) == (1, "")
        assert_one_line(done.stderr, "401")
        assert "wr0ng" not in done.stderr
        assert part_files(tmp_path) == []
        done = run(*arguments, RLFAST_TOKEN=secret)
        assert (done.returncode, done.stderr) == (0, "")
        done = run(*arguments, "--token-env", "MINE", MINE=secret, RLFAST_TOKEN="wr0ng-t0ken")
        assert (done.returncode, done.stderr) == (0, "")
        assert secret not in done.stdout
        url = f"{base_url.replace('http', 'ws')}/ws/oversight/s-1?tenant_id={TENANT}"
        done = run("capture", url, "--out", tmp_path, "--max-events", "5", "--json", RLFAST_TOKEN=secret)
        assert (done.returncode, done.stderr) == (0, "")
        assert secret not in done.stdout
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert secret.encode() not in path.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["http://127.0.0.1:1/x"], ["begins with ws://, not http://", "--agent ID"]),
        (["https://127.0.0.1:1/x"], ["begins with wss://, not https://"]),
        (["ftp://127.0.0.1/x"], ["ws://host:port/path"]),
        (["ws://user:pa55@127.0.0.1/x"], ["credentials"]),
        (["ws://127.0.0.1:1/x?token=pa55"], ["websocket connect failed", "127.0.0.1:1/x"]),
        (["ws://host.invalid/x"], ["websocket connect failed", "host.invalid"]),
        (["--agent", "a\nb", "--tenant", TENANT, "--base-url", "http://127.0.0.1:1"], ["agent_id"]),
    ],
)
def test_a_stream_that_cannot_be_opened_is_one_line_and_exit_1(
    arguments: list[str], parts: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["capture", *arguments, "--out", str(tmp_path)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert_one_line(err, *parts)
    assert "pa55" not in err
    assert part_files(tmp_path) == []


def test_an_unknown_path_is_told(base_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["capture", f"{base_url.replace('http', 'ws')}/nowhere", "--out", str(tmp_path)]) == 1
    assert_one_line(capsys.readouterr().err, "404", "check the path")


def test_tls_to_a_port_without_it_is_told(
    base_url: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["capture", f"{base_url.replace('http', 'wss')}/x", "--out", str(tmp_path)]) == 1
    assert_one_line(capfd.readouterr().err, "websocket connect failed", "does it speak TLS on this port?")


async def test_an_untrusted_certificate_is_told(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)

    async def handler(peer: Peer) -> None:
        await peer.close()

    async with serve(handler, ssl_context=context) as server:
        process = await start("capture", server.url, "--out", tmp_path)
        out, err = await process.communicate()
    assert (process.returncode, out) == (1, b"")
    assert_one_line(err.decode(), "websocket connect failed", "certificate", "--ca FILE")


@pytest.mark.parametrize("out", ["file", "file/below", "/proc/self/events"])
def test_a_folder_that_cannot_be_written_costs_no_connection(
    out: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert main(["capture", "ws://127.0.0.1:1/x", "--out", str(tmp_path / out)]) == 1
    assert_one_line(capsys.readouterr().err, "cannot write to the folder", "choose another folder")


def test_a_disk_that_fails_is_one_line_and_exit_1(tmp_path: Path, base_url: str) -> None:
    run("capture", *agent_arguments(base_url), "--out", tmp_path, "--max-events", "10")
    before = {path: path.read_bytes() for path in part_files(tmp_path)}
    done = subprocess.run(
        ["/bin/sh", "-c", 'ulimit -f 20; exec "$0" "$@"', *command(base_url, tmp_path)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert_one_line(done.stderr, "File too large; raise the limit (ulimit -f)")
    assert {path: path.read_bytes() for path in part_files(tmp_path)} == before
    assert not list(tmp_path.rglob("*.tmp"))
    assert len(read_manifest(tmp_path).entries) == 1


def command(base_url: str, out: Path) -> list[str]:
    from .helpers import RLFAST

    return [
        *RLFAST,
        *("capture", *agent_arguments(base_url), "--out", str(out), "--compression", "none", "--json"),
        *("--max-events", "30000"),
    ]


async def test_a_connection_lost_for_good_is_exit_1_with_the_data_saved(tmp_path: Path) -> None:
    async def handler(peer: Peer) -> None:
        await peer.write(*map(frame, payloads(9)))
        peer.writer.close()

    async with serve(handler) as server:
        process = await start(
            "capture",
            server.url,
            "--types",
            "rlfast:AgentEvent",
            "--no-reconnect",
            "--json",
            "--out",
            tmp_path,
        )
        out, err = await process.communicate()
    assert process.returncode == 1
    assert_one_line(err.decode(), "the stream ended: ", "what was received before is saved")
    summary = json.loads(out)
    assert (summary["events"], summary["gaps"], summary["reason"]) == (9, 1, "connection_failed")
    assert summary["error"] in err.decode()
    assert stored(tmp_path) == sent(payloads(9))


async def test_a_token_over_plain_ws_to_another_machine_is_warned_of(tmp_path: Path) -> None:
    process = await start(
        "capture", "ws://host.invalid/x", "--out", tmp_path, extra={"RLFAST_TOKEN": "s3cr3t"}
    )
    _, err = await process.communicate()
    warning, error = err.decode().splitlines(keepends=True)
    assert_one_line(warning, "warning: the token is sent unencrypted")
    assert_one_line(error, "websocket connect failed")


async def test_progress_without_a_terminal_is_plain_lines(base_url: str, tmp_path: Path) -> None:
    process = await start("capture", *agent_arguments(base_url), "--out", tmp_path, "--duration", "5.6s")
    out, err = await process.communicate()
    assert process.returncode == 0
    first, *lines = err.decode().splitlines()
    assert first.startswith("capturing ")
    (line,) = lines
    for text in (" events/s", "MB/s", "backlog", "reconnects 0", "files "):
        assert text in line
    assert "\x1b" not in err.decode() + out.decode()


async def test_progress_on_a_terminal_is_live(base_url: str, tmp_path: Path) -> None:
    import pty

    master, slave = pty.openpty()
    process = await start(
        *("capture", *agent_arguments(base_url), "--out", tmp_path, "--duration", "1.2s"),
        stderr=slave,
        extra={"TERM": "xterm-256color", "COLUMNS": "200"},
    )
    os.close(slave)
    reading = asyncio.create_task(asyncio.to_thread(read_all, master))
    out, _ = await process.communicate()
    shown = (await reading).decode()
    assert process.returncode == 0
    assert "\x1b[?25l" in shown  # The cursor is hidden,
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")  # and shown again.
    assert "events/s" in shown
    assert "backlog" in shown
    assert "kb_change" in out.decode()


def read_all(fd: int) -> bytes:
    data = b""
    try:
        while chunk := os.read(fd, 65536):
            data += chunk
    except OSError:
        pass  # Linux answers EIO when the other end of a terminal is closed.
    os.close(fd)
    return data
