"""Message mode: payloads to values, and what becomes of those that msgspec refuses."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import msgspec

from rlfast._core.objects import ObjectDecoder
from rlfast._core.values import ValueDecoder
from rlfast.decode._dead_letters import classify
from rlfast.errors import ConfigError, DecodeError, MessageTooBigError
from rlfast.schema._slots import struct_decoder
from rlfast.schema._tags import tagging

__all__ = ["MessageDecoder", "UnknownEvent", "check_message_type", "value_decoder"]


class UnknownEvent(msgspec.Struct, frozen=True, gc=False):
    """An event whose ``type`` the expected struct types do not know, such as one of a newer server.

    Attributes:
        type: the value of the tag field.
        raw: the whole event as UTF-8 JSON text; ``msgspec.json.decode(event.raw)`` gives plain values.
    """

    type: str
    raw: bytes


def check_message_type(type_: Any) -> None:
    """Refuse what msgspec cannot decode to.

    Raises:
        ConfigError: the text says why.
    """
    if type_ is None:
        return
    try:
        msgspec.json.Decoder(type_)
    except TypeError as error:
        was = type(type_).__name__
        raise ConfigError(
            f"type must be a type that msgspec can decode, or None, not {was}"
            # Only the name of a text's type: texts may be secrets.
            + ("" if isinstance(type_, (str, bytes)) else f": {error}")
        ) from None


@functools.cache
def value_decoder() -> ValueDecoder:
    """The compiled decoder of plain values, shared by all connections of the process."""
    return ValueDecoder()


class MessageDecoder:
    """Payloads to values of `type_` (None: plain Python values) for message mode.

    Attributes:
        decode: callable, buffer -> value; what it refuses goes to `recover`.
        make_compiled: callable that gives the compiled decoder, which makes the same of a payload or leaves
            it to `decode`; or None.
        errors, unknown_events: counts of what `recover` was asked about.
    """

    def __init__(self, type_: Any) -> None:
        self.decode: Callable[[Any], Any]
        self.make_compiled: Callable[[], ObjectDecoder | None]
        if type_ is None:
            self.decode = msgspec.json.Decoder().decode
            self.make_compiled = value_decoder
            self._tag_field, self._tags = None, frozenset[object]()
        else:
            self.decode = msgspec.json.Decoder(type_).decode
            self.make_compiled = functools.partial(struct_decoder, type_)
            self._tag_field, self._tags = tagging(type_)
        self.errors = 0
        self.unknown_events = 0

    def recover(self, error: Exception | None, raw: bytes, seq: int, rejection: str | None) -> UnknownEvent:
        """Give the UnknownEvent for a refused payload.

        Raises:
            MessageTooBigError: the message was cut short.
            DecodeError: it is not JSON or does not fit the type.
        """
        if rejection is not None or error is None:
            self.errors += 1
            raise MessageTooBigError(rejection or "message too big", seq, raw)
        verdict = classify(error, raw, self._tag_field, self._tags)
        if verdict.tag is not None:
            self.unknown_events += 1
            return UnknownEvent(type=verdict.tag, raw=raw)
        self.errors += 1
        raise DecodeError(f"message {seq}: {verdict.error}", verdict.reason, seq, raw) from None
