"""JSON Pointers (RFC 6901), which say where in a message something is."""

from __future__ import annotations

import re

from rlfast.errors import ConfigError

__all__ = ["parse_pointer", "pointer_name"]

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
