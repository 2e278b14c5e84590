"""Is a data set's folder still where it was? Who writes there asks before anything new gets a name.

Names are looked up from the root at every call: in a folder that was moved, or replaced, files would go to
another one, or none. What is open already stays with its folder, the journal's segments above all.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from rlfast.errors import CaptureError

__all__ = ["Place", "check_place", "find_folder"]

_held: list[Place] = []


class Place:
    """A folder, held by a descriptor, so that its inode cannot be another's meanwhile.

    Owns the descriptor until `close`. On Windows, where folders have no descriptors, nothing is held: one
    with open files in it cannot be moved there.

    Args:
        folder: an absolute path.

    Raises:
        OSError: it cannot be opened.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._fd = -1
        if os.name != "nt":
            self._fd = os.open(folder, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
            _held.append(self)

    def close(self) -> None:
        """Forget the folder; does nothing the second time."""
        if self._fd >= 0:
            _held.remove(self)
            fd, self._fd = self._fd, -1
            os.close(fd)

    def error(self) -> CaptureError | None:
        """What is wrong with the path; None if it leads to the folder."""
        held = os.fstat(self._fd)
        try:
            found = os.stat(self.folder)
            if (found.st_dev, found.st_ino) == (held.st_dev, held.st_ino):
                return None
        except (FileNotFoundError, NotADirectoryError):
            pass
        except OSError:
            return None  # Whoever writes there gets the same error, and explains it.
        now = self.now()
        if now is None:
            return CaptureError(
                f"{self.folder} was removed while it was written to; start again, in a folder that stays"
            )
        return CaptureError(f"{self.folder} was moved while it was written to; it is {now} now")

    def now(self) -> Path | None:
        """Where the folder is; None if it is nowhere any more."""
        if sys.platform == "linux":
            path = os.readlink(f"/proc/self/fd/{self._fd}")
            return None if path.endswith(" (deleted)") else Path(path)
        import fcntl

        if os.fstat(self._fd).st_nlink == 0:
            return None
        # macOS; elsewhere the user knows where it went.
        get_path = getattr(fcntl, "F_GETPATH", None)
        if get_path is None:
            return Path("where you moved it")
        return Path(os.fsdecode(fcntl.fcntl(self._fd, get_path, bytes(1024)).rstrip(b"\0")))


def check_place(path: Path) -> None:
    """Do nothing if `path`, in a data set that this process writes, is in the folder that it was in before.

    Raises:
        CaptureError: the data set was moved, replaced or removed. It says where it is.
    """
    place = _place_of(path)
    error = place.error() if place is not None else None
    if error is not None:
        raise error


def find_folder(out: Path) -> Path | None:
    """Return where a data set is that this process writes and knows as `out`; None if that is unknown."""
    place = _place_of(out)
    if place is None or place.error() is None:
        return out
    return place.now()


def _place_of(path: Path) -> Place | None:
    # The youngest: a data set that was moved may still be held, and another one made at its place.
    for place in reversed(_held):
        if path == place.folder or place.folder in path.parents:
            return place
    return None
