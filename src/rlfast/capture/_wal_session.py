"""A capture's write-ahead log, from the first message to the last commit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from rlfast.capture._options import CaptureOptions
from rlfast.capture._type_names import name_decoding, name_type
from rlfast.capture._wal import Wal, WalInfo
from rlfast.errors import CaptureError
from rlfast.sinks._base import Sink, StreamState
from rlfast.sinks._files import explain
from rlfast.sinks._place import find_folder

if TYPE_CHECKING:
    from rlfast.websocket._connection import WebSocketConnection

__all__ = ["WalSession"]


class WalSession:
    """Opens a capture's write-ahead log, attaches it to the connection, syncs it, and closes it.

    Args:
        fail: called with the error when the journal cannot be written any more.

    Raises:
        CaptureError: (from the constructor) the journal cannot be made.
    """

    def __init__(
        self,
        ws: WebSocketConnection[Any],
        sink: Sink,
        options: CaptureOptions,
        state: StreamState,
        fail: Callable[[CaptureError], None],
    ) -> None:
        self._ws = ws
        self._folder = sink.folder
        self._options = options
        self._fail = fail
        self._loop = asyncio.get_running_loop()
        info = WalInfo(
            ws.stream,
            name_type(ws.type),
            time.time_ns(),
            state.commits,
            sink.settings(),
            type(sink).__name__,
            name_decoding(ws.decoding),
            ws.resume.value if ws.resume is not None else None,
        )
        self.journal = Wal(
            sink.folder,
            info,
            max_bytes=options.journal_bytes,
            min_free=options.min_free,
            durable=options.durability == "machine",
            on_full=self._hold,
            on_error=self._has_failed,
        )

    def attach(self) -> None:
        """Attach the journal to the connection: from now on it has every message before a reader has."""
        self._ws.attach(self.journal.writer, self._options.max_backlog)

    def start(self) -> list[asyncio.Task[None]]:
        """Return tasks to be cancelled before `close`."""
        if self._options.durability == "machine":
            return [asyncio.create_task(self._sync())]
        return []

    def close(self, is_complete: bool) -> None:
        """Detach and close it; if everything is committed, remove it. Never raises."""
        is_complete = (
            is_complete and not self._ws.stats.spilled_bytes and find_folder(self._folder) == self._folder
        )
        self._ws.detach()
        if is_complete:
            with suppress(OSError):
                self.journal.write_end()
        self.journal.close(delete=is_complete)

    async def _sync(self) -> None:
        while True:
            await asyncio.sleep(self._options.sync_interval)
            try:
                await asyncio.to_thread(self.journal.sync)
            except OSError as error:
                self.journal.writer.fail(error)
                return

    def _hold(self, held: bool) -> None:
        with suppress(RuntimeError):  # The loop was closed under a capture that nobody awaits any more.
            self._loop.call_soon_threadsafe(self._ws.hold, held)

    def _has_failed(self, error: OSError) -> None:
        # What cannot be written stays in the kernel, or with the server.
        self._ws.hold(True)
        self._fail(explain(error, self._folder, "cannot write the journal in"))
