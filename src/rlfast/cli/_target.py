"""Which stream a command line asks for, and how to connect to it."""

from __future__ import annotations

import importlib
import ipaddress
import os
import sys
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

import typer

from rlfast.cli import _messages
from rlfast.cli._opening import OpeningOptions
from rlfast.errors import ConfigError, UnsupportedFieldError
from rlfast.reasoning_layer._client import Bearer, ClientConfig, ReasoningLayerClient
from rlfast.reasoning_layer._events import AgentEvent
from rlfast.schema._decoding import Decoding, DecodingArguments, NaN, Surrogates
from rlfast.schema._envelope import plan_of
from rlfast.schema._framing import Framing
from rlfast.websocket._backoff import Backoff
from rlfast.websocket._connection import Connecting, connect
from rlfast.websocket._encodings import Encoding
from rlfast.websocket._options import ConnectionOptions
from rlfast.websocket._proxy import check_proxy
from rlfast.websocket._resume import Resume, without_parameter
from rlfast.websocket._sequence import Sequence
from rlfast.websocket._settings import HeaderProvider, Headers, KeepAliveArguments, check_url
from rlfast.websocket._stream_names import AGENT_EVENTS_PATH, default_stream_name

__all__ = ["DecodingOptions", "Target", "TargetOptions", "find_target", "load", "load_type", "no_numbers"]

NOTHING = OpeningOptions()
DEFAULT_TOKEN_ENV = "RLFAST_TOKEN"  # noqa: S105 (the name of a variable)


@dataclass(frozen=True)
class TargetOptions:
    """What the command line says about the stream: exactly one of the first four is set."""

    url: str | None = None
    agent: str | None = None
    cycle: str | None = None
    session: str | None = None
    base_url: str | None = None
    tenant: str | None = None
    token_env: str | None = None
    types: str | None = None
    stream: str | None = None
    proxy: str | None = None
    deflate: bool = False
    encoding: Encoding | None = None
    heartbeat: list[str] = field(default_factory=list)
    reply: list[str] = field(default_factory=list)
    ignore: list[str] = field(default_factory=list)

    def keep_alives(self) -> KeepAliveArguments:
        """The last three for `rlfast.connect`. Raises typer.BadParameter: one cannot be read."""
        return {
            "heartbeat": [_messages.heartbeat(text) for text in self.heartbeat],
            "reply": [_messages.reply(text) for text in self.reply],
            "ignore": [_messages.message("--ignore", text) for text in self.ignore] or None,
        }

    sequence: str | None = None
    sequence_by: str | None = None
    sequence_last: str | None = None
    sequence_per_connection: bool = False

    def numbers(self) -> Sequence | None:
        """Return where messages have numbers. Raises typer.BadParameter: there is only more about them."""
        by, last, anew = self.sequence_by, self.sequence_last, self.sequence_per_connection
        if self.sequence is not None:
            return Sequence(self.sequence, by, last, per_connection=anew)
        if by is not None or last is not None or anew:
            raise typer.BadParameter(
                "--sequence-by, --sequence-last and --sequence-per-connection need --sequence POINTER"
            )
        return None

    resume: str | None = None


@dataclass(frozen=True)
class DecodingOptions:
    """What the command line says about how messages become events: see `rlfast.connect`."""

    events_at: str = Decoding.events_at
    framing: Framing | None = Decoding.framing
    strict: bool = Decoding.strict
    nan: NaN = Decoding.nan
    surrogates: Surrogates = Decoding.surrogates
    dec_hook: str | None = None

    def arguments(self) -> DecodingArguments:
        """The same for `rlfast.connect`. Raises typer.BadParameter: there is no such hook."""
        hook = None if self.dec_hook is None else load("--dec-hook", self.dec_hook)
        return {
            "events_at": self.events_at,
            "framing": self.framing,
            "strict": self.strict,
            "dec_hook": hook,
            "nan": self.nan,
            "surrogates": self.surrogates,
        }


@dataclass(frozen=True)
class Target:
    """A stream to connect to."""

    url: str
    stream: str
    type: Any
    headers: Headers | HeaderProvider
    warning: str | None = None
    proxy: str | None = None
    deflate: bool = False
    encoding: Encoding | None = None
    opening: OpeningOptions = field(default_factory=OpeningOptions)
    sequence: Sequence | None = None
    decoding: DecodingArguments = field(default_factory=lambda: DecodingArguments())
    keep_alives: KeepAliveArguments = field(default_factory=lambda: KeepAliveArguments())
    resume: Resume | None = None

    def as_untyped(self) -> Target:
        """Return the same stream, with messages that are taken as they are."""
        return replace(self, type=None, decoding={**self.decoding, "events_at": ""})

    def connecting(self, reconnect: bool, options: ConnectionOptions | None = None) -> Connecting[Any]:
        """Return the connection, ready to be awaited."""
        return connect(
            self.url,
            type=self.type,
            headers=self.headers,
            backoff=Backoff.capture() if reconnect else None,
            stream=self.stream,
            proxy=self.proxy,
            compression="deflate" if self.deflate else None,
            encoding=self.encoding,
            on_connect=self.opening.on_connect(),
            subprotocols=self.opening.subprotocol,
            ssl=self.opening.ssl(),
            sequence=self.sequence,
            resume=self.resume,
            options=options,
            **self.keep_alives,
            **self.decoding,
        )


def no_numbers(sequence: Sequence) -> str:
    """What to say when nothing could be checked."""
    return f"warning: no message has a whole number at {sequence.number}, so no gap in them can be found"


def find_target(
    options: TargetOptions, opening: OpeningOptions = NOTHING, decoding: DecodingOptions | None = None
) -> Target:
    """Resolve the options.

    Raises:
        typer.BadParameter: the options do not go together.
        ConfigError: the URL, an id or the token cannot work.
    """
    streams = {
        "URL": options.url,
        "--agent": options.agent,
        "--cycle": options.cycle,
        "--session": options.session,
    }
    given = [name for name, value in streams.items() if value is not None]
    if len(given) != 1:
        found = " and ".join(given) if given else "none"
        raise typer.BadParameter(f"give exactly one of URL, --agent, --cycle and --session, not {found}")
    check_proxy(options.proxy)
    token = _token(options.token_env)
    arguments = DecodingArguments() if decoding is None else decoding.arguments()
    type_ = load_type(options.types, arguments) if options.types is not None else None
    if options.url is not None:
        target = _url_target(options, opening.url(check_stream_url(options.url), shown=True), type_, token)
        target = replace(target, url=check_url(opening.url(options.url)))
    else:
        target = _platform_target(options, given[0], type_, token)
        target = replace(target, url=opening.url(target.url))
    # What is wrong with these is told before anything is done.
    opening.on_connect(), opening.ssl()
    headers = opening.headers(target.headers)
    return replace(
        target,
        headers=headers,
        opening=opening,
        encoding=options.encoding,
        keep_alives=options.keep_alives(),
        sequence=options.numbers(),
        resume=_resume(options.resume),
        decoding=arguments,
    )


def _resume(text: str | None) -> Resume | None:
    if text is None:
        return None
    name, equals, pointer = text.partition("=")
    if not equals:
        raise typer.BadParameter(f"--resume {text!r}: write NAME=POINTER, such as cursor=/time_us")
    return Resume(name, pointer)


def _token(name: str | None) -> Bearer | None:
    value = os.environ.get(name or DEFAULT_TOKEN_ENV, "")
    if not value:
        if name is not None:
            raise typer.BadParameter(f"--token-env: the environment variable {name} is not set")
        return None
    return Bearer(value)


def check_stream_url(url: str) -> str:
    """Return `url` if it is that of a stream. Raises ConfigError."""
    if url.startswith(("http://", "https://")):
        scheme = "wss" if url.startswith("https") else "ws"
        raise ConfigError(
            f"the URL of a stream begins with {scheme}://, not {url.partition(':')[0]}://; for the base URL "
            "of a platform use --agent ID --tenant ID --base-url URL"
        )
    return check_url(url)


def _url_target(options: TargetOptions, url: str, type_: Any, token: Bearer | None) -> Target:
    parts = urlsplit(url)
    # Of an agent's events the name that --agent gives: the sequence goes on either way.
    resume = _resume(options.resume)
    stream = default_stream_name(url if resume is None else without_parameter(url, resume.parameter))
    if parts.path.endswith(AGENT_EVENTS_PATH):
        type_ = AgentEvent if type_ is None else type_
    headers = {"Authorization": f"Bearer {token.token}"} if token is not None else {}
    warning = None
    if token is not None and parts.scheme == "ws" and not _is_this_machine(parts.hostname or ""):
        warning = "warning: the token is sent unencrypted; use wss:// where the server offers it"
    return Target(url, options.stream or stream, type_, headers, warning, options.proxy, options.deflate)


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _platform_target(options: TargetOptions, which: str, type_: Any, token: Bearer | None) -> Target:
    if options.base_url is None or options.tenant is None:
        raise typer.BadParameter(f"{which} needs --base-url and --tenant")
    client = ReasoningLayerClient(ClientConfig(options.base_url, options.tenant, token))
    url: str
    if options.agent is not None:
        url, stream = client.cognitive.agent_events_url(options.agent), f"agent_events:{options.agent}"
        type_ = AgentEvent if type_ is None else type_
    elif options.cycle is not None:
        url, stream = client.cognitive.cycle_url(options.cycle), f"cycle:{options.cycle}"
    else:
        session = options.session or ""
        url, stream = client.oversight.session_url(session), f"oversight:{session}"
    name = options.stream or stream
    return Target(url, name, type_, client.headers, proxy=options.proxy, deflate=options.deflate)


def load_type(text: str, decoding: DecodingArguments | None = None) -> Any:
    """Import the type that ``module:Type`` names, which is to be decoded so.

    Raises:
        typer.BadParameter: there is no such type, or it cannot be decoded so.
    """
    found = load("--types", text)
    try:
        plan_of(Decoding(found, **(decoding or {})))
    except (ConfigError, UnsupportedFieldError) as error:
        raise typer.BadParameter(f"--types {text!r}: {error}") from error
    return found


def load(option: str, text: str) -> Any:
    """Import what ``module:Name`` names; modules of the current folder are found, too.

    Raises:
        typer.BadParameter: there is no such thing.
    """
    module_name, _, name = text.partition(":")
    if not module_name or not name:
        raise typer.BadParameter(f"{option} {text!r}: write module:Name, such as my_events:Event")
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        found: Any = importlib.import_module(module_name)
    except ImportError as error:
        raise typer.BadParameter(f"{option} {text!r}: cannot import {module_name}: {error}") from error
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise typer.BadParameter(f"{option} {text!r}: {module_name} has no {name}") from None
    return found
