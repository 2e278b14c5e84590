"""The gaps of a capture: into the log as soon as they are known, to the writer when they are over."""

from __future__ import annotations

import time
from collections import Counter, deque
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import msgspec

from rlfast.capture._wal import Wal
from rlfast.sinks._base import StreamState
from rlfast.websocket._gaps import Gap
from rlfast.websocket._resume import Filling

if TYPE_CHECKING:
    from rlfast.capture._writer_thread import WriterThread
    from rlfast.websocket._connection import WebSocketConnection

__all__ = ["GapRecorder"]

# Servers write what they like into their close frames.
MAX_REASONS = 50

#: By connection that was captured: its last message, the epoch of its last gap, and how many of its
#: `sequence_gaps`, that were handed over.
_left_off: WeakKeyDictionary[WebSocketConnection[Any], tuple[int, int, int]] = WeakKeyDictionary()


class GapRecorder:
    """Hands gaps to the sink when they are over, and to the journal as soon as they are known.

    A gap is handed to the sink before the messages behind it, so that no segment has messages from behind a
    gap and not the gap.

    The gap between the last run and this one is in the journal before the connection opens, and again, with
    its end, before the connection's first message.

    A gap that may still be filled waits until that is known, and messages behind it without a cursor do not
    wait for it: so it is written to the journal with each batch of them, and is in the newest file. Where a
    run ends first, the gap goes on: it is that between this run and the next, and filled, or not, with that.

    Gaps in the numbers of messages are in the journal before the messages are, so they are there, too, when
    the process is killed in between; recovery leaves out those whose message is not there.

    Attributes:
        count: gaps so far, that between the last run and this one included, without those in the numbers.
        of_numbers: gaps in the numbers of messages that were handed over.
        reasons: how often each `Gap.describe` was told; beyond `MAX_REASONS` texts, as "other".
    """

    def __init__(
        self, ws: WebSocketConnection[Any], writer: WriterThread, journal: Wal | None, state: StreamState
    ) -> None:
        self._ws = ws
        self._writer = writer
        self._journal = journal
        self._noted: dict[int, Gap] = {}
        self._before: Gap | None = None
        self._first_seq = state.next_seq
        self._waiting: deque[Gap] = deque()
        self.count = 0
        self.of_numbers = 0
        self.reasons: Counter[str] = Counter()
        # Is it the connection of the last run still? Times cannot tell: clocks are set back.
        last_seq, self._done_epoch, self._done_of_numbers = _left_off.pop(ws, (-2, -1, 0))
        self._last_seq = state.next_seq - 1
        self._mark = mark = state.resume
        end = state.last_end
        if end is not None and last_seq != self._last_seq:
            from_ = mark.value if mark is not None and ws.filling(mark) is not False else None
            self._before = Gap(
                state.next_epoch - 1, state.next_seq - 1, end.ended_at, end.reason, from_=from_
            )
            if ws.opened_at is None:
                self._note(self._before)
        # At once into the journal: the process may be killed before it is over.
        ws.listen(self.update, self._add_of_numbers)
        self._add_of_numbers(ws.sequence_gaps_since(self._done_of_numbers))
        self.update()

    def update(self, last_seq: int | None = None) -> None:
        """Look for news. With `last_seq`: the messages up to this one are about to be handed to the sink."""
        self._last_seq = self._last_seq if last_seq is None else last_seq
        self._end_before(last_seq is not None)
        self._hand_over_of_numbers()
        news = []
        for gap in reversed(self._ws.gaps):
            if gap.epoch <= self._done_epoch:
                break
            news.append(gap)
        waits = False
        for gap in reversed(news):
            is_news = self._noted.get(gap.epoch) != gap
            if is_news or (gap.undecided and last_seq is not None):
                if gap.epoch not in self._noted:
                    self._count(gap)
                self._noted[gap.epoch] = gap
                self._note(gap)
            waits = waits or gap.reconnected_at is None or gap.undecided
            if waits or (last_seq is not None and gap.last_seq >= last_seq):
                waits = True
                continue
            self._hand_over(gap)

    def finish(self) -> int:
        """Hand over what is left: gaps that no connection followed.

        Returns:
            When the run ended, in nanoseconds since 1970-01-01 UTC: with the first gap that goes on.
        """
        self._ws.listen(None)
        self.update()
        ended_at = time.time_ns()
        undecided = [self._before] if self._before is not None else []
        for gap in list(self._noted.values()):
            if gap.undecided:
                undecided.append(gap)
            else:
                self._hand_over(gap)
        _left_off[self._ws] = self._last_seq, self._done_epoch, self._done_of_numbers
        return min((gap.disconnected_at for gap in undecided), default=ended_at)

    def _end_before(self, behind: bool) -> None:
        """Look for news of the gap between the last run and this one. `behind`: messages are handed over."""
        opened_at, gap = self._ws.opened_at, self._before
        if gap is None or opened_at is None:
            return
        if gap.reconnected_at is None:
            self._count(gap)
        old, gap = gap, msgspec.structs.replace(gap, reconnected_at=opened_at)
        filling = self._ws.filling(self._mark)
        if gap.undecided and isinstance(filling, Filling):
            gap = msgspec.structs.replace(gap, to=filling.to, filled=filling.filled)
        if gap != old or behind:
            self._note(gap)
        self._before = gap if gap.undecided else None
        if not gap.undecided:
            self._writer.put_gap(gap)

    def _count(self, gap: Gap) -> None:
        self.count += 1
        text = gap.describe()
        self.reasons[text if text in self.reasons or len(self.reasons) < MAX_REASONS else "other"] += 1

    def _add_of_numbers(self, gaps: list[Gap]) -> None:
        self._waiting.extend(gaps)
        if self._journal is not None:
            self._journal.write_sequence_gaps(gaps, self._first_seq)

    def _hand_over_of_numbers(self) -> None:
        """Hand over the gaps in front of messages that were taken; never those in front of discarded ones."""
        while self._waiting and self._waiting[0].last_seq < self._last_seq:
            gap = self._waiting.popleft()
            self._writer.put_gap(gap)
            self._done_of_numbers += 1
            self.of_numbers += 1
            self.reasons[gap.reason] += 1

    def _hand_over(self, gap: Gap) -> None:
        self._writer.put_gap(gap)
        self._done_epoch = gap.epoch
        self._noted.pop(gap.epoch, None)

    def _note(self, gap: Gap) -> None:
        if self._journal is not None:
            self._journal.write_gap(gap)
