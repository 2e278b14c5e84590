"""Text messages are UTF-8, or the connection fails with 1007 (RFC 6455 section 8.1); the message is kept."""

from __future__ import annotations

import json
import struct

import msgspec
import pytest
from wsserver import BINARY, CLOSE, CONTINUATION, TEXT, Peer, close_frame, frame, serve

from rlfast import DecodeError, connect
from rlfast.errors import ProtocolError

#: The first, the last, and what lies just outside, of each length of a sequence; overlong forms; surrogates.
SEQUENCES = [
    *(
        bytes([first])
        for first in (0x00, 0x7F, 0x80, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xEF, 0xF0, 0xF4, 0xF5, 0xFF)
    ),
    *(bytes([first, second]) for first in (0xC1, 0xC2, 0xDF, 0xE0) for second in (0x7F, 0x80, 0xBF, 0xC0)),
    *(
        bytes([first, second, third])
        for first in (0xE0, 0xE1, 0xED, 0xEE, 0xEF, 0xF0)
        for second in (0x7F, 0x80, 0x9F, 0xA0, 0xBF, 0xC0)
        for third in (0x7F, 0x80, 0xBF, 0xC0)
    ),
    *(
        bytes([first, second, third, 0xBF])
        for first in (0xF0, 0xF1, 0xF4, 0xF5)
        for second in (0x7F, 0x80, 0x8F, 0x90, 0xBF, 0xC0)
        for third in (0x7F, 0xBF, 0xC0)
    ),
    b"\xf0\x90\x80",
    b"\xf4\x8f\xbf\xbf",
]


def is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


async def outcome(*frames: bytes, end: bytes = close_frame()) -> tuple[list[bytes], int | None, str]:
    """Payloads that arrive as messages, code of the close frame that the client sends, and why."""
    sent: list[int] = []

    async def handler(peer: Peer) -> None:
        await peer.write(*frames, end)
        while not sent:
            opcode, payload = await peer.read_frame()
            if opcode == CLOSE:
                sent.append(*struct.unpack("!H", payload[:2]))

    found = []
    async with serve(handler) as server, connect(server.url, type=msgspec.Raw, backoff=None) as ws:
        while True:
            try:
                message = await ws.next_message()
            except DecodeError as error:
                found.append(error.raw)
                continue
            if message is None:
                break
            found.append(bytes(message))
        reason = str(ws.last_error) if isinstance(ws.last_error, ProtocolError) else ""
    return found, sent[0] if sent else None, reason


async def test_every_sequence_alone_and_behind_ascii() -> None:
    assert sum(map(is_utf8, SEQUENCES)) > 30
    for sequence in SEQUENCES:
        for before in (b"", b"x" * 7, b"x" * 45):
            data = before + sequence + b"y"
            found, code, reason = await outcome(frame(data))
            assert found == [data]
            assert (code, "UTF-8" in reason) == ((1000, False) if is_utf8(data) else (1007, True)), data


async def test_sequences_may_be_cut_by_fragments() -> None:
    text = "aé€🙂z" * 3
    data = text.encode()
    for first in range(len(data) + 1):
        for second in range(first, len(data) + 1, 5):
            found, code, _ = await outcome(
                frame(data[:first], TEXT, fin=False),
                frame(data[first:second], CONTINUATION, fin=False),
                frame(data[second:], CONTINUATION),
            )
            assert (found, code) == ([data], 1000)


@pytest.mark.parametrize("bad", [b"\xc3(", b"\xed\xa0", b"\xf4\x90", b"\xff", b"\xe2\x82x"])
async def test_it_fails_at_the_fragment_that_nothing_can_mend(bad: bytes) -> None:
    found, code, _ = await outcome(frame(b"ab" + bad, TEXT, fin=False))
    assert (found, code) == ([b"ab" + bad], 1007)


async def test_a_message_that_ends_within_a_sequence() -> None:
    found, code, _ = await outcome(frame(b"a\xe2", TEXT, fin=False), frame(b"\x82", CONTINUATION))
    assert (found, code) == ([b"a\xe2\x82"], 1007)


async def test_binary_messages_may_hold_anything() -> None:
    data = b"\xff\xfe\x80"
    found, code, _ = await outcome(
        frame(data, BINARY), frame(data, BINARY, fin=False), frame(data, CONTINUATION), frame(b"1")
    )
    assert (found, code) == ([data, data + data, b"1"], 1000)


async def test_what_came_before_is_delivered_and_what_follows_is_not() -> None:
    found, code, _ = await outcome(frame(b"1"), frame(b"\xff"), frame(b"2"))
    assert (found, code) == ([b"1", b"\xff"], 1007)


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535])
async def test_close_codes_that_may_not_be_sent(code: int) -> None:
    _, answered, reason = await outcome(frame(json.dumps(code).encode()), end=close_frame(code))
    assert answered == 1002
    assert reason


@pytest.mark.parametrize("code", [1000, 1001, 1003, 1007, 1011, 1014, 3000, 4999])
async def test_close_codes_are_echoed(code: int) -> None:
    found, answered, reason = await outcome(frame(b"1"), end=close_frame(code))
    assert (found, answered, reason) == ([b"1"], code, "")
