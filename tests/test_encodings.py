"""Binary messages that the application compresses: with Python's own decoders as reference, with liars."""

from __future__ import annotations

import asyncio
import gzip
import importlib
import json
import random
import resource
import sys
import zlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import websockets
from cli.helpers import start
from hypothesis import given, settings
from hypothesis import strategies as st
from test_compression import RSV1, Compressor, compressing
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from wsserver import BINARY, CLOSE, CONTINUATION, TEXT, Peer, frame, serve

import rlfast
from rlfast import ConnectionOptions
from rlfast.capture import open_dataset

ZSTD = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
try:
    zstd: Any = importlib.import_module(ZSTD)
except ImportError:
    zstd = None
needs_zstd = pytest.mark.skipif(zstd is None, reason=f"{ZSTD} is not installed")
ENCODINGS = ["gzip", "zlib", "deflate", pytest.param("zstd", marks=needs_zstd)]
WINDOW_BITS = {"gzip": 31, "zlib": 15, "deflate": -15}


def encode(encoding: str, payload: bytes, level: int = 6) -> bytes:
    if encoding == "zstd":
        return bytes(zstd.compress(payload))
    z = zlib.compressobj(level, zlib.DEFLATED, WINDOW_BITS[encoding])
    return z.compress(payload) + z.flush()


def decode(encoding: str, data: bytes) -> bytes | None:
    """What a message stands for; None: it is no such data."""
    out = b""
    while data:
        if encoding == "zstd":
            decompressor, fault = zstd.ZstdDecompressor(), zstd.ZstdError
        else:
            decompressor, fault = zlib.decompressobj(WINDOW_BITS[encoding]), zlib.error
        try:
            out += decompressor.decompress(data)
        except fault:
            return None
        data = decompressor.unused_data
        if not decompressor.eof or (data and encoding in ("zlib", "deflate")):
            return None
    return out


async def received(
    handler: Callable[[Peer], Awaitable[None]], encoding: Any, accept: bool = True, **arguments: Any
) -> tuple[list[Any], rlfast.WebSocketConnection[Any]]:
    """The messages, or their errors, of a connection that ends."""
    got: list[Any] = []
    async with (
        serve(handler, accept=accept) as server,
        rlfast.connect(server.url, encoding=encoding, backoff=None, **arguments) as ws,
    ):
        while True:
            try:
                got.append(await anext(ws))
            except (rlfast.DecodeError, rlfast.MessageTooBigError) as error:
                got.append(error)
            except StopAsyncIteration:
                return got, ws


def sends(*frames: bytes) -> Callable[[Peer], Awaitable[None]]:
    async def handler(peer: Peer) -> None:
        await peer.write(*frames)
        await peer.close()

    return handler


# -- what is compressed arrives ------------------------------------------------------------------------------

payloads = st.one_of(
    st.binary(max_size=400),
    st.builds(lambda unit, n: unit * n, st.binary(min_size=1, max_size=9), st.integers(0, 3000)),
    st.lists(st.integers(), max_size=9).map(lambda value: json.dumps(value).encode()),
    # What cannot be compressed.
    st.builds(lambda seed, n: random.Random(seed).randbytes(n), st.integers(), st.integers(0, 9000)),
)


@st.composite
def encoded(draw: st.DrawFn, encoding: str) -> bytes:
    """The payload of a binary message, damaged or not."""
    level = draw(st.sampled_from([0, 1, 6, 9]))
    parts = draw(st.lists(payloads, min_size=1, max_size=3))
    data = b"".join(encode(encoding, part, level) for part in parts)
    match draw(st.sampled_from(["whole", "whole", "whole", "cut", "longer", "flipped", "empty", "plain"])):
        case "cut":
            return data[: draw(st.integers(0, len(data)))]
        case "longer":
            return data + draw(st.binary(min_size=1, max_size=20))
        case "flipped":
            at = draw(st.integers(0, len(data) - 1))
            return data[:at] + bytes([data[at] ^ 1 << draw(st.integers(0, 7))]) + data[at + 1 :]
        case "empty":
            return b""
        case "plain":
            return draw(payloads)
    return data


@pytest.mark.parametrize("encoding", ENCODINGS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_what_was_compressed_arrives(encoding: str, data: st.DataObject) -> None:
    """In any fragments and reads, under permessage-deflate, beside text, into blocks of any size."""
    z = Compressor()
    stream, expected = b"", []
    for _ in range(data.draw(st.integers(0, 12))):
        binary, compressed = data.draw(st.booleans()), data.draw(st.booleans())
        payload = data.draw(encoded(encoding) if binary else st.text(max_size=60).map(str.encode))
        cuts = data.draw(st.lists(st.integers(0, 5000), max_size=3))
        sent = z(payload) if compressed else payload
        at = sorted({min(cut, len(sent)) for cut in cuts})
        parts = [sent[a:b] for a, b in zip([0, *at], [*at, len(sent)], strict=True)]
        for i, part in enumerate(parts):
            opcode = CONTINUATION if i else BINARY if binary else TEXT
            stream += frame(part, opcode, fin=i == len(parts) - 1, rsv=RSV1 if compressed and i == 0 else 0)
        plain = decode(encoding, payload) if binary else payload
        if plain is None:
            expected.append(("bad_encoding", payload))
            continue
        try:
            expected.append(("", bytes(msgspec.json.decode(plain, type=msgspec.Raw))))
        except msgspec.DecodeError:
            expected.append(("no JSON", plain))
    piece = max(data.draw(st.sampled_from([1, 7, 100, 100_000])), len(stream) // 50)

    async def handler(peer: Peer) -> None:
        for at in range(0, len(stream), piece):
            await peer.write(stream[at : at + piece])
            await asyncio.sleep(0)
        await peer.close()

    options = ConnectionOptions(block_size=data.draw(st.sampled_from([1, 64, 500, 4096, 1 << 20])))
    got, ws = asyncio.run(
        received(
            compressing(handler),
            encoding,
            accept=False,
            type=msgspec.Raw,
            compression="deflate",
            options=options,
        )
    )
    found = [
        (item.reason if item.reason == "bad_encoding" else "no JSON", item.raw)
        if isinstance(item, rlfast.DecodeError)
        else ("", bytes(item))
        for item in got
    ]
    assert found == expected
    assert ws.stats.decode_errors == sum(reason != "" for reason, _ in expected)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("compression", [None, "deflate"])
async def test_another_server_in_batches(encoding: Any, compression: Any) -> None:
    texts = [json.dumps({"n": n, "t": "text of message " * (n % 700)}) for n in range(2000)]
    extensions = [ServerPerMessageDeflateFactory()] if compression else None

    async def send(connection: websockets.ServerConnection) -> None:
        for n, text in enumerate(texts):
            await connection.send(text if n % 3 == 0 else encode(encoding, text.encode()))

    got: list[str] = []
    async with (
        websockets.serve(send, "127.0.0.1", 0, compression=None, extensions=extensions) as listener,
        rlfast.connect(
            f"ws://127.0.0.1:{listener.sockets[0].getsockname()[1]}",
            encoding=encoding,
            compression=compression,
            backoff=None,
            options=ConnectionOptions(block_size=64 * 1024),
        ) as ws,
    ):
        async for batch in ws.batches():
            got.extend(batch["message"]["json"])
        stats = ws.stats
    assert got == texts
    assert stats.payload_bytes == sum(map(len, texts))
    assert stats.binary_messages == sum(n % 3 != 0 for n in range(len(texts)))


async def test_a_large_message() -> None:
    value = {"items": [{"n": n, "text": f"text {n}"} for n in range(100_000)]}
    handler = sends(frame(encode("gzip", json.dumps(value).encode()), BINARY))
    got, _ = await received(handler, "gzip")
    assert got == [value]


async def test_text_is_left_alone_and_so_is_binary_without_an_encoding() -> None:
    text, binary = frame(b"[1]"), frame(b"[2]", BINARY)
    assert (await received(sends(text, binary), None))[0] == [[1], [2]]
    first, second = (await received(sends(text, binary), "zlib"))[0]
    assert first == [1]
    assert second.reason == "bad_encoding"


# -- peers that lie ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoding", "data", "why"),
    [
        ("gzip", b'{"a":1}', "incorrect header check"),
        ("gzip", gzip.compress(b"[1]", mtime=0)[:-1], "it ends early"),
        ("gzip", gzip.compress(b"[1]", mtime=0)[:-8] + bytes(8), "incorrect data check"),
        ("gzip", gzip.compress(b"[1]", mtime=0) + b"more", "incorrect header check"),
        ("zlib", zlib.compress(b"[1]") + b"\n", "there is something behind its end"),
        ("zlib", zlib.compressobj(zdict=b"[1]").flush(), "it needs a dictionary"),
        ("deflate", b"\xff", "invalid block type"),
        pytest.param("zstd", b"[1]", "Unknown frame descriptor", marks=needs_zstd),
        pytest.param("zstd", b"\x28\xb5\x2f\xfd", "it ends early", marks=needs_zstd),
        # A frame of no bytes.
        pytest.param("zstd", bytes.fromhex("28b52ffd2000010000") * 65, "64 frames", marks=needs_zstd),
    ],
)
async def test_what_is_no_such_data_is_told_and_the_connection_goes_on(
    encoding: Any, data: bytes, why: str
) -> None:
    (error, *rest), ws = await received(sends(frame(data, BINARY), frame(b"[2]")), encoding)
    assert isinstance(error, rlfast.DecodeError)
    assert f"message 0: binary message is not {encoding} data: " in str(error)
    assert why in str(error)
    assert (error.reason, error.seq, error.raw) == ("bad_encoding", 0, data)
    assert rest == [[2]]
    assert ws.last_error is None


async def test_of_a_large_one_a_beginning_is_kept() -> None:
    data = gzip.compress(random.Random(1).randbytes(300_000))[:-1]
    got, _ = await received(sends(frame(data, BINARY)), "gzip")
    assert got[0].raw == data[:65536]


async def test_dead_letters_in_batches() -> None:
    bad, good = gzip.compress(b"[1]", mtime=0)[:-1], gzip.compress(b"[2]")
    async with (
        serve(sends(frame(good, BINARY), frame(bad, BINARY), frame(good, BINARY))) as server,
        rlfast.connect(server.url, type=list[int], encoding="gzip", backoff=None) as ws,
    ):
        batches = [batch async for batch in ws.batches()]
    assert [seq for batch in batches for seq in batch["value"]["seq"]] == [0, 2]
    ((letters,),) = ([batch.dead_letters] for batch in batches)
    assert list(letters["seq"]) == [1]
    assert list(letters["reason"]) == ["bad_encoding"]
    assert list(letters["error"]) == ["binary message is not gzip data: it ends early"]
    assert list(letters["raw"]) == [bad]


def bomb(encoding: str) -> bytes:
    """256 MiB of zeros."""
    if encoding == "zstd":
        z = zstd.ZstdCompressor()
        return b"".join(z.compress(bytes(1 << 20)) for _ in range(256)) + bytes(z.flush())
    z = zlib.compressobj(9, zlib.DEFLATED, WINDOW_BITS[encoding])
    return b"".join(z.compress(bytes(1 << 20)) for _ in range(256)) + z.flush()


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("fragmented", [False, True])
async def test_a_bomb_ends_in_1009_and_not_in_memory(encoding: str, fragmented: bool) -> None:
    data = bomb(encoding)
    assert len(data) < 1 << 19
    frames = [frame(data, BINARY)]
    if fragmented:
        frames = [frame(data[:1000], BINARY, fin=False), frame(data[1000:], CONTINUATION)]

    async def handler(peer: Peer) -> None:
        await peer.write(*frames)
        opcode, payload = await peer.read_frame()
        assert (opcode, payload[:2]) == (CLOSE, (1009).to_bytes(2, "big"))

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    got, ws = await received(handler, encoding)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    (error,) = got
    assert isinstance(error, rlfast.MessageTooBigError)
    assert error.raw == bytes(65536)
    assert ws.stats.oversized_messages == 1
    assert ws.gaps[0].reason == "message_too_big"
    # The message (16 MiB), its growth by realloc, what a library gives back; in KiB, or on macOS in bytes.
    assert grown < (80 << 20) / (1 if sys.platform == "darwin" else 1024)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("block_size", [16, 1000, 4096])
@pytest.mark.parametrize("excess", [0, 1])
async def test_the_bound_is_that_of_what_comes_out(encoding: str, block_size: int, excess: int) -> None:
    text = json.dumps(["x" * (996 + excess)]).encode()
    options = ConnectionOptions(max_message_size=1000, block_size=block_size)
    got, _ = await received(sends(frame(encode(encoding, text), BINARY)), encoding, options=options)
    assert len(text) == 1000 + excess
    assert isinstance(got[0], rlfast.MessageTooBigError) if excess else got == [json.loads(text)]


# -- arguments, and a capture --------------------------------------------------------------------------------


def test_arguments() -> None:
    with pytest.raises(
        rlfast.ConfigError, match="encoding must be one of gzip, zlib, deflate, zstd or None, not 'br'"
    ):
        rlfast.connect("ws://localhost", encoding="br")  # type: ignore[arg-type]


def test_zstd_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, ZSTD, None)
    with pytest.raises(rlfast.MissingExtraError, match=r"pip install 'rlfast\[zstd\]'"):
        rlfast.connect("ws://localhost", encoding="zstd")


class Trade(msgspec.Struct):
    n: int
    text: str


async def test_a_capture_has_plain_json_and_so_has_its_log(tmp_path: Path) -> None:
    values = [{"n": n, "text": "x" * n} for n in range(500)]
    frames = [frame(gzip.compress(json.dumps(value).encode()), BINARY) for value in values]
    frames.insert(7, frame(b"no gzip", BINARY))
    async with serve(sends(*frames)) as server:
        connecting = rlfast.connect(server.url, type=Trade, encoding="gzip", backoff=None, stream="s")
        summary = await rlfast.capture.capture(connecting, tmp_path)
    assert (summary.events, summary.dead_letters) == (500, 1)
    dataset = open_dataset(tmp_path)
    rows = dataset.to_arrow("Trade").sort_by("seq")
    assert rows.select(["n", "text"]).to_pylist() == values
    (group,) = dataset.dead_letters
    assert (group.reason, group.count, group.samples[0].raw) == ("bad_encoding", 1, "no gzip")
    # It is none for a newer type, either.
    assert dataset.redrive(Trade).left == {"bad_encoding": 1}


async def test_the_command_line_has_it_too(tmp_path: Path) -> None:
    data = [encode("deflate", b'{"n":%d}' % n) for n in range(3)]
    async with serve(sends(*(frame(message, BINARY) for message in data))) as server:
        process = await start(
            *("capture", server.url, "--encoding", "deflate", "--no-reconnect", "--out", tmp_path / "out")
        )
        _, err = await process.communicate()
    assert process.returncode == 0, err
    table = open_dataset(tmp_path / "out").to_arrow("message").sort_by("seq")
    assert table["json"].to_pylist() == ['{"n":0}', '{"n":1}', '{"n":2}']
