"""JSON Pointers (RFC 6901), which say where in a message something is."""

from __future__ import annotations

import re
from functools import reduce
from typing import Any, NamedTuple

import msgspec

from rlfast.errors import ConfigError

__all__ = ["Condition", "parse_pointer", "pointer_name"]

_INDEX = re.compile("0|[1-9][0-9]{0,9}")

_ESCAPES = re.compile("~[01]")


def parse_pointer(text: str) -> tuple[str, ...]:
    """Return the names that a pointer leads through; none for the empty one, which is all of a message.

    Raises:
        ConfigError: it is none.
    """
    if not text:
        return ()
    if not text.startswith("/"):
        raise ConfigError(
            f"a JSON Pointer begins with a slash (RFC 6901), such as /data, unlike {text[:40]!r}"
        )
    if "~" in _ESCAPES.sub("", text):
        raise ConfigError(f"~ is ~0 in a JSON Pointer, and / is ~1 (RFC 6901), unlike in {text[:40]!r}")
    return tuple(name.replace("~1", "/").replace("~0", "~") for name in text[1:].split("/"))


def pointer_name(name: str) -> str:
    """A name in a JSON Pointer."""
    return name.replace("~", "~0").replace("/", "~1")


class Condition(NamedTuple):
    """That a message has a certain value in a certain place, written ``POINTER=VALUE``."""

    names: tuple[str, ...]
    text: str

    @classmethod
    def parse(cls, text: str) -> Condition:
        """Read one. Raises ConfigError: it is something else."""
        pointer, found, value = text.partition("=")
        names = parse_pointer(pointer)
        if not found:
            raise ConfigError("write POINTER=VALUE, such as /type=connection_ack")
        return cls(names, value)

    def holds(self, message: Any) -> bool:
        """Whether a message, as plain values, has the value: as a text, or as other JSON."""
        try:
            found = reduce(_member, self.names, message)
        except LookupError:
            return False
        if found == self.text:
            return True
        try:
            wanted = msgspec.json.decode(self.text)
        except msgspec.DecodeError:
            return False
        return type(found) is type(wanted) and bool(found == wanted)


def _member(value: Any, name: str) -> Any:
    """What a JSON value has under a name. Raises LookupError: nothing."""
    if isinstance(value, dict):
        return value[name]
    if isinstance(value, list) and _INDEX.fullmatch(name):
        return value[int(name)]
    raise LookupError(name)
