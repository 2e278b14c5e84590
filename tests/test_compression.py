"""permessage-deflate (RFC 7692): with another implementation, with zlib as its reference, with liars."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
import resource
import sys
import zlib
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
import websockets
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from wsserver import BINARY, CONTINUATION, PING, PONG, TEXT, Peer, frame, serve

import rlfast
from rlfast import ConnectionOptions, Deflate
from rlfast.websocket._deflate import NegotiationError

RSV1 = 4
KEY_SUFFIX = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def answer_with(peer: Peer, *headers: str) -> bytes:
    """The answer that accepts an upgrade, with more headers."""
    key = (peer.header("Sec-WebSocket-Key") or "").encode()
    digest = base64.b64encode(hashlib.sha1(key + KEY_SUFFIX).digest()).decode()
    lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
    return "\r\n".join([*lines, f"Sec-WebSocket-Accept: {digest}", *headers, "", ""]).encode()


def compressing(
    handler: Callable[[Peer], Awaitable[None]], parameters: str = ""
) -> Callable[[Peer], Awaitable[None]]:
    """A handler that agrees to compression first."""

    async def run(peer: Peer) -> None:
        await peer.write(answer_with(peer, f"Sec-WebSocket-Extensions: permessage-deflate{parameters}"))
        await handler(peer)

    return run


class Compressor:
    """zlib, as a sender uses it (RFC 7692 section 7.2.1)."""

    def __init__(self, level: int = 6, bits: int = 15, *, resets: bool = False) -> None:
        self._make = lambda: zlib.compressobj(level, zlib.DEFLATED, -bits)
        self._resets = resets
        self._z = self._make()

    def __call__(self, payload: bytes, *, final: bool = False) -> bytes:
        if self._resets:
            self._z = self._make()
        if final:
            data = self._z.compress(payload) + self._z.flush(zlib.Z_FINISH) + b"\0"
            self._z = self._make()
            return data
        return (self._z.compress(payload) + self._z.flush(zlib.Z_SYNC_FLUSH))[:-4]


# -- with another implementation -----------------------------------------------------------------------------

SERVERS = {
    "takeover": {},
    "no takeover": {"server_no_context_takeover": True, "client_no_context_takeover": True},
    "small windows": {"server_max_window_bits": 9, "client_max_window_bits": 9},
    "largest": {"server_max_window_bits": 15, "client_max_window_bits": 15},
}
CLIENTS = {
    "default": Deflate(),
    "no takeover": Deflate(server_no_context_takeover=True, client_no_context_takeover=True, level=1),
    "small windows": Deflate(server_max_window_bits=9, client_max_window_bits=9, level=9),
}


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("server", SERVERS)
async def test_both_ways_with_websockets(server: str, client: str) -> None:
    values = [
        {"n": n, "text": "é" * (n % 300), "more": ["x" * n, "abc" * (n * 7 % 5000)]} for n in range(200)
    ]
    received = []

    async def echo(connection: websockets.ServerConnection) -> None:
        assert connection.protocol.extensions, "compression was not agreed"
        async for message in connection:
            received.append(message)
            await connection.send(message)

    factory = ServerPerMessageDeflateFactory(**SERVERS[server])
    async with (
        websockets.serve(echo, "127.0.0.1", 0, compression=None, extensions=[factory]) as listener,
        rlfast.connect(
            f"ws://127.0.0.1:{listener.sockets[0].getsockname()[1]}", compression=CLIENTS[client]
        ) as ws,
    ):
        for value in values:
            await ws.send(value)
            assert await ws.next_message() == value
        await ws.send(msgspec.json.encode(values))
        assert await ws.next_message() == values
    assert isinstance(received[-1], bytes)
    assert [json.loads(message) for message in received] == [*values, values]


async def test_many_messages_at_once_and_in_batches() -> None:
    texts = [json.dumps({"n": n, "t": "text of message " * (n % 9)}) for n in range(20_000)]

    async def send(connection: websockets.ServerConnection) -> None:
        for text in texts:
            await connection.send(text)

    async with (
        websockets.serve(send, "127.0.0.1", 0, compression="deflate") as listener,
        rlfast.connect(
            f"ws://127.0.0.1:{listener.sockets[0].getsockname()[1]}",
            compression="deflate",
            backoff=None,
            options=ConnectionOptions(block_size=64 * 1024),
        ) as ws,
    ):
        got: list[str] = []
        async for batch in ws.batches():
            got.extend(batch["message"]["json"])
        stats = ws.stats
    assert got == texts
    assert stats.payload_bytes == sum(map(len, texts))


async def test_a_server_may_decline() -> None:
    async def handler(peer: Peer) -> None:
        assert peer.header("Sec-WebSocket-Extensions") == "permessage-deflate; client_max_window_bits"
        await peer.text("1")
        assert await peer.read_frame() == (TEXT, b"[2]")
        await peer.close()

    async with serve(handler) as server, rlfast.connect(server.url, compression="deflate") as ws:
        assert await ws.next_message() == 1
        await ws.send([2])


async def test_nothing_is_offered_by_default() -> None:
    async def handler(peer: Peer) -> None:
        assert peer.header("Sec-WebSocket-Extensions") is None
        await peer.close()

    async with serve(handler) as server, rlfast.connect(server.url, backoff=None) as ws:
        assert await ws.next_message() is None


async def test_uncompressed_messages_may_come_between() -> None:
    async def handler(peer: Peer) -> None:
        z = Compressor()
        await peer.write(
            frame(z(b"[1]"), rsv=RSV1), frame(b"[2]"), frame(b"p", PING), frame(z(b"[3]"), rsv=RSV1)
        )
        assert await peer.read_frame() == (PONG, b"p")
        await peer.close()

    async with (
        serve(compressing(handler), accept=False) as server,
        rlfast.connect(server.url, compression="deflate", backoff=None) as ws,
    ):
        assert [message async for message in ws] == [[1], [2], [3]]


async def test_a_server_that_wants_a_window_of_8_bits_gets_uncompressed_messages() -> None:
    async def handler(peer: Peer) -> None:
        assert (await peer.reader.readexactly(1))[0] == 0x80 | TEXT
        await peer.hang()

    async with (
        serve(compressing(handler, "; client_max_window_bits=8"), accept=False) as server,
        rlfast.connect(server.url, compression="deflate", options=ConnectionOptions(close_timeout=0.2)) as ws,
    ):
        await ws.send("x" * 1000)


# -- with zlib as the reference ------------------------------------------------------------------------------

payloads = st.one_of(
    st.binary(max_size=400),
    st.text(max_size=60).map(str.encode),
    st.builds(lambda unit, n: unit * n, st.binary(min_size=1, max_size=9), st.integers(0, 3000)),
)
messages = st.tuples(
    payloads, st.booleans(), st.booleans(), st.lists(st.integers(0, 5000), max_size=4), st.booleans()
)


@settings(max_examples=150, deadline=None)
@given(
    sent=st.lists(messages, max_size=12),
    level=st.sampled_from([0, 1, 6, 9]),
    bits=st.integers(9, 15),
    resets=st.booleans(),
    block_size=st.sampled_from([64, 500, 4096, 1 << 20]),
    piece=st.sampled_from([1, 7, 100, 100_000]),
)
def test_what_zlib_compressed_arrives(
    sent: list[tuple[bytes, bool, bool, list[int], bool]],
    level: int,
    bits: int,
    resets: bool,
    block_size: int,
    piece: int,
) -> None:
    """Any payload, with any kind of DEFLATE blocks, in any fragments and reads, into blocks of any size."""
    z = Compressor(level, bits, resets=resets)
    stream = b""
    expected = []
    for payload, compressed, final, cuts, fragmented in sent:
        data = z(payload, final=final) if compressed else payload
        at = sorted({min(cut, len(data)) for cut in cuts}) if fragmented else []
        parts = [data[a:b] for a, b in zip([0, *at], [*at, len(data)], strict=True)]
        for i, part in enumerate(parts):
            stream += frame(
                part,
                CONTINUATION if i else BINARY,
                fin=i == len(parts) - 1,
                rsv=RSV1 if compressed and i == 0 else 0,
            )
        try:
            # Without the white space around it.
            expected.append(bytes(msgspec.json.decode(payload, type=msgspec.Raw)))
        except msgspec.DecodeError:
            expected.append(payload)

    async def handler(peer: Peer) -> None:
        size = max(piece, len(stream) // 50)
        for start in range(0, len(stream), size):
            await peer.write(stream[start : start + size])
            await asyncio.sleep(0)
        await peer.close()

    async def receive() -> list[bytes]:
        parameters = f"; server_max_window_bits={bits}" + ("; server_no_context_takeover" if resets else "")
        offer = Deflate(server_max_window_bits=bits, server_no_context_takeover=resets)
        got = []
        async with (
            serve(compressing(handler, parameters), accept=False) as server,
            rlfast.connect(
                server.url,
                type=msgspec.Raw,
                compression=offer,
                backoff=None,
                options=ConnectionOptions(block_size=block_size),
            ) as ws,
        ):
            while True:
                try:
                    message = await ws.next_message()
                except rlfast.DecodeError as error:
                    got.append(error.raw)
                    continue
                if message is None:
                    return got
                got.append(bytes(message))

    assert asyncio.run(receive()) == expected


# -- peers that lie ------------------------------------------------------------------------------------------


async def error_of(
    handler: Callable[[Peer], Awaitable[None]], **options: int
) -> tuple[list[object], rlfast.WebSocketConnection[Any]]:
    """The messages, or their errors, of a connection that ends."""
    got: list[object] = []
    async with (
        serve(compressing(handler), accept=False) as server,
        rlfast.connect(
            server.url, compression="deflate", backoff=None, options=ConnectionOptions(**options)
        ) as ws,
    ):
        while True:
            try:
                message = await ws.next_message()
            except (rlfast.DecodeError, rlfast.MessageTooBigError) as error:
                got.append(error)
                continue
            if message is None:
                return got, ws
            got.append(message)


async def expect_close(peer: Peer, code: int) -> None:
    opcode, payload = await peer.read_frame()
    assert opcode == 8
    assert int.from_bytes(payload[:2], "big") == code


@pytest.mark.parametrize("fragmented", [False, True])
async def test_a_bomb_ends_in_1009_and_not_in_memory(fragmented: bool) -> None:
    z = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = b"".join(z.compress(bytes(1 << 20)) for _ in range(1024)) + z.flush(zlib.Z_SYNC_FLUSH)
    assert len(bomb) < 1 << 21, "a GiB in a MiB"

    async def handler(peer: Peer) -> None:
        if fragmented:
            await peer.write(frame(bomb[:1000], fin=False, rsv=RSV1), frame(bomb[1000:], CONTINUATION))
        else:
            await peer.write(frame(bomb, rsv=RSV1))
        await expect_close(peer, 1009)

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    got, ws = await error_of(handler)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * (
        1 if sys.platform == "darwin" else 1024
    )
    (error,) = got
    assert isinstance(error, rlfast.MessageTooBigError)
    assert error.raw == bytes(65536)
    assert ws.stats.oversized_messages == 1
    # The message in progress (16 MiB), its growth by realloc, a block.
    assert grown < 64 << 20


@pytest.mark.parametrize("fragmented", [False, True])
@pytest.mark.parametrize("excess", [0, 1])
@pytest.mark.parametrize("block_size", [1000, 1 << 20])
async def test_the_bound_is_on_the_inflated_size(fragmented: bool, excess: int, block_size: int) -> None:
    message = b'"' + b"x" * (9998 + excess) + b'"'

    async def handler(peer: Peer) -> None:
        z = Compressor()
        data = z(message)
        if fragmented:
            await peer.write(frame(data[:5], fin=False, rsv=RSV1), frame(data[5:], CONTINUATION))
        else:
            await peer.write(frame(data, rsv=RSV1))
        if excess:
            await expect_close(peer, 1009)
        else:
            await peer.write(frame(z(b"1"), rsv=RSV1))
            await peer.close()

    got, _ = await error_of(handler, max_message_size=10_000, block_size=block_size)
    if excess:
        assert [type(error) for error in got] == [rlfast.MessageTooBigError]
    else:
        assert got == [json.loads(message), 1]


async def test_a_message_that_cannot_be_compressed_is_not_too_big() -> None:
    message = b'"' + bytes(range(35, 91)) * 1000 + b'"'

    async def handler(peer: Peer) -> None:
        await peer.write(frame(Compressor(0)(message), rsv=RSV1))
        await peer.close()

    got, _ = await error_of(handler, max_message_size=len(message))
    assert got == [json.loads(message)]


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xff\xff",
        b"\x07",  # an invalid block type
        Compressor()(b'"a text that is long enough"')[:-6],
        b"\x01\x05\x00\x00\x00hello",  # a stored block whose lengths contradict each other
    ],
)
@pytest.mark.parametrize("cut", [None, 1])
async def test_what_is_no_deflate_data_ends_in_1007(data: bytes, cut: int | None) -> None:
    async def handler(peer: Peer) -> None:
        await peer.write(frame(b"1"))
        if cut is None:
            await peer.write(frame(data, rsv=RSV1))
        else:
            await peer.write(frame(data[:cut], fin=False, rsv=RSV1), frame(data[cut:], CONTINUATION))
        await expect_close(peer, 1007)

    got, ws = await error_of(handler)
    assert got == [1]
    assert isinstance(ws.last_error, rlfast.ProtocolError)
    (gap,) = ws.gaps
    assert gap.reason == "protocol_error: compressed message is not DEFLATE data"


@pytest.mark.parametrize("block_size", [16, 1 << 20])
async def test_inflated_text_must_be_utf8(block_size: int) -> None:
    async def handler(peer: Peer) -> None:
        await peer.write(frame(Compressor()(b'"caf\xe9 and more than fits"'), rsv=RSV1))
        await expect_close(peer, 1007)

    got, ws = await error_of(handler, block_size=block_size)
    (error,) = got
    assert isinstance(error, rlfast.DecodeError)
    assert error.reason == "invalid_utf8"
    assert error.raw == b'"caf\xe9 and more than fits"'
    assert isinstance(ws.last_error, rlfast.ProtocolError)


@pytest.mark.parametrize(
    "frames",
    [
        frame(b"x", PING, rsv=RSV1),
        frame(b"1", rsv=2),
        frame(b"1", rsv=RSV1 | 1),
        frame(b"1", fin=False) + frame(b"2", CONTINUATION, rsv=RSV1),
    ],
)
async def test_reserved_bits_stay_reserved(frames: bytes) -> None:
    async def handler(peer: Peer) -> None:
        await peer.write(frames)
        await expect_close(peer, 1002)

    assert (await error_of(handler))[0] == []


async def test_messages_after_close_are_counted_not_inflated() -> None:
    go = asyncio.Event()

    async def handler(peer: Peer) -> None:
        z = Compressor()
        await peer.write(frame(z(b"1"), rsv=RSV1))
        await go.wait()
        data = z(b"2" * 5000)
        await peer.write(frame(data, rsv=RSV1), frame(data, fin=False, rsv=RSV1), frame(b"", CONTINUATION))
        await peer.wait_closed()

    async with (
        serve(compressing(handler), accept=False) as server,
        rlfast.connect(server.url, compression="deflate", backoff=None) as ws,
    ):
        assert await ws.next_message() == 1
        closing = asyncio.ensure_future(ws.close())
        await asyncio.sleep(0)
        go.set()
        await closing
        assert ws.stats.discarded_messages == 2


# -- negotiation ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("deflate", "offer"),
    [
        (Deflate(), "permessage-deflate; client_max_window_bits"),
        (
            Deflate(True, True, 10, 9),
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; "
            "server_max_window_bits=10; client_max_window_bits=9",
        ),
    ],
)
def test_the_offer(deflate: Deflate, offer: str) -> None:
    assert deflate.offer == offer


@pytest.mark.parametrize("answers", [[], [""], ["  "]])
def test_no_answer_is_no_compression(answers: list[str]) -> None:
    assert Deflate().agree(answers) is None


@pytest.mark.parametrize(
    "answer",
    [
        "permessage-deflate",
        "permessage-deflate;server_no_context_takeover",
        'permessage-deflate ; server_max_window_bits="8" ; client_max_window_bits = 15',
        "permessage-deflate; client_no_context_takeover; server_max_window_bits=15",
    ],
)
def test_valid_answers(answer: str) -> None:
    assert Deflate().agree([answer]) is not None


@pytest.mark.parametrize(
    "answer",
    [
        "x-webkit-deflate-frame",
        "permessage-deflate, permessage-deflate",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; server_max_window_bits=7",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; server_max_window_bits=012",
        "permessage-deflate; client_max_window_bits",
        "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        "permessage-deflate; unknown",
        "permessage-deflate; server_max_window_bits=10; server_max_window_bits=10",
        "permessage-deflate; =1",
        "permessage-deflate;",
        "permessage-deflate other",
    ],
)
async def test_invalid_answers_fail_the_connection(answer: str) -> None:
    with pytest.raises(NegotiationError):
        Deflate().agree([answer])

    async def handler(peer: Peer) -> None:
        await peer.write(answer_with(peer, f"Sec-WebSocket-Extensions: {answer}"))
        await peer.hang()

    async with serve(handler, accept=False) as server:
        with pytest.raises(rlfast.ConnectError, match=r"^websocket connect failed: ws://.*: the server"):
            await rlfast.connect(server.url, compression="deflate")


@pytest.mark.parametrize(
    ("offered", "answer"),
    [
        (Deflate(server_max_window_bits=10), "permessage-deflate"),
        (Deflate(server_max_window_bits=10), "permessage-deflate; server_max_window_bits=11"),
        (Deflate(server_no_context_takeover=True), "permessage-deflate"),
    ],
)
def test_a_server_must_keep_to_the_bounds(offered: Deflate, answer: str) -> None:
    with pytest.raises(NegotiationError, match="bounds"):
        offered.agree([answer])


@pytest.mark.parametrize(
    "header", ["Sec-WebSocket-Extensions: permessage-deflate", "Sec-WebSocket-Protocol: a"]
)
async def test_what_was_not_asked_for_fails_the_connection(header: str) -> None:
    async def handler(peer: Peer) -> None:
        await peer.write(answer_with(peer, header))
        await peer.hang()

    async with serve(handler, accept=False) as server:
        with pytest.raises(rlfast.ConnectError, match=r"offered"):
            await rlfast.connect(server.url)


@pytest.mark.parametrize("compression", ["gzip", True, 1, ""])
def test_other_words_are_refused(compression: Any) -> None:
    with pytest.raises(rlfast.ConfigError, match=re.escape('compression must be "deflate"')):
        rlfast.connect("ws://127.0.0.1:1", compression=compression)


@pytest.mark.parametrize(
    "arguments",
    [
        {"server_max_window_bits": 8},
        {"client_max_window_bits": 16},
        {"level": 0},
        {"level": 10},
        {"level": 1.5},
    ],
)
def test_ranges(arguments: dict[str, Any]) -> None:
    with pytest.raises(rlfast.ConfigError):
        Deflate(**arguments)
