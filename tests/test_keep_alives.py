"""Heartbeats and answers that servers want, and messages that only say that somebody is there."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import json
import logging
import warnings
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from capture.helpers import dead_letters, rows
from cli.helpers import start
from streams import FakeTiming
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as websockets_serve
from wsserver import BINARY, CLOSE, TEXT, Peer, close_frame, frame, serve, until

import rlfast
from rlfast import ConfigError, ConnectionOptions, Heartbeat, Reply
from rlfast.capture import CaptureOptions, capture
from rlfast.websocket._replies import _answerer, _UnanswerableError

CONNECTIONS, ROUNDS = 3, 4
EVENTS = CONNECTIONS * ROUNDS


class Tick(msgspec.Struct, tag_field="type", tag="tick"):
    n: int


@dataclass(frozen=True)
class Feed:
    """What a server asks, what it wants to get, and how a client is told to say so."""

    ask: Callable[[int], str] | None
    want: Callable[[int], str]
    arguments: dict[str, Any]
    options: tuple[str, ...]
    pong: bytes | None = None


TEST_REQUEST = '{"jsonrpc":"2.0","method":"heartbeat","params":{"type":"test_request"}}'
PUBLIC_TEST = '{"jsonrpc":"2.0","id":8212,"method":"public/test","params":{}}'
FEEDS = {
    # HTX: numbers that come back, of more digits than a double holds.
    "numbers": Feed(
        lambda n: json.dumps({"ping": 18446744073709551615000 + n}),
        lambda n: json.dumps({"pong": 18446744073709551615000 + n}),
        {"reply": [Reply('{"ping"', '{"pong": ${/ping}}', ignore=True)]},
        ("--reply", '{"ping"=>{"pong": ${/ping}}'),
    ),
    "graphql": Feed(
        lambda n: '{"type":"ping"}',
        lambda n: '{"type":"pong"}',
        {"reply": [Reply('"type":"ping"', {"type": "pong"}, ignore=True)]},
        ("--reply", '"type":"ping"=>{"type":"pong"}'),
    ),
    "deribit": Feed(
        lambda n: TEST_REQUEST,
        lambda n: PUBLIC_TEST,
        {"reply": [Reply("test_request", json.loads(PUBLIC_TEST), ignore=True)]},
        ("--reply", f'"test_request"=>{PUBLIC_TEST}'),
    ),
    # OKX: the client begins, and the answer is no JSON.
    "texts": Feed(
        None,
        lambda n: "ping",
        {"heartbeat": Heartbeat(0.01, "ping"), "ignore": ["pong"]},
        ("--heartbeat", "10ms:ping", "--ignore", "pong"),
        b"pong",
    ),
}


class Strict:
    """Sends an event only when it has got what it wants. Drops each connection but the last one."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self.numbers = itertools.count()
        self.connections = 0

    async def __call__(self, peer: Peer) -> None:
        self.connections += 1
        for _ in range(ROUNDS):
            n = next(self.numbers)
            if self.feed.ask is not None:
                await peer.text(self.feed.ask(n))
            assert await peer.read_frame() == (TEXT, self.feed.want(n).encode())
            await peer.write(
                frame(self.feed.pong) + frame(b" \n") if self.feed.pong is not None else b"",
                frame(b'{"type":"tick","n":%d}' % n),
            )
        if self.connections < CONNECTIONS:
            await peer.write(close_frame(1012))
        await peer.hang()


@pytest.mark.parametrize("feed", FEEDS.values(), ids=list(FEEDS))
@pytest.mark.parametrize("mode", ["messages", "batches", "capture", "nobody"])
async def test_a_connection_is_kept(feed: Feed, mode: str, tmp_path: Path) -> None:
    async with serve(Strict(feed)) as server:
        connecting = rlfast.connect(
            server.url, type=Tick, stream="s", timing=FakeTiming().timing, **feed.arguments
        )
        ws = await connecting
        if mode == "messages":
            found = [(await ws.next_message()).n for _ in range(EVENTS)]  # type: ignore[union-attr]
        elif mode == "batches":
            found = []
            async for batch in ws.batches(max_wait=0):
                assert len(batch.dead_letters) == 0
                found += batch["tick"]["n"].tolist()
                if len(found) == EVENTS:
                    break
        elif mode == "capture":
            summary = await capture(ws, tmp_path, options=CaptureOptions(max_events=EVENTS))
            assert (summary.dead_letters, summary.gaps) == (0, CONNECTIONS - 1)
            found = [row["n"] for row in rows(tmp_path).values()]
        else:
            await until(lambda: ws.stats.messages == EVENTS)
            found = [tick.n for tick in await ws.next_messages()]
        stats = ws.stats
        await ws.close()
    assert found == list(range(EVENTS))
    assert stats.messages == EVENTS
    assert stats.replies == (EVENTS if feed.ask is not None else 0)
    assert stats.ignored_messages == (EVENTS if feed.ask is not None else 2 * EVENTS)
    assert [gap.close_code for gap in ws.gaps] == [1012] * (CONNECTIONS - 1)


@pytest.mark.parametrize("feed", FEEDS.values(), ids=list(FEEDS))
async def test_so_does_the_command_line(feed: Feed, tmp_path: Path) -> None:
    (tmp_path / "ticks.py").write_text(
        "import msgspec\nclass Tick(msgspec.Struct, tag_field='type', tag='tick'):\n    n: int\n"
    )
    out = tmp_path / "out"
    async with serve(Strict(feed)) as server:
        process = await start(
            *("capture", server.url, "--out", out, "--types", "ticks:Tick", "--json"),
            *("--max-events", str(EVENTS), *feed.options),
            cwd=tmp_path,
        )
        printed, errors = await process.communicate()
    assert process.returncode == 0, errors
    summary = json.loads(printed)
    assert (summary["dead_letters"], summary["gaps"]) == (0, CONNECTIONS - 1)
    found = rows(out).values()
    assert [row["n"] for row in found if "n" in row] == list(range(EVENTS))
    # Questions are messages of another kind.
    assert len(found) == (2 * EVENTS if feed.ask is not None else EVENTS)
    assert dead_letters(out) == []


@pytest.mark.parametrize("command", ["bench", "infer"])
async def test_bench_and_infer_keep_it_too(command: str, tmp_path: Path) -> None:
    feed = FEEDS["texts"]
    strict = Strict(feed)
    strict.connections = CONNECTIONS - 1
    count = "--events" if command == "bench" else "--messages"
    async with serve(strict) as server:
        process = await start(command, server.url, count, str(ROUNDS), *feed.options, cwd=tmp_path)
        printed, errors = await process.communicate()
    assert process.returncode == 0, errors
    assert b"pong" not in printed


@pytest.mark.parametrize(
    ("option", "value", "texts"),
    [
        ("--heartbeat", "20s", ("no message", "TIME:MESSAGE", "20s:ping")),
        ("--heartbeat", "soon:ping", ("'soon' is not a time", "20s:ping")),
        ("--heartbeat", "20s:", ("no message", "20s:ping")),
        ("--heartbeat", "2000000s:secret", ("at most 86400", "20s:ping")),
        ("--reply", "ping", ("no answer", "WHEN=>ANSWER", '{"pong": ${/ping}}')),
        ("--reply", "=>secret", ("1 to 256 bytes", "WHEN=>ANSWER")),
        ("--reply", "a=>secret ${/ping", ("without its }", "WHEN=>ANSWER")),
        ("--reply", "a=>secret ${/~2}", ("RFC 6901", "WHEN=>ANSWER")),
    ],
)
async def test_the_command_line_shows_an_example(option: str, value: str, texts: tuple[str, ...]) -> None:
    process = await start("capture", "ws://127.0.0.1:9/", option, value)
    _, errors = await process.communicate()
    assert process.returncode == 2
    shown = " ".join(errors.decode().replace("│", " ").split())
    assert option in shown
    assert all(text in shown for text in texts), shown
    assert "secret" not in shown


async def test_a_server_of_the_websockets_library_with_compression() -> None:
    said: list[str] = []

    async def handler(connection: ServerConnection) -> None:
        for n in range(200):
            await connection.send(json.dumps({"ping": n, "padding": "x" * n}))
            said.append(str(await connection.recv()))
        await connection.send("1")

    async with websockets_serve(handler, "127.0.0.1", 0, compression="deflate") as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        replies = [Reply('"ping":', {"pong": "${/ping}", "n": "was ${/ping}"}, ignore=True)]
        async with rlfast.connect(url, reply=replies, compression="deflate", backoff=None) as ws:
            assert [message async for message in ws] == [1]
    assert said == [json.dumps({"pong": n, "n": f"was {n}"}, separators=(",", ":")) for n in range(200)]


# -- what is ignored ---------------------------------------------------------------------------------------

SOME = [b"pong", b"1", b"", b" pong\r\n", b"\n", b"2", b'"pong"', b"pong?", b"3"]


async def some(peer: Peer) -> None:
    await peer.write(*(frame(payload) for payload in SOME))
    await peer.close()


async def outcomes(ws: Any) -> list[Any]:
    found = []
    while True:
        try:
            found.append(await anext(ws))
        except rlfast.DecodeError as error:
            found.append(error.raw)
        except StopAsyncIteration:
            return found


@pytest.mark.parametrize(
    ("ignore", "expected"),
    [
        (None, [b"pong", 1, b"", b" pong\r\n", b"\n", 2, "pong", b"pong?", 3]),
        ([], [b"pong", 1, b" pong\r\n", 2, "pong", b"pong?", 3]),
        (["pong"], [1, 2, "pong", b"pong?", 3]),
        (("pong?\n", '"pong"', "2"), [b"pong", 1, b" pong\r\n", 3]),
    ],
)
async def test_ignored_messages_have_no_number(ignore: Any, expected: list[Any]) -> None:
    async with serve(some) as server:
        ws = await rlfast.connect(server.url, backoff=None, ignore=ignore)
        assert await outcomes(ws) == expected
        assert ws.stats.messages == len(expected)
        assert ws.stats.ignored_messages == len(SOME) - len(expected)
        ws = await rlfast.connect(server.url, backoff=None, ignore=ignore)
        seqs: list[int] = []
        letters = 0
        async for batch in ws.batches():
            letters += len(batch.dead_letters)
            for table in batch.values():
                seqs += table["seq"].tolist()
    assert letters == sum(isinstance(value, bytes) for value in expected)
    assert sorted(seqs) == [n for n, value in enumerate(expected) if not isinstance(value, bytes)]


# -- answers -----------------------------------------------------------------------------------------------


class Answer(msgspec.Struct):
    id: Any
    text: str = "fine"


@pytest.mark.parametrize(
    ("answer", "message", "sent"),
    [
        ("pong", b"ping, and no JSON \xff", b"pong"),
        ('{"pong": ${/ping}}', b'{"ping": 1e400}', b'{"pong": 1e400}'),
        ('{"pong": ${/ping}}', b'{"ping": 0.10}', b'{"pong": 0.10}'),
        ('{"pong": ${/ping}}', b'{"ping": "a\\u00e9\\""}', b'{"pong": "a\\u00e9\\""}'),
        ('{"pong": ${/ping}}', b'{"ping": {"a": [1, null]}}', b'{"pong": {"a": [1, null]}}'),
        ('{"pong": "${/ping}"}', b'{"ping": 7}', b'{"pong": "7"}'),
        ('{"pong": "${/ping}"}', b'{"ping": "a\\"b\\u000a"}', b'{"pong": "a\\"b\\n"}'),
        (
            '{"pong": "<${/a/1/b~1c}> ${/a/0}"}',
            b'{"a": [0, {"b/c": [true]}]}',
            b'{"pong": "<[true]> 0"}',
        ),
        ('["${/a}", ${/a}, "\\"${/a}"]', b'{"a": "x"}', b'["x", "x", "\\"x"]'),
        ("PONG ${/n} ${/s}", b'{"n": 1.50, "s": "a\\"b"}', b'PONG 1.50 a"b'),
        ("${/n}", b'{"n": 12}', b"12"),
        ({"pong": "${/ping}"}, b'{"ping": 7}', b'{"pong":7}'),
        ({"pong": ["${/ping}!", "${/}"]}, b'{"ping": 7, "": "\xc3\xa9"}', b'{"pong":["7!","\xc3\xa9"]}'),
        ({"${/ping}": 1}, b'{"ping": 7}', b'{"7":1}'),
        (Answer("${/id}"), b'{"id": null}', b'{"id":null,"text":"fine"}'),
        (b"\x01${/n}", b'{"n": 3}', b"\x013"),
        (b"\xff${/n}", b'{"n": 3}', b"\xff${/n}"),
        ("$ ${} ${NAME} {/a}", b"no JSON", b"$ ${} ${NAME} {/a}"),
        (lambda message: {"pong": message["ping"]}, b'{"ping": [1]}', b'{"pong":[1]}'),
        (lambda message: message.replace("I", "O"), b"PING \xff", "PONG \N{REPLACEMENT CHARACTER}".encode()),
    ],
)
def test_what_is_sent_for_a_message(answer: Any, message: bytes, sent: bytes) -> None:
    found = _answerer(Reply("x", answer).answer)(message)
    assert found == (sent, isinstance(answer, bytes))


@pytest.mark.parametrize(
    "message",
    [
        *(b"", b"ping", b"{}", b"[]", b"7", b'{"a": {}}', b'{"a": []}', b'{"a": [1]}', b'{"a": {"01": 1}}'),
        *(b'{"a": [1, 2, NaN]}', b'{"a": {"1": "\xff"}}', b'{"a": {"1": 2}} x', b'{"a": "12"}', b"[" * 5000),
    ],
)
def test_a_message_without_the_value_is_not_answered(message: bytes) -> None:
    for answer in ("${/a/1}", '{"x": "${/a/1}"}', {"x": "${/a/1}"}):
        with pytest.raises(_UnanswerableError, match="it has no /a/1"):
            _answerer(answer)(message)


@pytest.mark.parametrize("answer", ["${/a", {"x": "${/a"}, "${/a${/b}", "${/~}", {"a": "${/~3}"}, b"${/"])
def test_a_pointer_that_cannot_work_is_refused(answer: Any) -> None:
    with pytest.raises(ConfigError):
        Reply("ping", answer)


async def wrong(message: Any) -> str:
    return "pong"


@pytest.mark.parametrize(
    "make",
    [
        lambda: Reply("", "pong"),
        lambda: Reply("x" * 257, "pong"),
        lambda: Reply("\udcff", "pong"),
        lambda: Reply("ping", "\udcff"),
        lambda: Reply("ping", wrong),
        lambda: Heartbeat(0, "ping"),
        lambda: Heartbeat(1, wrong),
        lambda: rlfast.connect("ws://h/", ignore=["\udcff"]),
        lambda: rlfast.connect("ws://h/", ignore="pong"),
    ],
)
def test_what_cannot_work_is_refused(make: Callable[[], Any]) -> None:
    with pytest.raises(ConfigError):
        make()


def test_no_message_is_shown() -> None:
    assert repr(Heartbeat(20, "s3cret")) == "Heartbeat(every=20)"
    assert repr(Reply("ping", {"token": "s3cret"})) == "Reply(when='ping', ignore=False)"
    with pytest.raises(ConfigError) as refusal:
        Reply("ping", {"s3cret": 1j})
    assert "s3cret" not in str(refusal.value)


async def test_the_first_reply_that_fits_answers_in_order_and_in_its_kind() -> None:
    replies = [
        Reply('{"a', "${/a}", ignore=True),
        Reply('"b"', b"binary"),
        Reply("c", lambda message: None),
        Reply("c", "never"),
    ]
    asks = [b'{"a":1}', b'{"a":2,"b":0}', b'{"b":0}', b'"c"', b'{"a":3}', b"0"]
    said: list[tuple[int, bytes]] = []

    async def handler(peer: Peer) -> None:
        await peer.write(*(frame(ask) for ask in asks))
        said.extend([await peer.read_frame() for _ in range(4)])
        await peer.close()

    async with serve(handler) as server, rlfast.connect(server.url, backoff=None, reply=replies) as ws:
        assert [message async for message in ws] == [{"b": 0}, "c", 0]
        assert (ws.stats.replies, ws.stats.ignored_messages) == (4, 3)
    assert said == [(TEXT, b"1"), (TEXT, b"2"), (BINARY, b"binary"), (TEXT, b"3")]


async def test_a_function_that_fails_is_logged_and_nothing_else_happens(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def later() -> str:
        return "pong"

    replies = [
        Reply("unanswered", "${/nothing}"),
        Reply("fails", lambda message: message["nothing"]),
        Reply("awaits", lambda message: later()),
    ]

    async def handler(peer: Peer) -> None:
        for text in ('["unanswered"]', '["fails"]', '["awaits"]', '["unanswered"]', "1"):
            await peer.text(text)
        await done.wait()
        await peer.close()

    done = asyncio.Event()
    caplog.set_level(logging.DEBUG, "rlfast.connection")
    async with serve(handler) as server, rlfast.connect(server.url, backoff=None, reply=replies) as ws:
        for _ in range(5):
            await ws.next_message()
        assert ws.stats.replies == 0
        done.set()
    texts = [record.getMessage() for record in caplog.records if "reply[" in record.getMessage()]
    assert texts == [
        "a message was not answered by reply[0]: it has no /nothing (LookupError)",
        "the function of reply[1] failed",
        "the function of reply[2] failed",
    ]


async def test_nothing_is_sent_behind_a_close_frame() -> None:
    said: list[tuple[int, bytes]] = []

    async def handler(peer: Peer) -> None:
        await peer.write(frame(b'{"ping":1}'), close_frame(1000))
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                said.append(await peer.read_frame())

    async with serve(handler) as server:
        ws = await rlfast.connect(
            server.url, backoff=None, reply=[Reply("ping", "pong")], heartbeat=Heartbeat(0.001, "beat")
        )
        assert await ws.next_messages() == [{"ping": 1}]
        await until(lambda: said and said[-1][0] == CLOSE)
        await ws.close()
    assert [opcode for opcode, payload in said if payload != b"beat"] == [CLOSE]


async def test_a_flood_of_questions_from_a_peer_that_reads_nothing() -> None:
    """Answers must not pile up: when the peer reads again, the last of its questions is answered."""
    go = asyncio.Event()
    asks = 100_000
    said: list[int] = []

    async def handler(peer: Peer) -> None:
        peer.reader._transport.pause_reading()  # type: ignore[attr-defined]
        for begin in range(0, asks, 1000):
            await peer.write(b"".join(frame(b'{"ping":%0100d}' % n) for n in range(begin, begin + 1000)))
        await peer.text('"flooded"')
        await go.wait()
        peer.reader._transport.resume_reading()  # type: ignore[attr-defined]
        while not said or said[-1] != asks - 1:
            said.append(int((await peer.read_frame())[1]))
        await peer.close()

    # The number has leading zeros: it is no JSON, and the function gets the text.
    replies = [Reply("ping", lambda text: text[8:-1], ignore=True)]
    async with serve(handler) as server, rlfast.connect(server.url, backoff=None, reply=replies) as ws:
        assert await ws.next_message() == "flooded"
        handler_of = ws._reconnector.frame_handler
        assert handler_of is not None
        assert handler_of.write_paused
        size = handler_of.transport.underlying_transport.get_write_buffer_size()
        assert size < 1 << 20
        go.set()
        assert [message async for message in ws] == []
        assert ws.stats.replies == len(said) < asks
    assert said == sorted(said)


# -- heartbeats --------------------------------------------------------------------------------------------


async def test_heartbeats_of_every_kind_and_functions_that_count() -> None:
    numbers = itertools.count(1)
    beats = [
        Heartbeat(0.004, lambda: {"id": next(numbers)}),
        Heartbeat(0.005, b"\x00"),
        Heartbeat(0.006, Answer(1)),
    ]
    said: list[tuple[int, bytes]] = []
    wanted = {
        (TEXT, b'{"id":1,"text":"fine"}'),
        (BINARY, b"\x00"),
        *((TEXT, b'{"id":%d}' % n) for n in (1, 2, 3)),
    }

    async def handler(peer: Peer) -> None:
        while not wanted <= set(said):
            said.append(await peer.read_frame())
        await peer.close()

    async with serve(handler) as server, rlfast.connect(server.url, backoff=None, heartbeat=beats) as ws:
        assert [message async for message in ws] == []
    counted = [payload for _, payload in said if payload.startswith(b'{"id":') and b"text" not in payload]
    assert counted == [b'{"id":%d}' % n for n in range(1, len(counted) + 1)]


async def test_a_heartbeat_that_fails_is_logged_and_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    answers = iter([1j, ZeroDivisionError(), "ping"])

    def beat() -> Any:
        answer = next(answers, "ping")
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def handler(peer: Peer) -> None:
        assert await peer.read_frame() == (TEXT, b"ping")
        await peer.close()

    async with serve(handler) as server:
        async with rlfast.connect(server.url, backoff=None, heartbeat=Heartbeat(0.001, beat)) as ws:
            assert [message async for message in ws] == []
    assert [record.getMessage() for record in caplog.records] == ["the function of a Heartbeat failed"] * 2


async def test_they_begin_behind_on_connect_and_are_sent_while_our_reader_is_slow() -> None:
    numbers = itertools.count(1)
    sent = 0
    paused, heard = asyncio.Event(), asyncio.Event()

    def beat() -> str:
        nonlocal sent
        sent = next(numbers)
        return str(sent)

    async def handler(peer: Peer) -> None:
        assert await peer.read_frame() == (TEXT, b"login")
        assert await peer.read_frame() == (TEXT, b"1")
        peer.writer.write(b"".join(frame(b'"%0100d"' % n) for n in range(10_000)))
        await paused.wait()
        last = sent + 5
        while int((await peer.read_frame())[1]) < last:
            pass
        heard.set()
        await peer.close()

    async def greet(connection: rlfast.NewConnection) -> None:
        overdue = asyncio.Event()
        asyncio.get_running_loop().call_later(0.02, overdue.set)
        await overdue.wait()
        await connection.send("login")

    options = ConnectionOptions(high_water=100_000, low_water=50_000)
    async with serve(handler) as server:
        async with rlfast.connect(
            server.url, backoff=None, options=options, on_connect=greet, heartbeat=Heartbeat(0.001, beat)
        ) as ws:
            await until(lambda: ws.stats.paused)
            paused.set()
            await heard.wait()
            assert ws.stats.paused
            assert len([message async for message in ws]) == 10_000


async def test_one_is_left_out_while_the_peer_does_not_read() -> None:
    calls = 0

    def beat() -> bytes:
        nonlocal calls
        calls += 1
        return bytes(1 << 20)

    async def handler(peer: Peer) -> None:
        peer.reader._transport.pause_reading()  # type: ignore[attr-defined]
        await done.wait()

    done = asyncio.Event()
    async with serve(handler) as server:
        ws = await rlfast.connect(server.url, backoff=None, heartbeat=Heartbeat(0.001, beat))
        frame_handler = ws._reconnector.frame_handler
        assert frame_handler is not None
        await until(lambda: frame_handler.write_paused)
        before = calls
        loop = asyncio.get_running_loop()
        end = loop.time() + 0.1
        await until(lambda: loop.time() > end)
        assert calls == before
        assert ws.connected
        done.set()
        await ws.close()


@pytest.mark.parametrize("ends", ["closed", "dropped", "lost"])
async def test_no_timer_and_no_reference_is_left(ends: str) -> None:
    async def handler(peer: Peer) -> None:
        await peer.text('{"ping":1}')
        if ends == "lost":
            await peer.close()
        await peer.hang()

    gc.collect()
    gc.disable()
    try:
        async with serve(handler) as server:
            ws = await rlfast.connect(
                server.url,
                backoff=None,
                heartbeat=Heartbeat(0.001, "ping"),
                reply=[Reply("ping", "pong")],
                ignore=[],
            )
            assert await ws.next_message() == {"ping": 1}
            reference = weakref.ref(ws._reconnector)
            heartbeats = ws._reconnector.heartbeats
            if ends == "dropped":
                with pytest.warns(ResourceWarning, match="unclosed"):
                    del ws
                assert reference() is None
            else:
                if ends == "lost":
                    assert await ws.next_messages() == []
                await ws.close()
                with warnings.catch_warnings():
                    warnings.simplefilter("error")
                    del ws
            await until(lambda: not heartbeats._timers)
    finally:
        gc.enable()
