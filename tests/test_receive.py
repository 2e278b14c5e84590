"""What `on_connect` receives: a login's answer. It stays in the stream, and nobody else gets it sooner."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from streams import FakeTiming
from test_compression import Compressor, answer_with
from wsserver import BINARY, CONTINUATION, PING, PONG, TEXT, Peer, close_frame, frame, serve, turns, until

import rlfast
from rlfast import Backoff, ConnectError, ConnectionOptions, NotConnectedError, UsageError
from rlfast.capture import CaptureOptions, capture, open_dataset

RSV1 = 4
Callback = Callable[[rlfast.NewConnection], Awaitable[None]]


class Login:
    """Wants a login, answers it, sends `count` numbers at once, and closes all connections but one."""

    def __init__(self, connections: int, count: int = 3) -> None:
        self.connections = connections
        self.count = count
        self.num_open = 0

    async def __call__(self, peer: Peer) -> None:
        self.num_open += 1
        await peer.write(frame(b'{"n":-1}'))
        assert json.loads((await peer.read_frame())[1]) == {"login": "s3cret"}
        numbers = (frame(b'{"n":%d}' % (100 * self.num_open + i)) for i in range(self.count))
        await peer.write(frame(b'{"n":-2}'), *numbers)
        if self.num_open < self.connections:
            await peer.write(close_frame(1012))
        await peer.wait_closed()

    def expected(self) -> list[int]:
        return [
            n
            for number in range(1, self.connections + 1)
            for n in (-1, -2, *(100 * number + i for i in range(self.count)))
        ]


async def log_in(connection: rlfast.NewConnection) -> None:
    assert await connection.receive() == {"n": -1}
    await connection.send({"login": "s3cret"})
    assert await connection.receive() == {"n": -2}


async def fails(connection: rlfast.NewConnection) -> None:
    await connection.receive()
    raise RuntimeError("s3cret")


class Number(msgspec.Struct):
    n: int


@pytest.mark.parametrize("high_water", [1, 1 << 20])
async def test_what_it_receives_stays_in_the_stream(high_water: int) -> None:
    """However little may be queued: a reader that is slow does not keep a login from its answer."""
    login = Login(3)
    options = ConnectionOptions(high_water=high_water, low_water=0)
    async with serve(login) as server:
        connecting = rlfast.connect(
            server.url, type=Number, on_connect=log_in, timing=FakeTiming().timing, options=options
        )
        async with connecting as ws:
            got = [await anext(ws) for _ in range(len(login.expected()))]
            assert [number.n for number in got] == login.expected()
            assert [(gap.epoch, gap.last_seq) for gap in ws.gaps] == [(1, 4), (2, 9)]
            assert ws.stats.messages == len(got)


@pytest.mark.parametrize("count", [3, 20_000])
async def test_in_batches(count: int) -> None:
    login = Login(3, count)
    seen: list[tuple[int, int, int]] = []
    async with serve(login) as server:
        connecting = rlfast.connect(server.url, type=Number, on_connect=log_in, timing=FakeTiming().timing)
        async with connecting as ws:
            async for batch in ws.batches(max_wait=0.01):
                table = batch["Number"]
                seen += zip(table["seq"].tolist(), table["epoch"].tolist(), table["n"].tolist(), strict=True)
                if len(seen) == len(login.expected()):
                    break
    assert [n for _, _, n in seen] == login.expected()
    assert [seq for seq, _, _ in seen] == list(range(len(seen)))
    assert [epoch for _, epoch, _ in seen] == sorted([1, 2, 3] * (count + 2))


@pytest.mark.parametrize(("durability", "max_backlog"), [("process", 16 << 20), ("process", 0), ("none", 0)])
async def test_a_capture_has_it(tmp_path: Path, durability: Any, max_backlog: int) -> None:
    """Also while what its reader has not taken yet is in the journal only."""
    login = Login(3, 20_000)
    options = ConnectionOptions(high_water=10_000, low_water=0)
    async with serve(login) as server:
        stop = asyncio.Event()
        connecting = rlfast.connect(
            server.url,
            type=Number,
            on_connect=log_in,
            stream="s",
            backoff=Backoff(initial=0.001, jitter=False),
            options=options,
        )
        running = asyncio.ensure_future(
            capture(
                connecting,
                tmp_path,
                CaptureOptions(durability=durability, max_backlog=max_backlog, batch_rows=1000),
                stop=stop,
            )
        )
        await until(lambda: connecting.connection.stats.messages == len(login.expected()))
        stop.set()
        summary = await running
    assert (summary.events, summary.gaps) == (len(login.expected()), 2)
    table = open_dataset(tmp_path).to_arrow("Number").sort_by("seq")
    assert table["n"].to_pylist() == login.expected()
    assert table["seq"].to_pylist() == list(range(summary.events))


@pytest.mark.parametrize("at_once", [True, False], ids=["with the answer to the upgrade", "later"])
async def test_readers_get_nothing_before_it_is_done(at_once: bool) -> None:
    go_on, asked = asyncio.Event(), asyncio.Event()
    messages = b"".join(frame(b"%d" % i) for i in range(5))

    async def handler(peer: Peer) -> None:
        await peer.accept(*([messages] if at_once else []))
        if not at_once:
            await peer.write(messages)
        await peer.wait_closed()

    async def receive(connection: rlfast.NewConnection) -> None:
        assert [await connection.receive() for _ in range(2)] == [0, 1]
        asked.set()
        await go_on.wait()

    async with serve(handler, accept=False) as server:
        connecting = rlfast.connect(server.url, on_connect=receive)
        opening = asyncio.ensure_future(connecting._run())
        await asked.wait()
        ws = connecting.connection
        waiting = asyncio.ensure_future(ws.next_messages())
        await turns(50)
        assert not waiting.done()
        go_on.set()
        await opening
        got = await waiting
        while len(got) < 5:
            got += await ws.next_messages()
        assert got == [0, 1, 2, 3, 4]
        await ws.close()


async def test_whatever_a_message_is() -> None:
    """Fragments with a ping in between, compressed, no JSON, no text; one byte at a time."""
    compressed = Compressor()
    sent = b"".join(
        (
            frame(b'{"a"', TEXT, fin=False) + frame(b"ping", PING) + frame(b":[1]}", CONTINUATION),
            frame(compressed(b'"compressed"'), TEXT, rsv=RSV1),
            frame(b"hello"),
            frame(b""),
            frame(b"\xff\xfe", BINARY),
            frame(b'{"b":', BINARY),
            frame(b"null"),
        )
    )
    got: list[Any] = []

    async def handler(peer: Peer) -> None:
        await peer.write(answer_with(peer, "Sec-WebSocket-Extensions: permessage-deflate"))
        for i in range(len(sent)):
            await peer.write(sent[i : i + 1])
            await asyncio.sleep(0)
        assert await peer.read_frame() == (PONG, b"ping")
        await peer.wait_closed()

    async def receive(connection: rlfast.NewConnection) -> None:
        got.extend([await connection.receive() for _ in range(7)])

    async with serve(handler, accept=False) as server:
        async with rlfast.connect(server.url, on_connect=receive, compression="deflate") as ws:
            assert got == [{"a": [1]}, "compressed", "hello", "", b"\xff\xfe", '{"b":', None]
            assert [await ws.next_message() for _ in range(2)] == [{"a": [1]}, "compressed"]
            for raw in (b"hello", b"", b"\xff\xfe", b'{"b":'):
                with pytest.raises(rlfast.DecodeError) as caught:
                    await ws.next_message()
                assert caught.value.raw == raw
            assert await anext(ws) is None


async def test_cancelling_and_timing_out_lose_nothing() -> None:
    go_on = asyncio.Event()

    async def handler(peer: Peer) -> None:
        await peer.write(frame(b"1")[:2])
        await go_on.wait()
        await peer.write(frame(b"1")[2:], frame(b"2"))
        await peer.wait_closed()

    async def receive(connection: rlfast.NewConnection) -> None:
        for _ in range(3):
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(connection.receive(), 0.01)
        waiting = asyncio.ensure_future(connection.receive())
        await asyncio.sleep(0)
        with pytest.raises(UsageError, match="another task is already receiving"):
            await connection.receive()
        waiting.cancel()
        await asyncio.wait([waiting])
        go_on.set()
        assert [await connection.receive() for _ in range(2)] == [1, 2]

    async with serve(handler) as server, rlfast.connect(server.url, on_connect=receive) as ws:
        assert [await ws.next_message() for _ in range(2)] == [1, 2]


async def test_a_connection_that_is_open_is_read_by_its_readers() -> None:
    kept: list[rlfast.NewConnection] = []

    async def receive(connection: rlfast.NewConnection) -> None:
        await log_in(connection)
        kept.append(connection)

    async with serve(Login(1)) as server:
        async with rlfast.connect(server.url, on_connect=receive):
            with pytest.raises(UsageError, match="read from the connection itself"):
                await kept[0].receive()
        with pytest.raises(NotConnectedError):
            await kept[0].receive()


@pytest.mark.parametrize("how", ["close frame", "end", "reset", "broken frame", "too big"])
async def test_a_server_that_is_gone_meanwhile(how: str) -> None:
    said: list[BaseException] = []

    async def handler(peer: Peer) -> None:
        await peer.write(frame(b"1"))
        if how == "close frame":
            await peer.close(4001)
        elif how == "broken frame":
            await peer.write(b"\xff\xff")
            await peer.hang()
        elif how == "too big":
            await peer.write(frame(b"x" * 2000))
            await peer.hang()
        elif how == "reset":
            await peer.read_frame()
            peer.reset()

    async def receive(connection: rlfast.NewConnection) -> None:
        assert await connection.receive() == 1
        try:
            await connection.send("go on")
            await connection.receive()
        except BaseException as error:
            said.append(error)
            raise

    options = ConnectionOptions(max_message_size=1000)
    async with serve(handler) as server:
        connecting = rlfast.connect(server.url, on_connect=receive, options=options)
        with pytest.raises(ConnectError, match="on_connect raised NotConnectedError$"):
            await asyncio.wait_for(connecting._run(), 30)
        assert [type(error) for error in said] == [NotConnectedError]
        ws = connecting.connection
        assert await ws.next_message() == 1
        (gap,) = ws.gaps
        assert (gap.epoch, gap.reason) == (1, "on_connect_failed: raised NotConnectedError")
        assert gap.close_code == (4001 if how == "close frame" else None)


async def never_ends(connection: rlfast.NewConnection) -> None:
    await connection.receive()
    await asyncio.get_running_loop().create_future()


async def receives_for_ever(connection: rlfast.NewConnection) -> None:
    while True:
        await connection.receive()


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (fails, "raised RuntimeError"),
        (never_ends, "did not end within 0.05 s"),
        (receives_for_ever, "did not end within 0.05 s"),
    ],
)
async def test_a_failure_after_it_has_received_something_is_on_record(fault: Callback, why: str) -> None:
    """What was received keeps its place and its epoch, and a gap stands behind it: no silent hole."""
    told: list[tuple[int, str, bool]] = []
    num_open = 0

    async def handler(peer: Peer) -> None:
        nonlocal num_open
        num_open += 1
        await peer.write(frame(b"%d" % (10 * num_open)), frame(b"%d" % (10 * num_open + 1)))
        if num_open == 1:
            await peer.write(close_frame(1012))
        await peer.wait_closed()

    async def callback(connection: rlfast.NewConnection) -> None:
        assert connection.epoch == num_open
        if num_open in (2, 3):
            await fault(connection)

    async with serve(handler) as server:
        connecting = rlfast.connect(
            server.url,
            on_connect=callback,
            on_gap=lambda gap: told.append((gap.epoch, gap.reason, gap.reconnected_at is not None)),
            timing=FakeTiming().timing,
            options=ConnectionOptions(connect_timeout=0.05),
        )
        async with connecting as ws:
            assert [await ws.next_message() for _ in range(8)] == [10, 11, 20, 21, 30, 31, 40, 41]
            reason = f"on_connect_failed: {why}"
            assert [(gap.epoch, gap.last_seq, gap.reason) for gap in ws.gaps] == [
                (1, 1, "closed_by_peer"),
                (2, 3, reason),
                (3, 5, reason),
            ]
            assert [gap.attempts for gap in ws.gaps] == [1, 1, 1]
            assert told == [
                (1, "closed_by_peer", False),
                (1, "closed_by_peer", True),
                (2, reason, False),
                (2, reason, True),
                (3, reason, False),
                (3, reason, True),
            ]
            assert (ws.epoch, ws.stats.reconnects) == (4, 1)


async def test_a_capture_keeps_what_a_first_connection_that_failed_has_brought(tmp_path: Path) -> None:
    async with serve(Login(9)) as server:
        connecting = rlfast.connect(server.url, type=Number, on_connect=fails, stream="s")
        with pytest.raises(ConnectError, match="on_connect raised RuntimeError"):
            await capture(connecting, tmp_path)
        stop = asyncio.Event()
        connecting = rlfast.connect(server.url, type=Number, on_connect=log_in, stream="s", backoff=None)
        running = asyncio.ensure_future(capture(connecting, tmp_path, stop=stop))
        await until(lambda: connecting.connection.stats.messages == 5)
        stop.set()
        await running
    dataset = open_dataset(tmp_path)
    table = dataset.to_arrow("Number").sort_by("seq")
    assert table["n"].to_pylist() == [-1, -1, -2, 200, 201, 202]
    assert table["seq"].to_pylist() == list(range(6))
    assert table["epoch"].to_pylist() == [1, 2, 2, 2, 2, 2]
    assert [(gap.epoch, gap.last_seq, gap.reason) for gap in dataset.gaps][:2] == [
        (1, 0, "on_connect_failed: raised RuntimeError"),
        (1, 0, "crashed"),
    ]


async def test_a_capture_over_a_failure_has_every_number_once(tmp_path: Path) -> None:
    login = Login(9)
    calls = 0

    async def callback(connection: rlfast.NewConnection) -> None:
        nonlocal calls
        calls += 1
        await (fails if calls in (2, 3) else log_in)(connection)

    async with serve(login) as server:
        stop = asyncio.Event()
        connecting = rlfast.connect(
            server.url,
            type=Number,
            on_connect=callback,
            stream="s",
            backoff=Backoff(initial=0.001, jitter=False),
        )
        running = asyncio.ensure_future(capture(connecting, tmp_path, stop=stop))
        await until(lambda: connecting.connection.stats.messages >= 17)
        stop.set()
        await running
    dataset = open_dataset(tmp_path)
    table = dataset.to_arrow("Number").sort_by("seq")
    assert table["seq"].to_pylist() == list(range(table.num_rows))
    assert table["n"].to_pylist()[:12] == [-1, -2, 100, 101, 102, -1, -1, -1, -2, 400, 401, 402]
    assert [(gap.epoch, gap.last_seq, gap.reason) for gap in dataset.gaps][:3] == [
        (1, 4, "closed_by_peer"),
        (2, 5, "on_connect_failed: raised RuntimeError"),
        (3, 6, "on_connect_failed: raised RuntimeError"),
    ]


@pytest.mark.parametrize("who", ["close", "cancel", "callback"])
async def test_close_while_it_receives(who: str) -> None:
    receiving = asyncio.Event()

    async def handler(peer: Peer) -> None:
        await peer.write(frame(b"%d" % len(server.requests)))
        if len(server.requests) == 1 and who == "close":
            await peer.write(close_frame(1012))
        await peer.wait_closed()

    async def receive(connection: rlfast.NewConnection) -> None:
        await connection.receive()
        if connection.epoch == 2 or who != "close":
            receiving.set()
            if who == "callback":
                await connecting.connection.close()
            await connection.receive()

    async with serve(handler) as server:
        connecting = rlfast.connect(server.url, on_connect=receive, timing=FakeTiming().timing)
        opening = asyncio.ensure_future(connecting._run())
        await receiving.wait()
        ws = connecting.connection
        if who == "close":
            await asyncio.wait_for(ws.close(), 30)
            assert await opening is ws
        elif who == "cancel":
            opening.cancel()
            await asyncio.wait([opening])
        else:
            with pytest.raises(ConnectError):
                await opening
        # What was received before stays readable.
        assert [message async for message in ws] == ([1, 2] if who == "close" else [1])
        assert ws.gaps[-1].reason.startswith("on_connect_failed: ")
        assert ws.gaps[-1].reconnected_at is None
    assert len(asyncio.all_tasks()) == 1


async def test_one_that_is_numbered_anew_meanwhile(tmp_path: Path) -> None:
    """A capture takes over a connection that is logging in."""
    receiving, go_on = asyncio.Event(), asyncio.Event()
    login = Login(2)

    async def callback(connection: rlfast.NewConnection) -> None:
        if connection.epoch == 2:
            assert await connection.receive() == {"n": -1}
            receiving.set()
            await go_on.wait()
            await connection.send({"login": "s3cret"})
            assert await connection.receive() == {"n": -2}
        else:
            await log_in(connection)

    async with serve(login) as server:
        ws = await rlfast.connect(
            server.url, type=Number, on_connect=callback, stream="s", timing=FakeTiming().timing
        )
        assert [(await anext(ws)).n for _ in range(5)] == login.expected()[:5]
        await receiving.wait()
        assert ws.next_unread_seq == 5
        stop = asyncio.Event()
        running = asyncio.ensure_future(capture(ws, tmp_path, stop=stop))
        await turns(20)
        go_on.set()
        await until(lambda: ws.stats.messages == 10)
        stop.set()
        summary = await running
        await ws.close()
    assert summary.events == 5
    table = open_dataset(tmp_path).to_arrow("Number").sort_by("seq")
    assert table["n"].to_pylist() == login.expected()[5:]
    assert table["seq"].to_pylist() == [0, 1, 2, 3, 4]
