"""The ``rlfast`` command. Its libraries come with the extra ``rlfast[capture]``; without them it says so."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rlfast.errors import MissingExtraError

__all__ = ["main"]

_LIBRARIES = ("filelock", "xxhash", "typer", "rich")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code.

    0: done, also by SIGTERM or SIGHUP with everything that was received saved. 1: failed, with one line on
    stderr that says what to do. 2: wrong usage. 130: interrupted by Ctrl-C, with everything that was received
    saved.

    Args:
        arguments: the command line without the program's name; by default that of the process.
    """
    try:
        from rlfast.cli._app import run
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _LIBRARIES:
            raise
        print(f"rlfast: {MissingExtraError(package, 'capture')}", file=sys.stderr)
        return 1
    return run(sys.argv[1:] if arguments is None else list(arguments))
