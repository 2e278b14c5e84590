"""``rlfast infer`` as a user runs it: on files, on folders of captures, on real servers."""

from __future__ import annotations

import asyncio
import gzip
import signal
import zlib
from pathlib import Path
from typing import Any

import msgspec
import pytest
from capture.helpers import write
from sample_events import PAYLOADS
from streams import sender
from wsserver import BINARY, PING, PONG, Peer, frame, serve

from rlfast.cli import main

from .helpers import AGENT, TENANT, agent_arguments, assert_one_line, start
from .infer_samples import SAMPLES

TRADES = [
    b'{"e":"trade","p":"16550.10","t":1}',
    b'{"e":"quote","b":"1.5","a":"2.5","status":"ok"}',
    b'{"e":"trade","p":"16551.00","t":2}',
]
FIT = "3 of 4 messages fit; 1 is another message\n"


def lines(path: Path, *messages: bytes) -> Path:
    path.write_bytes(b"\n".join(messages) + b"\n")
    return path


def types_of(source: str) -> Any:
    names: dict[str, Any] = {"__name__": "my_types"}
    exec(compile(source, "my_types.py", "exec", dont_inherit=True), names)
    return names["Event"]


def test_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = lines(tmp_path / "m.ndjson", *TRADES, b"pong", b"")
    assert main(["infer", str(path)]) == 0
    out, err = capsys.readouterr()
    assert err == FIT + "next: rlfast capture URL --types my_types:Event\n"
    assert out.startswith(
        '"""Types of the messages of m.ndjson; all of them: Event.\n\nMade by rlfast infer '
    )
    assert "    2  Trade\n    1  Quote\n    1  other: not JSON\n" in out
    decoder = msgspec.json.Decoder(types_of(out))
    assert [decoder.decode(message).__class__.__name__ for message in TRADES] == ["Trade", "Quote", "Trade"]


def test_a_compressed_file_and_one_that_is_cut_off(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    packed = gzip.compress(b"\n".join([*TRADES, b"pong"]))
    (tmp_path / "m.gz").write_bytes(packed)
    assert main(["infer", str(tmp_path / "m.gz")]) == 0
    assert capsys.readouterr().err.startswith(FIT)
    assert main(["infer", str(tmp_path / "m.gz"), "--messages", "2"]) == 0
    assert capsys.readouterr().err.startswith("2 of 2 messages fit\n")
    (tmp_path / "m.gz").write_bytes(gzip.compress(b"\n".join(TRADES)) + packed[:-12])
    assert main(["infer", str(tmp_path / "m.gz")]) == 0
    assert "ends early" in capsys.readouterr().err
    (tmp_path / "m.gz").write_bytes(packed[:12])
    assert main(["infer", str(tmp_path / "m.gz")]) == 1
    assert_one_line(capsys.readouterr().err, "cannot unpack", "is it complete?")


def test_a_folder_that_was_captured_as_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, [*TRADES, b"{"], type_=None)
    write(tmp_path, TRADES, first_seq=4, type_=None)
    assert main(["infer", str(tmp_path), "--messages", "5"]) == 0
    out, err = capsys.readouterr()
    assert err.startswith("5 of 5 messages fit\n")
    assert out.endswith("\nEvent = Trade | Quote\n")


def test_what_is_no_source_of_messages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "typed").mkdir()
    write(tmp_path / "typed", PAYLOADS)
    (tmp_path / "empty").touch()
    (tmp_path / "folder").mkdir()
    for name, *parts in (
        ("missing", "there is no file", "a file with one message per line"),
        ("empty", "holds no message"),
        ("typed", "no messages as JSON text", "kb_change", "without --types"),
        ("folder", "it has no messages"),
        ("text", "none of 2 messages is a JSON object or array", "begins with hello? world"),
    ):
        lines(tmp_path / "text", b"hello\x1b world", b"3")
        assert main(["infer", str(tmp_path / name)]) == 1
        out, err = capsys.readouterr()
        assert out == ""
        assert_one_line(err, *parts)


def test_the_module_is_written_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = lines(tmp_path / "m.ndjson", *TRADES), tmp_path / "my_types.py"
    arguments = ["infer", str(path), "--out", str(out)]
    assert main(arguments) == 0
    printed = capsys.readouterr()
    assert printed.out == ""
    assert f"next, in {tmp_path}: rlfast capture URL --types my_types:Event\n" in printed.err
    source = out.read_text()
    assert types_of(source)
    out.write_text("mine")
    assert main(arguments) == 2
    assert_one_line(capsys.readouterr().err, "the file is there; --force replaces it")
    assert out.read_text() == "mine"
    assert main([*arguments, "--force"]) == 0
    assert out.read_text() == source


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "exactly one of URL, --agent, --cycle and --session, not none"),
        (["m", "--agent", "a"], "a file, or one of --agent, --cycle and --session, not both"),
        (["m", "--messages", "0"], "--messages"),
        (["ws://h", "--seconds", "soon"], "'soon' is not a time"),
        (["m", "--out", "types.txt"], "write for example my_types.py"),
        (["m", "--out", "my-types.py"], "write for example my_types.py"),
        (["m", "--out", "types.py"], "Python has a module types itself; write for example my_types.py"),
        (["m", "--out", "no/such/my_types.py"], "there is no folder no/such"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_read(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["infer", *arguments]) == 2
    assert_one_line(capsys.readouterr().err, message, "see: rlfast infer --help")


@pytest.mark.parametrize(
    ("url", "part"), [("http://h/x", "begins with ws://"), ("ws://127.0.0.1:1/x?k=pa55", "connect")]
)
def test_a_stream_that_cannot_be_opened(url: str, part: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["infer", url]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert_one_line(err, part)
    assert "pa55" not in err


async def test_a_stream_ends_when_there_are_enough_messages(tmp_path: Path) -> None:
    packed = frame(gzip.compress(b'{"e":"trade","p":"16552.00","t":3}'), BINARY)

    async def handler(peer: Peer) -> None:
        await peer.write(*map(frame, TRADES), frame(b"pong"), packed, *(frame(TRADES[0]) for _ in range(99)))
        await peer.wait_closed()

    async with serve(handler) as server:
        url = f"{server.url}?token=s3cr3t"
        process = await start("infer", url, "--messages", "5", "--out", "my_types.py", cwd=tmp_path)
        out, err = await process.communicate()
    assert (process.returncode, out) == (0, b"")
    place = f"127.0.0.1:{server.port}/stream"
    assert err.decode().splitlines() == [
        f"looking at {place} (Ctrl-C ends)",
        "4 of 5 messages fit; 1 is another message",
        "next: rlfast capture URL --encoding gzip --types my_types:Event",
    ]
    source = (tmp_path / "my_types.py").read_text()
    assert f"Types of the messages of {place}; all of them" in source
    assert "1 of them was compressed with gzip." in source
    assert "s3cr3t" not in source


async def test_a_stream_of_zlib_data() -> None:
    async def handler(peer: Peer) -> None:
        await peer.write(*(frame(zlib.compress(message), BINARY) for message in TRADES))
        await peer.close()

    async with serve(handler) as server:
        process = await start("infer", server.url, "--encoding", "zlib")
        out, err = await process.communicate()
    assert types_of(out.decode())
    assert err.decode().splitlines()[-2:] == [
        "3 of 3 messages fit",
        f"next: rlfast capture {server.url} --encoding zlib --types my_types:Event",
    ]


async def test_a_stream_that_is_over_sooner(tmp_path: Path) -> None:
    async with serve(sender(*TRADES)) as server:
        process = await start("infer", server.url)
        out, err = await process.communicate()
    assert process.returncode == 0
    assert types_of(out.decode())
    assert err.decode().splitlines()[1:] == [
        "rlfast: the stream ended: the server closed the connection",
        "3 of 3 messages fit",
        f"next: rlfast capture {server.url} --types my_types:Event",
    ]


async def test_ctrl_c_takes_what_has_come() -> None:
    async def handler(peer: Peer) -> None:
        await peer.write(*map(frame, TRADES), frame(b"", PING))
        # The line of progress comes with the connection, and the answer when the messages are read.
        while (await peer.read_frame())[0] != PONG:
            pass
        read.set()
        await peer.wait_closed()

    read = asyncio.Event()
    async with serve(handler) as server:
        process = await start("infer", server.url)
        assert process.stderr is not None
        assert (await process.stderr.readline()).startswith(b"looking at")
        await read.wait()
        process.send_signal(signal.SIGINT)
        out, err = await process.communicate()
    assert process.returncode == 130
    assert err.decode().startswith("3 of 3 messages fit\n")
    assert types_of(out.decode())


async def test_the_time_is_over_and_nothing_came() -> None:
    async def handler(peer: Peer) -> None:
        await peer.wait_closed()

    async with serve(handler) as server:
        process = await start("infer", server.url, "--seconds", "300ms")
        out, err = await process.communicate()
    assert (process.returncode, out) == (1, b"")
    assert_one_line(err.decode().partition("\n")[2], "no message arrived", "--seconds makes it wait longer")


def test_the_stream_of_an_agent(base_url: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["infer", *agent_arguments(base_url), "--messages", "2000"]) == 0
    out, err = capfd.readouterr()
    assert f"agent_events:{AGENT}" in out
    assert 'tag_field="type", tag="kb_change"' in out
    assert "2,000 of 2,000 messages fit" in err
    assert err.endswith("next: rlfast capture --agent ID --types my_types:Event\n")
    assert TENANT not in out + err


@pytest.mark.parametrize("feed", SAMPLES)
def test_a_captured_feed_decodes_by_its_types(
    feed: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    messages = [msgspec.json.encode(message) for message in SAMPLES[feed]]
    assert main(["infer", str(lines(tmp_path / "m.ndjson", *messages))]) == 0
    out, err = capsys.readouterr()
    assert "dead letters" not in err
    decoder, fitting = msgspec.json.Decoder(types_of(out)), 0
    for message in messages:
        try:
            decoder.decode(message)
            fitting += 1
        except msgspec.ValidationError:
            pass
    assert err.startswith(f"{fitting} of {len(messages)} messages fit")
