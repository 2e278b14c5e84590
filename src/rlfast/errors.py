"""The exception tree of rlfast.

::

    RlfastError
    ├── ConfigError (ValueError)          an argument, URL, header or option that cannot work
    ├── MissingExtraError (ImportError)   an optional dependency is not installed
    ├── UsageError (RuntimeError)         a call in a state that does not allow it
    ├── UnsupportedFieldError (TypeError) a struct field that has no column type
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
    """A struct field has a type that has no column type; the text names struct and field."""


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

    def __init__(self) -> None:
        super().__init__("websocket is not connected")


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
    """One message is not valid JSON or does not fit the type. The connection stays usable.

    Attributes:
        reason: ``malformed_json``, ``invalid_utf8``, ``schema_mismatch`` or ``too_deep``.
        seq: the sequence number of the message.
        raw: the whole payload.
    """

    def __init__(self, message: str, reason: str, seq: int, raw: bytes) -> None:
        super().__init__(message)
        self.reason = reason
        self.seq = seq
        self.raw = raw


class CaptureError(RlfastError, OSError):
    """A capture cannot write its files (disk full, no permission, not a folder)."""
