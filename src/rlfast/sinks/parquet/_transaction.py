"""Changes of a data set that happen as a whole: files appear, files go, and the manifest says so.

A change is written down before it is made (``_commit.json``, durably), so that whoever finds it half made,
after a crash, can complete it or take it back. At most one is under way, because a data set has one writer.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Literal

import msgspec

from rlfast.sinks._files import ensure_folder, explain, sync_folder, temporary_name, write_all
from rlfast.sinks._place import check_place
from rlfast.sinks.parquet._manifest import Manifest, ManifestEntry, append_entry

__all__ = ["Change", "commit", "is_under_way", "recover_change"]

INTENT = "_commit.json"


class Change(msgspec.Struct, frozen=True):
    """What is to happen.

    Attributes:
        entry: the line of the manifest; its ``removed`` files go.
        temporary: path, below the data set, of each file of ``entry.files``, complete and synced.
    """

    entry: ManifestEntry
    temporary: tuple[str, ...]


def commit(out: Path, change: Change) -> None:
    """Make a change.

    Raises:
        CaptureError: it cannot be made. If it was written down before that, nothing is lost: the next
            `recover_change` completes it.
    """
    path = out / INTENT
    check_place(out)
    try:
        for file in change.entry.files:
            path = out / file.path
            if os.path.lexists(path):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
        path = out / INTENT
        _write_durably(path, msgspec.json.encode(change))
    except OSError as error:
        raise explain(error, path) from error
    try:
        _complete(out, change)
    except OSError as error:
        raise explain(error, out, "cannot complete a commit in") from error


def _write_durably(path: Path, data: bytes) -> None:
    temporary = path.with_name(temporary_name(path.name))
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
        try:
            write_all(fd, data)
            os.fsync(fd)
        finally:
            os.close(fd)
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def _complete(out: Path, change: Change) -> None:
    folders = set()
    for file, temporary in zip(change.entry.files, change.temporary, strict=True):
        final = out / file.path
        if not os.path.lexists(final):
            ensure_folder(final.parent)
            os.rename(out / temporary, final)
        folders.add(final.parent)
    for folder in sorted(folders):
        sync_folder(folder)
    append_entry(out, change.entry)
    _clean_up(out, change)


def _clean_up(out: Path, change: Change) -> None:
    for removed in change.entry.removed:
        (out / removed).unlink(missing_ok=True)
    (out / INTENT).unlink(missing_ok=True)


def is_under_way(out: Path) -> bool:
    """Whether a change is written down and not complete."""
    return (out / INTENT).exists()


def recover_change(out: Path, manifest: Manifest) -> Literal["completed", "taken_back"] | None:
    """Deal with a change that a crash left half made; None if there is none. May be killed and called again.

    Raises:
        OSError: the folder cannot be written to.
    """
    path = out / INTENT
    try:
        change = msgspec.json.decode(path.read_bytes(), type=Change)
    except FileNotFoundError:
        return None
    if any(entry.id == change.entry.id for entry in manifest.entries):
        _clean_up(out, change)
        return "completed"
    pairs = list(zip(change.entry.files, change.temporary, strict=True))
    if all(
        _size(out / file.path) == file.bytes or _size(out / temporary) == file.bytes
        for file, temporary in pairs
    ):
        _complete(out, change)
        return "completed"
    for file, temporary in pairs:
        (out / file.path).unlink(missing_ok=True)
        (out / temporary).unlink(missing_ok=True)
    path.unlink()
    sync_folder(out)
    return "taken_back"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return -1
