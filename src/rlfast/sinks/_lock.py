"""One writer at a time in a folder."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import msgspec

from rlfast.errors import CaptureError, MissingExtraError
from rlfast.sinks._files import explain
from rlfast.sinks._place import Place

try:
    import filelock
except ModuleNotFoundError as error:
    raise MissingExtraError("filelock", "capture") from error

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["LOCK", "FolderLock", "Owner"]

LOCK = "_lock"
OWNER = "_lock.json"


class Owner(msgspec.Struct, frozen=True):
    """Who holds a lock.

    Attributes:
        pid: process.
        host: name of its machine.
        since: nanoseconds since 1970-01-01 UTC.
        work: what it does, such as ``capture of host/path``.
    """

    pid: int
    host: str
    since: int
    work: str


class FolderLock:
    """Exclusive right to write into a folder. A context manager.

    The system releases it when the process ends, however it ends, so a lock that a killed process left behind
    is simply taken over. Readers need no lock. While it is held, nothing is written if the folder is no more
    where it was (`rlfast.sinks._place`).

    Raises:
        CaptureError: (from `acquire`) another process, or another capture in this one, holds it.
    """

    def __init__(self, out: Path, work: str) -> None:
        """Keep what is to be locked, and why."""
        self._out = out
        self._work = work
        # Released by another thread than the one that acquired it.
        self._lock = filelock.FileLock(out / LOCK, timeout=0, thread_local=False)
        self._place: Place | None = None

    def acquire(self) -> None:
        """Take the lock, at once or not at all."""
        try:
            self._lock.acquire()
        except filelock.Timeout:
            raise CaptureError(f"{self._out} is in use by {self._describe_owner()}") from None
        except OSError as error:
            raise explain(error, self._out / LOCK, "cannot lock") from error
        try:
            self._place = Place(self._out)
        except OSError as error:
            self._lock.release()
            raise explain(error, self._out, "cannot open") from error
        owner = Owner(os.getpid(), socket.gethostname(), time.time_ns(), self._work)
        try:
            (self._out / OWNER).write_bytes(msgspec.json.encode(owner))
        except OSError as error:
            self._place.close()
            self._lock.release()
            raise explain(error, self._out / OWNER) from error

    def release(self) -> None:
        """Give the lock back; does nothing if it is not held."""
        if self._lock.is_locked:
            if self._place is not None:
                if self._place.error() is None:
                    (self._out / OWNER).unlink(missing_ok=True)
                self._place.close()
            self._lock.release()

    def _describe_owner(self) -> str:
        remedy = "wait for it, stop it, or choose another folder"
        try:
            owner = msgspec.json.decode((self._out / OWNER).read_bytes(), type=Owner)
        except (OSError, msgspec.DecodeError):
            return f"another process; {remedy}"
        since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(owner.since / 1e9))
        return f"process {owner.pid} on {owner.host} ({owner.work}, since {since}); {remedy}"

    def __enter__(self) -> Self:
        """Take the lock."""
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give it back."""
        self.release()
