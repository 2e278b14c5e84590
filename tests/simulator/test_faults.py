"""The simulator's faults: each at its exact place, down to the bytes and to how TCP ends."""

from __future__ import annotations

import asyncio
import itertools
import socket
import ssl
import time
from urllib.parse import urlsplit

import msgspec
import pytest
import trustme
import websockets
from cli.helpers import assert_one_line, run, simulator, start
from websockets.asyncio.client import connect
from wsserver import until

from rlfast.cli import main
from rlfast.errors import ConfigError
from rlfast.simulator import Simulator, SimulatorOptions, StreamConnection
from rlfast.simulator._endpoints import Stream
from rlfast.simulator._events import agent_events
from rlfast.simulator._faults import FORMS, Fault, parse_fault
from rlfast.simulator._faulty_stream import MALFORMED
from rlfast.simulator._frames import text_frame
from rlfast.simulator._stream import TICK
from rlfast.simulator._trickle import Trickle
from simulator.ids import AGENT, TENANT
from simulator.raw import CLOSE, PING, PONG, TEXT, RawClient, client_frame, open_raw

FIN, RST = "FIN", "RST"


def serving(*faults: str, **given: object) -> Simulator:
    settings = {"pool": 500, "close_timeout": 2.0, "faults": faults, **given}
    return Simulator(SimulatorOptions(**settings))  # type: ignore[arg-type]


def expected(count: int) -> list[bytes]:
    return list(itertools.islice(agent_events(7, AGENT, 500), count))


def frames(count: int) -> bytes:
    return b"".join(map(text_frame, expected(count)))


async def open_agent(sim: Simulator, receive_buffer: int | None = None) -> RawClient:
    return await open_raw(sim.agent_events_url(AGENT, TENANT), receive_buffer=receive_buffer)


class Wire:
    """A client without buffers of its own: what the kernel got before RST is not lost, as in asyncio's."""

    def __init__(self, connected: socket.socket, received: bytes) -> None:
        self.socket = connected
        self.received = received

    async def until_end(self) -> tuple[bytes, str]:
        """All bytes behind the HTTP head, and how the TCP connection ended."""
        pieces, end = [self.received], FIN
        try:
            while piece := await asyncio.get_running_loop().sock_recv(self.socket, 65_536):
                pieces.append(piece)
        except ConnectionResetError:
            end = RST
        self.socket.close()
        return b"".join(pieces), end


async def open_wire(sim: Simulator, behind: bytes = b"", receive_buffer: int | None = None) -> Wire:
    """Connect; ``behind`` follows the upgrade request at once."""
    loop = asyncio.get_running_loop()
    url = urlsplit(sim.agent_events_url(AGENT, TENANT))
    plain = socket.socket()
    if receive_buffer is not None:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    plain.setblocking(False)
    await loop.sock_connect(plain, (url.hostname, url.port))
    request = (
        f"GET {url.path}?{url.query} HTTP/1.1\r\nHost: {url.netloc}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: c2l4dGVlbiBieXRlcyBvaw==\r\n\r\n"
    )
    await loop.sock_sendall(plain, request.encode() + behind)
    received = b""
    while b"\r\n\r\n" not in received:
        received += await loop.sock_recv(plain, 65_536)
    head, _, rest = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 ")
    return Wire(plain, rest)


async def nothing_comes(client: RawClient) -> bool:
    try:
        await asyncio.wait_for(client.frame(), 0.2)
    except asyncio.TimeoutError:
        return True
    return False


# -- how they are written ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("drop:0", Fault("drop", 0)),
        ("drop:1000x3", Fault("drop", 1000, None, 3)),
        ("rst:7", Fault("rst", 7)),
        ("silent:7x1", Fault("silent", 7, None, 1)),
        ("mute:7", Fault("mute", 7)),
        ("restart:7", Fault("restart", 7, 0.5)),
        ("restart:7:0", Fault("restart", 7, 0)),
        ("restart:7:2.25x4", Fault("restart", 7, 2.25, 4)),
        ("trickle:7", Fault("trickle", 7, 2000)),
        ("trickle:7:10x2", Fault("trickle", 7, 10, 2)),
        ("refuse:2", Fault("refuse", 2)),
        ("refuse:2:30", Fault("refuse", 2, 30)),
        ("limit:2:30x5", Fault("limit", 2, 30, 5)),
        ("expire:7", Fault("expire", 7)),
        ("poison:7", Fault("poison", 7)),
    ],
)
def test_a_fault_is_read(text: str, fault: Fault) -> None:
    assert parse_fault(text) == fault


@pytest.mark.parametrize("name", list(FORMS))
def test_the_example_in_an_error_is_correct(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_fault(f"{name}:")
    assert str(caught.value) == (
        f"fault '{name}:' must have the form {FORMS[name].text}, such as {FORMS[name].example}"
        f"; x and a number limit it to the first connections: {FORMS[name].example}x3"
    )
    assert parse_fault(FORMS[name].example).connections is None
    assert parse_fault(FORMS[name].example + "x3").connections == 3


@pytest.mark.parametrize(
    "wrong",
    [
        *(
            "drop",
            "drop:x",
            "drop:-1",
            "drop:1.5",
            "drop:1:2",
            "drop:1x0",
            "drop:1x",
            "drop:1 ",
            "drop:1x2x3",
        ),
        *("drop:٣", "drop:" + "9" * 16, "restart:1:", "restart:1:-1", "restart:1:soon", "restart:1:1e9"),
        *("trickle:1:0", "trickle:1:0.5", "refuse:0", "refuse:1:1.5", "limit:1", "limit:0:1", "poison:1:2"),
    ],
)
def test_a_wrong_form_names_fault_and_form(wrong: str) -> None:
    with pytest.raises(ConfigError) as caught:
        SimulatorOptions(faults=("drop:1", wrong))
    assert repr(wrong) in str(caught.value)
    assert FORMS[wrong.partition(":")[0]].text in str(caught.value)


@pytest.mark.parametrize("wrong", ["", "explode:3", "DROP:3", "3"])
def test_an_unknown_fault_is_told_all_that_there_are(wrong: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_fault(wrong)
    assert str(caught.value).startswith("there is no fault ")
    for form in FORMS.values():
        assert form.text in str(caught.value)


def test_one_text_is_no_tuple_of_faults() -> None:
    with pytest.raises(ConfigError, match="tuple"):
        SimulatorOptions(faults="drop:1")  # type: ignore[arg-type]


# -- faults that end the connection ------------------------------------------------------------------------

POSITIONS = [0, 1, 2, 500, 20_000]


@pytest.mark.parametrize("position", POSITIONS)
async def test_drop_is_fin_between_two_frames(position: int) -> None:
    async with serving(f"drop:{position}") as sim:
        for _ in range(2):
            wire = await open_wire(sim)
            assert await wire.until_end() == (frames(position), FIN)
        await until(lambda: not sim.connections)


async def test_drop_is_fin_even_if_something_is_unread() -> None:
    wires: list[Wire] = []

    def talk(_: StreamConnection) -> None:
        # Behind the fault, but in the same turn of the event loop: the server cannot have read it yet.
        wires[0].socket.send(client_frame(PING, b"x"))

    options = SimulatorOptions(pool=500, faults=("drop:50000",))
    async with Simulator(options, on_connect=lambda made: made.at(50_000, talk)) as sim:
        # So much is only sent once the client reads.
        wires.append(await open_wire(sim, receive_buffer=8192))
        assert await wires[0].until_end() == (frames(50_000), FIN)


async def test_drop_waits_for_a_slow_client() -> None:
    async with serving("drop:50000", close_timeout=0.05) as sim:
        slow = await open_wire(sim, receive_buffer=8192)
        await until(lambda: sim.connections[0].buffered > 0)
        assert await slow.until_end() == (frames(50_000), FIN)


async def test_drop_does_not_wait_for_a_client_that_never_leaves() -> None:
    async with serving("drop:100", close_timeout=0.1) as sim:
        wire = await open_wire(sim)
        await until(lambda: not sim.connections)
        wire.socket.close()


async def test_drop_over_tls() -> None:
    authority = trustme.CA()
    server, client = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.configure_trust(client)
    async with serving("drop:1000", ssl=server) as sim:
        async with connect(sim.agent_events_url(AGENT, TENANT), ssl=client) as ws:
            received = [await ws.recv(decode=False) for _ in range(1000)]
            with pytest.raises(websockets.ConnectionClosedError) as caught:
                await ws.recv()
        assert received == expected(1000)
        assert caught.value.rcvd is None


@pytest.mark.parametrize("position", POSITIONS)
async def test_rst_is_in_the_middle_of_the_next_frame(position: int) -> None:
    async with serving(f"rst:{position}") as sim:
        data, end = await (await open_wire(sim)).until_end()
        following = text_frame(expected(position + 1)[-1])
        assert end == RST
        assert data == frames(position) + following[: len(following) // 2]
        await until(lambda: not sim.connections)


async def test_rst_waits_for_a_slow_client() -> None:
    async with serving("rst:50000") as sim:
        wire = await open_wire(sim, receive_buffer=8192)
        await until(lambda: sim.connections[0].buffered > 0)
        data, end = await wire.until_end()
        assert (data[: len(frames(50_000))], end) == (frames(50_000), RST)


async def test_expire_is_1008_and_401_for_everybody_later() -> None:
    async with serving("expire:10", require_token="t0ken") as sim:
        token = {"Authorization": "Bearer t0ken"}
        url = sim.agent_events_url(AGENT, TENANT)
        client = await open_raw(url, token)
        assert await client.until_close() == (expected(10), 1008)
        await client.close()
        for headers in (token, {}):
            late = await open_raw(url, headers)
            assert (late.status, late.headers["www-authenticate"]) == (401, "bearer")
            await late.close()
        elsewhere = await open_raw(f"{sim.base_url}/elsewhere", token)
        assert elsewhere.status == 404
        await elsewhere.close()


async def test_expire_without_a_token_to_present() -> None:
    async with serving("expire:0") as sim:
        first = await open_agent(sim)
        assert await first.until_close() == ([], 1008)
        second = await open_agent(sim)
        assert second.status == 401
        assert msgspec.json.decode(second.body)["message"] == "the token has expired"
        for client in (first, second):
            await client.close()


# -- faults that leave the connection open -----------------------------------------------------------------


async def test_silent_answers_nothing_and_stays_connected() -> None:
    async with serving("silent:100") as sim:
        client = await open_agent(sim)
        for payload in expected(100):
            assert await client.frame() == (TEXT, payload)
        client.send(client_frame(PING, b"?"), client_frame(CLOSE, b"\x03\xe8"), client_frame(TEXT, b"\xff"))
        assert await nothing_comes(client)
        assert len(sim.connections) == 1
        await client.close()
        await until(lambda: not sim.connections)


async def test_stopping_does_not_wait_for_silent_connections() -> None:
    async with serving("silent:1", close_timeout=60.0) as sim:
        client = await open_agent(sim)
        assert await client.frame() == (TEXT, expected(1)[0])
        await until(lambda: sim.connections[0].sent == 1)
        await asyncio.wait_for(sim.stop(), 30)
        assert await client.frame() is None
        await client.close()


async def test_mute_still_answers_ping_and_close() -> None:
    async with serving("mute:100") as sim:
        client = await open_agent(sim)
        for payload in expected(100):
            assert await client.frame() == (TEXT, payload)
        for number in range(3):
            client.send(client_frame(PING, b"%d" % number))
            assert await client.frame() == (PONG, b"%d" % number)
        assert await nothing_comes(client)
        client.send(client_frame(CLOSE, b"\x03\xe8"))
        assert await client.until_close() == ([], 1000)
        assert await client.frame() is None
        await client.close()


async def test_mute_acknowledges_nothing() -> None:
    async with serving("mute:1", rate=1000.0) as sim:
        client = await open_raw(sim.cycle_url(AGENT, TENANT))
        assert (await client.frame() or (0, b""))[0] == TEXT
        await until(lambda: sim.connections[0].sent == 1)
        client.send(client_frame(PING, b"1"))
        assert await client.frame() == (PONG, b"1")
        client.send(client_frame(TEXT, b"{}"), client_frame(PING, b"2"))
        assert await client.frame() == (PONG, b"2")
        await client.close()


@pytest.mark.parametrize("position", [0, 1, 499, 999])
async def test_poison_is_one_malformed_payload(position: int) -> None:
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(MALFORMED)
    async with serving(f"poison:{position}", events=1000) as sim:
        client = await open_agent(sim)
        sent = expected(1000)
        sent[position] = MALFORMED
        assert await client.until_close() == (sent, 1000)
        await client.close()


# -- trickle -----------------------------------------------------------------------------------------------


async def test_trickle_sends_the_rest_slowly_and_whole() -> None:
    fast, whole = frames(1000), frames(1010)
    async with serving("trickle:1000:4000", events=1010) as sim:
        began = time.monotonic()
        wire = await open_wire(sim)
        slow_pieces = 0
        while len(wire.received) < len(whole):
            slow_pieces += len(wire.received) > len(fast)
            wire.received += await asyncio.get_running_loop().sock_recv(wire.socket, 65_536)
        assert time.monotonic() - began > (len(whole) - len(fast) - 1) / 4000
        # Some 150 on an idle machine; each frame in one piece would be ten.
        assert slow_pieces > 20
        assert wire.received[: len(whole)] == whole
        wire.socket.close()


async def test_answers_come_between_the_frames_of_a_trickle() -> None:
    async with serving("trickle:0:2000") as sim:
        client = await open_agent(sim)
        received = []
        for number in range(5):
            client.send(client_frame(PING, b"%d" % number))
            while (got := await client.frame()) != (PONG, b"%d" % number):
                assert got is not None
                received.append(got[1])
        stopping = asyncio.create_task(sim.stop())
        payloads, code = await client.until_close()
        received += payloads
        assert code == 1001
        assert received == expected(len(received))
        client.send(client_frame(CLOSE, b"\x03\xe9"))
        await stopping
        await client.close()


async def test_a_fast_trickle_to_a_client_that_pauses() -> None:
    async with serving("trickle:0:900000000", events=6000) as sim:
        client = await open_agent(sim, receive_buffer=8192)
        assert await client.until_close() == (expected(6000), 1000)
        await client.close()


async def test_trickle_keeps_to_the_rate_and_to_other_faults() -> None:
    faults = ("trickle:5:100000", "poison:7", "drop:20")
    async with serving(*faults, rate=200.0) as sim:
        began = time.monotonic()
        data, end = await (await open_wire(sim)).until_end()
        assert time.monotonic() - began > 19 / 200
        sent = expected(20)
        sent[7] = MALFORMED
        assert (data, end) == (b"".join(map(text_frame, sent)), FIN)


def test_a_trickle_is_exact_and_makes_up_for_little_only() -> None:
    trickle = Trickle(1000, 50.0)
    trickle.rest = memoryview(bytes(range(200)))
    assert bytes(trickle.take(50.0)) == b"\0"
    assert bytes(trickle.take(50.0)) == b""
    assert trickle.due == pytest.approx(50.001)
    assert len(trickle.take(50.01)) == 10
    assert len(trickle.take(90.0)) == 101
    assert len(trickle.take_all()) == 88
    assert not trickle.rest
    assert trickle.due > 90.0
    assert TICK * 1000 >= 1


# -- faults of the server ----------------------------------------------------------------------------------


async def listens(sim: Simulator) -> bool:
    with socket.socket() as probe:
        probe.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(probe, ("127.0.0.1", sim.port))
        except ConnectionRefusedError:
            return False
        return True


async def connected_again(sim: Simulator) -> RawClient:
    """Connect as soon as that is possible."""
    while not await listens(sim):
        pass
    return await open_agent(sim)


async def test_restart_closes_everything_and_listens_again() -> None:
    # The fault is the first connection's; at this rate the second one is open before it happens.
    async with serving("restart:2000:0.3x1", events=5000, rate=10_000) as sim:
        port = sim.port
        wire = await open_wire(sim)
        other = await open_raw(sim.cycle_url(AGENT, TENANT))
        data, _ = await wire.until_end()
        ended = time.monotonic()
        assert data == frames(2000)
        assert (await other.until_close())[1] is None
        assert not await listens(sim)
        assert sim.port == port
        client = await connected_again(sim)
        assert time.monotonic() - ended > 0.25
        assert await client.until_close() == (expected(5000), 1000)
        await other.close()
        await client.close()


async def test_a_restart_waits_for_a_port_that_somebody_took(caplog: pytest.LogCaptureFixture) -> None:
    async with serving("restart:0:0.2x1", events=1) as sim:
        assert await (await open_wire(sim)).until_end() == (b"", FIN)
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            other.bind(("127.0.0.1", sim.port))
            other.listen()
            await until(lambda: f"cannot listen on port {sim.port} again yet" in caplog.text)
        client = await connected_again(sim)
        assert await client.until_close() == (expected(1), 1000)
        await client.close()


async def test_stopping_during_a_restart_does_not_wait_for_it() -> None:
    sim = serving("restart:3:3600")
    await sim.start()
    port = sim.port
    await (await open_wire(sim)).until_end()
    await asyncio.wait_for(sim.stop(), 30)
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", port))
    async with sim:
        data, _ = await (await open_wire(sim)).until_end()
        assert data == frames(3)


async def statuses(sim: Simulator, count: int) -> list[tuple[int, str | None]]:
    answers = []
    for _ in range(count):
        client = await open_agent(sim)
        answers.append((client.status, client.headers.get("retry-after")))
        if client.status == 101:
            assert (await client.until_close())[1] == 1000
        await client.close()
    return answers


@pytest.mark.parametrize(
    ("faults", "answers"),
    [
        (["refuse:2"], [(101, None), (503, None), (503, None), (101, None), (101, None)]),
        (["refuse:1:30"], [(101, None), (503, "30"), (101, None), (101, None)]),
        (["limit:2:7"], [(101, None), (429, "7"), (429, "7"), (101, None), (101, None)]),
        (["refuse:1x2"], [(101, None), (503, None), (101, None), (503, None), (101, None), (101, None)]),
        (["refuse:1", "limit:1:0"], [(101, None), (503, None), (429, "0"), (101, None)]),
    ],
)
async def test_refusals_follow_the_first_connection(
    faults: list[str], answers: list[tuple[int, str | None]]
) -> None:
    async with serving(*faults, events=3) as sim:
        elsewhere = await open_raw(f"{sim.base_url}/elsewhere")
        assert elsewhere.status == 404
        await elsewhere.close()
        assert await statuses(sim, len(answers)) == answers


# -- all of them -------------------------------------------------------------------------------------------

AT = ["drop:{}", "rst:{}", "silent:{}", "mute:{}", "restart:{}", "trickle:{}:1", "expire:{}", "poison:{}"]


@pytest.mark.parametrize("fault", AT)
@pytest.mark.parametrize("position", [300, 301, 1 << 40])
async def test_a_fault_behind_the_end_never_happens(fault: str, position: int) -> None:
    async with serving(fault.format(position), events=300) as sim:
        for _ in range(2):
            client = await open_agent(sim)
            assert await client.until_close() == (expected(300), 1000)
            client.send(client_frame(CLOSE, b"\x03\xe8"))
            assert await client.frame() is None
            await client.close()


@pytest.mark.parametrize("fault", ["drop:7", "rst:7", "restart:7:0", "poison:7"])
@pytest.mark.parametrize("rate", [None, 2000.0])
async def test_later_connections_are_spared(fault: str, rate: float | None) -> None:
    async with serving(f"{fault}x2", events=50, rate=rate) as sim:
        for number in range(4):
            client = await connected_again(sim)
            payloads, code = await client.until_close()
            is_whole = (payloads, code) == (expected(50), 1000)
            assert is_whole == (number >= 2)
            await client.close()


async def test_faults_happen_in_their_order_until_the_stream_ends() -> None:
    async with serving("drop:6", "poison:3", "rst:6", "silent:6x1", "poison:8") as sim:
        sent = expected(6)
        sent[3] = MALFORMED
        assert await (await open_wire(sim)).until_end() == (b"".join(map(text_frame, sent)), FIN)


async def test_a_client_that_vanishes_during_a_fault_is_forgotten() -> None:
    for fault in ("rst:50000", "drop:50000", "silent:50000", "trickle:50000", "restart:50000"):
        async with serving(fault) as sim:
            wire = await open_wire(sim, receive_buffer=8192)
            await until(lambda sim=sim: sim.connections[0].buffered > 0)
            wire.socket.close()
            await until(lambda sim=sim: not sim.connections)


# -- the command line --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("drop", "fault 'drop' must have the form drop:N, such as drop:1000"),
        ("limit:3", "fault 'limit:3' must have the form limit:K:SECONDS, such as limit:3:2"),
        ("explode:1", "there is no fault 'explode'; use one of drop:N, rst:N"),
    ],
)
def test_a_wrong_fault_is_one_line_and_exit_2(
    spec: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["simulate", "--fault", "drop:1", "--fault", spec]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert_one_line(err, message, "; see: rlfast simulate --help")


def test_help_teaches_every_fault_and_an_example() -> None:
    done = run("simulate", "--help", COLUMNS="120")
    assert done.returncode == 0
    for name in FORMS:
        assert f"  {name}:" in done.stdout
    assert "--fault drop:1000x3" in done.stdout.partition("Examples")[2]


async def test_the_command_has_the_faults_it_is_told() -> None:
    process = await start(
        *("simulate", "--port", "0", "--events", "9", "--fault", "drop:4x1", "--fault", "refuse:1:3")
    )
    assert process.stdout is not None
    base = (await process.stdout.readline()).decode().split()[-1].replace("http", "ws")
    await check_drop_and_refusal(Stream.AGENT_EVENTS.url(base, AGENT, TENANT))
    process.terminate()
    await process.communicate()
    assert process.returncode == 0


async def test_the_module_has_them_too() -> None:
    with simulator("--events", "9", "--fault", "drop:4x1", "--fault", "refuse:1:3") as base:
        await check_drop_and_refusal(Stream.AGENT_EVENTS.url(base, AGENT, TENANT))


async def check_drop_and_refusal(url: str) -> None:
    client = await open_raw(url)
    payloads, code = await client.until_close()
    assert (len(payloads), code) == (4, None)
    await client.close()
    refused = await open_raw(url)
    assert (refused.status, refused.headers["retry-after"]) == (503, "3")
    await refused.close()
    client = await open_raw(url)
    payloads, code = await client.until_close()
    assert (len(payloads), code) == (9, 1000)
    await client.close()
