"""Whether to try again: the rule that comes with a backoff, and one of the user's in its place."""

from __future__ import annotations

from typing import Any

import pytest
from streams import FakeTiming
from wsserver import Peer, close_frame, frame, serve

import rlfast
from rlfast import Backoff, ConfigError, ConnectionClosedError, HandshakeRejectedError, NetworkError

CAPTURE = Backoff.capture()


def served(*messages: str, code: int = 1012) -> Any:
    async def handler(peer: Peer) -> None:
        await peer.accept(*(frame(message.encode()) for message in messages), close_frame(code))
        await peer.wait_closed()

    return handler


def refused(status: int) -> Any:
    async def handler(peer: Peer) -> None:
        await peer.write(b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % status)

    return handler


@pytest.mark.parametrize("status", [401, 403])
async def test_refusals_after_a_connection_that_worked_are_tried_again_so_often(status: int) -> None:
    tokens: list[str] = []

    async def headers() -> dict[str, str]:
        tokens.append(f"t{len(tokens)}")
        return {"Authorization": tokens[-1]}

    fake = FakeTiming()
    # Four and another fault, and four again: none was the fifth in a row.
    handlers = [
        served("1"),
        *[refused(status)] * 4,
        refused(502),
        *[refused(status)] * 4,
        served("2"),
        refused(status),
    ]
    async with serve(*handlers, accept=False) as server:
        connecting = rlfast.connect(server.url, backoff=CAPTURE, headers=headers, timing=fake.timing)
        async with connecting as ws:
            assert [message async for message in ws] == [1, 2]
            assert isinstance(ws.last_error, HandshakeRejectedError)
            assert ws.last_error.status == status
            assert [gap.attempts for gap in ws.gaps] == [10, 5]
        assert [peer.header("Authorization") for peer in server.requests] == tokens
        assert len(tokens) == 16
    delays = [seconds for _, seconds in fake.log]
    assert delays[:6] == [0.5, 1.0, 2.0, 4.0, 8.0, 15.0]


async def test_the_official_backoff_tries_ten_times_whatever_the_answer() -> None:
    fake = FakeTiming()
    async with serve(served("1"), refused(401), accept=False) as server:
        async with rlfast.connect(server.url, timing=fake.timing) as ws:
            assert [message async for message in ws] == [1]
            assert isinstance(ws.last_error, HandshakeRejectedError)
            assert ws.gaps[0].attempts == 10


@pytest.mark.parametrize("status", [401, 403])
async def test_the_first_connection_is_never_tried_twice(status: int) -> None:
    def retry(error: Exception, attempt: int) -> bool:
        raise AssertionError("nobody asks it")

    async with serve(refused(status), accept=False) as server:
        with pytest.raises(HandshakeRejectedError):
            await rlfast.connect(server.url, backoff=CAPTURE, retry=retry)
        assert len(server.requests) == 1


async def test_a_rule_of_ones_own_is_asked_in_its_place() -> None:
    asked: list[tuple[str, object, int]] = []

    def retry(error: Exception, attempt: int) -> bool:
        detail = getattr(error, "status", getattr(error, "close_code", None))
        asked.append((type(error).__name__, detail, attempt))
        return not (detail == 503 and attempt == 3)

    calls = 0

    def headers() -> dict[str, str]:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise ValueError("s3cret")
        return {}

    handlers = [served("1", code=1013), refused(401), refused(401), refused(403), refused(503)]
    async with serve(*handlers, accept=False) as server:
        connecting = rlfast.connect(
            server.url, backoff=CAPTURE, retry=retry, headers=headers, timing=FakeTiming().timing
        )
        async with connecting as ws:
            assert [message async for message in ws] == [1]
            assert isinstance(ws.last_error, HandshakeRejectedError)
    assert asked == [
        ("ConnectionClosedError", 1013, 1),
        ("ValueError", None, 1),
        ("HandshakeRejectedError", 401, 1),
        ("HandshakeRejectedError", 401, 2),
        ("HandshakeRejectedError", 403, 1),
        ("HandshakeRejectedError", 503, 1),
        ("HandshakeRejectedError", 503, 2),
        ("HandshakeRejectedError", 503, 3),
    ]


async def test_it_may_end_the_stream_when_a_connection_is_lost() -> None:
    def retry(error: Exception, attempt: int) -> bool:
        return not (isinstance(error, ConnectionClosedError) and error.close_code == 4003)

    async with serve(served("1"), served("2", code=4003), served("3"), accept=False) as server:
        async with rlfast.connect(server.url, retry=retry, timing=FakeTiming().timing) as ws:
            assert [message async for message in ws] == [1, 2]
            assert isinstance(ws.last_error, ConnectionClosedError)
            assert ws.last_error.close_code == 4003
            assert ws.closed
            assert [(gap.close_code, gap.reconnected_at is None) for gap in ws.gaps] == [
                (1012, False),
                (4003, True),
            ]
            # Nor does reading on try again.
            assert await ws.next_message() is None
        assert len(server.requests) == 2


async def not_plain(error: Exception, attempt: int) -> bool:
    return False


def fails(error: Exception, attempt: int) -> bool:
    raise RuntimeError("a rule that fails must not end the stream")


def says_nothing(error: Exception, attempt: int) -> Any:
    return None


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
@pytest.mark.parametrize("rule", [not_plain, fails, says_nothing])
async def test_a_rule_that_fails_leaves_it_to_the_backoff(
    rule: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with serve(served("1"), refused(401), accept=False) as server:
        connecting = rlfast.connect(server.url, backoff=CAPTURE, retry=rule, timing=FakeTiming().timing)
        async with connecting as ws:
            assert [message async for message in ws] == [1]
            assert isinstance(ws.last_error, HandshakeRejectedError)
            assert ws.gaps[0].attempts == 5
    assert "retry callback failed; the backoff decides" in caplog.text


async def test_what_cannot_be_sent_ends_the_attempts() -> None:
    given = iter([{}, {"X": "a\r\nb"}])
    async with serve(served("1"), accept=False) as server:
        connecting = rlfast.connect(server.url, headers=lambda: next(given), timing=FakeTiming().timing)
        async with connecting as ws:
            assert [message async for message in ws] == [1]
            assert "header X must be a str without CR" in str(ws.last_error)
            assert isinstance(ws.last_error, NetworkError)
            assert ws.gaps[0].attempts == 1
    for wrong in (0, "5", 1.5):
        with pytest.raises(ConfigError, match="max_refusals must be"):
            Backoff(max_refusals=wrong)  # type: ignore[arg-type]
