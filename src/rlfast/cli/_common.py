"""What several commands share: options, one-line errors, output."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
import typer

from rlfast.cli._units import parse_duration, parse_size
from rlfast.errors import ConfigError, RlfastError, check_path
from rlfast.websocket._handshake import CA_ADVICE, CERT_ADVICE
from rlfast.websocket._settings import SUBPROTOCOL_ADVICE

__all__ = [
    "Debug",
    "Folder",
    "Json",
    "duration",
    "leave_terminal",
    "path",
    "print_error",
    "print_json",
    "size",
    "size_or_zero",
    "state",
    "terminal_may_be_gone",
]

T = TypeVar("T")

_OPTIONS = {
    CA_ADVICE: "name its certificate: --ca FILE",
    CERT_ADVICE: "name one: --cert FILE, and --key FILE if its key is in another file",
    SUBPROTOCOL_ADVICE: "offer it with --subprotocol NAME",
}


class _State:
    """Options that concern the whole program."""

    debug = False


state = _State()


def _set_debug(value: bool) -> bool:
    state.debug = state.debug or value
    return value


Debug = Annotated[
    bool, typer.Option("--debug", help="Show the traceback of an error.", callback=_set_debug, is_eager=True)
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object to stdout, and nothing else.")]


def _parser(parse: Callable[[str], T]) -> Callable[[Any], T]:
    def convert(value: Any) -> T:
        try:
            return parse(str(value))
        except ConfigError as error:
            raise typer.BadParameter(str(error)) from None

    return convert


size = _parser(parse_size)
size_or_zero = _parser(lambda text: 0 if text.strip() == "0" else parse_size(text))
duration = _parser(parse_duration)
path = _parser(lambda text: check_path("the path", text) and Path(text))
"""Paths stay as they were written, for what is printed of them."""

Folder = Annotated[
    Path,
    typer.Argument(metavar="DIR", parser=path, help="Folder of a capture (its --out).", show_default=False),
]


@contextlib.contextmanager
def terminal_may_be_gone() -> Iterator[None]:
    """Print without an error when the terminal is closed; what follows is printed nowhere."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.EIO or isinstance(error, RlfastError):
            raise
        leave_terminal()


def leave_terminal() -> None:
    """Let standard streams that are devices, such as a terminal, lead nowhere."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        with contextlib.suppress(OSError):  # It may be closed.
            if stat.S_ISCHR(os.fstat(number).st_mode):
                os.dup2(nowhere, number)
    os.close(nowhere)


def print_error(message: str) -> None:
    """Print one line to stderr. Control characters, which may come from a server, are shown, not sent.

    What an error advises a program to do is said as the option that does it.
    """
    for advice, option in _OPTIONS.items():
        message = message.replace(advice, option)
    text = "".join(char if char.isprintable() else " " for char in message)
    with terminal_may_be_gone():
        print(f"rlfast: {' '.join(text.split())}", file=sys.stderr, flush=True)


def print_json(value: Any) -> None:
    """Print one JSON object to stdout, on one line."""
    sys.stdout.buffer.write(msgspec.json.encode(value) + b"\n")
    sys.stdout.flush()
