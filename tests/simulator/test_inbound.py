from __future__ import annotations

import msgspec
import pytest
from picows import WSFrame, WSMsgType
from picows.picows import _make_test_ws_frame

from rlfast.simulator._inbound import MAX_MESSAGE_BYTES, Inbox, Violation, acknowledgement, close_reply


def frame(kind: WSMsgType, payload: bytes, fin: bool = True) -> WSFrame:
    return _make_test_ws_frame(kind, payload, fin, False)


def test_whole_messages_pass() -> None:
    inbox = Inbox()
    assert inbox.add(frame(WSMsgType.TEXT, b"one")) == (b"one", True)
    assert inbox.add(frame(WSMsgType.BINARY, b"\xff")) == (b"\xff", False)


def test_fragments_are_joined_even_within_a_character() -> None:
    inbox = Inbox()
    for _ in range(2):
        assert inbox.add(frame(WSMsgType.TEXT, b"caf\xc3", fin=False)) is None
        assert inbox.add(frame(WSMsgType.CONTINUATION, b"", fin=False)) is None
        assert inbox.add(frame(WSMsgType.CONTINUATION, b"\xa9")) == ("café".encode(), True)


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([frame(WSMsgType.CONTINUATION, b"x")], 1002),
        ([frame(WSMsgType.TEXT, b"x", fin=False), frame(WSMsgType.TEXT, b"y")], 1002),
        ([frame(WSMsgType.TEXT, b"\xff")], 1007),
        ([frame(WSMsgType.TEXT, b"x" * (MAX_MESSAGE_BYTES + 1))], 1009),
        (
            [
                frame(WSMsgType.BINARY, b"x" * MAX_MESSAGE_BYTES, fin=False),
                frame(WSMsgType.CONTINUATION, b"x"),
            ],
            1009,
        ),
    ],
)
def test_violations_name_their_close_code(frames: list[WSFrame], code: int) -> None:
    inbox = Inbox()
    for item in frames[:-1]:
        assert inbox.add(item) is None
    with pytest.raises(Violation) as caught:
        inbox.add(frames[-1])
    assert caught.value.close_code == code


@pytest.mark.parametrize(
    ("message", "is_text", "held"),
    [
        (b'{"b": 1, "a": [null, 2.50]}\n', True, {"b": 1, "a": [None, 2.5]}),
        (b'{"b": 1}', False, {"b": 1}),
        (b"12345678901234567890123", True, 12345678901234567890123),
        ("kein JSON: é".encode(), True, "kein JSON: é"),
        (b"[" * 5000, True, "[" * 5000),
        (b"", True, ""),
        (b'"\xff"', False, "Iv8i"),
        (b"\x00\xff", False, "AP8="),
    ],
)
def test_acknowledgement_holds_the_message(message: bytes, is_text: bool, held: object) -> None:
    answer = msgspec.json.decode(acknowledgement(3, message, is_text))
    assert answer == {"type": "ack", "number": 3, "message": held}


def test_json_is_given_back_byte_by_byte() -> None:
    assert b'{"a" : 1.50e0}' in acknowledgement(0, b'{"a" : 1.50e0}', True)


@pytest.mark.parametrize(
    ("size", "code", "reply"),
    [
        (0, 0, 1000),
        (2, 0, 1002),
        (2, 999, 1002),
        (2, 1006, 1002),
        (2, 1000, 1000),
        (9, 1001, 1001),
        (2, 3001, 3001),
    ],
)
def test_close_codes_are_answered(size: int, code: int, reply: int) -> None:
    assert close_reply(size, code) == reply
