"""``rlfast recover``: a data set made whole that a killed capture left."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from rlfast.cli._common import Debug, Folder, Json, print_json
from rlfast.cli._options import make, takes
from rlfast.cli._running import describe_recovery
from rlfast.cli._stream_options import DECODING
from rlfast.cli._target import DecodingOptions, load_type

__all__ = ["recover_command"]


@takes(DECODING)
def recover_command(
    folder: Folder,
    types: Annotated[
        str | None,
        typer.Option(
            metavar="MODULE:TYPE",
            help="msgspec struct, or union of them, of the messages, where that of the capture cannot be "
            "imported.",
        ),
    ] = None,
    stream: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Whose messages have this type, if there are several such streams."
        ),
    ] = None,
    as_json: Json = False,
    debug: Debug = False,
    **given: Any,
) -> int:
    """Save what a capture received and could not commit: it was killed, or the disk was full.

    Completes a commit that was under way, commits what is in the journal, and removes temporary files.
    It is safe to run again, and to interrupt. A capture into the folder does the same at its start.

    What a capture received is decoded by the type, and in the way, that it was told to use. Only where that
    type cannot be imported any more (its module is gone, or was a script), --types names another, and the
    other options say how it is decoded.

    [bold]Examples[/bold]

    \b
      rlfast recover events
      rlfast recover events --types my_events:Event
      rlfast recover events --types weather:Reading --stream weather
    """
    from rlfast.capture._recovery import BY_NAME, recover

    def progress(messages: int) -> None:
        if sys.stderr.isatty():
            print(f"\r{messages:,} messages", end="", file=sys.stderr, flush=True)

    if "" not in sys.path:
        sys.path.insert(0, "")  # The type of the events may be in a module of the current folder.
    if stream is not None and types is None:
        raise typer.BadParameter("--stream says whose type --types is; without --types, all are recovered")
    options = make(DecodingOptions, given)
    if types is None:
        if options != DecodingOptions():
            raise typer.BadParameter("a journal knows how its messages are decoded; say so with --types only")
        report = recover(folder, BY_NAME, stream=stream, progress=progress)
    else:
        decoding = options.arguments()
        report = recover(folder, load_type(types, decoding), stream=stream, progress=progress, **decoding)
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    if as_json:
        print_json(report)
    else:
        print("\n".join(describe_recovery(report)) or f"{folder} is whole: nothing to do")
    return 0
