"""Which stream a command line asks for, and how to connect to it."""

from __future__ import annotations

import importlib
import ipaddress
import os
import sys
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import typer

from rlfast.cli._continuity import ContinuityOptions
from rlfast.cli._messages import KeepAliveOptions
from rlfast.cli._opening import OpeningOptions
from rlfast.cli._options import make
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
from rlfast.websocket._resume import without_parameter
from rlfast.websocket._settings import (
    ConnectArguments,
    check_url,
)
from rlfast.websocket._stream_names import AGENT_EVENTS_PATH, default_stream_name

__all__ = ["DecodingOptions", "Target", "TargetOptions", "find_target", "load", "load_type", "target_of"]

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
    """A stream to connect to; `arguments` are those of `rlfast.connect`."""

    url: str
    stream: str
    type: Any
    arguments: ConnectArguments
    warning: str | None = None

    def as_untyped(self) -> Target:
        """Return the same stream, with messages that are taken as they are."""
        return replace(self, type=None, arguments={**self.arguments, "events_at": ""})

    def connecting(self, reconnect: bool, options: ConnectionOptions | None = None) -> Connecting[Any]:
        """Return the connection, ready to be awaited."""
        backoff = Backoff.capture() if reconnect else None
        more: ConnectArguments = {"stream": self.stream, "backoff": backoff, "options": options}
        arguments: ConnectArguments = {**self.arguments, **more}
        return connect(self.url, type=self.type, **arguments)


def find_target(given: dict[str, Any]) -> Target:
    """Resolve the options of `stream_options` that a command got.

    Raises:
        typer.BadParameter: the options do not go together.
        ConfigError: the URL, an id or the token cannot work.
    """
    return target_of(
        make(TargetOptions, given),
        make(OpeningOptions, given),
        make(DecodingOptions, given),
        {**make(KeepAliveOptions, given).arguments(), **make(ContinuityOptions, given).arguments()},
    )


def target_of(
    options: TargetOptions,
    opening: OpeningOptions = NOTHING,
    decoding: DecodingOptions | None = None,
    more: ConnectArguments | None = None,
) -> Target:
    """Resolve the options, with `more` arguments of `rlfast.connect`; see `find_target`."""
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
    decoded = DecodingArguments() if decoding is None else decoding.arguments()
    type_ = load_type(options.types, decoded) if options.types is not None else None
    if options.url is not None:
        named = opening.url(check_stream_url(options.url), shown=True)
        resume = (more or {}).get("resume")
        if resume is not None:
            named = without_parameter(named, resume.parameter)
        target = _url_target(options, named, type_, token)
        target = replace(target, url=check_url(opening.url(options.url)))
    else:
        target = _platform_target(options, given[0], type_, token)
        target = replace(target, url=opening.url(target.url))
    arguments: ConnectArguments = {
        **opening.arguments(target.arguments["headers"]),
        **decoded,
        **(more or {}),
        "proxy": options.proxy,
        "compression": "deflate" if options.deflate else None,
        "encoding": options.encoding,
    }
    return replace(target, arguments=arguments)


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
    stream = default_stream_name(url)
    if parts.path.endswith(AGENT_EVENTS_PATH):
        type_ = AgentEvent if type_ is None else type_
    headers = {"Authorization": f"Bearer {token.token}"} if token is not None else {}
    warning = None
    if token is not None and parts.scheme == "ws" and not _is_this_machine(parts.hostname or ""):
        warning = "warning: the token is sent unencrypted; use wss:// where the server offers it"
    return Target(url, options.stream or stream, type_, {"headers": headers}, warning)


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
    return Target(url, name, type_, {"headers": client.headers})


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
