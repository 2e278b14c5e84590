"""Opening one WebSocket connection: DNS, TCP, TLS and the HTTP upgrade, within one time-out.

Whatever goes wrong becomes a `ConnectError` whose text begins with ``websocket connect failed:`` (as in the
Rust SDK) and says what to do. Header values never enter a text or a log record.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import inspect
import logging
import re
import socket
import ssl as ssl_module
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urldefrag, urljoin, urlsplit

import aiofastnet
from aiohappyeyeballs import start_connection
from picows import WSAutoPingStrategy, WSError, WSParsedURL
from picows.picows import WSProtocol  # type: ignore[attr-defined]
from picows.proxy import ConnectedTransport, connect_through_optional_proxy
from picows.url import parse_url
from python_socks import ProxyConnectionError, ProxyError

from rlfast._core.frame_handler import FrameHandler
from rlfast.errors import ConnectError, HandshakeRejectedError
from rlfast.websocket._deflate import NegotiationError
from rlfast.websocket._proxy import display_proxy
from rlfast.websocket._resolver import resolve
from rlfast.websocket._settings import Settings, check_headers, display_url
from rlfast.websocket._timeouts import finish_within
from rlfast.websocket._upgrade import Answer, Upgrade, UpgradeError

if TYPE_CHECKING:
    _LoggerAdapter = logging.LoggerAdapter[logging.Logger]
else:
    _LoggerAdapter = logging.LoggerAdapter  # generic from Python 3.11 on

MAX_REDIRECTS = 5
# How long an address gets before the next one is tried beside it (RFC 8305 section 5).
NEXT_ADDRESS_DELAY = 0.25

_log = logging.getLogger("rlfast.wire")
_ADVICE = {
    401: "the credentials are missing, wrong or expired",
    403: "the credentials do not allow this stream, or the application refuses for another reason",
    404: "there is no such endpoint; check the path and the ids",
    429: "too many requests; try again later",
    503: "the server is not available; try again later",
}


class _WireLogger(_LoggerAdapter):
    """What picows logs through. Its debug records hold the token of the upgrade request: they never pass."""

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - the name is logging's
        return level >= logging.INFO and _log.isEnabledFor(logging.DEBUG)

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Pass a record on as a debug record; what matters reaches the caller as an exception."""
        if self.isEnabledFor(level):
            _log.debug(msg, *args)


async def open_connection(
    settings: Settings,
    frame_handler: FrameHandler,
    resumed: Callable[[str], str] | None = None,
) -> None:
    """Open the connection of `settings` with `frame_handler` as its listener.

    `resumed` makes of the URL the one to be opened.

    ``options.connect_timeout`` covers the header provider, DNS, TCP, the proxy, TLS and the upgrade together.
    A host with several addresses gets the first that answers (RFC 8305).

    Redirects are followed within the same origin only, so that no credential leaves it.

    Raises:
        HandshakeRejectedError: the server answered with another status than 101.
        ConnectError: anything else that keeps the connection from opening.
        ConfigError: the headers cannot be sent.
        Exception: whatever a header provider raises.
    """
    opening = _Opening(settings, frame_handler, resumed)
    timeout = settings.options.connect_timeout
    try:
        await finish_within(opening.run(), timeout)
    except (TimeoutError, asyncio.TimeoutError):
        opening.drop()
        raise opening.failed(f"no answer within {timeout:g} s") from None
    except BaseException:
        opening.drop()
        raise


class _Opening:
    """One attempt to open a connection, over its redirects."""

    def __init__(
        self,
        settings: Settings,
        frame_handler: FrameHandler,
        resumed: Callable[[str], str] | None = None,
    ) -> None:
        self._settings = settings
        self._resumed = resumed
        self._frame_loop = frame_handler
        self._socket: socket.socket | None = None

    async def run(self) -> None:
        headers = self._settings.headers
        given = headers() if callable(headers) else headers
        sent = check_headers(await given if inspect.isawaitable(given) else given)
        if self._settings.compression is not None:
            sent["Sec-WebSocket-Extensions"] = self._settings.compression.offer
        target = self._settings.url
        if self._resumed is not None:
            target = self._resumed(target)
        for _ in range(MAX_REDIRECTS + 1):
            try:
                answer = await self._try(target, sent)
            except UpgradeError as error:
                raise self.failed(f"the answer is not a WebSocket upgrade: {error}") from None
            except (TimeoutError, asyncio.TimeoutError):
                raise
            except (OSError, WSError, ProxyError) as error:
                raise self.failed(self._explain(target, error)) from None
            if answer is None:
                raise self.failed("the server closed the connection during the upgrade")
            if answer.status == 101:
                return
            if answer.status not in (301, 302, 303, 307, 308):
                raise _rejected(self._settings.url, answer.status, answer.get("retry-after"))
            target = _redirect_target(target, answer.get("location"))
        raise self.failed(f"more than {MAX_REDIRECTS} redirects")

    async def _try(self, target: str, headers: dict[str, str]) -> Answer | None:
        """Ask for the upgrade. Returns the answer; None: the server hung up instead."""
        url = parse_url(target)
        context = (self._settings.ssl or ssl_module.create_default_context()) if url.is_secure else None
        proxy = parse_url(self._settings.proxy, False) if self._settings.proxy is not None else None
        loop = asyncio.get_running_loop()

        def make_protocol() -> Upgrade:
            return Upgrade(self._make_picows(url, headers), self._accept)

        transport, upgrade = await self._connect(loop, url, proxy, context, make_protocol)
        try:
            return await upgrade.answered
        except BaseException:
            transport.abort()
            raise

    async def _connect(
        self,
        loop: asyncio.AbstractEventLoop,
        url: WSParsedURL,
        proxy: WSParsedURL | None,
        context: ssl_module.SSLContext | None,
        make_protocol: Callable[[], Upgrade],
    ) -> tuple[Any, Upgrade]:
        """TCP, the proxy and TLS: what picows' ws_connect does."""
        arguments: dict[str, Any] = {}
        create_connection = partial(aiofastnet.create_connection, loop)
        connection = await connect_through_optional_proxy(
            loop, url, proxy, self._connect_socket, context, None, arguments, create_connection
        )
        if not isinstance(connection, ConnectedTransport):
            return await create_connection(make_protocol, ssl=context, sock=connection.sock, **arguments)
        # Behind an HTTP proxy.
        transport: Any = connection.transport
        try:
            if context is not None:
                transport = await aiofastnet.start_tls(
                    loop, transport, transport.get_protocol(), context, server_hostname=url.host
                )
            upgrade = make_protocol()
            transport.set_protocol(upgrade)
            upgrade.connection_made(transport)
        except BaseException:
            transport.abort()
            raise
        return transport, upgrade

    def _make_picows(self, url: WSParsedURL, headers: dict[str, str]) -> Any:
        return WSProtocol(
            host_port=url.netloc,
            ws_path=url.resource_name,
            is_client_side=True,
            ws_listener_factory=lambda *_: self._frame_loop,
            logger=_WireLogger(_log, {}),
            disconnect_on_exception=True,
            # Time is kept by `open_connection`, and `drop` hangs up.
            websocket_handshake_timeout=None,
            # The frame loop answers pings itself, and its pinger does not know of our backpressure.
            enable_auto_ping=False,
            auto_ping_idle_timeout=0,
            auto_ping_reply_timeout=0,
            auto_ping_strategy=WSAutoPingStrategy.PING_WHEN_IDLE,
            enable_auto_pong=False,
            # Only control frames come to picows (RFC 6455 section 5.5).
            max_frame_size=125,
            extra_headers=headers,
            read_buffer_init_size=4096,
        )

    @property
    def max_frame_size(self) -> int:
        """What cannot be compressed grows by five bytes in 16 KiB; the message itself is measured later."""
        size = self._settings.options.max_message_size
        return size + (size >> 10) + 64 if self._settings.compression is not None else size

    def _accept(self, answer: Answer) -> None:
        """Look at an answer that is an upgrade.

        RFC 6455 section 4.1: an extension or a subprotocol that was not asked for fails the connection.
        """
        if any(answer.headers.get("sec-websocket-protocol", ())):
            raise self.failed("the server chose a subprotocol, and none was offered")
        self._frame_loop.max_frame_size = self.max_frame_size
        answers = answer.headers.get("sec-websocket-extensions", [])
        if self._settings.compression is None:
            if any(answers):
                raise self.failed("the server uses an extension that was not offered")
            return
        try:
            agreement = self._settings.compression.agree(answers)
        except NegotiationError as error:
            raise self.failed(str(error)) from None
        if agreement is not None:
            self._frame_loop.assembler.inflater = agreement.inflater
            self._frame_loop.deflate = agreement.deflate if agreement.compresses else None

    async def _connect_socket(self, url: WSParsedURL) -> socket.socket:
        """Connect to the first address of the host that answers.

        Not left to create_connection: cancelled at the wrong moment, its staggered race forgets an open
        socket.
        """
        self._socket = await start_connection(
            await resolve(url.host, url.port), happy_eyeballs_delay=NEXT_ADDRESS_DELAY, interleave=1
        )
        return self._socket

    def drop(self) -> None:
        """The attempt is over: hang up now. Who is in the middle of TLS or a proxy would keep the socket."""
        self._frame_loop.abandon()
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def _explain(self, target: str, error: Exception) -> str:
        """What went wrong, and what to do about it."""
        text = str(error)[:200] or type(error).__name__
        if isinstance(error, (ProxyError, ProxyConnectionError)):
            if "407" in text or "auth" in text.lower():
                return "the proxy wants other credentials; write them as http://user:password@host:port"
            return f"the proxy does not connect: {text}"
        if isinstance(error, ssl_module.SSLCertVerificationError):
            advice = "for a private CA pass ssl=ssl.create_default_context(cafile=...)"
            return f"TLS certificate: {error.verify_message}; {advice}"
        if isinstance(error, ssl_module.SSLError):
            return f"TLS: {error.reason or error}; does the server speak TLS on this port?"
        peer = "proxy" if self._settings.proxy else "server"
        if isinstance(error, socket.gaierror):
            return f"cannot resolve the host name ({error.strerror}); check the URL"
        refusals = text.count(f"[Errno {errno.ECONNREFUSED}]")
        if isinstance(error, ConnectionRefusedError) or (refusals and refusals == text.count("[Errno")):
            return f"connection refused; is the {peer} running and the port right?"
        if isinstance(error, ConnectionResetError):
            secure = target.startswith("wss:")
            advice = "; does it speak TLS on this port?" if secure else " during the upgrade"
            return f"the {peer} dropped the connection{advice}"
        return text

    def failed(self, text: str) -> ConnectError:
        """The error that a caller gets."""
        return _failed(
            self._settings.url,
            f"{text} (proxy {display_proxy(self._settings.proxy)})" if self._settings.proxy else text,
        )


def _failed(url: str, text: str) -> ConnectError:
    return ConnectError(f"websocket connect failed: {display_url(url)}: {text}")


def _rejected(url: str, status: int, retry_after: str | None) -> HandshakeRejectedError:
    advice = _ADVICE.get(status, "the server did not accept the upgrade")
    seconds = (
        float(retry_after) if retry_after is not None and re.fullmatch(r"\d{1,9}", retry_after) else None
    )
    return HandshakeRejectedError(
        f"websocket connect failed: {display_url(url)}: HTTP {status}: {advice}", status, seconds
    )


def _redirect_target(url: str, location: str | None) -> str:
    """The URL of a redirect, if it stays within the origin of `url`."""
    if location is None:
        raise _failed(url, "redirect without a Location header")
    try:
        # As browsers do: what may not stand in a request is encoded, and the fragment is not for the server.
        target = urljoin(url, quote(location, safe="!#$%&'()*+,/:;=?@[]~", encoding="latin-1"))
        target = urldefrag(target).url
        # A server that does not know of WebSocket URLs names http and https.
        for scheme, replacement in (("http://", "ws://"), ("https://", "wss://")):
            if target.startswith(scheme):
                target = replacement + target[len(scheme) :]
        old, new = urlsplit(url), urlsplit(target)
        same = _origin(old) == _origin(new)
    except ValueError:
        raise _failed(url, "redirect to a URL with an invalid host or port") from None
    if not same:
        raise _failed(
            url,
            f"redirect to another origin ({new.scheme}://{new.hostname}), which would get the credentials; "
            "connect to it directly if you trust it",
        )
    return target


def _origin(parts: Any) -> tuple[str, str | None, int]:
    return parts.scheme, parts.hostname, parts.port or (443 if parts.scheme == "wss" else 80)
