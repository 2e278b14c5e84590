"""Names of the files of a data set, and the few file system operations that must be durable.

The layout::

    OUT/type=kb_change/part-<stream>-<first_seq>.parquet     events of one type and one segment
    OUT/rlfast_type=…/                                       the same, of types with a field named type
    OUT/_dead_letters/part-<stream>-<first_seq>.parquet      what could not be decoded
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

import errno
import hashlib
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, unquote

from rlfast.capture._place import check_place
from rlfast.errors import CaptureError

__all__ = [
    "DEAD_LETTERS",
    "GAPS",
    "MANIFEST",
    "ensure_folder",
    "explain",
    "final_name",
    "gaps_name",
    "is_type_folder",
    "part_files",
    "stream_key",
    "sync_folder",
    "temporary_files",
    "temporary_name",
    "type_folder",
    "type_of_folder",
]

DEAD_LETTERS = "_dead_letters"
GAPS = "_gaps"
MANIFEST = "_manifest.jsonl"
LONGEST_FOLDER = 200
"""Bytes of the name of a folder; a part of the path below it may be as long again."""

_TYPE_FOLDER = re.compile(r"(rlfast_)?type(_\d+)?=")

_REMEDIES = {
    errno.ENOSPC: "free some space or choose another folder",
    errno.EFBIG: "raise the limit (ulimit -f) or rotate to smaller files",
    errno.EACCES: "change the permissions or choose another folder",
    errno.EPERM: "change the permissions or choose another folder",
    errno.EROFS: "choose a folder that can be written to",
    errno.ENOTDIR: "a part of this path is a file; choose another folder",
    errno.EEXIST: "another capture writes here; choose another folder",
    errno.ENAMETOOLONG: "choose a folder with a shorter path",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.EIO: "check the disk",
}
if hasattr(errno, "EDQUOT"):
    _REMEDIES[errno.EDQUOT] = "free some of your quota or choose another folder"


def explain(error: OSError, path: Path, what: str = "cannot write") -> CaptureError:
    """Return the CaptureError of a file system error: one line with the path, the cause and the remedy.

    In a data set that was moved the cause is that, whatever the system says.
    """
    try:
        check_place(path)
    except CaptureError as moved:
        return moved
    if isinstance(error, CaptureError):
        return error
    cause = os.strerror(error.errno) if error.errno else str(error)
    remedy = _REMEDIES.get(error.errno or 0, "choose another folder or check the file system")
    result = CaptureError(f"{what} {path}: {cause}; {remedy}")
    result.errno = error.errno
    return result


# -- names -------------------------------------------------------------------------------------------------


def stream_key(stream: str) -> str:
    """Return the ten hexadecimal digits that stand for a stream in file names."""
    return hashlib.blake2b(stream.encode(), digest_size=5).hexdigest()


def type_folder(tag: str, key: str = "type") -> str:
    """Return the folder of an event type: Hive style, with everything that is special in a path escaped.

    `key` is that of `OwnNames`. File systems have a bound on the length of a name, mostly 255 bytes: a longer
    one is cut, and ends in a hash of the whole; the footer of each file has the type in full.
    """
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
    return _TYPE_FOLDER.match(name) is not None


def type_of_folder(folder: str) -> str:
    """Return the event type of a folder; the inverse of `type_folder`, but for names that were cut."""
    return unquote(folder.partition("=")[2])


def final_name(stream: str, first_seq: int) -> str:
    """Return the name of the files of a segment."""
    return f"part-{stream_key(stream)}-{first_seq:020d}.parquet"


def gaps_name(stream: str, first_seq: int, time: int) -> str:
    """Return the name of a segment's file of gaps. Segments without messages differ in the time only."""
    return f"part-{stream_key(stream)}-{first_seq:020d}-{time}.parquet"


def temporary_name(name: str) -> str:
    """Return a new name for a file that is being written; a name left by a crash is never met again."""
    return f".{name}.{secrets.token_hex(4)}.tmp"


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


# -- durable operations ------------------------------------------------------------------------------------


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    if os.name == "nt":
        return  # Windows cannot open a folder as a file; NTFS journals its names.
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def ensure_folder(folder: Path) -> None:
    """Make a folder and its parents, durably, unless they exist.

    A data set that is being written is not made anew at a place where it is no more.
    """
    check_place(folder)
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        if folder.parent == folder:
            break
        folder = folder.parent
    for new in reversed(missing):
        try:
            new.mkdir(exist_ok=True)
        except FileExistsError:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(new)) from None
        sync_folder(new.parent)
