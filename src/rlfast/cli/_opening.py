"""What the command line says about opening a connection: messages, headers, the query, certificates."""

from __future__ import annotations

import inspect
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import typer
from typer.core import TyperCommand

from rlfast.cli._messages import expand, message
from rlfast.errors import ConfigError
from rlfast.schema._pointer import Condition
from rlfast.websocket._settings import ConnectArguments, HeaderProvider, Headers, check_headers

if TYPE_CHECKING:
    from rlfast.websocket._sending import NewConnection

__all__ = ["InOrder", "OpeningOptions"]


@dataclass(frozen=True)
class OpeningOptions:
    """What is said and shown to the server on every connection."""

    send: list[str] = field(default_factory=list)
    """With a `Wait` among them for each of `wait_for`, in the order of the command line: see `InOrder`."""
    wait_for: list[str] = field(default_factory=list)
    header: list[str] = field(default_factory=list)
    query: list[str] = field(default_factory=list)
    subprotocol: list[str] = field(default_factory=list)
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None

    def on_connect(self) -> Callable[[NewConnection], Awaitable[None]] | None:
        """What sends and waits, in the order of the command line; None if there is nothing to do.

        Raises:
            typer.BadParameter: a text cannot be had, or a condition is none.
        """
        steps = [
            _condition(text) if isinstance(text, Wait) else message("--send", text) for text in self.send
        ]
        if not steps:
            return None

        async def open_stream(connection: NewConnection) -> None:
            for step in steps:
                if isinstance(step, str):
                    await connection.send(step)
                else:
                    while not step.holds(await connection.receive()):
                        pass

        return open_stream

    def arguments(self, headers: Headers | HeaderProvider) -> ConnectArguments:
        """The same for `rlfast.connect`, with `headers` beside those of --header.

        Raises:
            typer.BadParameter: one cannot be read, or used.
            ConfigError: a header may not be sent.
        """
        return {
            "on_connect": self.on_connect(),
            "headers": self.headers(headers),
            "subprotocols": self.subprotocol,
            "ssl": self.ssl(),
        }

    def headers(self, others: Headers | HeaderProvider) -> Headers | HeaderProvider:
        """Those of --header, beside others.

        Raises:
            typer.BadParameter: one is not NAME=VALUE.
            ConfigError: one may not be sent.
        """
        own = check_headers(dict(_pair("--header", text, "NAME=VALUE") for text in self.header))
        if not own:
            return others
        if not callable(others):
            return {**others, **own}
        provide = others

        async def provide_both() -> Headers:
            given = provide()
            return {**(await given if inspect.isawaitable(given) else given), **own}

        return provide_both

    def url(self, url: str, *, shown: bool = False) -> str:
        """A URL with what --query adds; `shown`, with the names of variables for their values."""
        pairs = [_pair("--query", text, "NAME=VALUE", expanded=not shown) for text in self.query]
        if not pairs:
            return url
        parts = urlsplit(url)
        names = {name for name, _ in pairs}
        kept = [pair for pair in parts.query.split("&") if pair and not _names(pair) & names]
        return parts._replace(query="&".join([*kept, urlencode(pairs, quote_via=quote)])).geturl()

    def ssl(self) -> ssl.SSLContext | None:
        """What --ca, --cert and --key make; None if none is given.

        Raises:
            typer.BadParameter: a file cannot be used.
        """
        if self.key is not None and self.cert is None:
            raise typer.BadParameter("--key needs --cert, the certificate that the key is for")
        if self.ca is None and self.cert is None:
            return None
        try:
            context = ssl.create_default_context(cafile=self.ca)
        except (OSError, ssl.SSLError) as error:
            raise _unusable("--ca", self.ca, error, "certificates of authorities in PEM form") from None
        if self.cert is not None:
            try:
                context.load_cert_chain(self.cert, self.key, _no_password)
            except (OSError, ssl.SSLError) as error:
                which = "the certificate and, unless --key names it, its key, in PEM form"
                raise _unusable("--cert", self.cert, error, which) from None
        return context


class Wait(str):
    """A value of --wait-for among those of --send."""

    __slots__ = ()


def _no_password() -> str:
    raise typer.BadParameter("--key: it is encrypted; decrypt it first (openssl pkey), and guard the file")


def _unusable(option: str, path: Path | None, error: OSError, what: str) -> typer.BadParameter:
    why = error.strerror if not isinstance(error, ssl.SSLError) else (error.reason or "no PEM")
    return typer.BadParameter(f"{option} {str(path)!r} cannot be used ({why}); it names {what}")


def _names(pair: str) -> set[str]:
    return {name for name, _ in parse_qsl(pair, keep_blank_values=True)}


def _pair(option: str, text: str, form: str, *, expanded: bool = True) -> tuple[str, str]:
    name, found, value = text.partition("=")
    if not found or not name:
        raise typer.BadParameter(f"{option}: write {form}; a secret comes from a variable, as ${{TOKEN}}")
    return name, expand(option, value) if expanded else value


def _condition(text: str) -> Condition:
    try:
        return Condition.parse(expand("--wait-for", text))
    except ConfigError as error:
        raise typer.BadParameter(f"--wait-for: {error}") from None


class InOrder(TyperCommand):
    """A command that keeps the order of --send and --wait-for: click gives the values of each apart."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the values of the second among those of the first."""
        again = list(args)
        rest = super().parse_args(ctx, args)
        keys = {key.removeprefix("openingoptions_"): key for key in ctx.params}
        if ctx.params.get(keys.get("wait_for")):
            _, _, order = self.make_parser(ctx).parse_args(args=again)
            values = {
                keys["send"]: iter(ctx.params[keys["send"]]),
                keys["wait_for"]: iter(map(Wait, ctx.params[keys["wait_for"]])),
            }
            ctx.params[keys["send"]] = [next(values[found.name]) for found in order if found.name in values]
        return rest
