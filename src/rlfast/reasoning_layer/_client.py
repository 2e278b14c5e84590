"""The Reasoning Layer's streams: their URLs, their upgrade headers and the connections to them.

A `ReasoningLayerClient` holds a base URL, a tenant and credentials; it opens nothing by itself. Its methods
return what `rlfast.connect` returns, with URL, headers and event types set. Paths and query parameters are
those of the official SDKs (Rust 1.0.3, Python 1.6.0); the query of the cycle stream is by analogy with the
other two, because no source documents it.

Credentials travel in headers only. They are in no URL, and every object here that holds one masks it when it
is printed.
"""

from __future__ import annotations

import inspect
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, overload
from urllib.parse import quote, urlsplit

from rlfast._core import __version__
from rlfast.decode._messages import UnknownEvent
from rlfast.errors import ConfigError, check_bool, check_type, must_be
from rlfast.reasoning_layer._events import AgentEvent
from rlfast.websocket._connection import Connecting, connect
from rlfast.websocket._settings import StreamArguments
from rlfast.websocket._stream_names import AGENT_EVENTS_PATH

if TYPE_CHECKING:
    from typing_extensions import TypeForm, Unpack

__all__ = [
    "Auth",
    "Bearer",
    "ClientConfig",
    "CognitiveStreams",
    "Cookie",
    "OversightStreams",
    "ReasoningLayerClient",
    "TokenProvider",
]

T = TypeVar("T")
Id: TypeAlias = str | uuid.UUID

_SCHEMES = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
_VISIBLE = re.compile(r"[!-~]+")
_PRINTABLE = re.compile(r"[ -~]*[!-~][ -~]*")
_CONTROL = re.compile(r"[\r\n\0]")
# The characters of RFC 3986 section 2; urlsplit would drop tabs and line breaks without a word.
_URL = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+")


@dataclass(frozen=True, slots=True, repr=False)
class Bearer:
    """A fixed token, sent as ``Authorization: Bearer <token>``.

    Attributes:
        token: the token alone, without ``Bearer``; visible ASCII characters (RFC 6750 section 2.1).

    Raises:
        ConfigError: the token is empty or has other characters, such as the newline at the end of a file.
    """

    token: str

    def __post_init__(self) -> None:
        """Check the token."""
        _check_token(self.token, "the token of Bearer")

    def __repr__(self) -> str:
        """Return a text without the token."""
        return "Bearer('***')"


@dataclass(frozen=True, slots=True, repr=False)
class Cookie:
    """A session cookie that the caller holds, sent as the ``Cookie`` header.

    Attributes:
        value: the whole value of the header, ``name=value``; several are separated by ``"; "``.

    Raises:
        ConfigError: the value is empty or has characters other than printable ASCII.
    """

    value: str

    def __post_init__(self) -> None:
        """Check the value."""
        _check_header("the value of Cookie", self.value)

    def __repr__(self) -> str:
        """Return a text without the value."""
        return "Cookie('***')"


@dataclass(frozen=True, slots=True, repr=False)
class TokenProvider:
    """A function that returns a bearer token, called anew for every attempt to connect.

    Attributes:
        provider: takes no argument and returns the token, or an awaitable of it. A function that is not async
            runs on the event loop and should not block. What it raises comes out of the attempt unchanged.

    Raises:
        ConfigError: `provider` cannot be called. Later, of an attempt: what it returned is not a token.
    """

    provider: Callable[[], str | Awaitable[str]]

    def __post_init__(self) -> None:
        """Check the provider."""
        if not callable(self.provider):
            raise must_be(
                "provider", "a function that returns a token (a fixed one is a Bearer)", self.provider
            )

    def __repr__(self) -> str:
        """Return a text without the function: a partial or a closure may show a token."""
        return "TokenProvider(***)"


@dataclass(frozen=True, slots=True, repr=False)
class _OfficialHeaders:
    """The headers of a client of the official SDK, read anew for every attempt."""

    headers: Callable[[], Mapping[str, str]]

    def checked(self) -> dict[str, str]:
        headers = dict(self.headers())
        for name, value in headers.items():
            _check_header(f"the header {name} of the official SDK's client", value)
        return headers

    def __repr__(self) -> str:
        return "<headers of the official SDK's client>"


Auth: TypeAlias = Bearer | Cookie | TokenProvider
"""The ways to authenticate; `ClientConfig` takes None as well."""


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """Where the platform is and who connects.

    Attributes:
        base_url: ``https://host[:port][/prefix]`` (or http, ws, wss), without user, query and fragment.
        tenant_id: the tenant, a UUID on the platform.
        auth: the credentials, or None to send none.
        send_sdk_headers: whether the upgrade request has the headers that the official SDKs send with REST
            calls: ``X-Tenant-Id``, ``X-SDK-Version``, ``X-SDK-Language``.

    Raises:
        ConfigError: a value cannot work.
    """

    base_url: str
    tenant_id: Id
    auth: Auth | None = None
    send_sdk_headers: bool = True

    def __post_init__(self) -> None:
        """Check the values."""
        _websocket_base(self.base_url)
        _check_header("tenant_id", _id_text("tenant_id", self.tenant_id))
        kinds = (Bearer, Cookie, TokenProvider, _OfficialHeaders)
        if self.auth is not None and not isinstance(self.auth, kinds):
            what = "Bearer(token), Cookie(value), TokenProvider(function) or None"
            raise must_be("auth", what, self.auth)
        check_bool("send_sdk_headers", self.send_sdk_headers)


class ReasoningLayerClient:
    """Builds URLs and headers of the Reasoning Layer's streams and connects to them.

    Attributes:
        config: the configuration.
        cognitive: the streams of agents.
        oversight: the streams of oversight sessions.
    """

    def __init__(self, config: ClientConfig) -> None:
        """Make a client; it connects to nothing yet."""
        check_type("config", config, ClientConfig)
        self.config = config
        self.cognitive = CognitiveStreams(self)
        self.oversight = OversightStreams(self)

    @classmethod
    def from_sdk(cls, official: Any, *, send_sdk_headers: bool = True) -> ReasoningLayerClient:
        """Make a client from a ``reasoning_layer_python_sdk.ReasoningLayerClient``.

        Base URL and tenant are taken now; the headers that the SDK's client sends (Authorization, a cookie,
        and what was added with ``set_default_header``) are read anew for every attempt to connect. Its TLS
        settings and its proxy are not taken over: pass ``ssl`` to the methods that connect.

        Raises:
            ConfigError: `official` is no such client, or its settings cannot work.
        """
        from rlfast.reasoning_layer._sdk import read_official_client

        found = read_official_client(official)
        auth: Any = _OfficialHeaders(found.headers)
        auth.checked()
        return cls(ClientConfig(found.base_url, found.tenant_id, auth, send_sdk_headers))

    async def headers(self) -> dict[str, str]:
        """Return the headers of one upgrade request; a token provider is called now.

        Raises:
            ConfigError: the provider returned no token. What the provider raises is passed on.
        """
        config = self.config
        headers = await _auth_headers(config.auth)
        if config.send_sdk_headers:
            headers["X-Tenant-Id"] = str(config.tenant_id)
            headers["X-SDK-Version"] = __version__
            headers["X-SDK-Language"] = "python"
        return headers

    def __repr__(self) -> str:
        """Return a text without credentials."""
        return f"{type(self).__name__}({self.config!r})"

    def _url(self, path: str, **query: str) -> str:
        pairs = {**query, "tenant_id": str(self.config.tenant_id)}
        text = "&".join(f"{name}={_encode(name, value)}" for name, value in pairs.items())
        return f"{_websocket_base(self.config.base_url)}{path}?{text}"

    def _connect(self, url: str, type: Any, stream: str, arguments: StreamArguments) -> Connecting[Any]:
        arguments.setdefault("stream", stream)
        return connect(url, type=type, headers=self.headers, **arguments)


class CognitiveStreams:
    """The streams of cognitive agents; `ReasoningLayerClient.cognitive`."""

    def __init__(self, client: ReasoningLayerClient) -> None:
        """Keep the client whose base URL, tenant and headers the streams use."""
        self._client = client

    def agent_events_url(self, agent_id: Id) -> str:
        """Return the URL of an agent's events: ``/api/v1/cognitive/agents/ws?agent_id=…&tenant_id=…``.

        Raises:
            ConfigError: the id is empty or holds a line break.
        """
        return self._client._url(AGENT_EVENTS_PATH, agent_id=_id_text("agent_id", agent_id))

    def cycle_url(self, agent_id: Id) -> str:
        """Return the URL of an agent's cognitive cycle: ``/ws/cognitive/{agent_id}?tenant_id=…``.

        Raises:
            ConfigError: the id is empty, holds a line break, or is not a name for a path segment.
        """
        return self._client._url(f"/ws/cognitive/{_segment('agent_id', agent_id)}")

    @overload
    def agent_events(
        self, agent_id: Id, *, type: None, **arguments: Unpack[StreamArguments]
    ) -> Connecting[Any]: ...

    @overload
    def agent_events(
        self, agent_id: Id, *, type: TypeForm[T], **arguments: Unpack[StreamArguments]
    ) -> Connecting[T]: ...

    @overload
    def agent_events(
        self, agent_id: Id, **arguments: Unpack[StreamArguments]
    ) -> Connecting[AgentEvent | UnknownEvent]: ...

    def agent_events(
        self, agent_id: Id, *, type: Any = AgentEvent, **arguments: Unpack[StreamArguments]
    ) -> Connecting[Any]:
        """Connect to an agent's events: ``await`` it or use it with ``async with``.

        Args:
            agent_id: the agent, a UUID on the platform.
            type: what a message is decoded to; `rlfast.AgentEvent` by default, None for plain values.
            arguments: those of `rlfast.connect` except ``headers``; the name of the stream is
                ``agent_events:{agent_id}`` by default.

        Raises:
            ConfigError: an argument cannot work. For the rest see `rlfast.connect`.
        """
        url = self.agent_events_url(agent_id)
        return self._client._connect(url, type, f"agent_events:{agent_id}", arguments)

    @overload
    def cycle(
        self, agent_id: Id, *, type: None = None, **arguments: Unpack[StreamArguments]
    ) -> Connecting[Any]: ...

    @overload
    def cycle(
        self, agent_id: Id, *, type: TypeForm[T], **arguments: Unpack[StreamArguments]
    ) -> Connecting[T]: ...

    def cycle(
        self, agent_id: Id, *, type: Any = None, **arguments: Unpack[StreamArguments]
    ) -> Connecting[Any]:
        """Connect to an agent's cognitive cycle, which talks both ways: ``await`` it or use ``async with``.

        Args:
            agent_id: the agent, a UUID on the platform.
            type: what a message is decoded to; plain values by default, since no schema is published.
            arguments: those of `rlfast.connect` except ``headers``; the name of the stream is
                ``cycle:{agent_id}`` by default.

        Raises:
            ConfigError: an argument cannot work. For the rest see `rlfast.connect`.
        """
        return self._client._connect(self.cycle_url(agent_id), type, f"cycle:{agent_id}", arguments)


class OversightStreams:
    """The streams of oversight sessions; `ReasoningLayerClient.oversight`."""

    def __init__(self, client: ReasoningLayerClient) -> None:
        """Keep the client whose base URL, tenant and headers the streams use."""
        self._client = client

    def session_url(self, session_id: Id) -> str:
        """Return the URL of an oversight session: ``/ws/oversight/{session_id}?tenant_id=…``.

        Raises:
            ConfigError: the id is empty, holds a line break, or is not a name for a path segment.
        """
        return self._client._url(f"/ws/oversight/{_segment('session_id', session_id)}")

    @overload
    def session(
        self, session_id: Id, *, type: None = None, **arguments: Unpack[StreamArguments]
    ) -> Connecting[Any]: ...

    @overload
    def session(
        self, session_id: Id, *, type: TypeForm[T], **arguments: Unpack[StreamArguments]
    ) -> Connecting[T]: ...

    def session(
        self, session_id: Id, *, type: Any = None, **arguments: Unpack[StreamArguments]
    ) -> Connecting[Any]:
        """Connect to an oversight session: ``await`` it or use it with ``async with``.

        Args:
            session_id: the session.
            type: what a message is decoded to; plain values by default, since no envelope is published
                (its alerts are `rlfast.OversightAlert`).
            arguments: those of `rlfast.connect` except ``headers``; the name of the stream is
                ``oversight:{session_id}`` by default.

        Raises:
            ConfigError: an argument cannot work. For the rest see `rlfast.connect`.
        """
        return self._client._connect(self.session_url(session_id), type, f"oversight:{session_id}", arguments)


async def _auth_headers(auth: Auth | _OfficialHeaders | None) -> dict[str, str]:
    if auth is None:
        return {}
    if isinstance(auth, Bearer):
        return {"Authorization": f"Bearer {auth.token}"}
    if isinstance(auth, Cookie):
        return {"Cookie": auth.value}
    if isinstance(auth, TokenProvider):
        token = auth.provider()
        if inspect.isawaitable(token):
            token = await token
        return {"Authorization": f"Bearer {_check_token(token, 'what the token provider returned')}"}
    return auth.checked()


def _check_token(token: object, what: str) -> str:
    """Return `token` if it can be sent; the error does not show it."""
    if not isinstance(token, str):
        raise must_be(what, "str", token)
    if not _VISIBLE.fullmatch(token):
        raise ConfigError(
            f"{what} is empty or has characters other than visible ASCII "
            "(a space, a line break at its end, or 'Bearer ' in front, which is added by rlfast)"
        )
    return token


def _check_header(what: str, value: object) -> None:
    """Refuse what would end the header line or begin another one; the error does not show the value."""
    if not isinstance(value, str):
        raise must_be(what, "str", value)
    if not _PRINTABLE.fullmatch(value):
        raise ConfigError(
            f"{what} is empty or has characters other than printable ASCII, such as a line break"
        )


def _id_text(name: str, value: Id) -> str:
    check_type(name, value, (str, uuid.UUID), what="a str or a uuid.UUID")
    text = str(value)
    if not text.strip():
        raise ConfigError(f"{name} is empty")
    if _CONTROL.search(text):
        raise ConfigError(f"{name} holds a line break or a NUL character")
    return text


def _segment(name: str, value: Id) -> str:
    text = _id_text(name, value)
    if text in (".", ".."):
        # RFC 3986 section 5.2.4: these are removed from a path, and there is no way to encode them.
        raise ConfigError(f"{name} {text!r} cannot be part of a URL path")
    return _encode(name, text)


def _encode(name: str, value: str) -> str:
    try:
        return quote(value, safe="")
    except UnicodeEncodeError:
        raise ConfigError(f"{name} holds a character that has no UTF-8 form (a lone surrogate)") from None


def _websocket_base(base_url: str) -> str:
    """Return `base_url` with the WebSocket scheme and without a slash at the end.

    The errors do not show the URL: what is wrong with it may be a password in it.
    """
    check_type("base_url", base_url, str, what="a URL (str)")
    if not _URL.fullmatch(base_url):
        raise ConfigError(
            "base_url must be a URL such as https://host/prefix, without spaces and non-ASCII characters "
            "(write an international host name in its xn-- form)"
        )
    try:
        parts = urlsplit(base_url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ConfigError("base_url has no valid host and port") from None
    scheme = _SCHEMES.get(parts.scheme)
    if scheme is None or not host:
        raise ConfigError("base_url must begin with http://, https://, ws:// or wss:// and a host name")
    if "@" in parts.netloc:
        raise ConfigError("base_url holds a user name or password; pass credentials as auth=")
    if "?" in base_url or "#" in base_url:
        raise ConfigError("base_url must not hold a query (?) or a fragment (#)")
    return f"{scheme}://{parts.netloc.removesuffix(':')}{parts.path.rstrip('/')}"
