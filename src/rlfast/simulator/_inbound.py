"""What a client sends: whole messages out of frames, and which answer a CLOSE frame gets."""

from __future__ import annotations

import codecs
from typing import Any

import msgspec
from picows import WSFrame, WSMsgType

__all__ = ["MAX_ECHO_BYTES", "MAX_MESSAGE_BYTES", "Inbox", "Violation", "acknowledgement", "close_reply"]

MAX_MESSAGE_BYTES = 1 << 20
"""Largest message that a client may send."""

MAX_ECHO_BYTES = 32 << 20
"""The same where messages are given back."""

_Utf8Decoder = codecs.getincrementaldecoder("utf-8")


class Violation(Exception):  # noqa: N818 (becomes a close code, no error of ours)
    """A client broke RFC 6455 or a bound.

    Attributes:
        close_code: what the connection is closed with.
    """

    def __init__(self, close_code: int, reason: str) -> None:
        """Say what to close with."""
        super().__init__(reason)
        self.close_code = close_code
        self.reason = reason


class Inbox:
    """Puts the data frames of one connection together. Owns the fragments of at most one message."""

    __slots__ = ("_fragments", "_is_text", "_limit", "_open", "_size", "_utf8")

    def __init__(self, limit: int = MAX_MESSAGE_BYTES) -> None:
        """Start without fragments; a message has at most `limit` bytes."""
        self._limit = limit
        self._fragments: list[bytes] = []
        self._utf8 = _Utf8Decoder()
        self._size = 0
        self._open = False
        self._is_text = True

    def add(self, frame: WSFrame) -> tuple[bytes, bool] | None:
        """Take a TEXT, BINARY or CONTINUATION frame.

        Returns:
            The message and whether it is text, or None while fragments are missing.

        Raises:
            Violation: fragments out of order, a message too large, or text that is not UTF-8.
        """
        # RFC 6455 section 5.4: fragments of one message must not be interleaved with those of another.
        if (frame.msg_type == WSMsgType.CONTINUATION) != self._open:
            raise Violation(1002, "fragments out of order")
        if not self._open:
            self._is_text = frame.msg_type == WSMsgType.TEXT
        self._size += frame.payload_size
        if self._size > self._limit:
            raise Violation(1009, f"message over {self._limit} bytes")
        payload = frame.get_payload_as_bytes()
        if self._is_text:
            try:
                self._utf8.decode(payload, frame.fin)
            except UnicodeDecodeError:
                # RFC 6455 section 8.1: a text message that is not UTF-8 fails the connection, at its first
                # wrong byte.
                raise Violation(1007, "text message is not UTF-8") from None
        self._fragments.append(payload)
        self._open = not frame.fin
        if self._open:
            return None
        message = b"".join(self._fragments)
        self._fragments.clear()
        self._size = 0
        return message, self._is_text


def acknowledgement(number: int, message: bytes, is_text: bool) -> bytes:
    """Return the answer to a client's message, as UTF-8 JSON text.

    Args:
        number: how many messages the connection sent before this one.
        message: the payload, UTF-8 if it is text.
        is_text: whether the message was text.

    Returns:
        ``{"type":"ack","number":…,"message":…}``. JSON is given back byte by byte as it came, other text
        as a string, and other binary messages as a base64 string.
    """
    held: Any
    try:
        msgspec.json.decode(message)
        held = msgspec.Raw(message)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        held = message.decode() if is_text else message
    return msgspec.json.encode({"type": "ack", "number": number, "message": held})


def close_reply(payload_size: int, code: int) -> int:
    """Return the code that answers a client's CLOSE frame.

    Args:
        payload_size: the size of the frame's payload, in bytes.
        code: its code as picows reports it: 0 for an empty frame, and for an outright 0 too.
    """
    if payload_size == 0:
        return 1000
    # RFC 6455 sections 7.4.1 and 7.4.2: below 1000 is unused, and 1006 must never be on the wire. picows has
    # refused the other reserved codes already.
    return 1002 if code < 1000 or code == 1006 else code
