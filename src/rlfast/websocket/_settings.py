"""What `connect` takes: the keywords with their types, their defaults and their checks, once.

A `Settings` is checked when it is made and then travels whole, from the connection down to each attempt to
open one.
"""

from __future__ import annotations

import re
import ssl as ssl_module
from collections import abc
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal, TypeAlias, TypedDict
from urllib.parse import urlsplit

from rlfast.errors import ConfigError, check_callable, check_type
from rlfast.schema._decoding import DecHook, Decoding, DecodingArguments, NaN, Surrogates
from rlfast.schema._framing import Framing
from rlfast.websocket._backoff import Backoff, Retry
from rlfast.websocket._deflate import Deflate, check_compression
from rlfast.websocket._encodings import Encoding, check_encoding
from rlfast.websocket._gaps import OnGap
from rlfast.websocket._heartbeats import Heartbeat, check_heartbeats
from rlfast.websocket._options import ConnectionOptions, Timing
from rlfast.websocket._proxy import check_proxy
from rlfast.websocket._received import LastReceived
from rlfast.websocket._replies import Reply, check_ignore, check_replies
from rlfast.websocket._resume import Resume, without_parameter
from rlfast.websocket._sending import Messages, NewConnection, check_messages
from rlfast.websocket._sequence import Sequence
from rlfast.websocket._stream_names import default_stream_name
from rlfast.websocket._upgrade import TOKEN

__all__ = [
    "ConnectArguments",
    "HeaderProvider",
    "Headers",
    "KeepAliveArguments",
    "OnConnect",
    "OnReconnect",
    "Settings",
    "StreamArguments",
    "UrlProvider",
    "check_headers",
    "check_url",
    "display_url",
]

Headers: TypeAlias = Mapping[str, str]
Subprotocols: TypeAlias = "list[str] | tuple[str, ...]"
UrlProvider: TypeAlias = Callable[["LastReceived | None"], "str | Awaitable[str]"]
HeaderProvider: TypeAlias = Callable[[], Headers | Awaitable[Headers]]
OnConnect: TypeAlias = Callable[[NewConnection], "Awaitable[None] | None"]
OnReconnect: TypeAlias = Callable[[int], "Awaitable[None] | None"]

SUBPROTOCOL_ADVICE = "offer subprotocols with subprotocols=[...]"
"""Stands in an error; the command line has another one."""
_FORBIDDEN = re.compile(r"[\r\n\0]")
_OFFICIAL = Backoff.official()
_NO_HEADERS: Headers = {}


class KeepAliveArguments(TypedDict, total=False):
    """Keywords of `rlfast.connect` about keep-alives of the application; `connect` describes them."""

    heartbeat: Heartbeat | abc.Sequence[Heartbeat] | None
    reply: abc.Sequence[Reply]
    ignore: abc.Sequence[str] | None


class StreamArguments(DecodingArguments, KeepAliveArguments, total=False):
    """Keywords of `rlfast.connect` that a client of a platform passes on; `connect` describes them."""

    backoff: Backoff | None
    retry: Retry | None
    subscribe: Messages | None
    on_connect: OnConnect | None
    on_reconnect: OnReconnect | None
    on_gap: OnGap | None
    sequence: Sequence | None
    ssl: ssl_module.SSLContext | None
    proxy: str | None
    compression: Literal["deflate"] | Deflate | None
    encoding: Encoding | None
    subprotocols: Subprotocols | None
    resume: Resume | None
    stream: str | None
    options: ConnectionOptions | None
    timing: Timing | None


class ConnectArguments(StreamArguments, total=False):
    """Keywords of `rlfast.connect`, besides the type."""

    headers: Headers | HeaderProvider


class Settings:
    """Everything that `connect` was given, or its default, checked, and in the form that a connection uses.

    Raises:
        ConfigError: a value cannot work.
    """

    def __init__(
        self,
        url: str | UrlProvider,
        *,
        type: Any = None,
        events_at: str = Decoding.events_at,
        framing: Framing | None = Decoding.framing,
        strict: bool = Decoding.strict,
        dec_hook: DecHook | None = None,
        nan: NaN = Decoding.nan,
        surrogates: Surrogates = Decoding.surrogates,
        headers: Headers | HeaderProvider = _NO_HEADERS,
        backoff: Backoff | None = _OFFICIAL,
        retry: Retry | None = None,
        subscribe: Messages | None = None,
        on_connect: OnConnect | None = None,
        on_reconnect: OnReconnect | None = None,
        on_gap: OnGap | None = None,
        heartbeat: Heartbeat | abc.Sequence[Heartbeat] | None = None,
        reply: abc.Sequence[Reply] = (),
        ignore: abc.Sequence[str] | None = None,
        sequence: Sequence | None = None,
        ssl: ssl_module.SSLContext | None = None,
        proxy: str | None = None,
        compression: Literal["deflate"] | Deflate | None = None,
        encoding: Encoding | None = None,
        subprotocols: Subprotocols | None = None,
        resume: Resume | None = None,
        stream: str | None = None,
        options: ConnectionOptions | None = None,
        timing: Timing | None = None,
    ) -> None:
        self.url = url if callable(url) else check_url(url)
        self.decoding = Decoding(type, events_at, framing, strict, dec_hook, nan, surrogates)
        self.headers = headers if callable(headers) else check_headers(headers)
        check_type("backoff", backoff, Backoff, optional=True)
        self.backoff = backoff
        check_callable("retry", retry, optional=True)
        self.retry = retry
        self.subscribe = check_messages("subscribe", subscribe)
        check_callable("on_connect", on_connect, optional=True)
        self.on_connect = on_connect
        check_callable("on_reconnect", on_reconnect, optional=True)
        self.on_reconnect = on_reconnect
        check_callable("on_gap", on_gap, optional=True)
        self.on_gap = on_gap
        self.heartbeats = check_heartbeats(heartbeat)
        self.replies = check_replies(reply)
        self.ignore = check_ignore(ignore)
        check_type("sequence", sequence, Sequence, optional=True)
        self.sequence = sequence
        check_type("ssl", ssl, ssl_module.SSLContext, optional=True)
        self.ssl = ssl
        self.proxy = check_proxy(proxy)
        self.compression = check_compression(compression)
        self.encoding = check_encoding(encoding)
        self.subprotocols = check_subprotocols(subprotocols)
        check_type("resume", resume, Resume, optional=True)
        self.resume = resume
        check_type("stream", stream, str, optional=True)
        if stream is None and not callable(url):
            # The same stream, wherever it begins.
            named = url if resume is None else without_parameter(url, resume.parameter)
            stream = default_stream_name(named)
        self.stream = stream or ""
        check_type("options", options, ConnectionOptions, optional=True)
        self.options = options or ConnectionOptions()
        check_type("timing", timing, Timing, optional=True)
        self.timing = timing or Timing()

    @property
    def display_url(self) -> str:
        """The URL without its query, which may hold secrets."""
        return "(URL of a function)" if callable(self.url) else display_url(self.url)


def check_url(url: str) -> str:
    """Return `url` if it is a WebSocket URL that can be opened.

    Raises:
        ConfigError: another scheme, no host, a fragment, credentials or control characters in it.
    """
    check_type("url", url, str, what="str, or a function that returns one")
    if re.search(r"[\x00-\x20\x7f]", url):
        raise ConfigError("the URL must be a str without spaces or control characters")
    try:
        parts = urlsplit(url)
        _ = parts.port, (parts.hostname or "").encode("idna")
    except ValueError:
        # The parser's own text may quote a password.
        raise ConfigError("the URL has an invalid host or port") from None
    if parts.scheme in ("http", "https"):
        remedy = "ws" if parts.scheme == "http" else "wss"
        raise ConfigError(f"the URL begins with {parts.scheme}://; a WebSocket URL begins with {remedy}://")
    if parts.scheme not in ("ws", "wss") or not parts.hostname:
        raise ConfigError("a WebSocket URL looks like ws://host:port/path or wss://host/path")
    if parts.username is not None or parts.password is not None:
        raise ConfigError("the URL holds credentials; pass them as headers instead")
    if parts.fragment:
        raise ConfigError("a WebSocket URL has no fragment (RFC 6455 section 3); percent-encode '#' as %23")
    return url


def check_headers(headers: Headers) -> dict[str, str]:
    """Return a copy of `headers` if they are safe to send.

    Raises:
        ConfigError: it is not a mapping of str to str, a name is not an HTTP token, or that of subprotocols,
            or a value holds CR, LF or NUL. The text never holds a value, nor a name that may be one.
    """
    check_type("headers", headers, Mapping, what="a mapping of str to str, or a callable that returns one")
    checked = {}
    for name, value in headers.items():
        check_type("a header name", name, str)
        if not TOKEN.fullmatch(name):
            raise ConfigError(
                "a header name has a character that RFC 9110 section 5.6.2 does not allow; "
                'write {"Name": "value"}'
            )
        if name.lower() == "sec-websocket-protocol":
            raise ConfigError(f"headers must be without {name}; {SUBPROTOCOL_ADVICE}")
        check_type(f"the value of header {name}", value, str)
        if _FORBIDDEN.search(value):
            raise ConfigError(f"the value of header {name} must be a str without CR, LF and NUL")
        checked[name] = value
    return checked


def check_subprotocols(subprotocols: Subprotocols | None) -> tuple[str, ...]:
    """Return the subprotocols that are offered, in the order in which they are preferred.

    Raises:
        ConfigError: it is no list of str, one is no HTTP token, or stands there twice (RFC 6455 section 4.1).
    """
    what = "a list of str"
    check_type("subprotocols", subprotocols, (list, tuple), what=what, optional=True)
    for name in subprotocols or ():
        check_type("subprotocols", name, str, what=what)
        if not TOKEN.fullmatch(name):
            raise ConfigError(
                "subprotocols must be tokens of RFC 9110 section 5.6.2: letters, digits, and some of the rest"
            )
    if len(set(subprotocols or ())) != len(subprotocols or ()):
        raise ConfigError("subprotocols must be different from each other (RFC 6455 section 4.1)")
    return tuple(subprotocols or ())


def display_url(url: str) -> str:
    """`url` without its query, which may hold secrets."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}"
