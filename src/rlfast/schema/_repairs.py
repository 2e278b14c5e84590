"""What some servers send that is no JSON, as JSON.

Python's json module writes NaN and infinities, which RFC 8259 has no numbers for; browsers write half of a
surrogate pair, which is no character.
"""

from __future__ import annotations

import re

__all__ = ["repaired"]

# A string without an end takes the rest, so that none of it is looked at again.
_STRING_OR_NAN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?|-?(?:NaN|Infinity)(?![A-Za-z0-9_])', re.DOTALL)
# A pair, half of one, or an escaped character, whose backslash escapes no surrogate.
_ESCAPE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[dD][89a-fA-F][0-9a-fA-F]{2}|\\.",
    re.DOTALL,
)


def repaired(raw: bytes, *, nan: bool, surrogates: bool) -> bytes:
    """Return a payload with null for NaN and infinities, and U+FFFD for lone surrogates."""
    if nan:
        raw = _STRING_OR_NAN.sub(lambda found: found[0] if found[0][:1] == b'"' else b"null", raw)
    if surrogates:
        raw = _ESCAPE.sub(_whole, raw)
    return raw


def _whole(found: re.Match[bytes]) -> bytes:
    text = found[0]
    return b"\\ufffd" if len(text) == 6 and text[1:2] == b"u" else text
