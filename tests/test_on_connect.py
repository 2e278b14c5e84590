"""What is said on every connection before anything is received on it."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
from pathlib import Path
from typing import Any

import msgspec
import pytest
from streams import FakeTiming
from wsserver import BINARY, TEXT, Peer, close_frame, frame, serve, until

import rlfast
from rlfast import Backoff, ConnectError, ConnectionOptions
from rlfast.capture import capture

SUBSCRIBE = {"subscribe": ["EUR/USD"]}


async def subscribe(connection: rlfast.NewConnection) -> None:
    await connection.send(SUBSCRIBE)
    await connection.send(b"\x00")


class Exchange:
    """Sends numbers to whoever has subscribed; closes each connection but the last one."""

    def __init__(self, connections: int) -> None:
        self.connections = connections
        self.said: list[list[Any]] = []

    async def __call__(self, peer: Peer) -> None:
        await peer.accept()
        said: list[Any] = []
        self.said.append(said)
        opcode, payload = await peer.read_frame()
        said.append((opcode, json.loads(payload)))
        said.append(await peer.read_frame())
        await peer.write(frame(b"%d" % len(self.said)))
        if len(self.said) < self.connections:
            await peer.write(close_frame(1012))
        await peer.wait_closed()


async def test_it_is_called_on_every_connection() -> None:
    exchange = Exchange(3)
    async with serve(exchange, accept=False) as server:
        ws = await rlfast.connect(server.url, on_connect=subscribe, timing=FakeTiming().timing)
        assert [await ws.next_message() for _ in range(3)] == [1, 2, 3]
        await ws.close()
    assert exchange.said == [[(TEXT, SUBSCRIBE), (BINARY, b"\x00")]] * 3
    assert [gap.epoch for gap in ws.gaps] == [1, 2]


@pytest.mark.parametrize("by", ["argument", "attribute"])
async def test_a_function_that_is_not_async_and_one_that_is_set_later(by: str) -> None:
    epochs: list[int] = []

    async def brief(peer: Peer) -> None:
        await peer.write(frame(b"1"), close_frame(1001))
        await peer.wait_closed()

    def note(connection: rlfast.NewConnection) -> None:
        epochs.append(connection.epoch)

    async with serve(brief, brief, brief) as server:
        given: dict[str, Any] = {"on_connect": note} if by == "argument" else {}
        connecting = rlfast.connect(server.url, timing=FakeTiming().timing, **given)
        if by == "attribute":
            connecting.connection.on_connect(note)
        ws = await connecting
        assert [await ws.next_message() for _ in range(3)] == [1, 1, 1]
        await ws.close()
    assert epochs[:3] == [1, 2, 3]


@pytest.mark.parametrize("at_once", [True, False])
async def test_nothing_is_received_before_it_is_done(at_once: bool) -> None:
    """Not even what came in one segment with the answer to the upgrade."""
    go_on = asyncio.Event()
    asked = asyncio.Event()
    told: list[tuple[int, bool]] = []

    async def handler(peer: Peer) -> None:
        number = len(server.requests)
        messages = frame(b"%d" % (10 * number)) + frame(b"%d" % (10 * number + 1))
        if at_once:
            await peer.accept(messages)
        else:
            await peer.accept()
            await peer.write(messages)
        if number == 1:
            await peer.write(close_frame(1012))
        await peer.wait_closed()

    async def wait(connection: rlfast.NewConnection) -> None:
        if connection.epoch == 2:
            asked.set()
            await go_on.wait()

    async with serve(handler, accept=False) as server:
        ws = await rlfast.connect(
            server.url,
            on_connect=wait,
            timing=FakeTiming().timing,
            on_gap=lambda gap: told.append((gap.epoch, gap.reconnected_at is not None)),
        )
        assert [await ws.next_message() for _ in range(2)] == [10, 11]
        await asked.wait()
        waiting = asyncio.ensure_future(ws.next_message())
        for _ in range(50):
            await asyncio.sleep(0)
        assert not waiting.done()
        assert (ws.connected, ws.stats.messages, told) == (False, 2, [(1, False)])
        go_on.set()
        assert [await waiting, await ws.next_message()] == [20, 21]
        assert told == [(1, False), (1, True)]
        await ws.close()


async def fails(connection: rlfast.NewConnection) -> None:
    raise RuntimeError("s3cret")


async def never_ends(connection: rlfast.NewConnection) -> None:
    await asyncio.get_running_loop().create_future()


async def is_refused(connection: rlfast.NewConnection) -> None:
    raise rlfast.HandshakeRejectedError("s3cret", 401)


async def awaits_what_was_cancelled(connection: rlfast.NewConnection) -> None:
    shared = asyncio.get_running_loop().create_future()
    shared.cancel()
    await shared


@pytest.mark.parametrize(
    ("callback", "said"),
    [
        (fails, "raised RuntimeError"),
        (is_refused, "raised HandshakeRejectedError"),
        (awaits_what_was_cancelled, "was cancelled"),
        (never_ends, r"did not end within 0\.05 s"),
    ],
)
async def test_an_attempt_in_which_it_fails_has_failed(callback: Any, said: str) -> None:
    hung_up = asyncio.Event()

    async def handler(peer: Peer) -> None:
        try:
            await peer.wait_closed()
        finally:
            hung_up.set()

    options = ConnectionOptions(connect_timeout=0.05)
    async with serve(handler) as server:
        with pytest.raises(
            ConnectError, match=f"^websocket connect failed: ws://.*: on_connect {said}"
        ) as caught:
            await rlfast.connect(server.url, on_connect=callback, options=options)
        assert "s3cret" not in str(caught.value)
        await asyncio.wait_for(hung_up.wait(), 30)


async def test_a_later_attempt_in_which_it_fails_is_followed_by_another_one() -> None:
    calls: list[int] = []

    async def handler(peer: Peer) -> None:
        await peer.write(frame(b"%d" % len(server.requests)))
        if len(server.requests) == 1:
            await peer.write(close_frame(1012))
        await peer.wait_closed()

    async def callback(connection: rlfast.NewConnection) -> None:
        calls.append(connection.epoch)
        if len(calls) == 2:
            await awaits_what_was_cancelled(connection)
        if len(calls) == 3:
            await is_refused(connection)

    async with serve(handler) as server:
        connecting = rlfast.connect(server.url, on_connect=callback, timing=FakeTiming().timing)
        async with connecting as ws:
            # What the failed ones brought was not taken.
            assert [await ws.next_message() for _ in range(2)] == [1, 4]
            (gap,) = ws.gaps
            assert (gap.attempts, gap.reconnected_at is not None) == (3, True)
    assert calls == [1, 2, 2, 2]


async def test_a_server_that_closes_meanwhile() -> None:
    async def handler(peer: Peer) -> None:
        peer.writer.close()

    async def wait(connection: rlfast.NewConnection) -> None:
        await until(lambda: bool(server.requests))
        for _ in range(1000):
            await connection.send("x" * 10_000)
            await asyncio.sleep(0)

    async with serve(handler) as server:
        with pytest.raises(
            ConnectError, match="on_connect (raised NotConnectedError|is done, and the server)"
        ):
            await rlfast.connect(server.url, on_connect=wait, backoff=None)


async def test_close_and_cancellation_while_it_runs_leave_nothing() -> None:
    entered = asyncio.Event()
    gone: list[int] = []

    async def handler(peer: Peer) -> None:
        if len(server.requests) == 1:
            await peer.write(frame(b"1"), close_frame(1012))
        try:
            await peer.wait_closed()
        finally:
            gone.append(len(server.requests))

    async def wait(connection: rlfast.NewConnection) -> None:
        if connection.epoch == 2:
            entered.set()
            await asyncio.get_running_loop().create_future()

    async with serve(handler) as server:
        ws = await rlfast.connect(server.url, on_connect=wait, timing=FakeTiming().timing)
        assert await ws.next_message() == 1
        await entered.wait()
        await ws.close()
        assert await ws.next_message() is None
        await until(lambda: len(gone) == 2)
        entered.clear()
        connecting = asyncio.ensure_future(rlfast.connect(server.url, on_connect=never_ends)._run())
        await until(lambda: len(server.requests) == 3)
        connecting.cancel()
        await asyncio.wait([connecting])
        await until(lambda: len(gone) == 3)
    assert len(asyncio.all_tasks()) == 1


async def test_a_capture_subscribes_too(tmp_path: Path) -> None:
    exchange = Exchange(3)

    async with serve(exchange, accept=False) as server:
        stop = asyncio.Event()
        connecting = rlfast.connect(
            server.url, on_connect=subscribe, stream="s", backoff=Backoff(initial=0.01, jitter=False)
        )
        running = asyncio.ensure_future(capture(connecting, tmp_path, stop=stop))
        await until(lambda: connecting.connection.stats.messages == 3)
        stop.set()
        summary = await running
    assert (summary.events, summary.gaps) == (3, 2)
    assert len(exchange.said) == 3


async def test_its_end_is_waited_for_when_it_is_cancelled(caplog: pytest.LogCaptureFixture) -> None:
    ended: list[str] = []

    async def tidies_up(connection: rlfast.NewConnection) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await asyncio.sleep(0.05)
            ended.append("ended")
            raise RuntimeError("s3cret")

    async with serve(Peer.wait_closed) as server:
        options = ConnectionOptions(connect_timeout=0.05)
        with pytest.raises(ConnectError, match="did not end within"):
            await rlfast.connect(server.url, on_connect=tidies_up, options=options)
        assert ended == ["ended"]
        connecting = asyncio.ensure_future(rlfast.connect(server.url, on_connect=tidies_up)._run())
        await until(lambda: len(server.requests) == 2)
        connecting.cancel()
        await asyncio.wait([connecting])
        assert len(ended) in (1, 2)
    gc.collect()
    assert "s3cret" not in caplog.text


@pytest.mark.parametrize("who", ["on_connect", "headers"])
async def test_a_stream_that_is_closed_while_its_first_connection_opens_has_none(who: str) -> None:
    hung_up = asyncio.Event()

    async def handler(peer: Peer) -> None:
        try:
            await peer.wait_closed()
        finally:
            hung_up.set()

    async def close(connection: rlfast.NewConnection) -> None:
        await connecting.connection.close()

    async def headers() -> dict[str, str]:
        await connecting.connection.close()
        return {}

    async with serve(handler) as server:
        if who == "headers":
            connecting = rlfast.connect(server.url, headers=headers)
        else:
            connecting = rlfast.connect(server.url, on_connect=close)
        with pytest.raises(ConnectError, match="the stream was closed meanwhile"):
            await connecting
        await asyncio.wait_for(hung_up.wait(), 30)
        assert connecting.connection.closed


async def test_one_connect_opens_one_connection() -> None:
    async with serve(Peer.wait_closed) as server:
        connecting = rlfast.connect(server.url)
        ws = await connecting
        with pytest.raises(rlfast.UsageError, match=r"call connect\(\.\.\.\) again"):
            await connecting
        assert ws.connected
        await ws.close()
    assert len(server.requests) == 1


class Login(msgspec.Struct):
    token: str


async def test_subscribe_is_sent_before_it_on_every_connection(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(1)
    for name in ("rlfast", "rlfast.wire", "picows", "asyncio"):
        logging.getLogger(name).setLevel(1)
    said: list[list[tuple[int, bytes]]] = []
    message = {"token": "s3cret"}
    messages = [message, Login("s3cret"), "s3cret", b"s3cret", bytearray(b"s3cret")]

    async def handler(peer: Peer) -> None:
        said.append([await peer.read_frame() for _ in range(6)])
        await peer.write(frame(b"%d" % len(said)))
        if len(said) < 3:
            await peer.write(close_frame(1012))
        await peer.wait_closed()

    async def greet(connection: rlfast.NewConnection) -> None:
        await connection.send("on_connect")

    async with serve(handler) as server:
        connecting = rlfast.connect(
            server.url, subscribe=messages, on_connect=greet, timing=FakeTiming().timing
        )
        # They are those that were given.
        message["token"] = "changed"
        messages.clear()
        async with connecting as ws:
            assert [await ws.next_message() for _ in range(3)] == [1, 2, 3]
            assert "s3cret" not in repr((ws, ws.stats, ws.gaps))
    json_text = (TEXT, b'{"token":"s3cret"}')
    binary = (BINARY, b"s3cret")
    expected = [json_text, json_text, (TEXT, b"s3cret"), binary, binary, (TEXT, b"on_connect")]
    assert said == [expected] * 3
    assert caplog.records
    assert "s3cret" not in caplog.text


async def test_subscribe_alone_with_a_capture(tmp_path: Path) -> None:
    exchange = Exchange(3)
    async with serve(exchange, accept=False) as server:
        stop = asyncio.Event()
        connecting = rlfast.connect(
            server.url,
            subscribe=[SUBSCRIBE, b"\x00"],
            stream="s",
            backoff=Backoff(initial=0.01, jitter=False),
        )
        running = asyncio.ensure_future(capture(connecting, tmp_path, stop=stop))
        await until(lambda: connecting.connection.stats.messages == 3)
        stop.set()
        summary = await running
    assert (summary.events, summary.gaps) == (3, 2)
    assert exchange.said == [[(TEXT, SUBSCRIBE), (BINARY, b"\x00")]] * 3


async def test_a_server_that_does_not_read_what_is_subscribed() -> None:
    """The attempt ends all the same."""
    options = ConnectionOptions(connect_timeout=0.1)
    async with serve(lambda peer: asyncio.get_running_loop().create_future()) as server:
        with pytest.raises(ConnectError, match="subscribe did not end within 0.1 s"):
            await rlfast.connect(server.url, subscribe=["x" * (8 << 20)] * 3, options=options)


@pytest.mark.parametrize("single", [{"subscribe": "s3cret"}, "s3cret", b"s3cret", Login("s3cret")])
def test_a_single_message_is_written_as_a_list(single: Any) -> None:
    with pytest.raises(rlfast.ConfigError, match=r"subscribe must be a list .* \[message\]$") as caught:
        rlfast.connect("ws://localhost/", subscribe=single)
    assert "s3cret" not in str(caught.value)
    rlfast.connect("ws://localhost/", subscribe=[single])
    rlfast.connect("ws://localhost/", subscribe=())
