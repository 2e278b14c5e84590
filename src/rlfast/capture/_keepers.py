"""What a running capture keeps beside its batches: the journal, and the record of gaps."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import msgspec

from rlfast.capture._dataset import StreamState
from rlfast.capture._files import explain
from rlfast.capture._options import CaptureOptions
from rlfast.capture._place import find_folder
from rlfast.capture._type_names import name_type
from rlfast.capture._wal import Journal, JournalInfo
from rlfast.errors import CaptureError
from rlfast.websocket._gaps import Gap

if TYPE_CHECKING:
    from rlfast.capture._sink import ParquetSink
    from rlfast.websocket._connection import WebSocketConnection

__all__ = ["GapKeeper", "JournalKeeper"]

# Servers write what they like into their close frames.
MAX_REASONS = 50


class JournalKeeper:
    """Opens a capture's journal, attaches it to the connection, syncs it, and closes it.

    Args:
        fail: called with the error when the journal cannot be written any more.

    Raises:
        CaptureError: (from the constructor) the journal cannot be made.
    """

    def __init__(
        self,
        ws: WebSocketConnection[Any],
        out: Path,
        options: CaptureOptions,
        state: StreamState,
        fail: Callable[[CaptureError], None],
    ) -> None:
        self._ws = ws
        self._out = out
        self._options = options
        self._fail = fail
        self._loop = asyncio.get_running_loop()
        info = JournalInfo(
            ws.stream,
            name_type(ws.type),
            options.uuid,
            options.compression,
            options.partition_by,
            time.time_ns(),
            state.segments,
            options.timestamps,
        )
        self.journal = Journal(
            out,
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
        is_complete = is_complete and not self._ws.stats.spilled_bytes and find_folder(self._out) == self._out
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
        self._fail(explain(error, self._out, "cannot write the journal in"))


#: By connection that was captured: its last message, and the epoch of its last gap, that were handed over.
_left_off: WeakKeyDictionary[WebSocketConnection[Any], tuple[int, int]] = WeakKeyDictionary()


class GapKeeper:
    """Hands gaps to the sink when they are over, and to the journal as soon as they are known.

    A gap is handed to the sink before the messages behind it, so that no segment has messages from behind a
    gap and not the gap.

    The gap between the last run and this one is in the journal before the connection opens, and again, with
    its end, before the connection's first message.

    Attributes:
        count: gaps so far, that between the last run and this one included.
        reasons: how often each `Gap.describe` was told; beyond `MAX_REASONS` texts, as "other".
    """

    def __init__(
        self, ws: WebSocketConnection[Any], sink: ParquetSink, journal: Journal | None, state: StreamState
    ) -> None:
        self._ws = ws
        self._sink = sink
        self._journal = journal
        self._noted: dict[int, Gap] = {}
        self._before: Gap | None = None
        self.count = 0
        self.reasons: Counter[str] = Counter()
        # Is it the connection of the last run still? Times cannot tell: clocks are set back.
        last_seq, self._done_epoch = _left_off.pop(ws, (-2, -1))
        self._last_seq = state.next_seq - 1
        if state.end is not None and last_seq != self._last_seq:
            self._before = Gap(state.next_epoch - 1, state.next_seq - 1, state.end.ended_at, state.end.reason)
            if ws.opened_at is None:
                self._note(self._before)
        # At once into the journal: the process may be killed before it is over.
        ws.listen(self.update)
        self.update()

    def update(self, last_seq: int | None = None) -> None:
        """Look for news. With `last_seq`: the messages up to this one are about to be handed to the sink."""
        self._last_seq = self._last_seq if last_seq is None else last_seq
        self._end_before()
        news = []
        for gap in reversed(self._ws.gaps):
            if gap.epoch <= self._done_epoch:
                break
            news.append(gap)
        for gap in reversed(news):
            if self._noted.get(gap.epoch) != gap:
                if gap.epoch not in self._noted:
                    self._count(gap)
                self._noted[gap.epoch] = gap
                self._note(gap)
            if gap.reconnected_at is None or (last_seq is not None and gap.last_seq >= last_seq):
                break
            self._hand_over(gap)

    def finish(self) -> None:
        """Hand over what is left: gaps that no connection followed."""
        self._ws.listen(None)
        self.update()
        for gap in list(self._noted.values()):
            self._hand_over(gap)
        _left_off[self._ws] = self._last_seq, self._done_epoch

    def _end_before(self) -> None:
        opened_at, gap = self._ws.opened_at, self._before
        if gap is None or opened_at is None:
            return
        self._before = None
        gap = msgspec.structs.replace(gap, reconnected_at=opened_at)
        self._count(gap)
        self._note(gap)
        self._sink.put_gap(gap)

    def _count(self, gap: Gap) -> None:
        self.count += 1
        text = gap.describe()
        self.reasons[text if text in self.reasons or len(self.reasons) < MAX_REASONS else "other"] += 1

    def _hand_over(self, gap: Gap) -> None:
        self._sink.put_gap(gap)
        self._done_epoch = gap.epoch
        self._noted.pop(gap.epoch, None)

    def _note(self, gap: Gap) -> None:
        if self._journal is not None:
            self._journal.write_gap(gap)
