"""``rlfast infer``: a sample of messages to the types that describe it."""

from __future__ import annotations

import asyncio
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Any

import typer

from rlfast.cli._common import Debug, duration, path, print_error
from rlfast.cli._display import Display
from rlfast.cli._interrupts import Interrupts
from rlfast.cli._options import make, takes
from rlfast.cli._sample import Sample, sample_path, sample_stream
from rlfast.cli._stream_options import stream_options
from rlfast.cli._target import DecodingOptions, Target, TargetOptions, find_target
from rlfast.errors import ConfigError
from rlfast.schema._infer import Inferred, infer_types
from rlfast.schema._infer_source import ALIAS, shown

__all__ = ["infer_command"]

STOP, OUTPUT = "How much to look at", "Output"


@takes(*stream_options(None, named=False, files=True))
def infer_command(
    messages: Annotated[
        int, typer.Option(metavar="N", min=1, help="Messages to look at.", rich_help_panel=STOP)
    ] = 10_000,
    seconds: Annotated[
        float,
        typer.Option(
            "--seconds",
            parser=duration,
            metavar="TIME",
            help="Of a stream: take what has come after this time, such as 90 or 10m.",
            show_default="60s",
            rich_help_panel=STOP,
        ),
    ] = 60.0,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            parser=path,
            help="Write the module here, such as my_types.py. Default: to stdout.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace the file if it is there.", rich_help_panel=OUTPUT)
    ] = False,
    debug: Debug = False,
    **given: Any,
) -> int:
    """Write the types of a stream: look at some messages, and print a Python module with msgspec types.

    Takes a URL, a file with one JSON message per line (also .gz), or the folder of a capture that was made
    without --types. Every message is then decoded with the types; the last lines say how many fit. Messages
    that fit none, such as answers to a subscription, are named in the module's docstring.

    The types are a beginning: what was seen seldom has a comment, names are those of JSON, and a field that
    was in every message of the sample is required. Read them, change them, keep them.

    Ctrl-C ends the look at a stream; the types are made of what has come until then.

    [bold]Examples[/bold]

    \b
      rlfast infer wss://HOST/PATH --out my_types.py
      rlfast capture wss://HOST/PATH --types my_types:Event

    \b
      rlfast infer messages.ndjson.gz
      rlfast infer wss://HOST/PATH --messages 1000 --seconds 5m > my_types.py
      rlfast capture wss://HOST/PATH --out raw --duration 1h; rlfast infer raw
    """
    if out is not None:
        _check_out(out, force)
    options, decoding = make(TargetOptions, given), make(DecodingOptions, given)
    interrupts = Interrupts()
    target: Target | None = None
    if options.url is not None and "://" not in options.url:
        _check_alone(options)
        sample, origin = sample_path(Path(options.url), messages, decoding.framing), Path(options.url).name
    else:
        target = find_target(given)
        if target.warning is not None:
            print_error(target.warning)
        # Without the hash of its query, which says nothing to a reader.
        origin = target.stream.partition("?")[0]
        display = Display(f"looking at {origin} (Ctrl-C ends)")
        sample = asyncio.run(sample_stream(target, messages, seconds, display, interrupts))
    if not sample.messages:
        if interrupts.stop.is_set():
            return interrupts.exit_code
        nothing = (
            "no message arrived; does the stream send without being asked? --seconds makes it wait longer"
        )
        print_error(nothing if target is not None else f"{options.url} holds no message")
        return 1
    inferred = infer_types(sample.messages, _heading(origin, sample))
    if inferred is None:
        print_error(
            f"none of {len(sample.messages):,} messages is a JSON object or array; the first one begins with "
            f"{shown(sample.messages[0][:40].decode(errors='replace'))}. A file has one message per line"
        )
        return 1
    if out is None:
        sys.stdout.write(inferred.source)
        sys.stdout.flush()
    else:
        _write(out, inferred.source, force)
    _report(inferred, sample, out, options, decoding)
    return interrupts.exit_code


def _check_alone(options: TargetOptions) -> None:
    """Refuse a file beside the options of a stream."""
    if options.agent or options.cycle or options.session:
        raise typer.BadParameter("give a file, or one of --agent, --cycle and --session, not both")


def _check_out(out: Path, force: bool) -> None:
    """Refuse a file that --types could not name, and one that is there; before anything is read."""
    name = out.stem
    if out.suffix != ".py" or not name.isidentifier():
        raise typer.BadParameter(
            f"--out {str(out)!r}: --types names a Python module; write for example my_types.py"
        )
    if name in sys.stdlib_module_names:
        raise typer.BadParameter(
            f"--out {str(out)!r}: Python has a module {name} itself; write for example my_{name}.py"
        )
    if not out.parent.is_dir():
        raise typer.BadParameter(f"--out {str(out)!r}: there is no folder {out.parent}")
    if out.exists() and not force:
        raise typer.BadParameter(f"--out {str(out)!r}: the file is there; --force replaces it")


def _write(out: Path, source: str, force: bool) -> None:
    try:
        with out.open("w" if force else "x", encoding="utf-8", newline="\n") as file:
            file.write(source)
    except OSError as error:
        raise ConfigError(f"cannot write {out}: {error.strerror or error}; choose another --out") from error


def _heading(origin: str, sample: Sample) -> list[str]:
    now = datetime.now(timezone.utc)
    count = len(sample.messages)
    lines = [
        f"Types of the messages of {shown(origin)}; all of them: {ALIAS}.",
        "",
        f"Made by rlfast infer from {count:,} message{'' if count == 1 else 's'} on {now:%Y-%m-%d}.",
    ]
    if sample.unzipped:
        verb = "was" if sample.unzipped == 1 else "were"
        lines.append(f"{sample.unzipped:,} of them {verb} compressed with gzip.")
    return lines


def _report(
    inferred: Inferred, sample: Sample, out: Path | None, options: TargetOptions, decoding: DecodingOptions
) -> None:
    """Say on stderr what fits, and what to do next."""
    total, others = len(sample.messages), sum(inferred.other.values())
    text = f"{inferred.fitting:,} of {total:,} messages fit"
    if others:
        text += f"; {others:,} {'is another message' if others == 1 else 'are other messages'}"
    if inferred.misfits:
        text += f"; {len(inferred.misfits):,} would be dead letters, the first: {inferred.misfits[0]}"
    print(shown(text, 500), file=sys.stderr)
    stream = "URL"
    if options.url is not None and "://" in options.url and "?" not in options.url:
        stream = options.url
    elif options.url is None:
        stream = next(f"--{n} ID" for n in ("agent", "cycle", "session") if getattr(options, n) is not None)
    module = "my_types" if out is None else out.stem
    where = "" if out is None or out.parent.resolve() == Path.cwd() else f", in {out.parent}"
    encoding = options.encoding or ("gzip" if sample.unzipped else None)
    more = "" if encoding is None else f" --encoding {encoding}"
    more += "" if decoding.framing is None else f" --framing {decoding.framing}"
    print(f"next{where}: rlfast capture {stream}{more} --types {module}:{ALIAS}", file=sys.stderr, flush=True)
