"""The exception tree of rlfast.

::

    RlfastError
    ├── ConfigError (ValueError)          an argument, URL, header or option that cannot work
    ├── MissingExtraError (ImportError)   an optional dependency is not installed
    ├── UsageError (RuntimeError)         a call in a state that does not allow it
    ├── UnsupportedFieldError (TypeError) a type that cannot become columns
    ├── NetworkError (ConnectionError)
    │   ├── ConnectError                  the connection could not be opened
    │   │   └── HandshakeRejectedError    the server answered the upgrade with an HTTP status
    │   ├── NotConnectedError             send while there is no connection
    │   ├── ConnectionClosedError         the peer closed the connection, with a code and a reason
    │   └── ProtocolError                 the peer broke RFC 6455, with the close code it was sent
    │       └── MessageTooBigError        a message over ``max_message_size``
    ├── DecodeError (ValueError)          one message is not the JSON that was asked for
    └── CaptureError (OSError)            a capture cannot write its files

Faults of the peer (`ProtocolError`), of the network (`NetworkError`), of one message (`DecodeError`) and
of the caller (`ConfigError`, `UsageError`) are different classes, because they have different remedies.
No text of an error holds a token, a cookie or the query of a URL.
"""

from __future__ import annotations

import math
import numbers
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = [
    "CaptureError",
    "ConfigError",
    "ConnectError",
    "ConnectionClosedError",
    "DecodeError",
    "HandshakeRejectedError",
    "MessageTooBigError",
    "MissingExtraError",
    "NetworkError",
    "NotConnectedError",
    "ProtocolError",
    "RlfastError",
    "UnsupportedFieldError",
    "UsageError",
]


class RlfastError(Exception):
    """Base class of every exception that rlfast raises on purpose."""


class ConfigError(RlfastError, ValueError):
    """An argument, URL, header or option cannot work; the text says which and what to use instead."""


class MissingExtraError(RlfastError, ImportError):
    """An optional dependency is missing; the text holds the pip command that installs it."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed; run: pip install 'rlfast[{extra}]'", name=package)
        self.extra = extra


class UsageError(RlfastError, RuntimeError):
    """A call in a state that does not allow it, such as message mode and batch mode at the same time."""


class UnsupportedFieldError(RlfastError, TypeError):
    """A type cannot become columns, because msgspec cannot decode it."""


class NetworkError(RlfastError, ConnectionError):
    """The connection could not be opened, or is gone."""


class ConnectError(NetworkError):
    """The connection could not be opened (DNS, TCP, TLS, time-out, or the upgrade itself)."""


class HandshakeRejectedError(ConnectError):
    """The server answered the upgrade request with an HTTP status other than 101.

    Attributes:
        status: the HTTP status code.
        retry_after: the Retry-After header in seconds (RFC 9110 section 10.2.3), if it was a number.
    """

    def __init__(self, message: str, status: int, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


class NotConnectedError(NetworkError):
    """`send` was called while there is no open connection."""

    def __init__(self, advice: str = "") -> None:
        super().__init__(f"websocket is not connected{advice and '; '}{advice}")


class ConnectionClosedError(NetworkError):
    """The peer closed the connection.

    Attributes:
        close_code: the code of its close frame (RFC 6455 section 7.4); None if it had none.
        close_reason: the text of its close frame; None if it had none.
    """

    def __init__(self, message: str, close_code: int | None, close_reason: str | None) -> None:
        super().__init__(message)
        self.close_code = close_code
        self.close_reason = close_reason


class ProtocolError(NetworkError):
    """The peer broke the WebSocket protocol.

    Attributes:
        close_code: the code that the peer was sent (RFC 6455 section 7.4.1).
    """

    def __init__(self, message: str, close_code: int) -> None:
        super().__init__(message)
        self.close_code = close_code


class MessageTooBigError(ProtocolError):
    """A message exceeded ``max_message_size``; the peer was sent close code 1009.

    Attributes:
        seq: the sequence number that the message took.
        raw: the first bytes of the message, as many as were kept.
    """

    def __init__(self, message: str, seq: int, raw: bytes) -> None:
        super().__init__(message, 1009)
        self.seq = seq
        self.raw = raw


class DecodeError(RlfastError, ValueError):
    """One message is not valid JSON, does not fit the type, or is not compressed as it should be.

    The connection stays usable.

    Attributes:
        reason: ``malformed_json``, ``invalid_utf8``, ``schema_mismatch``, ``too_deep`` or ``bad_encoding``.
        seq: the sequence number of the message.
        raw: the whole payload; with ``bad_encoding`` as it was received, and its first 64 KiB.
    """

    def __init__(self, message: str, reason: str, seq: int, raw: bytes) -> None:
        super().__init__(message)
        self.reason = reason
        self.seq = seq
        self.raw = raw


class CaptureError(RlfastError, OSError):
    """A capture cannot write its files (disk full, no permission, not a folder)."""


# -- checks of arguments -----------------------------------------------------------------------------------
#
# What is wrong is said by the call that got it, not by a task later on. The error names the argument, what it
# must be, and what it was: the name of its type, or the number or word that is out of range. Nothing else is
# shown, since it may be a secret.


def must_be(name: str, what: str, value: object) -> ConfigError:
    """The error of an argument of another type."""
    return ConfigError(f"{name} must be {what}, not {type(value).__name__}")


def check_type(
    name: str, value: object, kinds: type | tuple[type, ...], *, what: str = "", optional: bool = False
) -> None:
    """Refuse a value of other types than `kinds`; `what` says which they are, if their names do not."""
    if isinstance(value, kinds) or (optional and value is None):
        return
    names = [kind.__name__ for kind in (kinds if isinstance(kinds, tuple) else (kinds,))]
    expected = what or " or ".join(names)
    raise must_be(name, expected + _or_none(optional), value)


def check_bool(name: str, value: object) -> None:
    """Refuse what is not True or False."""
    check_type(name, value, bool, what="True or False")


def check_callable(name: str, value: object, *, optional: bool = False) -> None:
    """Refuse what cannot be called."""
    if not (callable(value) or (optional and value is None)):
        raise must_be(name, f"a callable{_or_none(optional)}", value)


def check_int(
    name: str, value: Any, least: int, most: int | None = None, *, note: str = "", optional: bool = False
) -> None:
    """Refuse what is not an int from `least` to `most`."""
    if optional and value is None:
        return
    is_int = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not is_int or value < least or (most is not None and value > most):
        bounds = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise _out_of_range(name, f"int {bounds}", note, optional, value)


def check_number(
    name: str,
    value: Any,
    least: float,
    most: float = math.inf,
    *,
    above: bool = False,
    note: str = "",
    optional: bool = False,
) -> None:
    """Refuse what is not an int or float from `least` to `most`; with `above`, also `least` itself."""
    if optional and value is None:
        return
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    # A chain of <= is false for NaN, too.
    if not is_number or not least <= value <= most or (above and value == least):
        bounds = f"{'more than' if above else 'at least'} {least:g}"
        if most != math.inf:
            bounds += f" and at most {most:g}"
        raise _out_of_range(name, f"a number of {bounds}", note, optional, value)


def check_choice(name: str, value: object, choices: Sequence[str], *, optional: bool = False) -> None:
    """Refuse what is not one of some texts."""
    if optional and value is None:
        return
    if not isinstance(value, str) or value not in choices:
        expected = f"one of {', '.join(choices)}{_or_none(optional)}"
        if isinstance(value, str):
            raise ConfigError(f"{name} must be {expected}, not {value[:40]!r}")
        raise must_be(name, expected, value)


def check_path(name: str, value: object) -> Path:
    """Return the absolute path that a str or an `os.PathLike` of one names, whatever ``chdir`` does.

    URLs are refused: as a path, ``s3://bucket/x`` is the folder ``./s3:/bucket/x``.
    """
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if not isinstance(value, str):
        raise must_be(name, "str or Path", value)
    # A Path has made one slash of two. One letter and a colon is a drive of Windows.
    url = re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", value)
    if url is not None:
        raise ConfigError(
            f"{name} is a URL ({url[0]}/…), and rlfast writes to local folders only; name one, and copy it "
            f"from there (a folder of this name is ./{url[0]}…)"
        )
    return Path(os.path.abspath(value))


def _out_of_range(name: str, expected: str, note: str, optional: bool, value: object) -> ConfigError:
    expected = f"{expected}{note and ' ' + note}{_or_none(optional)}"
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return must_be(name, expected, value)
    # Python refuses to write an int of thousands of digits.
    shown = "a huge one" if isinstance(value, int) and abs(value) >> 64 else value
    return ConfigError(f"{name} must be {expected}, not {shown}")


def _or_none(optional: bool) -> str:
    return " or None" if optional else ""
