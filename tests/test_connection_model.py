"""A connection against a small model of its semantics, under any order of events.

The server is real, on loopback, and does what the machine tells it; time and randomness are the machine's.
``RLFAST_HYPOTHESIS_EXAMPLES`` sets how many sequences of events are drawn.
"""

from __future__ import annotations

import asyncio
import os
import struct
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
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
from rlfast import Backoff, ConnectionOptions, Timing

T = TypeVar("T")

EXAMPLES = int(os.environ.get("RLFAST_HYPOTHESIS_EXAMPLES", "80"))

BACKOFF = Backoff(initial=1.0, factor=2.0, cap=3.0, max_attempts=3, jitter=True, reset_after=10.0)
BOUNDS = (1.0, 2.0, 3.0)
RANDOM = 0.5
RESET_AFTER = 10.0

CONNECTED, WAITING, OVER, CLOSED = "connected", "waiting", "over", "closed"


class Item(msgspec.Struct):
    n: int


@dataclass(frozen=True)
class Sent:
    """A message of the server; `reason` says why it is none, in the words of `DecodeError`."""

    seq: int
    epoch: int
    n: int
    reason: str | None

    @property
    def payload(self) -> bytes:
        if self.reason == "malformed_json":
            return b'{"n":%d' % self.n
        return b'{"n":"%d"}' % self.n if self.reason else b'{"n":%d}' % self.n


@dataclass
class Lost:
    """What a gap must say."""

    epoch: int
    last_seq: int
    reason: str
    close_code: int | None
    attempts: int = 0
    reconnected: bool = False
    given_up: int = field(default=0, compare=False)


MESSAGES = st.lists(
    st.tuples(
        st.integers(0, 10**6),
        st.sampled_from([None, None, None, None, "malformed_json", "schema_mismatch"]),
        st.sampled_from(["text", "binary", "fragments", "fragments and pings"]),
    ),
    min_size=1,
    max_size=6,
)


async def rest(source: Any, by: str) -> list[Any]:
    """What is left to be read."""
    if by == "next_message":
        message = await source.next_message()
        return [] if message is None else [message]
    return [item async for item in source]


class Connection(RuleBasedStateMachine):
    """The connection, its server, and what must be true of both."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.stack = AsyncExitStack()
        # The server's side.
        self.refusals = 0
        self.mode = "up"
        self.peer: Peer | None = None
        self.hung_up: asyncio.Event | None = None
        # Time.
        self.now = 100.0
        self.asleep: asyncio.Future[None] | None = None
        self.log: list[tuple[str, float]] = []
        # The model.
        self.phase = CONNECTED
        self.inbox: deque[Sent] = deque()
        self.waiter: asyncio.Task[Item | None] | None = None
        self.epoch = 1
        self.next_seq = 0
        self.attempt = 0
        self.told_the_end = False
        self.is_closed = False
        self.opened_at = self.now
        self.losses: list[Lost] = []
        self.expected_log: list[tuple[str, float]] = []
        self.decode_errors = 0
        self.dead_letters = 0
        self.binary = 0
        self.discarded = 0
        self.gap_calls: list[tuple[int, bool]] = []

    # -- the two sides of the machine -----------------------------------------------------------------------

    def run(self, awaitable: Awaitable[T]) -> T:
        return self.loop.run_until_complete(asyncio.wait_for(awaitable, 30))

    async def handler(self, peer: Peer) -> None:
        """One attempt to connect, as the server sees it."""
        if self.mode == "up":
            await peer.accept()
            self.hung_up = asyncio.Event()
            self.peer = peer
            await self.hung_up.wait()
            return
        self.refusals += 1
        if self.mode == "busy":
            await peer.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
        elif self.mode == "resets":
            peer.reset()

    async def sleep(self, seconds: float) -> None:
        self.log.append(("sleep", seconds))
        self.asleep = asyncio.get_running_loop().create_future()
        try:
            await self.asleep
        finally:
            self.asleep = None
        self.now += seconds

    @initialize()
    def connect(self) -> None:
        async def begin() -> None:
            self.server = await self.stack.enter_async_context(serve(self.handler, accept=False))
            self.ws = await rlfast.connect(
                self.server.url,
                type=Item,
                backoff=BACKOFF,
                on_reconnect=lambda attempt: self.log.append(("attempt", attempt)),
                on_gap=lambda gap: self.gap_calls.append((gap.epoch, gap.reconnected_at is not None)),
                timing=Timing(clock=lambda: self.now, sleep=self.sleep, random=lambda: RANDOM),
                options=ConnectionOptions(block_size=16),
            )

        self.run(begin())

    def teardown(self) -> None:
        try:
            if hasattr(self, "ws"):
                self.run(self.finish())
        finally:
            self.loop.close()

    async def finish(self) -> None:
        if self.hung_up is not None:
            self.hung_up.set()
        await self.ws.close()
        if self.waiter is not None:
            assert await self.waiter is None
        rest = [item for item in self.inbox if item.reason is None]
        got = []
        while True:
            try:
                item = await self.ws.next_message()
            except rlfast.DecodeError:
                continue
            if item is None:
                break
            got.append(item.n)
        assert got == [item.n for item in rest]
        await self.stack.aclose()

    # -- the model ------------------------------------------------------------------------------------------

    def begin_attempt(self) -> None:
        """The connection is lost, or an attempt failed: the next one, if there is one."""
        if self.attempt == BACKOFF.max_attempts:
            self.phase = OVER
            self.losses[-1].given_up += 1
            return
        self.phase = WAITING
        self.expected_log.append(("attempt", self.attempt + 1))
        self.expected_log.append(("sleep", BOUNDS[self.attempt] * RANDOM))
        self.attempt += 1

    def lose(self, reason: str, close_code: int | None = None) -> None:
        self.losses.append(Lost(self.epoch, self.next_seq - 1, reason, close_code))
        if self.now - self.opened_at >= RESET_AFTER:
            self.attempt = 0
        self.begin_attempt()

    async def settle(self) -> None:
        """Let the connection get where the model is."""
        if self.phase == WAITING:
            await until(lambda: self.asleep is not None)
        elif self.phase == OVER:
            await until(lambda: self.ws.closed)
        if self.phase in (OVER, CLOSED) and self.waiter is not None:
            assert await self.waiter is None
            self.waiter = None
            self.told_the_end = True

    def judge(self, item: Sent, message: Item) -> None:
        assert item.reason is None
        assert message.n == item.n

    def judge_error(self, item: Sent, error: rlfast.DecodeError) -> None:
        assert (error.reason, error.seq, error.raw) == (item.reason, item.seq, item.payload)
        self.decode_errors += 1

    async def judge_awaitable(self, item: Sent, awaitable: Awaitable[Item | None]) -> None:
        """The awaitable must give `item`."""
        if item.reason is None:
            message = await awaitable
            assert message is not None
            self.judge(item, message)
        else:
            with pytest.raises(rlfast.DecodeError) as caught:
                await awaitable
            self.judge_error(item, caught.value)

    # -- the server -----------------------------------------------------------------------------------------

    def frames_of(self, item: Sent, how: str) -> bytes:
        payload = item.payload
        if how in ("text", "binary"):
            return frame(payload, BINARY if how == "binary" else TEXT)
        ping = frame(b"between", PING) if how == "fragments and pings" else b""
        return (
            frame(payload[:3], TEXT, fin=False)
            + ping
            + frame(payload[3:4], CONTINUATION, fin=False)
            + frame(payload[4:], CONTINUATION)
        )

    @precondition(lambda self: self.phase == CONNECTED)
    @rule(messages=MESSAGES, cut=st.integers(0, 60), interrupt=st.none() | st.integers(0, 4))
    def server_sends(
        self, messages: list[tuple[int, str | None, str]], cut: int, interrupt: int | None
    ) -> None:
        """Messages, in two segments; a `next_message` that waits may be cancelled meanwhile."""
        items, data, pings = [], b"", 0
        for n, reason, how in messages:
            items.append(Sent(self.next_seq, self.epoch, n, reason))
            self.next_seq += 1
            data += self.frames_of(items[-1], how)
            self.binary += how == "binary"
            pings += how == "fragments and pings"

        async def act() -> None:
            assert self.peer is not None
            await self.peer.write(data[:cut])
            await turns(1)
            await self.peer.write(data[cut:])
            self.inbox.extend(items)
            if self.waiter is not None and interrupt is not None:
                await turns(interrupt)
                self.waiter.cancel()
                await asyncio.wait([self.waiter])
                if self.waiter.cancelled():
                    self.waiter = None
            await until(lambda: self.ws.stats.messages == self.next_seq)
            if self.waiter is not None:
                await self.judge_awaitable(self.inbox.popleft(), self.waiter)
                self.waiter = None
            for _ in range(pings):
                assert await self.peer.read_frame() == (PONG, b"between")

        self.run(act())

    @precondition(lambda self: self.phase == CONNECTED)
    @rule(
        how=st.sampled_from(["reset", "end", "reset within a frame", "continuation", "utf8"])
        | st.sampled_from([None, 1000, 1001, 1011, 1012, 3000, 4999]),
        lasted=st.sampled_from([0.5, 2.0, 20.0]),
    )
    def server_drops(self, how: str | int | None, lasted: float) -> None:
        self.now += lasted

        async def act() -> None:
            peer = self.peer
            assert peer is not None
            assert self.hung_up is not None
            if isinstance(how, str) and how.startswith("reset"):
                if how == "reset within a frame":
                    await peer.write(frame(b'{"n":1}')[:4])
                    await turns(2)
                peer.reset()
                self.lose("connection_lost")
            elif how == "end":
                peer.writer.close()
                self.lose("connection_lost")
            elif isinstance(how, str):
                if how == "continuation":
                    await peer.write(frame(b"x", CONTINUATION) + frame(b'{"n":2}'))
                    fault, code = "continuation frame without a message to continue", 1002
                else:
                    # The message that is not text keeps its place.
                    await peer.write(frame(b'"\xff"') + frame(b'{"n":2}'))
                    fault, code = "text message is not UTF-8", 1007
                assert await peer.read_frame() == (CLOSE, struct.pack("!H", code) + fault.encode())
                self.lose(f"protocol_error: {fault}")
                if code == 1007:
                    self.losses[-1].last_seq += 1
                    await self.take_bad_text()
            else:
                await peer.write(close_frame(how) + frame(b'{"n":3}'))
                echo = struct.pack("!H", 1000 if how is None else how)
                assert await peer.read_frame() == (CLOSE, echo)
                self.lose("closed_by_peer", how if isinstance(how, int) else None)
            self.hung_up.set()
            self.peer = None
            await self.settle()

        self.run(act())

    async def take_bad_text(self) -> None:
        """Read everything up to the message that ended the connection."""
        self.next_seq += 1
        while self.inbox:
            await self.judge_awaitable(self.inbox.popleft(), self.ws.next_message())
        waiter = self.waiter if self.waiter is not None else self.ws.next_message()
        self.waiter = None
        with pytest.raises(rlfast.DecodeError) as caught:
            await waiter
        assert (caught.value.reason, caught.value.raw) == ("invalid_utf8", b'"\xff"')
        assert caught.value.seq == self.next_seq - 1
        self.decode_errors += 1

    # -- time -----------------------------------------------------------------------------------------------

    @precondition(lambda self: self.phase == WAITING)
    @rule(
        failures=st.lists(st.sampled_from(["busy", "resets", "ends"]), max_size=3),
        up=st.sampled_from([True, True, True, False]),
    )
    def attempts(self, failures: list[str], up: bool) -> None:
        """The server refuses some attempts to connect in its ways, and may take the one behind them."""

        async def act() -> None:
            for mode in [*failures, *(["up"] * up)]:
                if self.phase == WAITING:
                    await self.attempt_to_connect(mode)

        self.run(act())

    async def attempt_to_connect(self, mode: str) -> None:
        assert self.asleep is not None
        self.mode, asleep, refusals = mode, self.asleep, self.refusals
        asleep.set_result(None)
        self.losses[-1].attempts += 1
        if mode == "up":
            await until(lambda: self.peer is not None and self.ws.connected)
            self.phase = CONNECTED
            self.epoch += 1
            self.opened_at = self.now
            self.losses[-1].reconnected = True
        else:
            await until(lambda: self.refusals > refusals and self.asleep is not asleep)
            self.begin_attempt()
            await self.settle()

    # -- the client -----------------------------------------------------------------------------------------

    @precondition(lambda self: self.waiter is None and self.inbox)
    @rule(by=st.sampled_from(["await", "task", "wait_for", "async for"]))
    def next_message(self, by: str) -> None:
        item = self.inbox.popleft()
        awaitable = self.ws.__anext__() if by == "async for" else self.ws.next_message()

        async def act() -> None:
            if by == "task":
                await self.judge_awaitable(item, asyncio.ensure_future(awaitable))
            else:
                await self.judge_awaitable(
                    item, asyncio.wait_for(awaitable, 10) if by == "wait_for" else awaitable
                )

        self.run(act())

    @precondition(lambda self: self.waiter is None and self.inbox)
    @rule(most=st.integers(1, 8))
    def next_messages(self, most: int) -> None:
        async def act() -> None:
            if self.inbox[0].reason is not None:
                await self.judge_awaitable(self.inbox.popleft(), self.ws.next_messages(most))  # type: ignore[arg-type]
                return
            for message in await self.ws.next_messages(most):
                self.judge(self.inbox.popleft(), message)
                most_left.append(message)
            assert 1 <= len(most_left) <= most
            assert len(most_left) == most or not self.inbox or self.inbox[0].reason is not None

        most_left: list[Item] = []
        self.run(act())

    @precondition(lambda self: self.waiter is None and self.inbox)
    @rule(most=st.sampled_from([1, 2, 5, 50, 50]), interrupt=st.sampled_from([None, 1, 1, 2, 3]))
    def batches(self, most: int, interrupt: int | None) -> None:
        """Everything that is there, in batches; one call may be cancelled on the way."""

        async def act() -> None:
            iterator = self.ws.batches(most, 0.0)
            if interrupt is not None:
                task = asyncio.ensure_future(iterator.__anext__())
                await turns(interrupt)
                task.cancel()
                await asyncio.wait([task])
                if not task.cancelled():
                    self.judge_batch(task.result(), most)
            while self.inbox:
                self.judge_batch(await iterator.__anext__(), most)
            await iterator.aclose()

        self.run(act())

    def judge_batch(self, batch: rlfast.EventBatch, most: int) -> None:
        got = []
        for table in batch.values():
            rows = zip(table["seq"].tolist(), table["epoch"].tolist(), table["n"].tolist(), strict=True)
            got += [Sent(seq, epoch, n, None) for seq, epoch, n in rows]
        letters = batch.dead_letters
        for seq, epoch, reason, raw in zip(
            letters["seq"].tolist(), letters["epoch"].tolist(), letters["reason"], letters["raw"], strict=True
        ):
            bad = next(item for item in self.inbox if item.seq == seq)
            assert bytes(raw) == bad.payload
            got.append(Sent(seq, epoch, bad.n, reason))
            self.dead_letters += 1
        assert 1 <= len(got) <= most
        assert sorted(got, key=lambda item: item.seq) == [self.inbox.popleft() for _ in got]

    @precondition(lambda self: self.waiter is None and not self.inbox and self.phase in (CONNECTED, WAITING))
    @rule()
    def wait_for_a_message(self) -> None:
        async def act() -> None:
            self.waiter = asyncio.ensure_future(self.ws.next_message())
            await turns(2)
            assert not self.waiter.done()
            with pytest.raises(rlfast.UsageError):
                await self.ws.next_message()
            with pytest.raises(rlfast.UsageError):
                await self.ws.batches().__anext__()

        self.run(act())

    @precondition(lambda self: self.waiter is not None)
    @rule()
    def cancel_the_waiter(self) -> None:
        async def act() -> None:
            assert self.waiter is not None
            self.waiter.cancel()
            await asyncio.wait([self.waiter])
            assert self.waiter.cancelled()
            self.waiter = None

        self.run(act())

    @precondition(lambda self: not self.inbox and self.phase in (OVER, CLOSED))
    @rule(by=st.sampled_from(["next_message", "next_messages", "async for", "batches"]))
    def read_at_the_end(self, by: str) -> None:
        """The end is told once; reading on after that tries again, unless the connection was closed."""
        ways: dict[str, Callable[[], Coroutine[Any, Any, Any]]] = {
            "next_message": lambda: rest(self.ws, "next_message"),
            "next_messages": self.ws.next_messages,
            "async for": lambda: rest(self.ws, "async for"),
            "batches": lambda: rest(self.ws.batches(), "async for"),
        }

        async def act() -> None:
            reading = asyncio.ensure_future(ways[by]())
            if self.is_closed or not self.told_the_end:
                assert await reading == []
                self.told_the_end = True
                return
            self.told_the_end = False
            self.attempt = self.losses[-1].attempts = 0
            self.begin_attempt()
            await self.settle()
            assert not reading.done()
            reading.cancel()
            await asyncio.wait([reading])

        self.run(act())

    @rule(value=st.sampled_from(["text", b"\x00\xff", Item(5), [1, 2], "x" * 70_000]))
    def send(self, value: Any) -> None:
        async def act() -> None:
            if self.phase != CONNECTED:
                with pytest.raises(rlfast.NotConnectedError, match="^websocket is not connected$"):
                    await self.ws.send(value)
                return
            await self.ws.send(value)
            assert self.peer is not None
            opcode, payload = await self.peer.read_frame()
            assert opcode == (BINARY if isinstance(value, bytes) else TEXT)
            encoded = value if isinstance(value, bytes) else str(value).encode()
            assert payload == (encoded if isinstance(value, (str, bytes)) else msgspec.json.encode(value))

        self.run(act())

    @rule(late=st.integers(0, 3), code=st.sampled_from([1000, 1001, 3000]), really=st.integers(0, 4))
    def close(self, late: int, code: int, really: int) -> None:
        if really != 4:
            return  # Seldom, because not much can happen behind it.

        async def act() -> None:
            closing = asyncio.ensure_future(self.ws.close(code, "enough"))
            if self.phase == CONNECTED:
                assert self.peer is not None
                assert self.hung_up is not None
                assert await self.peer.read_frame() == (CLOSE, struct.pack("!H", code) + b"enough")
                # What arrives now is counted, and not kept.
                await self.peer.write(frame(b'{"n":4}') * late + close_frame(code))
                await self.peer.hang()
                self.hung_up.set()
                self.peer = None
                self.discarded += late
            await closing
            self.is_closed = True
            self.phase = OVER if self.phase == OVER else CLOSED
            await self.settle()

        self.run(act())

    # -- what must be true at any time ----------------------------------------------------------------------

    @invariant()
    def what_it_says_of_itself(self) -> None:
        if not hasattr(self, "ws"):
            return
        ws, stats = self.ws, self.ws.stats
        assert ws.connected == (self.phase == CONNECTED)
        assert ws.closed == (self.phase in (OVER, CLOSED))
        assert (ws.epoch, stats.reconnects) == (self.epoch, self.epoch - 1)
        assert stats.messages == self.next_seq
        assert ws.next_unread_seq == (self.inbox[0].seq if self.inbox else self.next_seq)
        assert stats.decode_errors == self.decode_errors
        assert stats.dead_letters == self.dead_letters
        assert stats.binary_messages == self.binary
        assert stats.discarded_messages == self.discarded
        assert stats.queued_bytes == sum(len(item.payload) + 24 for item in self.inbox)
        assert self.log == self.expected_log

    @invariant()
    def gaps(self) -> None:
        if not hasattr(self, "ws"):
            return
        assert [
            Lost(
                gap.epoch,
                gap.last_seq,
                gap.reason,
                gap.close_code,
                gap.attempts,
                gap.reconnected_at is not None,
            )
            for gap in self.ws.gaps
        ] == self.losses
        for gap in self.ws.gaps:
            assert gap.reconnected_at is None or gap.disconnected_at <= gap.reconnected_at
        calls = []
        for number, lost in enumerate(self.losses):
            calls.append((lost.epoch, False))
            calls += [(lost.epoch, False)] * lost.given_up
            # The last one is still open, unless the stream is over.
            if lost.reconnected or number < len(self.losses) - 1 or self.phase == CLOSED:
                calls.append((lost.epoch, lost.reconnected))
        assert self.gap_calls == calls

    @invariant()
    def why_it_is_over(self) -> None:
        if self.phase != OVER:
            return
        assert isinstance(self.ws.last_error, rlfast.NetworkError)
        assert "None" not in str(self.ws.last_error)


TestConnection = Connection.TestCase
TestConnection.settings = settings(
    deadline=None,
    max_examples=EXAMPLES,
    stateful_step_count=50,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
