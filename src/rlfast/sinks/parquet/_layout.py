"""Names of the files of a data set.

The layout::

    OUT/type=kb_change/part-<stream>-<first_seq>.parquet     events of one type and one segment
    OUT/rlfast_type=…/                                       the same, of types with a field named type
    OUT/_dead_letters/part-<stream>-<first_seq>.parquet      what could not be decoded
    OUT/_other/part-<stream>-<first_seq>.parquet             messages of other kinds than the type's
    OUT/_gaps/part-<stream>-<first_seq>-<time>.parquet       when messages may have been missed
    OUT/_manifest.jsonl                                      one line per committed segment
    OUT/_commit.json                                         a commit under way
    OUT/_journal/<stream>/                                   what is received and not yet committed
    OUT/_lock                                                held by the one process that writes

With partitions, files of events are in folders such as ``type=kb_change/date=2026-11-23/hour=10``.

``<stream>`` is a short hash of the stream's name, so that several streams share a folder; ``<first_seq>`` is
the segment's first sequence number with leading zeros, so that names sort by it. A file that is being
written has a name with a leading dot and ``.tmp`` at its end, which readers skip.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, unquote

from rlfast.sinks._files import stream_key

__all__ = [
    "DEAD_LETTERS",
    "GAPS",
    "MANIFEST",
    "final_name",
    "gaps_name",
    "is_type_folder",
    "part_files",
    "temporary_files",
    "type_folder",
    "type_of_folder",
]

DEAD_LETTERS = "_dead_letters"
OTHER = "_other"
GAPS = "_gaps"
MANIFEST = "_manifest.jsonl"
LONGEST_FOLDER = 200
"""Bytes of the name of a folder; a part of the path below it may be as long again."""

_TYPE_FOLDER = re.compile(r"(rlfast_)?type(_\d+)?=")


def type_folder(tag: str, key: str = "type") -> str:
    """Return the folder of an event type: Hive style, with everything that is special in a path escaped.

    `key` is that of `OwnNames`. File systems have a bound on the length of a name, mostly 255 bytes: a longer
    one is cut, and ends in a hash of the whole; the footer of each file has the type in full.
    """
    if tag == OTHER:
        return OTHER
    folder = f"{key}={quote(tag, safe='')}"
    if len(folder) <= LONGEST_FOLDER:
        return folder
    mark = "~" + hashlib.blake2b(tag.encode(), digest_size=8).hexdigest()
    head = f"{key}="
    for char in tag:
        quoted = quote(char, safe="")
        if len(head) + len(quoted) + len(mark) > LONGEST_FOLDER:
            break
        head += quoted
    return head + mark


def is_type_folder(name: str) -> bool:
    """Tell whether a folder of a data set is that of an event type."""
    return name == OTHER or _TYPE_FOLDER.match(name) is not None


def type_of_folder(folder: str) -> str:
    """Return the event type of a folder; the inverse of `type_folder`, but for names that were cut."""
    return OTHER if folder == OTHER else unquote(folder.partition("=")[2])


def final_name(stream: str, first_seq: int) -> str:
    """Return the name of the files of a segment."""
    return f"part-{stream_key(stream)}-{first_seq:020d}.parquet"


def gaps_name(stream: str, first_seq: int, time: int) -> str:
    """Return the name of a segment's file of gaps. Segments without messages differ in the time only."""
    return f"part-{stream_key(stream)}-{first_seq:020d}-{time}.parquet"


def _table_folders(out: Path) -> Iterator[Path]:
    for folder in sorted(out.iterdir()):
        if (folder.name in (DEAD_LETTERS, GAPS) or is_type_folder(folder.name)) and folder.is_dir():
            yield folder


def part_files(out: Path, stream: str | None = None) -> Iterator[Path]:
    """Yield the files of events and dead letters that have their final name, of one stream or of all."""
    pattern = "part-*.parquet" if stream is None else f"part-{stream_key(stream)}-*.parquet"
    for folder in _table_folders(out):
        if folder.name != GAPS:
            yield from sorted(folder.rglob(pattern))


def temporary_files(out: Path) -> Iterator[Path]:
    """Yield the files that are being written, or were when their capture was killed."""
    yield from sorted(out.glob(".*.tmp"))
    for folder in _table_folders(out):
        yield from sorted(folder.rglob(".*.tmp"))
