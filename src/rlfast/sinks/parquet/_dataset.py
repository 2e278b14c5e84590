"""A data set folder as one object: opened once, passed to whoever needs it, closed once."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import msgspec

from rlfast.errors import CaptureError
from rlfast.sinks._base import Opened, RunEnd, StreamState
from rlfast.sinks._files import JOURNAL, explain
from rlfast.sinks._lock import FolderLock
from rlfast.sinks.parquet._arrow import pa, pq
from rlfast.sinks.parquet._footer import read_footer
from rlfast.sinks.parquet._layout import (
    DEAD_LETTERS,
    GAPS,
    is_type_folder,
    part_files,
    temporary_files,
)
from rlfast.sinks.parquet._manifest import Manifest, read_manifest
from rlfast.sinks.parquet._transaction import Change, commit, is_under_way, recover_change

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["DatasetFolder"]


class DatasetFolder:
    """A data set folder. A context manager.

    What it tells is what the manifest lists: files of a commit that is not complete, or that were merged into
    others, are none of it. It is as of when it was opened, and of what was committed through this object
    since; what another process commits is seen by opening it anew.

    Attributes:
        path: the folder.
        manifest: what is committed.
        opened: what was mended when it was opened to be written.
    """

    def __init__(self, path: Path, work: str | None = None) -> None:
        """Open a folder; with `work`, to be written, which only one may at a time.

        Raises:
            CaptureError: it is not a folder, cannot be read, or another one writes there.
        """
        self.path = path
        self.opened = Opened()
        self._lock: FolderLock | None = None
        if not path.is_dir():
            raise CaptureError(f"{path} is not a folder; name the folder of a capture (its --out)")
        if work is not None:
            self._acquire(work)
        else:
            self.manifest = self._read()

    def _acquire(self, work: str) -> None:
        lock = FolderLock(self.path, work)
        lock.acquire()
        try:
            self.manifest = self._read()
            commit = recover_change(self.path, self.manifest)
            if commit == "completed":
                self.manifest = self._read()
            removed = tuple(path.relative_to(self.path).as_posix() for path in temporary_files(self.path))
            for name in removed:
                (self.path / name).unlink(missing_ok=True)
            self.remove_empty_folders()
            self.opened = Opened(commit, removed)
        except OSError as error:
            lock.release()
            raise explain(error, self.path, "cannot recover") from error
        except BaseException:
            lock.release()
            raise
        self._lock = lock

    def _read(self) -> Manifest:
        try:
            return read_manifest(self.path)
        except OSError as error:
            raise explain(error, self.path, "cannot read the data set in") from error

    def close(self) -> None:
        """Let others write there; does nothing the second time. It can still be read."""
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.path} of {len(self.manifest.entries)} commits>"

    # -- for those who write ----------------------------------------------------------------------------

    def commit(self, change: Change) -> None:
        """Make a change; may be called by another thread, one at a time.

        Raises:
            CaptureError: it cannot be made; see `is_under_way`.
        """
        assert self._lock is not None
        commit(self.path, change)
        self.manifest = Manifest((*self.manifest.entries, change.entry), self.manifest.damaged_lines)

    def remove_empty_folders(self) -> None:
        """Remove folders that nothing is in any more. Never raises; what stays is harmless."""
        with suppress(OSError):
            for top in sorted(self.path.iterdir()):
                if top.name in (DEAD_LETTERS, GAPS, JOURNAL) or is_type_folder(top.name):
                    for folder, _, files in os.walk(top, topdown=False):
                        if not files:
                            with suppress(OSError):  # There are other folders in it.
                                os.rmdir(folder)

    @property
    def is_under_way(self) -> bool:
        """Whether a change is written down and not complete."""
        return is_under_way(self.path)

    def state(self, stream: str) -> StreamState:
        """Return where a stream goes on.

        That is behind what is committed, and behind a file under a final name that the manifest does not
        list, so that no number is used twice.

        Raises:
            CaptureError: a file of the stream cannot be read.
        """
        state = self.committed(stream)
        last = state.next_seq - 1
        listed = {file.path for entry in self.manifest.entries for file in entry.files}
        try:
            for path in part_files(self.path, stream):
                if path.relative_to(self.path).as_posix() not in listed:
                    last = max(last, _last_seq(path))
        except OSError as error:
            raise explain(error, self.path, "cannot read the data set in") from error
        return msgspec.structs.replace(state, next_seq=last + 1)

    def committed(self, stream: str) -> StreamState:
        """Return up to where a stream is committed, as the manifest says."""
        segments = self.manifest.segments(stream)
        last = max((entry.last_seq for entry in segments), default=-1)
        if not segments:
            return StreamState()
        epochs = [entry.epochs[1] for entry in segments]
        epochs += [gap.epoch for entry in segments for gap in entry.gaps]
        newest = segments[-1]
        times = (gap.reconnected_at or gap.disconnected_at for gap in newest.gaps)
        end = None
        if newest.ended_at is not None:
            end = RunEnd(newest.ended_at, newest.end_reason or "capture_stopped")
        alive_at = max(newest.received_at[1], *times, 0)
        return StreamState(last + 1, max(epochs) + 1, len(segments), alive_at, end, newest.resume)


def _last_seq(path: Path) -> int:
    try:
        return read_footer(pq.read_metadata(path).metadata).last_seq
    except (pa.ArrowInvalid, ValueError) as error:
        raise CaptureError(
            f"{path} is not a Parquet file that rlfast wrote, so it is unknown where its stream goes on; "
            "move it out of the data set"
        ) from error
