"""The clauses of the Rust client's semantics, one by one, and what rlfast adds to them."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import time
from collections.abc import Awaitable
from typing import Any

import msgspec
import pytest
from streams import HEARTBEAT, FakeTiming, sender
from wsserver import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Peer,
    close_frame,
    frame,
    serve,
    turns,
    until,
)

import rlfast
from rlfast import Backoff, ConnectionOptions, Timing, UnknownEvent, UUIDStr

UUID1 = "0b4f6a2e-3c1d-4f5a-9b8c-7d6e5f4a3b2c"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


# -- connect -----------------------------------------------------------------------------------------------


async def test_connect_opens_or_fails_with_a_network_error() -> None:
    async def handler(peer: Peer) -> None:
        await peer.text("1")
        await peer.wait_closed()

    async with serve(handler) as server, rlfast.connect(server.url, backoff=None) as ws:
        assert ws.connected
        assert await ws.next_message() == 1
    with pytest.raises(rlfast.NetworkError, match="^websocket connect failed: "):
        await rlfast.connect(f"ws://127.0.0.1:{free_port()}/stream")


async def test_connect_is_awaitable_classmethod_and_context_manager() -> None:
    async with serve(sender('"a"')) as server:
        ws = await rlfast.WebSocketConnection.connect(server.url, backoff=None)
        assert await ws.next_message() == "a"
        await ws.close()
        async with await rlfast.connect(server.url, backoff=None) as ws:
            assert await ws.next_message() == "a"
        assert ws.closed


async def test_a_failed_first_connect_is_not_repeated() -> None:
    fake = FakeTiming()
    with pytest.raises(rlfast.ConnectError):
        await rlfast.connect(
            f"ws://127.0.0.1:{free_port()}/", on_reconnect=fake.on_reconnect, timing=fake.timing
        )
    assert fake.log == []


# -- next_message ------------------------------------------------------------------------------------------


async def test_text_and_binary_frames_are_json() -> None:
    async def handler(peer: Peer) -> None:
        await peer.write(frame(b'{"a":[1,2.5,null]}', TEXT), frame(b'"b"', BINARY))
        await peer.close()

    async with serve(handler) as server, rlfast.connect(server.url, backoff=None) as ws:
        assert await ws.next_message() == {"a": [1, 2.5, None]}
        assert await ws.next_message() == "b"
        assert await ws.next_message() is None
        assert ws.stats.binary_messages == 1
        assert ws.stats.messages == 2


async def test_ping_is_answered_and_pong_ignored() -> None:
    answered: list[tuple[int, bytes]] = []

    async def handler(peer: Peer) -> None:
        # The ping ends the socket read: the message before it must be handed out all the same.
        await peer.write(frame(b"1"), frame(b"", PONG), frame(b"are you there", PING))
        answered.append(await peer.read_frame())
        await peer.write(frame(b"2"))
        await peer.close()

    async with serve(handler) as server, rlfast.connect(server.url, backoff=None) as ws:
        assert [message async for message in ws] == [1, 2]
    assert answered == [(PONG, b"are you there")]


async def test_a_json_error_is_raised_and_the_connection_stays_usable() -> None:
    async with serve(sender("1", "{nope", "3")) as server, rlfast.connect(server.url, backoff=None) as ws:
        assert await ws.next_message() == 1
        with pytest.raises(rlfast.DecodeError, match="malformed") as caught:
            await ws.next_message()
        assert (caught.value.reason, caught.value.seq, caught.value.raw) == (
            "malformed_json",
            1,
            b"{nope",
        )
        assert await ws.next_message() == 3
        assert ws.stats.decode_errors == 1


async def test_typed_messages() -> None:
    unknown = '{"type":"quantum_leap","to":[1,{"x":2}]}'
    wrong = '{"type":"goal_completed","goal_id":5,"success":true}'
    async with serve(sender(HEARTBEAT, unknown, wrong, HEARTBEAT)) as server:
        async with rlfast.connect(server.url, type=rlfast.AgentEvent, backoff=None) as ws:
            assert await ws.next_message() == rlfast.reasoning_layer._events.Heartbeat(timestamp="t")
            assert await ws.next_message() == UnknownEvent(type="quantum_leap", raw=unknown.encode())
            with pytest.raises(rlfast.DecodeError, match=r"goal_id") as caught:
                await ws.next_message()
            assert caught.value.reason == "schema_mismatch"
            assert isinstance(await ws.next_message(), rlfast.reasoning_layer._events.Heartbeat)
            assert ws.stats.unknown_events == 1


async def test_any_type_that_msgspec_knows_serves() -> None:
    class Point(msgspec.Struct):
        x: int
        id: UUIDStr

    async with serve(sender(f'{{"x":4,"id":"{UUID1}"}}')) as server:
        async with rlfast.connect(server.url, type=Point, backoff=None) as ws:
            assert await ws.next_message() == Point(4, UUID1)


async def test_raw_messages_do_not_point_into_reused_memory() -> None:
    """msgspec.Raw keeps a reference to the buffer that it was decoded from."""
    texts = [json.dumps({"n": i, "pad": "x" * 50}) for i in range(500)]
    async with serve(sender(*texts)) as server:
        async with rlfast.connect(server.url, type=msgspec.Raw, backoff=None) as ws:
            raws = [message async for message in ws]
    assert [bytes(raw).decode() for raw in raws] == texts


async def test_next_messages_hands_out_what_is_there() -> None:
    async def handler(peer: Peer) -> None:
        await peer.write(b"".join(frame(str(i).encode()) for i in range(10)))
        await peer.close()

    async with serve(handler) as server, rlfast.connect(server.url, backoff=None) as ws:
        got: list[int] = []
        sizes = []
        while messages := await ws.next_messages(4):
            got += messages
            sizes.append(len(messages))
        assert got == list(range(10))
        assert max(sizes) == 4
        assert await ws.next_messages() == []
        with pytest.raises(rlfast.ConfigError):
            await ws.next_messages(0)


async def test_next_messages_stops_before_a_bad_message_and_raises_it_next() -> None:
    async with serve(sender("1", "2", "nope", "4")) as server:
        async with rlfast.connect(server.url, backoff=None) as ws:
            got: list[Any] = []
            while len(got) < 2:
                got += await ws.next_messages()
            assert got == [1, 2]
            with pytest.raises(rlfast.DecodeError):
                await ws.next_messages()
            assert await ws.next_messages() == [4]
            assert await ws.next_messages() == []


async def test_a_ready_message_completes_without_suspending() -> None:
    async with serve(sender("1", "2")) as server, rlfast.connect(server.url, backoff=None) as ws:
        assert await ws.next_message() == 1
        await until(lambda: ws.stats.messages == 2)
        with pytest.raises(StopIteration) as done:
            ws.next_message().__await__().__next__()
        assert done.value.value == 2


async def test_an_awaitable_gives_one_message_only() -> None:
    async with serve(sender("1", "2")) as server, rlfast.connect(server.url, backoff=None) as ws:
        awaitable = ws.next_message()
        assert await awaitable == 1
        with pytest.raises(RuntimeError, match="twice"):
            await awaitable
        assert await ws.next_message() == 2


async def test_next_message_as_a_task_and_under_wait_for() -> None:
    async with serve(sender("1", "2", "3")) as server, rlfast.connect(server.url, backoff=None) as ws:
        assert await asyncio.create_task(ws.next_message()) == 1
        assert await asyncio.wait_for(ws.next_message(), 10) == 2
        assert await asyncio.gather(ws.next_message()) == [3]


async def test_two_waiters_are_a_clear_error() -> None:
    async def handler(peer: Peer) -> None:
        await peer.read_frame()
        await peer.text("1")
        await peer.close()

    async with serve(handler) as server, rlfast.connect(server.url, backoff=None) as ws:
        first = asyncio.create_task(ws.next_message())
        await turns(1)
        with pytest.raises(rlfast.UsageError, match="another task is already waiting"):
            await ws.next_message()
        with pytest.raises(rlfast.UsageError, match="cannot be mixed"):
            await ws.batches().__anext__()
        await ws.send("go")
        assert await first == 1


async def timed(awaitable: Awaitable[Any]) -> Any:
    """Await for half a millisecond, by the means of the day."""
    if sys.version_info >= (3, 11):
        async with asyncio.timeout(0.0005):
            return await awaitable
    return await asyncio.wait_for(awaitable, 0.0005)


async def test_no_message_is_lost_when_next_message_is_cancelled_or_times_out_under_load() -> None:
    total = 20_000

    async def handler(peer: Peer) -> None:
        for start in range(0, total, 50):
            await peer.write(b"".join(frame(str(i).encode()) for i in range(start, start + 50)))
            if start % 1000 == 0:
                await turns(1)
        await peer.close()

    async with serve(handler) as server, rlfast.connect(server.url, backoff=None) as ws:
        got: list[int] = []
        interrupted = 0
        turn = 0
        while True:
            turn += 1
            task = asyncio.ensure_future(ws.next_message())
            # Interrupt at every stage: before the first step, while waiting, and just after the wake-up.
            await turns(turn % 5)
            if turn % 3 and not task.done():
                task.cancel()
            try:
                message = await timed(task) if turn % 3 == 0 else await task
            except (asyncio.CancelledError, asyncio.TimeoutError):
                interrupted += 1
                if task.done() and not task.cancelled() and task.result() is not None:
                    # Its end and the time-out came in the same turn of the loop: the task has the message.
                    got.append(task.result())
                # Take a burst in between, so that the test ends.
                got += await ws.next_messages(200) if turn % 7 == 0 else []
                continue
            if message is None:
                break
            got.append(message)
            if turn % 7 == 0:
                got += await ws.next_messages(200)
        assert got == list(range(total))
        assert interrupted > 50


# -- reconnect ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["close", "empty close", "end of stream", "reset", "protocol error"])
async def test_a_lost_connection_is_replaced_and_reading_goes_on(ending: str) -> None:
    async def first(peer: Peer) -> None:
        await peer.text("1", "2")
        if ending == "close":
            await peer.close(1012)
        elif ending == "empty close":
            await peer.close(None)
        elif ending == "reset":
            await peer.read_frame()
            await peer.write(frame(b"cut", TEXT)[:3])
            peer.reset()
        elif ending == "protocol error":
            await peer.write(frame(b"x", CONTINUATION))
            await peer.wait_closed()

    fake = FakeTiming()
    async with serve(first, sender("3")) as server:
        async with rlfast.connect(server.url, on_reconnect=fake.on_reconnect, timing=fake.timing) as ws:
            assert [await ws.next_message(), await ws.next_message()] == [1, 2]
            if ending == "reset":
                await ws.send("go")
            assert await ws.next_message() == 3
            assert ws.epoch == 2
            assert ws.stats.reconnects == 1
            gap = ws.gaps[0]
    assert fake.log[:2] == [("callback", 1), ("sleep", 1.0)]
    reasons = {
        "close": "closed_by_peer",
        "empty close": "closed_by_peer",
        "end of stream": "connection_lost",
        "reset": "connection_lost",
        "protocol error": "protocol_error: continuation frame without a message to continue",
    }
    assert (gap.epoch, gap.last_seq, gap.reason, gap.attempts) == (1, 1, reasons[ending], 1)
    assert gap.close_code == (1012 if ending == "close" else None)
    assert gap.reconnected_at is not None
    assert time.time_ns() - 60e9 < gap.disconnected_at <= gap.reconnected_at <= time.time_ns()


async def test_ten_attempts_in_181_seconds_then_none() -> None:
    fake = FakeTiming()
    async with serve(sender("1")) as server:
        ws = await rlfast.connect(server.url, on_reconnect=fake.on_reconnect, timing=fake.timing)
        assert await ws.next_message() == 1
    # The server is gone by the time of the first attempt: every one fails.
    assert await ws.next_message() is None
    delays = [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0, 30.0, 30.0]
    expected = [step for n, delay in enumerate(delays, 1) for step in (("callback", n), ("sleep", delay))]
    failures = [step for step in fake.log if step in expected]
    assert failures == fake.log
    assert fake.log[-20:] == expected
    assert fake.now >= 181.0
    assert await ws.next_message() is None
    assert ws.closed
    assert isinstance(ws.last_error, rlfast.ConnectError)
    assert ws.gaps[-1].attempts == 10
    assert ws.gaps[-1].reconnected_at is None
    assert [message async for message in ws] == []
    await ws.close()


@pytest.mark.parametrize("by", ["next_message", "next_messages", "async for", "batches"])
async def test_reading_on_after_every_attempt_has_failed_tries_again(by: str) -> None:
    async def read(ws: rlfast.WebSocketConnection[Any]) -> list[Any]:
        if by == "next_message":
            return [message for message in [await ws.next_message()] if message is not None]
        if by == "next_messages":
            return await ws.next_messages()
        if by == "batches":
            async for batch in ws.batches(max_wait=0):
                return [batch.num_rows]
            return []
        async for message in ws:
            return [message]
        return []

    refused = False

    async def handler(peer: Peer) -> None:
        if refused:
            await peer.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
        else:
            await peer.accept()
            await peer.text("1")
            await drop.wait()

    drop = asyncio.Event()
    told: list[tuple[int, bool]] = []
    fake = FakeTiming()
    async with serve(handler, accept=False) as server:
        ws = await rlfast.connect(
            server.url,
            backoff=Backoff(max_attempts=2),
            timing=fake.timing,
            on_gap=lambda gap: told.append((gap.attempts, gap.reconnected_at is not None)),
        )
        assert await read(ws) == [1]
        refused = True
        drop.set()
        assert await read(ws) == []
        assert ws.closed
        # Nothing happens until somebody reads on.
        await turns(5)
        assert (ws.gaps[-1].attempts, ws.gaps[-1].reconnected_at) == (2, None)
        assert await read(ws) == []
        assert ws.gaps[-1].attempts == 2
        refused = False
        drop.clear()
        assert await read(ws) == [1]
        assert (ws.closed, len(ws.gaps), ws.gaps[0].reconnected_at is not None) == (False, 1, True)
        assert told == [(0, False), (2, False), (2, False), (1, True)]
        await ws.close()
        drop.set()
        assert await read(ws) == []
        assert await read(ws) == []
        assert ws.closed


async def test_without_a_backoff_nothing_is_tried_again() -> None:
    async with serve(sender("1"), sender("2")) as server:
        async with rlfast.connect(server.url, backoff=None) as ws:
            assert [await ws.next_message() for _ in range(4)] == [1, None, None, None]
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("code", "reason", "said"),
    [
        (4001, "token expired, please renew", "closed_by_peer, code 4001: token expired, please renew"),
        (1011, None, "closed_by_peer, code 1011"),
        (None, None, "closed_by_peer"),
        (1000, "bye", "closed_by_peer, code 1000: bye"),
        (3000, "two\nlines \x1b[31m", "closed_by_peer, code 3000: 'two\\nlines \\x1b[31m'"),
    ],
)
async def test_what_the_peer_says_when_it_closes_reaches_the_caller(
    code: int | None, reason: str | None, said: str
) -> None:
    async def handler(peer: Peer) -> None:
        await peer.write(close_frame(code, (reason or "").encode()))
        await peer.wait_closed()

    seen: list[tuple[rlfast.Gap, Any]] = []
    async with serve(handler, sender("1")) as server:
        connecting = rlfast.connect(server.url, timing=FakeTiming().timing)
        connecting.connection.on_gap(lambda gap: seen.append((gap, connecting.connection.last_error)))
        ws = await connecting
        assert await ws.next_message() == 1
        await ws.close()
    gap, error = seen[0]
    assert (gap.close_code, gap.close_reason, gap.reason) == (code, reason, "closed_by_peer")
    assert isinstance(error, rlfast.ConnectionClosedError)
    assert (error.close_code, error.close_reason) == (code, reason)
    assert str(error) == f"connection to {server.url} ended: {said}"


async def test_attempts_that_are_used_up_repeat_what_the_peer_said() -> None:
    async def handler(peer: Peer) -> None:
        await peer.write(close_frame(4001, b"token expired"))
        await peer.wait_closed()

    async with serve(handler, handler) as server:
        backoff = Backoff(max_attempts=1, reset_after=60.0)
        async with rlfast.connect(server.url, backoff=backoff, timing=FakeTiming().timing) as ws:
            assert await ws.next_message() is None
            text = str(ws.last_error)
            assert text.startswith("websocket connect failed: the attempts are used up; connection to ws://")
            assert text.endswith("ended: closed_by_peer, code 4001: token expired")
            assert isinstance(ws.last_error.__cause__, rlfast.ConnectionClosedError)


async def test_on_reconnect_may_be_set_later_and_be_a_coroutine_function_and_fail() -> None:
    calls: list[int] = []

    async def callback(attempt: int) -> None:
        calls.append(attempt)
        raise RuntimeError("a callback that fails must not end the stream")

    async def on_demand(peer: Peer) -> None:
        await peer.read_frame()
        await peer.text("1")

    fake = FakeTiming()
    async with serve(on_demand, sender("2")) as server:
        async with rlfast.connect(server.url, timing=fake.timing) as ws:
            ws.on_reconnect(callback)
            await ws.send("go")
            assert [await ws.next_message(), await ws.next_message()] == [1, 2]
    assert calls[0] == 1


async def raises_cancelled(_: int) -> None:
    raise asyncio.CancelledError


async def awaits_what_was_cancelled(_: int) -> None:
    shared = asyncio.get_running_loop().create_future()
    shared.cancel()
    await shared


def has_cancelled(_: int) -> None:
    shared = asyncio.get_running_loop().create_future()
    shared.cancel()
    shared.result()


@pytest.mark.parametrize("callback", [raises_cancelled, awaits_what_was_cancelled, has_cancelled])
async def test_a_cancellation_in_on_reconnect_is_a_failure_of_the_callback(
    callback: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with serve(sender("1"), sender("2")) as server:
        connecting = rlfast.connect(server.url, on_reconnect=callback, timing=FakeTiming().timing)
        async with connecting as ws:
            assert [await ws.next_message() for _ in range(2)] == [1, 2]
    assert "on_reconnect callback failed: it was cancelled" in caplog.text


async def test_send_in_on_reconnect_says_where_it_belongs(caplog: pytest.LogCaptureFixture) -> None:
    async def subscribe(_: int) -> None:
        await connecting.connection.send({"subscribe": "EUR/USD"})

    async with serve(sender("1"), sender("2")) as server:
        connecting = rlfast.connect(server.url, on_reconnect=subscribe, timing=FakeTiming().timing)
        async with connecting as ws:
            assert [await ws.next_message() for _ in range(2)] == [1, 2]
    record = next(record for record in caplog.records if record.levelname == "ERROR")
    assert "not connected; on_reconnect is called before the attempt" in record.getMessage()
    assert "goes into subscribe=[...] or on_connect" in record.getMessage()


async def test_without_backoff_the_stream_ends_with_the_connection() -> None:
    async def dropped(peer: Peer) -> None:
        await peer.text("1")

    async with serve(dropped) as server, rlfast.connect(server.url, backoff=None) as ws:
        assert [message async for message in ws] == [1]
        assert isinstance(ws.last_error, rlfast.NetworkError)
        assert [gap.reason for gap in ws.gaps] == ["connection_lost"]
    async with serve(sender("1")) as server, rlfast.connect(server.url, backoff=None) as ws:
        assert [message async for message in ws] == [1]
        assert ws.last_error is None
        assert ws.gaps == ()


async def test_a_connection_that_comes_and_goes_at_once_is_survived() -> None:
    async def brief(peer: Peer) -> None:
        await peer.write(frame(b"1"), close_frame(1001))

    fake = FakeTiming()
    async with serve(brief, brief, brief, sender("9")) as server:
        async with rlfast.connect(server.url, timing=fake.timing) as ws:
            assert [await ws.next_message() for _ in range(4)] == [1, 1, 1, 9]
            assert [gap.epoch for gap in ws.gaps[:3]] == [1, 2, 3]
    # Each connection that opens starts the official schedule anew.
    assert [seconds for kind, seconds in fake.log[:6] if kind == "sleep"] == [1.0, 1.0, 1.0]


async def test_capture_backoff_grows_over_short_connections_and_stops_after_five_times_401() -> None:
    async def brief(peer: Peer) -> None:
        await peer.accept()
        await peer.write(close_frame(1001))
        await peer.wait_closed()

    async def refuse(peer: Peer) -> None:
        await peer.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")

    fake = FakeTiming()
    async with (
        serve(brief, brief, brief, refuse, accept=False) as server,
        rlfast.connect(
            server.url,
            backoff=Backoff.capture(),
            timing=fake.timing,
            headers={"Authorization": "Bearer s3cret"},
        ) as ws,
    ):
        assert await ws.next_message() is None
        assert isinstance(ws.last_error, rlfast.HandshakeRejectedError)
        assert ws.last_error.status == 401
        assert "s3cret" not in str(ws.last_error)
    assert [seconds for kind, seconds in fake.log] == [0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0]
    assert len(server.requests) == 3 + 5


async def test_capture_backoff_goes_on_after_403_which_asgi_servers_answer_to_any_refusal() -> None:
    async def accept(peer: Peer) -> None:
        await peer.accept()
        await sender(f"{len(server.requests)}")(peer)

    async def forbid(peer: Peer) -> None:
        await peer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

    fake = FakeTiming()
    async with serve(accept, forbid, forbid, accept, forbid, accept=False) as server:
        async with rlfast.connect(server.url, backoff=Backoff.capture(), timing=fake.timing) as ws:
            assert [await ws.next_message() for _ in range(2)] == [1, 4]
            assert (ws.gaps[0].attempts, ws.gaps[0].reconnected_at is not None) == (3, True)
        # The first connection is never tried twice.
        with pytest.raises(rlfast.HandshakeRejectedError) as refusal:
            await rlfast.connect(server.url, backoff=Backoff.capture(), timing=fake.timing)
    assert refusal.value.status == 403


async def test_attempts_that_are_used_up_by_short_connections_are_said_to_be() -> None:
    fake = FakeTiming()
    backoff = Backoff(max_attempts=1, reset_after=60.0)
    async with serve(sender("1"), sender("2")) as server:
        async with rlfast.connect(server.url, backoff=backoff, timing=fake.timing) as ws:
            assert [message async for message in ws] == [1, 2]
            assert isinstance(ws.last_error, rlfast.ConnectError)
            assert str(ws.last_error) == "websocket connect failed: the attempts are used up"


async def test_retry_after_is_honoured_by_the_capture_backoff() -> None:
    async def drop(peer: Peer) -> None:
        await peer.accept()

    async def busy(peer: Peer) -> None:
        await peer.write(b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 40\r\nContent-Length: 0\r\n\r\n")

    async def last(peer: Peer) -> None:
        await peer.accept()
        await peer.text("1")
        await peer.wait_closed()

    fake = FakeTiming()
    async with serve(drop, busy, last, accept=False) as server:
        async with rlfast.connect(server.url, backoff=Backoff.capture(), timing=fake.timing) as ws:
            assert await ws.next_message() == 1
    assert [seconds for kind, seconds in fake.log] == [0.5, 41.0]


async def test_a_header_provider_is_called_anew_for_every_attempt() -> None:
    given = iter(["first", "second"])

    async def headers() -> dict[str, str]:
        return {"Authorization": f"Bearer {next(given)}"}

    fake = FakeTiming()
    async with serve(sender("1"), sender("2")) as server:
        ws = await rlfast.connect(server.url, headers=headers, timing=fake.timing)
        assert [await ws.next_message(), await ws.next_message()] == [1, 2]
        assert [peer.header("Authorization") for peer in server.requests] == ["Bearer first", "Bearer second"]
        # The provider has nothing left: its failures count as failed attempts, and are not quoted.
        assert await ws.next_message() is None
        assert ws.gaps[-1].attempts == 10
        assert str(ws.last_error) == "websocket connect failed: the header provider raised RuntimeError"
        await ws.close()


# -- send --------------------------------------------------------------------------------------------------


async def test_send() -> None:
    received: list[tuple[int, bytes]] = []

    async def handler(peer: Peer) -> None:
        for _ in range(6):
            received.append(await peer.read_frame())
        await peer.close()

    async with serve(handler) as server, rlfast.connect(server.url, backoff=None) as ws:
        await ws.send({"a": 1})
        await ws.send(rlfast.reasoning_layer._events.Heartbeat(timestamp="t"))
        await ws.send("pläin")
        await ws.send(b"\x00\xff")
        await ws.send([1, 2])
        await ws.send("x" * 300_000)
        assert await ws.next_message() is None
    assert received == [
        (TEXT, b'{"a":1}'),
        (TEXT, b'{"type":"heartbeat","timestamp":"t"}'),
        (TEXT, "pläin".encode()),
        (BINARY, b"\x00\xff"),
        (TEXT, b"[1,2]"),
        (TEXT, b"x" * 300_000),
    ]


async def test_send_while_disconnected_fails_and_does_not_reconnect() -> None:
    blocked = asyncio.Event()

    async def sleep(seconds: float) -> None:
        blocked.set()
        await asyncio.Event().wait()

    async with serve(sender("1")) as server:
        ws = await rlfast.connect(server.url, timing=Timing(sleep=sleep))
        assert await ws.next_message() == 1
        await blocked.wait()
        assert not ws.connected
        with pytest.raises(rlfast.NotConnectedError, match="^websocket is not connected$"):
            await ws.send({})
        assert len(server.requests) == 1
        await ws.close()
        with pytest.raises(rlfast.NotConnectedError):
            await ws.send({})


async def test_send_waits_while_the_peer_does_not_read() -> None:
    go = asyncio.Event()
    total = 0

    async def handler(peer: Peer) -> None:
        nonlocal total
        await go.wait()
        while total < 40 << 20:
            _, payload = await peer.read_frame()
            total += len(payload)
        await peer.close()

    async with serve(handler) as server, rlfast.connect(server.url, backoff=None) as ws:
        sent = 0

        async def send_all() -> None:
            nonlocal sent
            for _ in range(40):
                await ws.send(b"x" * (1 << 20))
                sent += 1

        task = asyncio.create_task(send_all())
        await until(lambda: ws._reconnector.frame_handler.write_paused)
        await turns(50)
        assert sent < 40
        go.set()
        await task
        assert await ws.next_message() is None
    assert total == 40 << 20


# -- close -------------------------------------------------------------------------------------------------


async def test_close_sends_a_close_frame_and_ends_the_object() -> None:
    seen: list[tuple[int, bytes]] = []

    async def handler(peer: Peer) -> None:
        await peer.text("1", "2")
        seen.append(await peer.read_frame())
        await peer.write(frame(b"late"), close_frame(3001))

    async with serve(handler) as server:
        ws = await rlfast.connect(server.url)
        assert await ws.next_message() == 1
        await ws.close(3001, "done")
        await ws.close()
        assert seen == [(CLOSE, b"\x0b\xb9done")]
        # What was received before stays readable; what came later is counted, not mixed in.
        assert await ws.next_message() == 2
        assert await ws.next_message() is None
        assert ws.stats.discarded_messages == 1
        assert ws.gaps == ()
        assert ws.last_error is None


async def test_close_never_fails_and_is_bounded() -> None:
    async def deaf(peer: Peer) -> None:
        await peer.hang()

    async with serve(deaf) as server:
        ws = await rlfast.connect(server.url, options=ConnectionOptions(close_timeout=0.05))
        started = time.monotonic()
        await ws.close()
        assert time.monotonic() - started < 5
        assert await ws.next_message() is None
    ws = None
    async with serve(sender("1")) as server:
        ws = await rlfast.connect(server.url, backoff=None)
        assert await ws.next_message() == 1
        assert await ws.next_message() is None
    await ws.close()
    with pytest.raises(rlfast.ConfigError):
        await ws.close(1006)


async def test_close_ends_a_pending_next_message() -> None:
    async def handler(peer: Peer) -> None:
        await peer.read_frame()
        await peer.write(close_frame())

    async with serve(handler) as server:
        ws = await rlfast.connect(server.url)
        waiting = asyncio.create_task(ws.next_message())
        await turns(1)
        await ws.close()
        assert await waiting is None


async def test_close_while_reconnecting() -> None:
    blocked = asyncio.Event()

    async def sleep(seconds: float) -> None:
        blocked.set()
        await asyncio.Event().wait()

    async with serve(sender("1")) as server:
        ws = await rlfast.connect(server.url, timing=Timing(sleep=sleep))
        await blocked.wait()
        await ws.close()
        assert await ws.next_message() == 1
        assert await ws.next_message() is None
