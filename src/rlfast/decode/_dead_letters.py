"""What msgspec refuses: a dead letter, and why.

msgspec decides what is valid. The compiled decoder takes the usual event, and msgspec decodes the rest.
Whatever msgspec refuses is looked at here, once, slowly, and gets one of these reasons:

- ``malformed_json``: no JSON (RFC 8259)
- ``invalid_utf8``: bytes that are no UTF-8
- ``too_deep``: nested deeper than msgspec follows
- ``unknown_type``: a tag that the type does not know (in message mode an `UnknownEvent` instead)
- ``schema_mismatch``: a field is missing or does not fit its type or column
- ``message_too_big``: cut short at ``max_message_size``
- ``bad_encoding``: a binary message that is not compressed as it should be

Message mode does not look into fields that the struct does not know, because msgspec skips them; batch mode
keeps them and so finds what is wrong inside them.
"""

from __future__ import annotations

from typing import Any

import msgspec

from rlfast._core.assembly import NOT_ENCODED
from rlfast.schema._tags import Stranger, Tagging

__all__ = ["REJECTED", "DeadLetter", "Verdict", "classify", "rejected"]

TOO_BIG, BAD_ENCODING = REJECTED = ("message_too_big", "bad_encoding")
"""Reasons of messages that were never whole."""


class DeadLetter(msgspec.Struct, frozen=True, gc=False):
    """A payload that could not become an event, and why."""

    reason: str
    error: str
    raw: bytes


def rejected(error: str, raw: bytes) -> DeadLetter:
    """The dead letter of a message that was rejected on arrival; `raw` is what was kept of it."""
    return DeadLetter(BAD_ENCODING if error.startswith(NOT_ENCODED) else TOO_BIG, error, raw)


class Verdict(msgspec.Struct, frozen=True):
    """Why a payload was refused.

    Attributes:
        reason: one of the above.
        error: what msgspec says.
        value: the message as a plain value; UNSET: it is none that Python's types hold.
        stranger: what makes it a message of another kind; None: nothing.
    """

    reason: str
    error: str
    value: Any = msgspec.UNSET
    stranger: Stranger | None = None


def classify(error: Exception, raw: bytes, tags: Tagging) -> Verdict:
    """Find the reason why msgspec refused `raw` with `error`.

    Raises `error` itself if it is none of msgspec's refusals (MemoryError, a fault in a user's hook).
    """
    if not isinstance(error, (ValueError, RecursionError)):
        raise error
    try:
        raw.decode()
        # msgspec stops at the first thing that does not fit the type, before it has seen the rest.
        value = msgspec.json.decode(raw)
    except UnicodeDecodeError as fault:
        return Verdict("invalid_utf8", str(fault))
    except RecursionError as fault:
        return Verdict("too_deep", str(fault))
    except msgspec.ValidationError as fault:
        # JSON, but with a number that Python's types do not hold.
        return Verdict("schema_mismatch", str(fault))
    except msgspec.DecodeError as fault:
        return Verdict("malformed_json", str(fault))
    stranger = tags.stranger(value)
    if stranger is not None and stranger.tag is not None:
        return Verdict("unknown_type", f"unknown {tags.field} {stranger.tag[:100]!r}", value, stranger)
    return Verdict("schema_mismatch", str(error), value, stranger)
