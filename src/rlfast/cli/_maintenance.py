"""``rlfast compact``, ``rlfast dead-letters`` and ``rlfast redrive``: a data set at rest."""

from __future__ import annotations

import sys
from datetime import datetime, timezone
from typing import Annotated, Any

import typer

from rlfast.cli._common import Debug, Folder, Json, print_error, print_json, size
from rlfast.cli._options import make, takes
from rlfast.cli._stream_options import DECODING
from rlfast.cli._target import DecodingOptions, load_type
from rlfast.cli._units import format_bytes, write_size
from rlfast.reasoning_layer._events import AgentEvent
from rlfast.sinks.parquet._options import (
    DEFAULT_COMPRESSION,
    TARGET_BYTES,
    Compression,
    Timestamps,
    UUIDFormat,
)

__all__ = ["compact_command", "dead_letters_command", "redrive_command"]


def compact_command(
    folder: Folder,
    target: Annotated[
        int,
        typer.Option(
            "--target-size",
            parser=size,
            metavar="SIZE",
            help="Of a merged file.",
            show_default=write_size(TARGET_BYTES),
        ),
    ] = TARGET_BYTES,
    compression: Annotated[Compression, typer.Option(help="Codec.")] = DEFAULT_COMPRESSION,
    unify: Annotated[
        bool,
        typer.Option("--unify", help="Give all files of a type one schema, where that loses nothing."),
    ] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> int:
    """Merge small files: of one type, one partition and one stream, those that follow each other.

    With --unify, files of a type whose columns differ become files with one schema: columns that some do not
    have are null there, integers beside floats become floats if that changes no value. What would lose
    something is left as it is, and told.

    Each merge is one commit: who reads by the manifest sees the old files or the new one, never both.
    No capture may be running in the folder. It is safe to interrupt.

    [bold]Examples[/bold]

    \b
      rlfast compact events
      rlfast compact events --target-size 512MB
      rlfast compact events --unify
    """
    from rlfast.capture import compact

    def progress(done: int, total: int) -> None:
        if sys.stderr.isatty():
            print(f"\r{done:,} of {total:,} files", end="", file=sys.stderr, flush=True)

    report = compact(folder, target, compression, unify=unify, progress=progress)
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    if as_json:
        print_json(report)
    elif report.merged:
        print(
            f"merged {report.merged:,} files ({format_bytes(report.bytes_before)}) into {report.written:,} "
            f"({format_bytes(report.bytes_after)})"
        )
    else:
        print("nothing to merge")
    for name, reason in report.left:
        print_error(f"{name} keeps several schemas: {reason}")
    return 0


def dead_letters_command(
    folder: Folder,
    samples: Annotated[int, typer.Option(metavar="N", min=0, help="Samples of each reason.")] = 3,
    as_json: Json = False,
    debug: Debug = False,
) -> int:
    """Show what could not be decoded, by reason, with samples.

    [bold]Examples[/bold]

    \b
      rlfast dead-letters events
      rlfast redrive events --types my_events:Event
    """
    from rlfast.capture import list_dead_letters

    groups = list_dead_letters(folder, samples)
    if as_json:
        print_json({"dead_letters": groups})
        return 0
    for group in groups:
        print(f"{group.reason}: {group.count:,}")
        for sample in group.samples:
            time = datetime.fromtimestamp(sample.received_at // 1_000_000_000, timezone.utc)
            print(
                f"  {sample.stream} seq {sample.seq:,}, {time:%Y-%m-%d %H:%M:%S} UTC: {_shown(sample.error)}"
            )
            print(f"    {_shown(sample.raw)}")
    if not groups:
        print("no dead letters")
    return 0


def _shown(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)


@takes(DECODING)
def redrive_command(
    folder: Folder,
    types: Annotated[
        str | None,
        typer.Option(
            metavar="MODULE:TYPE",
            help="msgspec struct, or union of them, of the messages. Default: the agent events.",
        ),
    ] = None,
    timestamps: Annotated[
        Timestamps | None,
        typer.Option(help="As for capture.", show_default="as the newest files have them"),
    ] = None,
    stream: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Whose dead letters, if there are some of several streams."),
    ] = None,
    uuid: Annotated[
        UUIDFormat | None,
        typer.Option(help="As for capture.", show_default="as the newest files have them"),
    ] = None,
    as_json: Json = False,
    debug: Debug = False,
    **given: Any,
) -> int:
    """Decode the dead letters again, with a newer type, and commit what now fits. The rest stays.

    Events keep their seq and their time of receipt. No capture may be running in the folder.

    [bold]Examples[/bold]

    \b
      rlfast dead-letters events
      rlfast redrive events --types my_events:Event
      rlfast redrive events --types weather:Reading --stream weather --nan null
    """
    from rlfast.capture import redrive

    decoding = make(DecodingOptions, given).arguments()
    type_ = AgentEvent if types is None else load_type(types, decoding)
    report = redrive(folder, type_, uuid, timestamps, stream=stream, **decoding)
    if as_json:
        print_json(report)
        return 0
    print(f"{report.read:,} dead letters decoded again, {sum(report.events.values()):,} are events now")
    for name, count in report.events.items():
        print(f"  {name}: {count:,}")
    for reason, count in report.left.items():
        print(f"still dead, {reason}: {count:,}")
    return 0
