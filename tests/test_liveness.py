"""Connections that are open and dead are found; those that are alive, or held up by us, are left alone."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
import time
import weakref
from typing import Any

import pytest
from wsserver import PING, PONG, TEXT, Peer, frame, serve, until, upgrade_answer

from rlfast import Backoff, ConfigError, ConnectionOptions, Gap, Timing, connect
from rlfast.errors import NetworkError

QUICK = Backoff(initial=0.001, cap=0.001)


def options(**arguments: Any) -> ConnectionOptions:
    return ConnectionOptions(
        **{"idle_timeout": 0.05, "pong_timeout": 0.05, "close_timeout": 0.05, **arguments}
    )


class Silent:
    """A server that sends one message and then does as `behave` says; counts what it gets."""

    def __init__(self, behave: str = "hang") -> None:
        self.behave = behave
        self.connections = 0
        self.pings = 0
        self.pinged = asyncio.Event()

    async def __call__(self, peer: Peer) -> None:
        self.connections += 1
        await peer.text(f'{{"n": {self.connections}}}')
        while True:
            opcode, payload = await peer.read_frame()
            if opcode == PING:
                self.pings += 1
                self.pinged.set()
                if self.behave == "pong":
                    await peer.write(frame(payload, PONG))


async def test_a_half_open_connection_is_replaced_and_recorded() -> None:
    server = Silent()
    async with serve(server) as served:
        before = time.time_ns()
        async with connect(served.url, backoff=QUICK, options=options()) as ws:
            assert await ws.next_message() == {"n": 1}
            after = time.time_ns()
            started = time.monotonic()
            assert await ws.next_message() == {"n": 2}
            assert time.monotonic() - started >= 0.09
            (gap, *_) = ws.gaps
    assert (gap.epoch, gap.last_seq, gap.reason, gap.attempts) == (1, 0, "idle_timeout", 1)
    # Messages may have been missed since the last one.
    assert before <= gap.disconnected_at <= after
    assert gap.reconnected_at is not None
    assert gap.reconnected_at - gap.disconnected_at >= 90_000_000


async def test_without_a_backoff_the_stream_ends_with_the_reason() -> None:
    async with serve(Silent()) as served, connect(served.url, backoff=None, options=options()) as ws:
        assert await ws.next_message() == {"n": 1}
        assert await ws.next_message() is None
        assert isinstance(ws.last_error, NetworkError)
        assert "idle_timeout" in str(ws.last_error)
        assert "pong_timeout" in str(ws.last_error)
        (gap,) = ws.gaps
        assert (gap.reason, gap.reconnected_at) == ("idle_timeout", None)


async def test_who_answers_pings_is_alive() -> None:
    server = Silent("pong")
    async with serve(server) as served, connect(served.url, options=options(idle_timeout=0.01)) as ws:
        assert await ws.next_message() == {"n": 1}
        await until(lambda: server.pings >= 5)
        assert (ws.connected, ws.gaps, server.connections) == (True, (), 1)


async def test_who_answers_pings_and_sends_nothing_is_dead_after_data_timeout() -> None:
    server = Silent("pong")
    limits = options(idle_timeout=0.02, data_timeout=0.1)
    async with serve(server) as served, connect(served.url, backoff=QUICK, options=limits) as ws:
        assert await ws.next_message() == {"n": 1}
        assert await ws.next_message() == {"n": 2}
        assert ws.gaps[0].reason == "data_timeout"
        assert server.pings >= 1


async def test_data_timeout_alone() -> None:
    limits = options(idle_timeout=None, data_timeout=0.05)
    async with serve(Silent()) as served, connect(served.url, backoff=None, options=limits) as ws:
        assert await ws.next_message() == {"n": 1}
        assert await ws.next_message() is None
        assert "data_timeout" in str(ws.last_error)


async def test_messages_keep_it_alive() -> None:
    server = Silent()
    stop = asyncio.Event()

    async def heartbeats(peer: Peer) -> None:
        server.connections += 1
        while not stop.is_set():
            await peer.text('{"type":"heartbeat","timestamp":"t"}')
            await asyncio.sleep(0.01)
        await peer.close()

    limits = options(idle_timeout=0.2, data_timeout=0.2, pong_timeout=0.01)
    async with serve(heartbeats) as served, connect(served.url, backoff=None, options=limits) as ws:
        for _ in range(60):
            assert await ws.next_message() is not None
        stop.set()
        assert (ws.gaps, server.connections) == ((), 1)


async def test_bytes_of_a_large_message_are_a_sign_of_life() -> None:
    payload = b'"' + b"x" * 400_000 + b'"'
    data = frame(payload, TEXT)

    async def slow(peer: Peer) -> None:
        for at in range(0, len(data), 20_000):
            await peer.write(data[at : at + 20_000])
            await asyncio.sleep(0.01)
        await peer.close()

    limits = options(idle_timeout=0.03, pong_timeout=0.05)
    async with serve(slow) as served, connect(served.url, backoff=None, options=limits) as ws:
        assert await ws.next_message() == payload[1:-1].decode()
        assert ws.gaps == ()


async def test_our_own_backpressure_is_no_silence() -> None:
    count = 3_000

    async def flood(peer: Peer) -> None:
        await peer.write(*[frame(b'"%0100d"' % i) for i in range(count)])
        await peer.close()

    limits = options(high_water=20_000, low_water=5_000, read_buffer_size=4096, data_timeout=0.1)
    async with serve(flood) as served, connect(served.url, backoff=None, options=limits) as ws:
        assert await ws.next_message() is not None
        await until(lambda: ws.stats.paused)
        await asyncio.sleep(0.5)
        assert ws.connected
        assert ws.gaps == ()
        received = 1 + len([message async for message in ws])
        assert (received, ws.gaps) == (count, ())


async def test_the_time_starts_anew_when_the_socket_is_resumed() -> None:
    async with serve(Silent()) as served, connect(served.url, backoff=None, options=options()) as ws:
        assert await ws.next_message() == {"n": 1}
        liveness = ws._reconnector.keepalive
        await until(lambda: liveness._pinged_at is not None)
        ws.hold(True)
        # The look that would give the verdict comes just after the resume.
        loop, verdict = asyncio.get_running_loop(), liveness._timer
        assert verdict is not None
        await until(lambda: loop.time() >= verdict.when() - 0.005)
        resumed = loop.time()
        ws.hold(False)
        assert await ws.next_message() is None
        assert loop.time() - resumed >= 0.1


async def test_a_clock_that_is_set_is_no_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    async def twice(peer: Peer) -> None:
        await peer.text("1")
        await peer.read_frame()
        await peer.text("2")
        await peer.hang()

    limits = options(idle_timeout=None, data_timeout=0.5)
    async with serve(twice) as served, connect(served.url, backoff=None, options=limits) as ws:
        assert await ws.next_message() == 1
        verdict = ws._reconnector.keepalive._timer
        assert verdict is not None
        loop = asyncio.get_running_loop()
        await until(lambda: loop.time() >= verdict.when() - 0.1)
        await ws.send("go")
        assert await ws.next_message() == 2
        arrived, wall = loop.time(), time.time_ns()
        monkeypatch.setattr(time, "time_ns", lambda: wall + 3_600_000_000_000)
        assert await ws.next_message() is None
        assert loop.time() - arrived >= 0.3


async def test_pongs_are_signs_of_life_for_the_bounds_of_a_gap() -> None:
    answered = 0

    async def dying(peer: Peer) -> None:
        nonlocal answered
        await peer.text("1")
        opcode, payload = await peer.read_frame()
        assert opcode == PING
        answered = time.time_ns()
        await peer.write(frame(payload, PONG))
        await peer.hang()

    limits = options(pong_timeout=0.2)
    async with serve(dying) as served, connect(served.url, backoff=None, options=limits) as ws:
        assert await ws.next_message() == 1
        assert await ws.next_message() is None
        (gap,) = ws.gaps
    assert gap.reason == "idle_timeout"
    # What the server sent before the pong has arrived before it.
    assert answered <= gap.disconnected_at <= time.time_ns() - 100_000_000


async def test_pings_are_idle_timeout_apart() -> None:
    at: list[float] = []

    async def answering(peer: Peer) -> None:
        await peer.text("1")
        while True:
            opcode, payload = await peer.read_frame()
            if opcode == PING:
                at.append(asyncio.get_running_loop().time())
                await peer.write(frame(payload, PONG))

    limits = options(idle_timeout=0.2, pong_timeout=0.2)
    async with serve(answering) as served, connect(served.url, options=limits) as ws:
        assert await ws.next_message() == 1
        await until(lambda: len(at) == 5)
    # Not idle_timeout and pong_timeout together, which are 1.6 s.
    assert at[4] - at[0] < 1.4


@pytest.mark.parametrize("name", ["asyncio", "uvloop"])
def test_an_answer_that_waits_in_the_kernel_counts(name: str) -> None:
    """Our own event loop was busy for longer than pong_timeout."""
    answered = threading.Event()

    def serve_in_thread(listener: socket.socket) -> None:
        end, _ = listener.accept()
        with end, end.makefile("rwb", buffering=0) as stream:
            request = b""
            while not request.endswith(b"\r\n\r\n"):
                request += stream.read(1)
            stream.write(upgrade_answer(request) + frame(b"1"))
            stream.read(6)  # the ping: empty and masked
            stream.write(frame(b"", PONG))
            answered.set()
            while stream.read(1024):
                pass

    async def run(listener: socket.socket) -> None:
        url = f"ws://127.0.0.1:{listener.getsockname()[1]}/"
        async with connect(url, backoff=None, options=options(pong_timeout=0.2)) as ws:
            assert await ws.next_message() == 1
            await until(lambda: ws._reconnector.keepalive._pinged_at is not None)
            assert answered.wait(10)
            time.sleep(0.4)  # noqa: ASYNC251 - the point of the test
            await asyncio.sleep(0.01)
            assert (ws.connected, ws.gaps) == (True, ())

    # Before the thread, which nobody would end if this is skipped.
    loop = (pytest.importorskip("uvloop") if name == "uvloop" else asyncio).new_event_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve_in_thread, args=(listener,), daemon=True)
        thread.start()
        try:
            loop.run_until_complete(run(listener))
        finally:
            loop.close()
            thread.join()


async def test_what_the_peer_did_wrong_comes_before_its_silence() -> None:
    """The connection cannot be closed in order, because the peer reads nothing."""

    async def deaf(peer: Peer) -> None:
        await peer.text("1")
        peer.writer.transport.pause_reading()
        await stuck.wait()
        await peer.write(frame(b"x", 3))
        await gone.wait()

    stuck, gone = asyncio.Event(), asyncio.Event()
    async with serve(deaf) as served, connect(served.url, backoff=None, options=options()) as ws:
        assert await ws.next_message() == 1
        await ws.send(b"x" * (16 << 20))
        stuck.set()
        assert await ws.next_message() is None
        gone.set()
        (gap,) = ws.gaps
    assert gap.reason.startswith("protocol_error")


async def test_nothing_is_left_behind() -> None:
    server = Silent("pong")
    async with serve(server) as served:
        async with connect(served.url, options=options(idle_timeout=30.0)) as ws:
            assert await ws.next_message() == {"n": 1}
            timer = ws._reconnector.keepalive._timer
            assert timer is not None
        assert timer.cancelled()
        reference = weakref.ref(ws)
        del ws, timer
        await asyncio.sleep(0)
        gc.collect()
        assert reference() is None


@pytest.mark.parametrize("name", ["idle_timeout", "pong_timeout", "data_timeout"])
@pytest.mark.parametrize("value", [0, -1.0, 86_401, float("nan"), "60"])
def test_time_outs_have_ranges(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=name):
        ConnectionOptions(**{name: value})


def test_by_default_a_ping_and_its_answer_come_before_a_proxy_hangs_up() -> None:
    """nginx does after 60 s, proxy_read_timeout; so do Amazon's load balancers."""
    defaults = ConnectionOptions()
    assert defaults.idle_timeout is not None
    assert defaults.idle_timeout + defaults.pong_timeout <= 60 / 2


@pytest.mark.parametrize("value", [0, -1, 1 << 31, 1.5])
def test_the_first_epoch_has_a_range(value: Any) -> None:
    with pytest.raises(ConfigError, match="first_epoch"):
        ConnectionOptions(first_epoch=value)


# -- on_gap ----------------------------------------------------------------------------------------------


async def dropping(peer: Peer) -> None:
    await peer.text("1")
    peer.writer.close()


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_on_gap_tells_of_the_beginning_and_the_end(asynchronous: bool) -> None:
    told: list[Gap] = []

    async def later(gap: Gap) -> None:
        await asyncio.sleep(0)
        told.append(gap)

    async with serve(dropping) as served:
        callback: Any = later if asynchronous else told.append
        async with connect(served.url, backoff=QUICK, on_gap=callback) as ws:
            assert [await ws.next_message(), await ws.next_message()] == [1, 1]
        begun, ended = told[:2]
    assert (begun.epoch, begun.reconnected_at, begun.attempts) == (1, None, 0)
    assert (ended.epoch, ended.disconnected_at, ended.attempts) == (1, begun.disconnected_at, 1)
    assert ended.reconnected_at is not None
    assert ended.reconnected_at >= ended.disconnected_at


async def test_a_gap_without_an_end_is_told_too() -> None:
    told: list[Gap] = []
    async with serve(Silent()) as served:
        ws = await connect(served.url, backoff=Backoff(initial=0.001, cap=0.001, max_attempts=3))
        ws.on_gap(told.append)
        assert await ws.next_message() == {"n": 1}
    assert await ws.next_message() is None
    assert [gap.reconnected_at for gap in told[-2:]] == [None, None]
    assert told[-1].attempts == 3
    assert ws.gaps[-1] == told[-1]


async def test_close_while_reconnecting_ends_the_gap() -> None:
    told: list[Gap] = []
    async with serve(dropping) as served:
        async with connect(served.url, backoff=Backoff(initial=30.0, jitter=False), on_gap=told.append) as ws:
            assert await ws.next_message() == 1
            await until(lambda: told)
    assert len(told) == 2
    assert told[1].reconnected_at is None


async def test_close_before_an_attempt_counts_none() -> None:
    waiting = asyncio.Event()

    async def sleep(seconds: float) -> None:
        waiting.set()
        await asyncio.Event().wait()

    async with serve(dropping) as served:
        ws = await connect(served.url, backoff=QUICK, timing=Timing(sleep=sleep))
        await waiting.wait()
        await ws.close()
    assert [(gap.attempts, gap.reconnected_at) for gap in ws.gaps] == [(0, None)]


async def test_a_refusal_that_ends_the_attempts_ends_the_gap() -> None:
    told: list[Gap] = []

    async def accepting(peer: Peer) -> None:
        await peer.accept()
        await dropping(peer)

    async def refusing(peer: Peer) -> None:
        await peer.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")

    async with serve(accepting, refusing, accept=False) as served:
        async with connect(served.url, backoff=QUICK, on_gap=told.append) as ws:
            assert [message async for message in ws] == [1]
    assert [(gap.attempts, gap.reconnected_at) for gap in told] == [(0, None), (QUICK.max_refusals, None)]
    assert ws.gaps == (told[1],)


async def test_close_waits_for_callbacks_but_not_for_ever() -> None:
    ended: list[str] = []

    async def endless(gap: Gap) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    async with serve(dropping) as served:
        ws = await connect(served.url, backoff=None, on_gap=endless, options=options())
        assert [message async for message in ws] == [1]
        await asyncio.wait_for(ws.close(), 5)
    assert ended == ["cancelled", "cancelled"]


async def test_a_callback_may_close() -> None:
    closed = asyncio.Event()

    async def closing(gap: Gap) -> None:
        await ws.close()
        closed.set()

    async def on_demand(peer: Peer) -> None:
        await peer.read_frame()

    async with serve(on_demand) as served:
        # Longer than the test may take: it must not be the limit that ends the wait.
        limits = ConnectionOptions(close_timeout=300)
        ws = await connect(served.url, backoff=None, on_gap=closing, options=limits)
        await ws.send("go")
        assert await ws.next_message() is None
        await asyncio.wait_for(asyncio.gather(closed.wait(), ws.close()), 10)


async def test_a_callback_that_fails_breaks_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def broken(gap: Gap) -> None:
        raise RuntimeError("no")

    async with serve(dropping) as served:
        async with connect(served.url, backoff=QUICK, on_gap=broken) as ws:
            assert [await ws.next_message(), await ws.next_message()] == [1, 1]
    assert "on_gap callback failed" in caplog.text


async def test_the_first_epoch_can_be_chosen() -> None:
    async with serve(dropping) as served:
        async with connect(served.url, backoff=QUICK, options=ConnectionOptions(first_epoch=7)) as ws:
            assert (await ws.next_message(), ws.epoch, ws.stats.reconnects) == (1, 7, 0)
            assert await ws.next_message() == 1
            assert (ws.gaps[0].epoch, ws.stats.reconnects >= 1) == (7, True)
