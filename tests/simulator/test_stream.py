"""One connection: memory, replies, closing handshakes and clients that misbehave."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable

import pytest
from typing_extensions import Self
from wsserver import until

from rlfast.simulator import Simulator, SimulatorOptions, StreamConnection
from rlfast.simulator._events import agent_events
from rlfast.simulator._frames import SLICE_BYTES
from rlfast.simulator._stream import MAX_QUEUED_REPLIES

from .ids import AGENT, TENANT
from .raw import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, RawClient, client_frame, open_raw


class Serving:
    """A simulator that keeps the server's side of the one connection that a test makes."""

    def __init__(self, **given: object) -> None:
        self._connected: asyncio.Queue[StreamConnection] = asyncio.Queue()
        options = SimulatorOptions(**{"pool": 500, "close_timeout": 2.0, **given})  # type: ignore[arg-type]
        self.sim = Simulator(options, on_connect=self._connected.put_nowait)

    async def __aenter__(self) -> Self:
        await self.sim.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.sim.stop()

    async def open(
        self, receive_buffer: int | None = None, *, cycle: bool = False
    ) -> tuple[RawClient, StreamConnection]:
        url = (self.sim.cycle_url if cycle else self.sim.agent_events_url)(AGENT, TENANT)
        client = await open_raw(url, receive_buffer=receive_buffer)
        assert client.status == 101
        return client, await self._connected.get()


async def settled(value: Callable[[], int]) -> int:
    """Wait until a number has not changed for a tenth of a second."""
    last, since = value(), 0
    while since < 20:
        await asyncio.sleep(0.005)
        since = since + 1 if value() == last else 0
        last = value()
    return last


def expected(count: int) -> list[bytes]:
    return list(itertools.islice(agent_events(7, AGENT, 500), count))


async def test_a_slow_client_costs_one_slice_and_loses_nothing() -> None:
    async with Serving(events=200_000) as serving:
        client, connection = await serving.open(receive_buffer=8192)
        sent = await settled(lambda: connection.sent)
        assert sent < 200_000
        assert 0 < connection.buffered <= SLICE_BYTES
        payloads, code = await client.until_close()
        assert code == 1000
        assert payloads == expected(200_000)
        await client.close()


async def test_slow_beyond_the_close_timeout_is_not_lost() -> None:
    async with Serving(events=60_000, close_timeout=0.05) as serving:
        client, connection = await serving.open(receive_buffer=8192)
        await settled(lambda: connection.sent)
        payloads, code = await client.until_close()
        assert (payloads, code) == (expected(60_000), 1000)
        await client.close()


async def test_the_wait_for_the_clients_close_begins_when_ours_has_left() -> None:
    async with Serving(close_timeout=2.0) as serving:
        client, connection = await serving.open(receive_buffer=8192)
        await settled(lambda: connection.sent)
        assert connection.buffered > 0
        connection.close(1000)
        await asyncio.sleep(2.2)
        payloads, code = await client.until_close()
        assert (payloads, code) == (expected(len(payloads)), 1000)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(client.frame(), 0.2)
        client.send(client_frame(CLOSE, b"\x03\xe8"))
        assert await client.frame() is None
        await client.close()


async def test_a_paced_stream_catches_up() -> None:
    async with Serving(events=100_000, rate=400_000.0) as serving:
        client, connection = await serving.open(receive_buffer=8192)
        await settled(lambda: connection.sent)
        assert connection.buffered <= SLICE_BYTES
        payloads, code = await client.until_close()
        assert (payloads, code) == (expected(100_000), 1000)
        await client.close()


async def test_pongs_are_bounded_for_a_client_that_does_not_read() -> None:
    async with Serving(rate=0.001) as serving:
        client, connection = await serving.open(receive_buffer=8192)
        count = 150_000
        client.send(*(client_frame(PING, number.to_bytes(4, "big") + bytes(120)) for number in range(count)))
        await until(lambda: connection.buffered > MAX_QUEUED_REPLIES)
        buffered = await settled(lambda: connection.buffered)
        assert buffered < 2 * MAX_QUEUED_REPLIES
        assert await client.frame() == (TEXT, expected(1)[0])
        for number in range(count):
            assert await client.frame() == (PONG, number.to_bytes(4, "big") + bytes(120))
        await client.close()


async def test_acknowledgements_are_bounded_too() -> None:
    async with Serving() as serving:
        client, connection = await serving.open(receive_buffer=8192, cycle=True)
        count = 2000
        client.send(*(client_frame(TEXT, b'"%s"' % (b"x" * 8000)) for _ in range(count)))
        await until(lambda: connection.buffered > MAX_QUEUED_REPLIES)
        assert await settled(lambda: connection.buffered) < 2 * MAX_QUEUED_REPLIES
        for number in range(count):
            opcode, payload = await client.frame() or (0, b"")
            assert opcode == TEXT
            assert payload.startswith(b'{"type":"ack","number":%d,' % number)
        await client.close()


async def test_both_directions_flat_out_starve_neither() -> None:
    async with Serving(events=300_000) as serving:
        client, connection = await serving.open(receive_buffer=8192, cycle=True)
        await until(lambda: connection.buffered > 0)
        client.send(client_frame(TEXT, b"1"))
        before = 0
        while b'"ack"' not in (await client.frame() or (0, b"the end"))[1]:
            before += 1
        assert 0 < before < 300_000
        await client.close()


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (client_frame(CLOSE, b"\x03\xe8"), 1000),
        (client_frame(CLOSE, b"\x0b\xb9over and out"), 3001),
        (client_frame(CLOSE), 1000),
        (client_frame(CLOSE, b"\x03\xee"), 1002),
        (client_frame(CLOSE, b"\x03\xed"), 1002),
        (client_frame(TEXT, b"x", rsv=4), 1002),
        (client_frame(CONTINUATION, b"x"), 1002),
        (client_frame(TEXT, b"x", fin=False) + client_frame(TEXT, b"y"), 1002),
        (client_frame(TEXT, b"\xff\xfe"), 1007),
        (client_frame(BINARY, bytes((1 << 20) + 1)), 1009),
        (client_frame(TEXT, b"x", masked=False), 1002),
        (client_frame(0x3, b"x"), 1002),
    ],
)
@pytest.mark.parametrize("rate", [None, 0.001, 20_000.0])
async def test_closing_and_violations_get_their_code(sent: bytes, code: int, rate: float | None) -> None:
    async with Serving(rate=rate, close_timeout=0.2) as serving:
        client, _ = await serving.open()
        client.send(sent)
        payloads, received = await client.until_close()
        assert received == code
        assert payloads == expected(len(payloads))
        assert await client.frame() is None, "nothing may follow a CLOSE frame"
        await client.close()
        await until(lambda: not serving.sim.connections)


async def test_a_message_in_fragments_with_a_ping_between() -> None:
    async with Serving() as serving:
        client, _ = await serving.open(cycle=True)
        client.send(
            client_frame(TEXT, b'{"a":', fin=False),
            client_frame(PING, b"still there?"),
            client_frame(PONG, b"unasked"),
            client_frame(CONTINUATION, b"[1]}"),
        )
        assert await client.frame() == (PONG, b"still there?")
        assert await client.frame() == (TEXT, b'{"type":"ack","number":0,"message":{"a":[1]}}')
        await client.close()


async def test_messages_on_one_way_streams_have_no_effect() -> None:
    async with Serving(events=2, rate=5.0) as serving:
        client, _ = await serving.open()
        client.send(client_frame(TEXT, b"hello"))
        assert await client.until_close() == (expected(2), 1000)
        await client.close()


async def test_the_server_does_not_wait_for_ever_for_a_close() -> None:
    async with Serving(events=1, close_timeout=0.1) as serving:
        client, _ = await serving.open()
        assert await client.until_close() == (expected(1), 1000)
        client.send(client_frame(PING, b"after the end"))
        assert await client.frame() is None
        await client.close()
        await until(lambda: not serving.sim.connections)


async def test_the_closing_handshake_is_completed() -> None:
    async with Serving(events=1, close_timeout=60.0) as serving:
        client, _ = await serving.open()
        assert await client.until_close() == (expected(1), 1000)
        client.send(client_frame(CLOSE, b"\x03\xe8"))
        # Far sooner than the time-out: the client's CLOSE ends it.
        assert await asyncio.wait_for(client.frame(), 30) is None
        await client.close()
        await until(lambda: not serving.sim.connections)


async def test_a_client_that_closes_and_never_reads_is_dropped() -> None:
    async with Serving(close_timeout=0.1) as serving:
        client, connection = await serving.open(receive_buffer=8192)
        await until(lambda: connection.buffered > 0)
        client.send(client_frame(CLOSE, b"\x03\xe8"))
        await until(lambda: not serving.sim.connections)
        await client.close()


async def test_a_client_that_vanishes_is_forgotten() -> None:
    async with Serving() as serving:
        client, connection = await serving.open(receive_buffer=8192)
        await until(lambda: connection.buffered > 0)
        client.writer.transport.abort()
        await until(lambda: not serving.sim.connections)
        sent = connection.sent
        assert await settled(lambda: connection.sent) == sent


async def test_actions_run_at_their_exact_place() -> None:
    places = []

    def note(connection: StreamConnection) -> None:
        places.append(connection.sent)

    def arrange(connection: StreamConnection) -> None:
        for position in (1234, 0, 600, 600, 1):
            connection.at(position, note)
        connection.at(1300, lambda made: made.close(1013, "try again later"))

    sim = Simulator(SimulatorOptions(pool=500, events=5_000), on_connect=arrange)
    async with sim:
        client = await open_raw(sim.agent_events_url(AGENT, TENANT))
        assert await client.until_close() == (expected(1300), 1013)
        await client.close()
    assert places == [0, 1, 600, 600, 1234]


async def test_abort_ends_without_a_closing_handshake() -> None:
    sim = Simulator(SimulatorOptions(pool=500), on_connect=lambda made: made.at(10, StreamConnection.abort))
    async with sim:
        client = await open_raw(sim.agent_events_url(AGENT, TENANT))
        payloads, code = await client.until_close()
        assert code is None
        assert payloads == expected(len(payloads))
        assert len(payloads) <= 10
        await client.close()
