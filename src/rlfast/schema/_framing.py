"""Messages with several JSON documents, one behind the other."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

__all__ = ["SEPARATORS", "Framing", "documents"]

Framing: TypeAlias = Literal["lines", "json-seq", "record-separator"]

SEPARATORS: dict[Framing, bytes] = {"lines": b"\n", "json-seq": b"\x1e", "record-separator": b"\x1e"}
"""What parts documents, in front of each or behind it: a control character, which no text in JSON has."""


def documents(payload: Any, framing: Framing) -> list[bytes]:
    """The documents of a message, without white space around them; what is empty is none."""
    parts = bytes(payload).split(SEPARATORS[framing])
    return [document for part in parts if (document := part.strip(b" \t\r\n"))]
