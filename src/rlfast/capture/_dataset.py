"""The data set folder as a capture finds it: can it be written to, and where does a stream go on?"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NamedTuple

from rlfast.capture._files import ensure_folder, explain, part_files, temporary_name
from rlfast.capture._manifest import ManifestEntry, RunEnd, read_manifest
from rlfast.errors import CaptureError, check_int, check_path, check_type

__all__ = ["StreamState", "next_seq", "prepare_folder", "stream_state"]


def prepare_folder(out: str | Path, min_free: int = 0) -> None:
    """Make the folder and its parents if need be, and check that files can be written there.

    Raises:
        CaptureError: it is no folder, cannot be written to, or less than `min_free` bytes are free.
    """
    out = check_path("out", out)
    check_int("min_free", min_free, 0)
    probe = out / temporary_name("probe")
    try:
        ensure_folder(out)
        fd = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            os.write(fd, b"rlfast")
        finally:
            os.close(fd)
            probe.unlink()
        free = shutil.disk_usage(out).free
    except OSError as error:
        raise explain(error, out, "cannot write to the folder") from error
    if free < min_free:
        raise disk_is_full(out, free, min_free)


def disk_is_full(out: Path, free: int, min_free: int) -> CaptureError:
    """Return the error for a file system with less room than it must have."""
    return CaptureError(
        f"the disk of {out} has {free >> 20:,} MiB left, and {min_free >> 20:,} MiB must stay free; "
        "free some space, choose another folder, or lower min_free (--min-free)"
    )


class StreamState(NamedTuple):
    """Where a stream goes on in a data set."""

    next_seq: int
    """Sequence number of the next message; 0 in a new data set."""
    next_epoch: int
    """Number of the next connection; 1 in a new data set."""
    end: RunEnd | None
    """How its last run ended; None if there was none. Without a record of it, the run has crashed."""
    segments: int = 0
    """Committed segments of the stream."""


def stream_state(out: str | Path, stream: str) -> StreamState:
    """Return what the committed segments tell of a stream.

    A file under a final name that the manifest does not list counts, too, so that no number is used twice.

    Raises:
        CaptureError: the folder or a file of the stream cannot be read.
        MissingExtraError: pyarrow is needed and not installed.
    """
    out = check_path("out", out)
    check_type("stream", stream, str)
    try:
        if not out.exists():
            return StreamState(0, 1, None)
        manifest = read_manifest(out)
        segments = manifest.segments(stream)
        listed = {file.path for entry in manifest.entries for file in entry.files}
        last = max((entry.last_seq for entry in segments), default=-1)
        for path in part_files(out, stream):
            if path.relative_to(out).as_posix() not in listed:
                last = max(last, _last_seq(path))
    except OSError as error:
        raise explain(error, out, "cannot read the data set in") from error
    epoch = max((entry.epochs[1] for entry in segments), default=0)
    epoch = max([epoch, *(gap.epoch for entry in segments for gap in entry.gaps)])
    return StreamState(last + 1, epoch + 1, _end(segments[-1]) if segments else None, len(segments))


def _end(entry: ManifestEntry) -> RunEnd:
    if entry.ended_at is not None:
        return RunEnd(entry.ended_at, entry.end_reason or "capture_stopped")
    times = (gap.reconnected_at or gap.disconnected_at for gap in entry.gaps)
    return RunEnd(max(entry.received_at[1], *times, 0), "crashed")


def next_seq(out: str | Path, stream: str) -> int:
    """Return the sequence number that a stream goes on with in a data set: 0 in a new one.

    That is behind everything that is committed, and behind what a killed capture left in its journal.

    Raises:
        CaptureError: the folder or a file of the stream cannot be read.
        MissingExtraError: pyarrow is needed and not installed.
    """
    from rlfast.capture._wal import journal_end

    out = check_path("out", out)
    return max(stream_state(out, stream).next_seq, journal_end(out, stream))


def _last_seq(path: Path) -> int:
    from rlfast.capture._arrow import pa, pq
    from rlfast.capture._footer import read_footer

    try:
        return read_footer(pq.read_metadata(path).metadata).last_seq
    except (pa.ArrowInvalid, ValueError) as error:
        raise CaptureError(
            f"{path} is not a Parquet file that rlfast wrote, so it is unknown where its stream goes on; "
            "move it out of the data set"
        ) from error
