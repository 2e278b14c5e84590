"""Message mode: payloads to values, and what becomes of those that msgspec refuses."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import msgspec

from rlfast._core.objects import ObjectDecoder
from rlfast._core.values import ValueDecoder
from rlfast.decode._dead_letters import BAD_ENCODING, classify, rejected
from rlfast.errors import DecodeError, MessageTooBigError
from rlfast.schema._decoding import Decoding
from rlfast.schema._envelope import event_decoder
from rlfast.schema._pointer import parse_pointer
from rlfast.schema._slots import struct_decoder
from rlfast.schema._tags import Tagging, tagging

__all__ = ["MessageDecoder", "UnknownEvent", "value_decoder"]


class UnknownEvent(msgspec.Struct, frozen=True, gc=False):
    """An event that the expected types do not know, such as one of a newer server, or an answer.

    Attributes:
        type: its tag, as text; None: it has none. Of a message that is an array of events: that of the first
            unknown one.
        raw: the whole message as UTF-8 JSON text; ``msgspec.json.decode(event.raw)`` gives plain values.
    """

    type: str | None
    raw: bytes


@functools.cache
def value_decoder() -> ValueDecoder:
    """The compiled decoder of plain values, shared by all connections of the process."""
    return ValueDecoder()


class MessageDecoder:
    """Payloads to values for message mode.

    Args:
        decoding: how, or the type of the values alone; None stands for plain Python values.

    Attributes:
        decode: callable, buffer -> value; what it refuses goes to `recover`.
        make_compiled: callable that gives the compiled decoder, which makes the same of a payload or leaves
            it to `decode`; or None.
        errors, unknown_events: counts of what `recover` was asked about.
    """

    def __init__(self, decoding: Any) -> None:
        self._decoding = decoding = Decoding.of(decoding)
        self.make_compiled: Callable[[], ObjectDecoder | None] | None = functools.partial(
            struct_decoder, decoding
        )
        self._tags = Tagging()
        decode: Callable[[Any], Any]
        if decoding.type is None:
            decode = msgspec.json.Decoder().decode
            self.make_compiled = value_decoder
        elif (inside := event_decoder(decoding)) is not None:
            decode = inside
            self.make_compiled = None
            self._tags = tagging(decoding.type, parse_pointer(decoding.events_at))
        else:
            decode = decoding.decoder(decoding.type).decode
            self._tags = tagging(decoding.type)
        self.decode: Callable[[Any], Any] = decoding.repairing(decode)
        self.errors = 0
        self.unknown_events = 0

    def recover(self, error: Exception | None, raw: bytes, seq: int, rejection: str | None) -> UnknownEvent:
        """Give the UnknownEvent for a refused payload.

        Raises:
            MessageTooBigError: the message was cut short.
            DecodeError: it is not JSON, does not fit the type, or is not compressed as it should be.
        """
        if rejection is not None or error is None:
            self.errors += 1
            letter = rejected(rejection or "message too big", raw)
            if letter.reason == BAD_ENCODING:
                raise DecodeError(f"message {seq}: {letter.error}", letter.reason, seq, raw)
            raise MessageTooBigError(letter.error, seq, raw)
        verdict = classify(error, self._decoding.repaired(raw), self._tags)
        if verdict.stranger is not None:
            self.unknown_events += 1
            return UnknownEvent(type=verdict.stranger.tag, raw=raw)
        self.errors += 1
        raise DecodeError(f"message {seq}: {verdict.error}", verdict.reason, seq, raw) from None
