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

from rlfast.errors import ConfigError, UnsupportedFieldError
from rlfast.reasoning_layer._client import Bearer, ClientConfig, ReasoningLayerClient
from rlfast.reasoning_layer._events import AgentEvent
from rlfast.schema._decoding import Decoding, DecodingArguments, NaN, Surrogates
from rlfast.schema._envelope import plan_of
from rlfast.websocket._backoff import Backoff
from rlfast.websocket._connection import Connecting, connect
from rlfast.websocket._options import ConnectionOptions
from rlfast.websocket._proxy import check_proxy
from rlfast.websocket._resume import Resume, without_parameter
from rlfast.websocket._settings import HeaderProvider, Headers, check_url
from rlfast.websocket._stream_names import AGENT_EVENTS_PATH, default_stream_name

__all__ = ["DecodingOptions", "Target", "TargetOptions", "find_target", "load", "load_type"]

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
    resume: str | None = None


@dataclass(frozen=True)
class DecodingOptions:
    """What the command line says about how messages become events: see `rlfast.connect`."""

    events_at: str = Decoding.events_at
    strict: bool = Decoding.strict
    nan: NaN = Decoding.nan
    surrogates: Surrogates = Decoding.surrogates
    dec_hook: str | None = None

    def arguments(self) -> DecodingArguments:
        """The same for `rlfast.connect`. Raises typer.BadParameter: there is no such hook."""
        hook = None if self.dec_hook is None else load("--dec-hook", self.dec_hook)
        return {
            "events_at": self.events_at,
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
    decoding: DecodingArguments = field(default_factory=lambda: DecodingArguments())
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
            resume=self.resume,
            options=options,
            **self.decoding,
        )


def find_target(options: TargetOptions, decoding: DecodingOptions | None = None) -> Target:
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
        target = _url_target(options, options.url, type_, token)
    else:
        target = _platform_target(options, given[0], type_, token)
    return replace(target, decoding=arguments, resume=_resume(options.resume))


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


def _url_target(options: TargetOptions, url: str, type_: Any, token: Bearer | None) -> Target:
    if url.startswith(("http://", "https://")):
        scheme = "wss" if url.startswith("https") else "ws"
        raise ConfigError(
            f"the URL of a stream begins with {scheme}://, not {url.partition(':')[0]}://; for the base URL "
            "of a platform use --agent ID --tenant ID --base-url URL"
        )
    parts = urlsplit(check_url(url))
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
