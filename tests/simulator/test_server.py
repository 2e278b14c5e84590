"""The server against clients of other libraries: what is served, to whom, and how it ends."""

from __future__ import annotations

import asyncio
import itertools
import logging
import socket
import ssl
import time

import aiohttp
import msgspec
import pytest
import trustme
import websockets
from websockets.asyncio.client import ClientConnection, connect

from rlfast.errors import UsageError
from rlfast.reasoning_layer._events import OversightAlert
from rlfast.simulator import Simulator, SimulatorOptions, StreamConnection
from rlfast.simulator._events import agent_events, cycle_messages, oversight_alerts

from .ids import AGENT, TENANT
from .raw import open_raw


def options(**given: object) -> SimulatorOptions:
    return SimulatorOptions(**{"pool": 500, "close_timeout": 2.0, **given})  # type: ignore[arg-type]


async def receive_all(ws: ClientConnection) -> list[bytes]:
    # The iterator ends with close codes 1000 and 1001 and raises otherwise.
    return [message.encode() async for message in ws]


def expected(count: int, seed: int = 7, pool: int = 500) -> list[bytes]:
    return list(itertools.islice(agent_events(seed, AGENT, pool), count))


async def test_agent_events_through_websockets() -> None:
    async with (
        Simulator(options(events=20_000)) as sim,
        connect(sim.agent_events_url(AGENT, TENANT), max_size=None) as ws,
    ):
        assert await receive_all(ws) == expected(20_000)
        assert ws.close_code == 1000


async def test_agent_events_through_aiohttp() -> None:
    async with (
        Simulator(options(events=20_000, seed=99)) as sim,
        aiohttp.ClientSession() as session,
        session.ws_connect(sim.agent_events_url(AGENT, TENANT)) as ws,
    ):
        received = [message.data.encode() async for message in ws]
        assert received == expected(20_000, seed=99)
        assert ws.close_code == 1000


@pytest.mark.parametrize("count", [0, 1, 2, 500, 501, 502])
async def test_the_end_is_exact(count: int) -> None:
    async with Simulator(options(events=count)) as sim, connect(sim.agent_events_url(AGENT, TENANT)) as ws:
        assert await receive_all(ws) == expected(count)


async def test_every_connection_starts_anew() -> None:
    async with Simulator(options(events=2_000)) as sim:

        async def one() -> list[bytes]:
            async with connect(sim.agent_events_url(AGENT, TENANT)) as ws:
                return await receive_all(ws)

        for payloads in await asyncio.gather(*(one() for _ in range(20))):
            assert payloads == expected(2_000)


async def test_oversight_and_cycle_streams() -> None:
    async with Simulator(options(events=700, pool=300)) as sim:
        async with connect(sim.oversight_url("session 1/ä", TENANT)) as ws:
            payloads = await receive_all(ws)
        assert payloads == list(itertools.islice(oversight_alerts(7, 300), 700))
        for payload in payloads:
            msgspec.json.decode(payload, type=OversightAlert)
        async with connect(sim.cycle_url(AGENT, TENANT)) as ws:
            assert await receive_all(ws) == list(itertools.islice(cycle_messages(7, 300), 700))


async def test_cycle_answers_every_message() -> None:
    async with (
        Simulator(options()) as sim,
        aiohttp.ClientSession() as session,
        session.ws_connect(sim.cycle_url(AGENT, TENANT)) as ws,
    ):
        await ws.send_json({"goal": "é", "n": [1, 2]})
        await ws.send_str("no json")
        await ws.send_bytes(b"\x00\xff")
        answers = [await ws.receive_json() for _ in range(3)]
    assert [answer["message"] for answer in answers] == [{"goal": "é", "n": [1, 2]}, "no json", "AP8="]
    assert [answer["number"] for answer in answers] == [0, 1, 2]
    assert {answer["type"] for answer in answers} == {"ack"}


async def test_cycle_sends_and_answers_at_the_same_time() -> None:
    async with Simulator(options(rate=500.0, events=200)) as sim, connect(sim.cycle_url(AGENT, TENANT)) as ws:
        for number in range(50):
            await ws.send(msgspec.json.encode(number))
        received = [msgspec.json.decode(payload) for payload in await receive_all(ws)]
    acknowledged = [message["message"] for message in received if message.get("type") == "ack"]
    own = [message for message in received if "phase" in message]
    assert acknowledged == list(range(50))
    assert own == [msgspec.json.decode(payload) for payload in itertools.islice(cycle_messages(7, 500), 200)]


@pytest.mark.parametrize("rate", [400.0, 20_000.0])
async def test_pace_is_never_ahead_and_exact_on_average(rate: float) -> None:
    count = int(rate * 0.5)
    async with Simulator(options(rate=rate, events=count)) as sim:
        start = time.monotonic()
        async with connect(sim.agent_events_url(AGENT, TENANT)) as ws:
            for number, payload in enumerate(expected(count)):
                assert await ws.recv(decode=False) == payload
                assert time.monotonic() - start > number / rate - 0.001
            # The last event is due after half a second; the rest is room for a loaded machine.
            assert time.monotonic() - start < 5


async def test_ping_is_answered_while_the_stream_runs() -> None:
    async with Simulator(options()) as sim, connect(sim.agent_events_url(AGENT, TENANT)) as ws:
        reading = asyncio.create_task(receive_all(ws))
        for _ in range(3):
            await asyncio.wait_for(await ws.ping(), 30)
        await sim.stop()
        payloads = await reading
    assert payloads == expected(len(payloads))


async def test_tls() -> None:
    authority = trustme.CA()
    server, client = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.configure_trust(client)
    async with Simulator(options(events=20_000, ssl=server)) as sim:
        url = sim.agent_events_url(AGENT, TENANT)
        assert url.startswith("wss://127.0.0.1:")
        assert sim.base_url.startswith("https://")
        async with connect(url, ssl=client) as ws:
            assert await receive_all(ws) == expected(20_000)
        async with aiohttp.ClientSession() as session, session.ws_connect(url, ssl=client) as other:
            assert [message.data.encode() async for message in other] == expected(20_000)
            assert other.close_code == 1000


async def test_refusals() -> None:
    async with Simulator(options(require_token="t0ken", events=3)) as sim:
        bearer = {"Authorization": "Bearer t0ken"}
        cases = [
            ("/elsewhere", bearer, 404),
            (f"/api/v1/cognitive/agents/ws?agent_id={AGENT}&tenant_id={TENANT}", {}, 401),
            (
                f"/api/v1/cognitive/agents/ws?agent_id={AGENT}&tenant_id={TENANT}",
                {"Authorization": "Bearer no"},
                401,
            ),
            (f"/api/v1/cognitive/agents/ws?agent_id=x&tenant_id={TENANT}", bearer, 400),
            (f"/ws/cognitive/{AGENT}", bearer, 400),
        ]
        for target, headers, status in cases:
            with pytest.raises(websockets.InvalidStatus) as caught:
                await connect(f"{sim.base_url.replace('http', 'ws')}{target}", additional_headers=headers)
            assert caught.value.response.status_code == status
            raw = await open_raw(sim.base_url + target, headers)
            assert raw.status == status
            assert raw.headers["content-type"] == "application/json"
            assert set(msgspec.json.decode(raw.body)) == {"error", "message"}
            await raw.close()
        url = sim.agent_events_url(AGENT, TENANT)
        for headers in (bearer, {"Cookie": "lang=de; session=t0ken"}):
            async with connect(url, additional_headers=headers) as ws:
                assert await receive_all(ws) == expected(3)


async def test_what_is_no_upgrade_is_400() -> None:
    async with Simulator(options()) as sim, aiohttp.ClientSession() as session:
        target = sim.agent_events_url(AGENT, TENANT).replace("ws://", "http://")
        for method in ("GET", "POST"):
            async with session.request(method, target) as response:
                assert response.status == 400


async def test_the_token_is_never_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(1)
    for name in (None, "rlfast.simulator", "picows", "picows.server"):
        caplog.set_level(1, name)
    async with Simulator(options(require_token="t0ken-7", events=3)) as sim:
        for headers in (
            {"Authorization": "Bearer t0ken-7"},
            {"Cookie": "s=t0ken-7"},
            {"Authorization": "t0ken-7"},
        ):
            raw = await open_raw(sim.agent_events_url(AGENT, TENANT), headers)
            await raw.close()
    assert any(record.name.startswith("rlfast.simulator") for record in caplog.records)
    server_side = [r for r in caplog.records if r.name.startswith(("rlfast", "picows", "aiofastnet"))]
    assert not any("t0ken-7" in record.getMessage() for record in server_side)
    assert logging.getLogger("rlfast.simulator").isEnabledFor(1), "the test must ask for the lowest level"


async def test_stop_closes_clients_with_1001_and_frees_the_port() -> None:
    sim = Simulator(options(rate=50.0))
    await sim.start()
    port = sim.port
    clients = [await connect(sim.agent_events_url(AGENT, TENANT)) for _ in range(5)]
    for client in clients:
        assert (await client.recv(decode=False)) == expected(1)[0]
    assert len(sim.connections) == 5
    await sim.stop()
    assert sim.connections == ()
    for client in clients:
        await receive_all(client)
        assert client.close_code == 1001
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", port))


async def test_stop_does_not_wait_for_ever() -> None:
    sim = Simulator(options(close_timeout=0.3))
    await sim.start()
    silent = await open_raw(sim.agent_events_url(AGENT, TENANT), receive_buffer=8192)
    idle_reader, idle_writer = await asyncio.open_connection("127.0.0.1", sim.port)
    # Sooner than the five seconds that a connection has for its upgrade request.
    await asyncio.wait_for(sim.stop(), 4)
    assert sim.connections == ()
    assert await asyncio.wait_for(idle_reader.read(), 4) == b""
    idle_writer.close()
    await silent.close()


async def test_a_client_that_comes_while_it_stops_is_sent_away() -> None:
    connected: asyncio.Queue[StreamConnection] = asyncio.Queue()
    sim = Simulator(options(close_timeout=2.0), on_connect=connected.put_nowait)
    await sim.start()
    url = sim.agent_events_url(AGENT, TENANT)
    silent = await open_raw(url, receive_buffer=8192)
    await connected.get()
    late_reader, late_writer = await asyncio.open_connection("127.0.0.1", sim.port)
    late_writer.write(b"GET / HTTP/1.1\r\n")
    await asyncio.sleep(0)
    stopping = asyncio.create_task(sim.stop())
    await asyncio.sleep(0)
    late_writer.write(b"Host: x\r\n\r\n")
    answer = await late_reader.read()
    assert answer.startswith(b"HTTP/1.1 503 ")
    await stopping
    late_writer.close()
    await silent.close()


async def test_it_can_be_started_again_but_not_twice() -> None:
    sim = Simulator(options(events=2))
    with pytest.raises(UsageError):
        _ = sim.port
    for _ in range(2):
        async with sim:
            with pytest.raises(UsageError):
                await sim.start()
            async with connect(sim.agent_events_url(AGENT, TENANT)) as ws:
                assert len(await receive_all(ws)) == 2
    await sim.stop()


async def test_a_taken_port_is_an_error() -> None:
    async with Simulator(options()) as sim:
        with pytest.raises(OSError, match="address already in use"):
            await Simulator(options(port=sim.port)).start()


@pytest.mark.parametrize(
    ("host", "start"), [("0.0.0.0", "http://127.0.0.1:"), ("localhost", "http://localhost:")]
)
async def test_base_url_can_be_reached(host: str, start: str) -> None:
    async with Simulator(options(host=host, events=1)) as sim:
        assert sim.base_url.startswith(start)
        async with connect(sim.agent_events_url(AGENT, TENANT)) as ws:
            assert len(await receive_all(ws)) == 1
