"""The command line: its commands, and what becomes of their errors."""

from __future__ import annotations

import inspect
import os
import sys
import traceback
from collections.abc import Callable
from typing import Annotated

import typer

from rlfast._core import __version__
from rlfast.cli._bench import bench_command
from rlfast.cli._capture import capture_command
from rlfast.cli._common import Debug, print_error, state
from rlfast.cli._demo import demo_command
from rlfast.cli._infer import infer_command
from rlfast.cli._inspect import inspect_command
from rlfast.cli._maintenance import compact_command, dead_letters_command, redrive_command
from rlfast.cli._opening import InOrder
from rlfast.cli._recover import recover_command
from rlfast.cli._simulate import simulate_command
from rlfast.errors import RlfastError

__all__ = ["run"]

# The class of typer that is not public by name: typer carries click within itself or imports it, by version.
_COMMAND_LINE_ERROR: type[Exception] = next(
    base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException"
)

app = typer.Typer(add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False)


def _print_version(value: bool) -> None:
    if value:
        print(f"rlfast {__version__}")
        raise typer.Exit


@app.callback()
def _rlfast(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
    debug: Debug = False,
) -> None:
    """Capture WebSocket streams of JSON events as columns, in Parquet files.

    [bold]Try it[/bold] without a platform: [cyan]rlfast demo[/cyan]

    Exit codes: 0 done, or stopped by SIGTERM or SIGHUP with everything received saved, 1 failed, 2 wrong
    usage, 130 stopped by Ctrl-C with everything received saved.
    """


def _help(command: Callable[..., object]) -> str:
    """Docstring of a command with one line per paragraph, as typer wants it; examples stay as they are."""
    paragraphs = inspect.cleandoc(command.__doc__ or "").split("\n\n")
    return "\n\n".join(
        text if text.startswith("\b") else " ".join(line.strip() for line in text.splitlines())
        for text in paragraphs
    )


_COMMANDS: dict[str, Callable[..., int]] = {
    "demo": demo_command,
    "capture": capture_command,
    "infer": infer_command,
    "inspect": inspect_command,
    "recover": recover_command,
    "dead-letters": dead_letters_command,
    "redrive": redrive_command,
    "compact": compact_command,
    "simulate": simulate_command,
    "bench": bench_command,
}
for _name, _command in _COMMANDS.items():
    app.command(_name, cls=InOrder, help=_help(_command))(_command)


def run(arguments: list[str]) -> int:
    """Run the command line and return the exit code; every error becomes one line on stderr."""
    state.debug = False
    try:
        return _invoke(arguments or ["--help"])
    except BrokenPipeError:
        # The reader of our output is gone; the interpreter would complain when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if state.debug:
            traceback.print_exc()
        if isinstance(error, RlfastError):
            print_error(str(error))
        else:
            advice = "" if state.debug else "; run it again with --debug for the details"
            print_error(f"unexpected {type(error).__name__}: {error}{advice}")
        return 1


def _invoke(arguments: list[str]) -> int:
    try:
        code = typer.main.get_command(app).main(arguments, prog_name="rlfast", standalone_mode=False)
        sys.stdout.flush()
    except typer.Abort:
        return 130
    except Exception as error:
        if not isinstance(error, _COMMAND_LINE_ERROR):
            raise
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else "rlfast"
        message = getattr(error, "format_message", error.__str__)()
        print_error(f"{message.removeprefix('Invalid value: ').rstrip('.')}; see: {command} --help")
        return int(getattr(error, "exit_code", 2))
    return code if isinstance(code, int) else 0
