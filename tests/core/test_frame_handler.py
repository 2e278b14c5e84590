"""Frames to messages: fragments, control frames, limits, and peers that break the protocol."""

from __future__ import annotations

import contextlib
import json

import pytest
from streams import FakeTiming, sender
from wsserver import (
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
from rlfast import ConnectionOptions


async def test_fragments_are_assembled_with_control_frames_between_them() -> None:
    async def handler(peer: Peer) -> None:
        await peer.write(
            frame(b'{"a"', TEXT, fin=False),
            frame(b"p", PING),
            frame(b"", CONTINUATION, fin=False),
            frame(b":[1", CONTINUATION, fin=False),
            frame(b"]}", CONTINUATION),
            frame(b'"next"'),
            frame(b"", TEXT, fin=False),
            frame(b"7", CONTINUATION),
        )
        assert await peer.read_frame() == (PONG, b"p")
        await peer.close()

    async with serve(handler) as server, rlfast.connect(server.url, backoff=None) as ws:
        assert [message async for message in ws] == [{"a": [1]}, "next", 7]


@pytest.mark.parametrize("cut", [1, 2, 3, 7])
async def test_the_stream_may_be_cut_anywhere(cut: int) -> None:
    texts = [json.dumps({"n": i, "t": "é" * (i % 90)}, ensure_ascii=False) for i in range(120)]
    data = (
        b"".join(frame(text.encode()) for text in texts) + frame(b"[", fin=False) + frame(b"]", CONTINUATION)
    )

    async def handler(peer: Peer) -> None:
        for start in range(0, len(data), cut * 97):
            await peer.write(data[start : start + cut * 97])
            await turns(1)
        await peer.close()

    async with serve(handler) as server, rlfast.connect(server.url, backoff=None) as ws:
        got = [message async for message in ws]
    assert got == [json.loads(text) for text in texts] + [[]]


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        (frame(b"x", CONTINUATION), "continuation frame without a message"),
        (frame(b"x", TEXT, fin=False) + frame(b"y", TEXT), "inside a fragmented"),
        (frame(b"x", TEXT, rsv=4), "reserved bit"),
        (frame(b"x", PING, rsv=1), "reserved bit"),
        (frame(b"x", 3), "opcode"),
        (b"\x89\x7e\x00\x80" + b"x" * 128, "control frame"),
    ],
)
async def test_a_peer_that_breaks_the_protocol_is_told_1002(bad: bytes, text: str) -> None:
    closes: list[tuple[int, bytes]] = []

    async def handler(peer: Peer) -> None:
        await peer.write(frame(b"1") + bad + frame(b"2"))
        closes.append(await peer.read_frame())
        await peer.wait_closed()

    async with serve(handler) as server, rlfast.connect(server.url, backoff=None) as ws:
        # The valid message before the fault is delivered, nothing behind it is.
        assert [message async for message in ws] == [1]
        assert isinstance(ws.last_error, rlfast.ProtocolError)
        assert text in str(ws.last_error)
        assert ws.last_error.close_code == 1002
        await until(lambda: closes)
    opcode, payload = closes[0]
    assert opcode == CLOSE
    assert payload[:2] == (1002).to_bytes(2, "big")


@pytest.mark.parametrize("fragmented", [False, True])
async def test_a_message_over_the_limit_is_closed_with_1009_and_kept_in_its_place(fragmented: bool) -> None:
    closes: list[tuple[int, bytes]] = []

    async def handler(peer: Peer) -> None:
        big = b'"' + b"x" * 3000 + b'"'
        await peer.text("1")
        if fragmented:
            parts = [big[i : i + 500] for i in range(0, len(big), 500)]
            await peer.write(frame(parts[0], TEXT, fin=False))
            await peer.write(*(frame(part, CONTINUATION, fin=False) for part in parts[1:]))
        else:
            await peer.write(frame(big))
        closes.append(await peer.read_frame())
        await peer.wait_closed()

    fake = FakeTiming()
    async with (
        serve(handler, sender("2")) as server,
        rlfast.connect(
            server.url, options=ConnectionOptions(max_message_size=2048), timing=fake.timing
        ) as ws,
    ):
        assert await ws.next_message() == 1
        with pytest.raises(rlfast.MessageTooBigError, match="2048") as caught:
            await ws.next_message()
        assert caught.value.seq == 1
        if fragmented:
            assert caught.value.raw == (b'"' + b"x" * 1999)
        assert await ws.next_message() == 2
        assert ws.gaps[0].reason == "message_too_big"
        assert ws.stats.oversized_messages == 1
    assert closes[0][0] == CLOSE
    assert closes[0][1][:2] == (1009).to_bytes(2, "big")


@pytest.mark.parametrize(
    ("sent", "answered"), [(1000, 1000), (1012, 1012), (4007, 4007), (None, 1000), (3000, 3000)]
)
async def test_a_close_frame_is_answered(sent: int | None, answered: int) -> None:
    answers: list[tuple[int, bytes]] = []

    async def handler(peer: Peer) -> None:
        await peer.write(close_frame(sent))
        answers.append(await peer.read_frame())
        assert await peer.reader.read() == b""

    async with serve(handler) as server, rlfast.connect(server.url, backoff=None) as ws:
        assert await ws.next_message() is None
        await until(lambda: answers)
    assert answers == [(CLOSE, answered.to_bytes(2, "big"))]


async def test_two_close_frames_in_one_read() -> None:
    answers: list[bytes] = []

    async def handler(peer: Peer) -> None:
        await peer.write(close_frame(1000) + close_frame(1000))
        answers.append((await peer.read_frame())[1])
        await peer.wait_closed()

    async with serve(handler) as server, rlfast.connect(server.url, backoff=None) as ws:
        assert await ws.next_message() is None
        await until(lambda: answers)
    assert answers[0][:2] == (1000).to_bytes(2, "big")


@pytest.mark.parametrize(
    "bad",
    [
        close_frame(1005),
        frame(b"x", CLOSE),
        close_frame(1000, b"\xff"),
        b"\x81\x7e\x0b\xb8",  # of 3000 bytes, the rest of which comes later
    ],
)
async def test_nothing_behind_a_frame_that_was_refused_is_taken(bad: bytes) -> None:
    """picows goes on behind some of the frames that it refuses, until it drops the connection 10 ms later."""

    async def handler(peer: Peer) -> None:
        await peer.write(frame(b"1") + bad)
        opcode, _ = await peer.read_frame()
        assert opcode == CLOSE
        await peer.write(b" " * 3000 if bad[0] == 0x81 else b"", frame(b"2"))
        await turns(1)
        await peer.write(frame(b"3"), close_frame(1000))
        await peer.hang()

    async with (
        serve(handler) as server,
        rlfast.connect(server.url, backoff=None, options=ConnectionOptions(max_message_size=2048)) as ws,
    ):
        got: list[object] = []
        with contextlib.suppress(rlfast.MessageTooBigError):
            got += [message async for message in ws]
        assert got in ([], [1])
        assert await ws.next_message() is None
        assert ws.stats.messages == 1 + ws.stats.oversized_messages
        assert isinstance(ws.last_error, rlfast.ProtocolError)
