"""A URL that a function returns, for every attempt."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest
from streams import FakeTiming
from wsserver import BINARY, Peer, close_frame, frame, serve, until

import rlfast
from rlfast import Backoff, ConfigError, ConnectError, ConnectionOptions, LastReceived
from rlfast.capture import capture

SECRET = "t0ken-that-nobody-may-see"


class Resuming:
    """Sends numbers from its URL's `from` on, three with each connection."""

    def __init__(self, until: int) -> None:
        self.until = until

    async def __call__(self, peer: Peer) -> None:
        start = int(peer.path.rpartition("from=")[2])
        await peer.write(*(frame(b'{"n":%d}' % n) for n in range(start, min(start + 3, self.until))))
        if start + 3 < self.until:
            await peer.write(close_frame(1012))
        await peer.wait_closed()


def resume_at(base: str, asked: list[LastReceived | None]) -> Any:
    def url(last: LastReceived | None) -> str:
        asked.append(last)
        return f"{base}?token={SECRET}&from={0 if last is None else last.message['n'] + 1}"

    return url


@pytest.mark.parametrize("mode", ["sync", "async"])
async def test_it_is_told_what_was_last_received(mode: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(1)
    asked: list[LastReceived | None] = []
    async with serve(Resuming(9)) as server:
        url = resume_at(server.url, asked)

        async def later(last: LastReceived | None) -> str:
            await asyncio.sleep(0)
            return str(url(last))

        given = url if mode == "sync" else later
        connecting = rlfast.connect(given, timing=FakeTiming().timing)
        assert connecting.connection.url == "(URL of a function)"
        async with connecting as ws:
            assert [(await anext(ws))["n"] for _ in range(9)] == list(range(9))
            assert ws.url == server.url
            assert SECRET not in repr((ws, ws.gaps, ws.last_error))
    assert asked[0] is None
    assert [(last.seq, last.epoch, last.message) for last in asked[1:] if last is not None] == [
        (2, 1, {"n": 2}),
        (5, 2, {"n": 5}),
    ]
    assert all(last.received_at > 1e18 for last in asked[1:] if last is not None)
    assert SECRET not in caplog.text


async def test_the_last_message_may_be_anything() -> None:
    asked: list[Any] = []
    messages = [frame(b"text"), frame(b"\xff", BINARY), frame(b'{"a":[1]}') + frame(b"2")]

    async def handler(peer: Peer) -> None:
        number = len(server.requests)
        if number <= len(messages):
            await peer.write(messages[number - 1], close_frame(1012))
        await peer.wait_closed()

    def url(last: LastReceived | None) -> str:
        asked.append(last and last.message)
        return server.url

    async with serve(handler) as server, rlfast.connect(url, timing=FakeTiming().timing):
        await until(lambda: len(server.requests) == 4)
    assert asked == [None, "text", b"\xff", 2]


async def test_it_is_called_for_attempts_that_fail_too() -> None:
    asked: list[Any] = []

    async def refuse(peer: Peer) -> None:
        await peer.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")

    async def accept(peer: Peer) -> None:
        await peer.accept(frame(b"1"), close_frame(1012))
        await peer.wait_closed()

    def url(last: LastReceived | None) -> str:
        asked.append(last and last.message)
        return server.url

    async with serve(accept, refuse, refuse, accept, accept=False) as server:
        async with rlfast.connect(url, timing=FakeTiming().timing) as ws:
            assert [await anext(ws) for _ in range(2)] == [1, 1]
            assert ws.gaps[0].attempts == 3
    assert asked[:4] == [None, 1, 1, 1]


def raises(last: LastReceived | None) -> str:
    raise RuntimeError(SECRET)


async def never_returns(last: LastReceived | None) -> str:
    return str(await asyncio.get_running_loop().create_future())


def is_no_url(last: LastReceived | None) -> str:
    return f"http://host/?{SECRET}"


def is_no_text(last: LastReceived | None) -> Any:
    return None


@pytest.mark.parametrize(
    ("function", "error", "said"),
    [
        (raises, RuntimeError, SECRET),
        (never_returns, ConnectError, r"failed: \(URL of a function\): no answer within 0.05 s"),
        (is_no_url, ConfigError, "begins with ws://"),
        (is_no_text, ConfigError, "url must be str, or a function that returns one, not NoneType"),
    ],
)
async def test_the_first_attempt_fails_with_what_is_wrong(
    function: Any, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said) as caught:
        await rlfast.connect(function, options=ConnectionOptions(connect_timeout=0.05))
    if error is not RuntimeError:
        assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("function", "said", "requests"),
    [
        (raises, "the url function raised RuntimeError", 2),
        (never_returns, "no answer within 0.05 s", 2),
        (is_no_url, "begins with ws://", 1),
    ],
)
async def test_a_later_attempt_fails_with_the_reason(
    function: Any, said: str, requests: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "rlfast.connection")
    calls = 0

    async def handler(peer: Peer) -> None:
        await peer.write(frame(b"1"), close_frame(1012))
        await peer.wait_closed()

    async def url(last: LastReceived | None) -> str:
        nonlocal calls
        calls += 1
        if calls == 2:
            result = function(last)
            return str(await result if asyncio.iscoroutine(result) else result)
        return server.url

    async with serve(handler, Peer.wait_closed) as server:
        options = ConnectionOptions(connect_timeout=0.05)
        async with rlfast.connect(url, timing=FakeTiming().timing, options=options) as ws:
            assert await anext(ws) == 1
            await until(lambda: ws.closed or len(server.requests) == 2)
            assert len(server.requests) == requests
            assert ws.closed == (requests == 1)
    assert said in caplog.text
    assert SECRET not in caplog.text


async def test_a_capture_wants_a_name(tmp_path: Path) -> None:
    asked: list[LastReceived | None] = []
    async with serve(Resuming(6)) as server:
        url = resume_at(server.url, asked)
        connecting = rlfast.connect(url)
        assert connecting.connection.stream == ""
        with pytest.raises(rlfast.UsageError, match=r'stream="\.\.\."'):
            await capture(connecting, tmp_path)
        assert server.requests == []
        stop = asyncio.Event()
        connecting = rlfast.connect(url, stream="s", backoff=Backoff(initial=0.001, jitter=False))
        running = asyncio.ensure_future(capture(connecting, tmp_path, stop=stop))
        await until(lambda: connecting.connection.stats.messages == 6)
        stop.set()
        summary = await running
    assert (summary.events, summary.gaps) == (6, 1)
    assert [last and last.seq for last in asked] == [None, 2]
