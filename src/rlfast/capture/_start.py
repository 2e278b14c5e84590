"""What a capture does until its connection is open, in this order."""

from __future__ import annotations

import asyncio
import importlib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlfast.capture._dataset import StreamState, prepare_folder, stream_state
from rlfast.capture._options import CaptureOptions
from rlfast.errors import UsageError

if TYPE_CHECKING:
    from rlfast.capture._lock import DatasetLock
    from rlfast.capture._recovery import RecoveryReport
    from rlfast.websocket._connection import Connecting, WebSocketConnection

__all__ = ["load", "number", "open_unless", "prepare"]


def load() -> None:
    """Load everything that a capture needs. On a thread: it takes its time.

    Raises:
        MissingExtraError: pyarrow is not installed.
    """
    for name in ("_recovery", "_keepers", "_schemas", "_sink"):
        importlib.import_module(f"rlfast.capture.{name}")
    from rlfast.capture._rows import RowMaker

    # For its first array pyarrow loads pandas, if that is installed, which may take seconds.
    RowMaker("")


async def prepare(
    out: Path, ws: WebSocketConnection[Any], options: CaptureOptions
) -> tuple[DatasetLock, RecoveryReport, StreamState]:
    """Make the folder if need be, lock it, and commit what an earlier capture left there.

    Returns:
        The lock, to be released; what recovery did; where the stream goes on.

    Raises:
        CaptureError: the folder cannot be written to, another capture uses it, or it holds files that cannot
            be read, or files of the type with other columns.
    """
    preparing = asyncio.ensure_future(asyncio.to_thread(_prepare, out, ws.stream, ws.type, options))
    try:
        return await asyncio.shield(preparing)
    except asyncio.CancelledError:
        # The thread goes on, and takes the lock when nobody is there any more to give it back.
        with suppress(Exception):
            lock, _, _ = await preparing
            lock.release()
        raise


def _prepare(
    out: Path, stream: str, type_: Any, options: CaptureOptions
) -> tuple[DatasetLock, RecoveryReport, StreamState]:
    from rlfast.capture._lock import DatasetLock
    from rlfast.capture._recovery import recover_locked
    from rlfast.capture._schemas import check_columns

    prepare_folder(out, options.min_free)
    lock = DatasetLock(out, f"capture of {stream}")
    lock.acquire()
    try:
        report = recover_locked(out, type_, only=stream)
        check_columns(out, type_, options)
        return lock, report, stream_state(out, stream)
    except BaseException:
        lock.release()
        raise


def number(ws: WebSocketConnection[Any], state: StreamState) -> None:
    """Let the messages of a connection go on where the stream in the folder ended.

    Raises:
        UsageError: numbers would be used twice.
    """
    seq = ws.next_unread_seq
    chosen = seq > 0 or ws.opened_at is not None
    if chosen and seq < state.next_seq:
        raise UsageError(
            f"the folder already holds this stream up to seq {state.next_seq - 1}; open the connection with "
            "the options of rlfast.capture.resume(out, stream), or let capture(connect(...), out) open it, "
            "without a first_seq"
        )
    ws.renumber(state.next_seq, state.next_epoch)


async def open_unless(stop: asyncio.Event, connecting: Connecting[Any]) -> bool:
    """Open the connection. Returns False if `stop` was set before it was open.

    Raises:
        NetworkError: it cannot be opened; or whatever a header provider raises.
    """
    if stop.is_set():
        return False
    opening = asyncio.ensure_future(connecting)
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((opening, stopping), return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        opening.cancel()
        await asyncio.gather(opening, stopping, return_exceptions=True)
    if opening.cancelled():
        return False
    opening.result()
    return True
