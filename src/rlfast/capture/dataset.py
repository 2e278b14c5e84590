"""The data set folder as a capture finds it: can it be written to, and where does a stream go on?"""

from __future__ import annotations

import os
from pathlib import Path

from rlfast.capture.files import ensure_folder, explain, part_files, temporary_name
from rlfast.capture.manifest import read_manifest
from rlfast.errors import CaptureError

__all__ = ["next_seq", "prepare_folder"]


def prepare_folder(out: Path) -> None:
    """Make the folder and its parents if need be, and check that files can be written there.

    Raises:
        CaptureError: it is no folder, or cannot be written to.
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
    except OSError as error:
        raise explain(error, out, "cannot write to the folder") from error


def next_seq(out: Path, stream: str) -> int:
    """Return the sequence number that a stream goes on with in a data set: 0 in a new one.

    That is the last one of the manifest, or of a file that the manifest does not list because a capture
    was killed between the two, plus 1.

    Raises:
        CaptureError: the folder or a file of the stream cannot be read.
        MissingExtraError: pyarrow is needed and not installed.
    """
    if not out.exists():
        return 0
    try:
        entries = [entry for entry in read_manifest(out).entries if entry.stream == stream]
        listed = {file.path for entry in entries for file in entry.files}
        last = max((entry.last_seq for entry in entries), default=-1)
        for path in part_files(out, stream):
            if path.relative_to(out).as_posix() not in listed:
                last = max(last, _last_seq(path))
    except OSError as error:
        raise explain(error, out, "cannot read the data set in") from error
    return last + 1


def _last_seq(path: Path) -> int:
    from rlfast.capture.arrow import pa, pq

    try:
        return int((pq.read_metadata(path).metadata or {})[b"rlfast.last_seq"])
    except (pa.ArrowInvalid, KeyError, ValueError) as error:
        raise CaptureError(
            f"{path} is not a Parquet file that rlfast wrote, so it is unknown where its stream goes on; "
            "move it out of the data set"
        ) from error
