"""What the command line says and shows to a server on every connection."""

from __future__ import annotations

import json
import ssl
from pathlib import Path
from typing import Any

import duckdb
import pytest
import trustme
from tests.cli.helpers import assert_one_line, run, start
from wsserver import Peer, close_frame, frame, serve

from rlfast.cli import main

SECRET = "pa55-word"


class Broker:
    """Wants a login, then a subscription; lists what it was told; ends each connection but the last."""

    def __init__(self, connections: int) -> None:
        self.connections = connections
        self.heard: list[list[Any]] = []

    async def __call__(self, peer: Peer) -> None:
        await peer.accept()
        heard: list[Any] = []
        self.heard.append(heard)

        async def hear() -> None:
            heard.append((await peer.read_frame())[1].decode())

        await peer.write(frame(b'[{"T":"success","msg":"connected"}]'))
        await hear()
        await peer.write(frame(b'{"busy":true}'), frame(b'[{"T":"success","msg":"authenticated"}]'))
        await hear()
        await hear()
        await peer.write(frame(b'[{"T":"t","p":%d}]' % len(self.heard)))
        if len(self.heard) < self.connections:
            await peer.write(close_frame(1012))
        await peer.wait_closed()


def contents(folder: Path) -> list[str]:
    return [path.read_bytes().decode("latin-1") for path in folder.rglob("*") if path.is_file()]


async def test_messages_are_sent_in_order_on_every_connection(tmp_path: Path) -> None:
    (tmp_path / "login.json").write_text('{"action":"auth","key":"${KEY}"}\n')
    broker = Broker(3)
    async with serve(broker, accept=False) as server:
        process = await start(
            *("capture", server.url, "--out", tmp_path / "events", "--max-events", "12"),
            *("--wait-for", "/0/msg=connected", "--send", f"@{tmp_path / 'login.json'}"),
            *(
                "--wait-for",
                "/0/msg=authenticated",
                "--send",
                '{"trades":["AAPL"]}',
                "--send",
                "@@me ${SPAN}",
            ),
            extra={"KEY": SECRET, "SPAN": "1m"},
        )
        out, err = await process.communicate()
    assert process.returncode == 0, err
    assert broker.heard == [[f'{{"action":"auth","key":"{SECRET}"}}', '{"trades":["AAPL"]}', "@me 1m"]] * 3
    # What was waited for is in the data, too, and has its number.
    files = f"read_parquet('{tmp_path}/events/type=message/*.parquet')"
    rows = duckdb.sql(f"select seq, epoch, json::varchar from {files} order by seq").fetchall()
    assert [seq for seq, _, _ in rows] == list(range(12))
    assert [epoch for _, epoch, _ in rows] == [1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3]
    assert json.loads(rows[-1][2]) == [{"T": "t", "p": 3}]
    assert SECRET.encode() not in out + err


@pytest.mark.parametrize("command", ["capture", "bench", "infer"])
async def test_headers_the_query_and_subprotocols(command: str, tmp_path: Path) -> None:
    paths: list[bytes] = []
    headers: list[tuple[str | None, ...]] = []

    async def handler(peer: Peer) -> None:
        paths.append(peer.request.split(b" ")[1])
        names = "X-Key", "X-Plain", "Sec-WebSocket-Protocol"
        headers.append(tuple(map(peer.header, names)))
        await peer.write(*(frame(b'{"n":%d}' % i) for i in range(10)))
        await peer.wait_closed()

    more = {
        "capture": ["--out", tmp_path / "events", "--max-events", "10"],
        "bench": ["--events", "10"],
        "infer": ["--messages", "10"],
    }
    async with serve(handler) as server:
        process = await start(
            *(command, f"{server.url}?b=2&token=old&c=", *more[command], "--query", "token=${TOKEN}"),
            *("--query", "q=a b", "--header", "X-Key=k ${TOKEN}", "--header", "X-Plain=a=b"),
            *("--subprotocol", "v2.x", "--subprotocol", "v1.x"),
            extra={"TOKEN": SECRET},
        )
        out, err = await process.communicate()
    assert process.returncode == 0, err
    assert paths == [b"/stream?b=2&c=&token=" + SECRET.encode() + b"&q=a%20b"]
    assert headers == [(f"k {SECRET}", "a=b", "v2.x, v1.x")]
    assert SECRET.encode() not in out + err
    assert not any(SECRET in content for content in contents(tmp_path))


@pytest.mark.parametrize("shows", [True, False])
async def test_certificates(shows: bool, tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # With 1.3 a client learns only later that its certificate was missed.
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    authority.issue_cert("localhost").configure_cert(context)
    authority.configure_trust(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    mine = authority.issue_cert("me@example.org")
    mine.private_key_pem.write_to_path(tmp_path / "key.pem")
    mine.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")

    async def handler(peer: Peer) -> None:
        await peer.write(frame(b"1"))
        await peer.wait_closed()

    own = ["--cert", tmp_path / "cert.pem", "--key", tmp_path / "key.pem"]
    async with serve(handler, ssl_context=context) as server:
        arguments = ["capture", server.url, "--out", tmp_path / "events", "--max-events", "1"]
        process = await start(*arguments, "--ca", tmp_path / "ca.pem", *(own if shows else []))
        _, err = await process.communicate()
    if shows:
        assert process.returncode == 0, err
    else:
        assert process.returncode == 1
        assert_one_line(err.decode(), "websocket connect failed")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--send", "@nowhere.json"], "cannot read the file (No such file or directory)"),
        (["--send", "${NO_SUCH_VARIABLE}"], "--send: the environment variable NO_SUCH_VARIABLE is not set"),
        (["--wait-for", "type=ack"], "a JSON Pointer begins with a slash"),
        (["--wait-for", "/type"], "write POINTER=VALUE, such as /type=connection_ack"),
        (["--header", "Name: value"], "--header: write NAME=VALUE"),
        (["--header", "X=${NO_SUCH_VARIABLE}"], "--header: the environment variable NO_SUCH_VARIABLE"),
        (["--query", "token"], "--query: write NAME=VALUE"),
        (["--ca", "nowhere.pem"], "--ca 'nowhere.pem' cannot be used (No such file or directory)"),
        (["--ca", "setup.py"], "--ca 'setup.py' cannot be used"),
        (["--cert", "nowhere.pem"], "--cert 'nowhere.pem' cannot be used"),
        (["--key", "key.pem"], "--key needs --cert"),
    ],
)
def test_what_cannot_be_said_is_told_before_anything_is_done(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["capture", "ws://127.0.0.1:1/x", *arguments]) == 2
    assert_one_line(capsys.readouterr().err, message)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("A b=c", "a header name has a character"),
        ("Sec-WebSocket-Protocol=v1", "offer it with --subprotocol NAME"),
    ],
)
def test_a_header_that_may_not_be_sent_is_told(header: str, message: str, tmp_path: Path) -> None:
    finished = run("capture", "ws://127.0.0.1:1/x", "--out", tmp_path, "--header", header)
    assert finished.returncode == 1
    assert_one_line(finished.stderr, message)
