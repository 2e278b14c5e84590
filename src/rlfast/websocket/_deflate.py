"""permessage-deflate (RFC 7692): what is offered with the upgrade request, and what came of it."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

from rlfast._core.inflate import Inflater
from rlfast.errors import check_bool, check_int, must_be

NAME = "permessage-deflate"

_WORD = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
# RFC 6455 section 9.1: a value may be quoted, if it is a token without the quotes.
_PARAMETER = re.compile(rf"\s*;\s*({_WORD})(?:\s*=\s*(?:({_WORD})|\"({_WORD})\"))?\s*")
_WINDOW_BITS = re.compile(r"[89]|1[0-5]")


class NegotiationError(ValueError):
    """The server accepted what it was not offered."""


@dataclass(frozen=True, slots=True)
class Deflate:
    """How to compress messages.

    The server takes it or leaves it. What takes effect for received messages is its choice within this offer.

    Args:
        server_no_context_takeover: the server shall compress each message on its own. That costs the most of
            what compression gains with small messages.
        client_no_context_takeover: do so with messages that are sent.
        server_max_window_bits: bound on the window of received messages, from 9 to 15: it takes
            ``2 ** bits`` bytes of memory for each connection.
        client_max_window_bits: the same for messages that are sent. 15 bits take 256 KiB, from the first
            message on.
        level: of zlib, from 1 (fast) to 9 (small), for messages that are sent.
    """

    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    server_max_window_bits: int = 15
    client_max_window_bits: int = 15
    level: int = 6

    def __post_init__(self) -> None:
        """Check types and ranges."""
        for name in ("server_no_context_takeover", "client_no_context_takeover"):
            check_bool(f"Deflate.{name}", getattr(self, name))
        for name in ("server_max_window_bits", "client_max_window_bits"):
            check_int(f"Deflate.{name}", getattr(self, name), 9, 15)
        check_int("Deflate.level", self.level, 1, 9)

    @property
    def offer(self) -> str:
        """Value of the request's ``Sec-WebSocket-Extensions`` header."""
        parameters = [NAME]
        if self.server_no_context_takeover:
            parameters.append("server_no_context_takeover")
        if self.client_no_context_takeover:
            parameters.append("client_no_context_takeover")
        if self.server_max_window_bits < 15:
            parameters.append(f"server_max_window_bits={self.server_max_window_bits}")
        bits = self.client_max_window_bits
        parameters.append("client_max_window_bits" + (f"={bits}" if bits < 15 else ""))
        return "; ".join(parameters)

    def agree(self, answers: Iterable[str]) -> Agreement | None:
        """What the server made of the offer; `answers` are the response's headers of that name.

        Raises:
            NegotiationError: it is none of what may be answered (RFC 7692 section 7.1).
        """
        answer = ", ".join(answers)
        if not answer.strip():
            return None
        name, _, _ = answer.partition(";")
        if name.strip() != NAME:
            raise NegotiationError(f"the server uses an extension that was not offered: {answer[:100]!r}")
        return Agreement(self, _parameters(answer))


def _parameters(answer: str) -> dict[str, str | None]:
    parameters: dict[str, str | None] = {}
    at = len(answer.partition(";")[0])
    while at < len(answer):
        match = _PARAMETER.match(answer, at)
        if match is None or match[1] in parameters:
            raise NegotiationError(f"the server's answer about compression is malformed: {answer[:100]!r}")
        parameters[match[1]] = match[2] or match[3]
        at = match.end()
    return parameters


class Agreement:
    """The parameters that both sides use on one connection.

    Attributes:
        inflater: the context of what is received.
    """

    def __init__(self, offered: Deflate, parameters: dict[str, str | None]) -> None:
        self._level = offered.level
        self._resets = offered.client_no_context_takeover
        self._window_bits = offered.client_max_window_bits
        server_bits = 15
        server_resets = False
        for name, value in parameters.items():
            if name == "server_no_context_takeover" and value is None:
                server_resets = True
            elif name == "client_no_context_takeover" and value is None:
                self._resets = True
            elif name == "server_max_window_bits" and value and _WINDOW_BITS.fullmatch(value):
                server_bits = int(value)
            elif name == "client_max_window_bits" and value and _WINDOW_BITS.fullmatch(value):
                self._window_bits = min(self._window_bits, int(value))
            else:
                raise NegotiationError(f"the server's parameter for compression is invalid: {name}={value}")
        if server_bits > offered.server_max_window_bits or (
            offered.server_no_context_takeover and not server_resets
        ):
            raise NegotiationError("the server ignores the bounds on its compression that it was offered")
        self.inflater = Inflater(server_bits, server_resets)
        self._compressor: zlib._Compress | None = None

    @property
    def compresses(self) -> bool:
        """Whether messages can be sent compressed: zlib has no raw DEFLATE with a window of 8 bits."""
        return self._window_bits >= 9

    def deflate(self, payload: bytes) -> bytes:
        """Compress one message (RFC 7692 section 7.2.1). Messages must be sent in the order of the calls."""
        compressor = self._compressor
        if compressor is None:
            compressor = zlib.compressobj(self._level, zlib.DEFLATED, -self._window_bits)
        compressed = compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)
        self._compressor = None if self._resets else compressor
        return compressed[:-4]


def check_compression(compression: str | Deflate | None) -> Deflate | None:
    """The offer that the argument of `rlfast.connect` stands for.

    Raises:
        ConfigError: it is none of "deflate", a `Deflate` and None.
    """
    if compression == "deflate":
        return Deflate()
    if compression is None or isinstance(compression, Deflate):
        return compression
    raise must_be("compression", '"deflate", a Deflate or None', compression)
