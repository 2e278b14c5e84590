"""Local folders: the few file system operations that must be durable, and errors with their remedies."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
from pathlib import Path

from rlfast.errors import CaptureError
from rlfast.sinks._place import check_place

__all__ = [
    "JOURNAL",
    "check_free_space",
    "ensure_folder",
    "explain",
    "prepare_folder",
    "stream_key",
    "sync_folder",
    "temporary_name",
    "write_all",
]

JOURNAL = "_journal"
"""The folder of the write-ahead logs, one per stream."""

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


def stream_key(stream: str) -> str:
    """Return the ten hexadecimal digits that stand for a stream in file names."""
    return hashlib.blake2b(stream.encode(), digest_size=5).hexdigest()


def temporary_name(name: str) -> str:
    """Return a new name for a file that is being written; a name left by a crash is never met again."""
    return f".{name}.{secrets.token_hex(4)}.tmp"


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


def prepare_folder(out: Path, min_free: int = 0) -> None:
    """Make the folder and its parents if need be, and check that files can be written there.

    Raises:
        CaptureError: it is not a folder, cannot be written to, or less than `min_free` bytes are free.
    """
    probe = out / temporary_name("probe")
    try:
        ensure_folder(out)
        fd = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            os.write(fd, b"rlfast")
        finally:
            os.close(fd)
            probe.unlink()
        check_free_space(out, min_free)
    except OSError as error:
        raise explain(error, out, "cannot write to the folder") from error


def check_free_space(folder: Path, min_free: int) -> None:
    """Refuse a file system with less room than it must have.

    Raises:
        CaptureError: less than `min_free` bytes are free.
        OSError: the folder cannot be looked at.
    """
    free = shutil.disk_usage(folder).free
    if free < min_free:
        raise CaptureError(
            f"the disk of {folder} has {free >> 20:,} MiB left, and {min_free >> 20:,} MiB must stay free; "
            "free some space, choose another folder, or lower min_free (--min-free)"
        )


def write_all(fd: int, data: bytes | memoryview) -> None:
    """Write all of `data`, however little the system takes at once."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
