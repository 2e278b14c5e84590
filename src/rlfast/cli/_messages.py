"""Messages that the command line names."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

import typer

from rlfast.cli._units import parse_duration
from rlfast.errors import ConfigError
from rlfast.websocket._heartbeats import Heartbeat
from rlfast.websocket._replies import Reply
from rlfast.websocket._settings import KeepAliveArguments

__all__ = ["KeepAliveOptions", "expand", "heartbeat", "message", "reply"]

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def expand(option: str, text: str) -> str:
    """Put the values of variables in the place of ``${NAME}``. Raises typer.BadParameter: one is not set."""

    def value_of(found: re.Match[str]) -> str:
        value = os.environ.get(found[1])
        if value is None:
            raise typer.BadParameter(f"{option}: the environment variable {found[1]} is not set")
        return value

    return _VARIABLE.sub(value_of, text)


def message(option: str, text: str) -> str:
    """A message of the command line: ``@FILE`` is what the file holds, ``${NAME}`` the variable's value.

    Raises:
        typer.BadParameter: there is no such file, or variable.
    """
    if text.startswith("@@"):
        text = text[1:]
    elif text.startswith("@"):
        try:
            text = Path(text[1:]).read_text("utf-8").rstrip("\r\n")
        except (OSError, UnicodeError) as error:
            why = (isinstance(error, OSError) and error.strerror) or "it is not UTF-8"
            remedy = "a message that begins with @ is written with @@"
            raise typer.BadParameter(f"{option} {text}: cannot read the file ({why}); {remedy}") from None
    return expand(option, text)


def heartbeat(text: str) -> Heartbeat:
    """Read ``TIME:MESSAGE``. Raises typer.BadParameter: it is something else."""
    time, colon, what = text.partition(":")
    try:
        if not colon or not what:
            raise ConfigError("it has no message")
        return Heartbeat(parse_duration(time), message("--heartbeat", what))
    except ConfigError as error:
        raise typer.BadParameter(f"--heartbeat: {error}; write TIME:MESSAGE, such as 20s:ping") from None


def reply(text: str) -> Reply:
    """Read ``WHEN=>ANSWER``. Raises typer.BadParameter: it is something else."""
    when, arrow, answer = text.partition("=>")
    try:
        if not arrow or not answer:
            raise ConfigError("it has no answer")
        return Reply(when, message("--reply", answer))
    except ConfigError as error:
        example = """'"ping"=>{"pong": ${/ping}}'"""
        raise typer.BadParameter(f"--reply: {error}; write WHEN=>ANSWER, such as {example}") from None


@dataclass(frozen=True)
class KeepAliveOptions:
    """What the command line says about keep-alives of the application."""

    heartbeat: list[str] = field(default_factory=list)
    reply: list[str] = field(default_factory=list)
    ignore: list[str] = field(default_factory=list)

    def arguments(self) -> KeepAliveArguments:
        """The same for `rlfast.connect`. Raises typer.BadParameter: one cannot be read."""
        return {
            "heartbeat": [heartbeat(text) for text in self.heartbeat],
            "reply": [reply(text) for text in self.reply],
            "ignore": [message("--ignore", text) for text in self.ignore] or None,
        }
