"""The record of a connection's gaps, and who is told of them."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeAlias

import msgspec

from rlfast.websocket._timeouts import wait_within

__all__ = ["MAX_GAPS", "MORE_SEQUENCE_GAPS", "SEQUENCE_GAP", "Gap", "GapLog", "OnGap"]

MAX_GAPS = 100_000
SEQUENCE_GAP = "sequence_gap"
"""Reason of a gap that the numbers in the messages show, and not the connection."""
MORE_SEQUENCE_GAPS = "sequence_gap: more"
"""Reason of a gap that stands for more of them, within a minute, than are listed one by one."""

_log = logging.getLogger("rlfast.connection")


class Gap(msgspec.Struct, frozen=True):
    """A time in which messages may have been missed: from a disconnect to the next connection.

    Or, with the reason ``sequence_gap``, from one message to the next whose number does not follow: see
    `Sequence`. Then `disconnected_at` is when the number `from_` was received, and `reconnected_at` when the
    number `to` was, in the message behind `last_seq`.
    """

    epoch: int
    """Number of the connection that was lost; of a ``sequence_gap``, that which brought the number `to`."""
    last_seq: int
    """Sequence number of the last message before the gap; -1 if there was none."""
    disconnected_at: int
    """Nanoseconds since 1970-01-01 UTC. With the reason ``idle_timeout``, when the last frame arrived, pongs
    included; with ``data_timeout``, when the last message did."""
    reason: str
    """``closed_by_peer``, ``connection_lost``, ``message_too_big``, ``protocol_error: …``; ``idle_timeout``,
    ``data_timeout`` of a connection that was open and silent; ``on_connect_failed: …`` of one on which
    `on_connect` had received something. Of a capture also ``capture_stopped`` or ``crashed``, for the time
    since the run before, and ``journal_damaged``. ``sequence_gap`` for each number that does not follow the
    one before, and ``sequence_gap: more`` where more followed within a minute than are listed one by one."""
    close_code: int | None = None
    """Code of the peer's close frame (RFC 6455 section 7.4), if it sent one with a code."""
    close_reason: str | None = None
    """Text of the peer's close frame, if it sent one with a text."""
    reconnected_at: int | None = None
    """Nanoseconds since 1970-01-01 UTC; None while there is no new connection."""
    attempts: int = 0
    """Reconnect attempts so far, as `on_reconnect` counts them; one that still waits for its delay does not
    count."""
    from_: str | None = msgspec.field(default=None, name="from")
    """Where the numbers or cursors in the messages were before the gap; None: unknown. With ``resume=``, the
    cursor that the next connection was opened with."""
    to: str | None = None
    """Where they went on behind the gap, as far as that is known. With ``resume=``, the cursor of the first
    message that was not received before."""
    key: str | None = None
    """Whose numbers these are, where each of several things, such as products, has its own."""
    filled: bool | None = None
    """Whether everything between `from_` and `to` was received after all; None: nobody tried, or,
    while `to` is None too, no message has come yet that would tell. See `rlfast.Resume`."""

    @property
    def identity(self) -> tuple[object, ...]:
        """What stays the same while a gap goes on, and tells it from every other one of its stream."""
        if not self.is_sequence_gap:
            return self.epoch, self.disconnected_at, self.key
        return self.epoch, self.disconnected_at, self.reason, self.last_seq, self.key, self.from_, self.to

    @property
    def is_sequence_gap(self) -> bool:
        """Whether it is the numbers in the messages that show it, and not the connection."""
        return self.reason in (SEQUENCE_GAP, MORE_SEQUENCE_GAPS)

    @property
    def undecided(self) -> bool:
        """Whether it may still be filled: no message with a cursor has come behind it."""
        return self.from_ is not None and self.filled is None and not self.is_sequence_gap

    def describe(self) -> str:
        """Return the reason with what is known: "closed_by_peer, code 4001: token expired"."""
        text = self.reason
        if self.close_code is not None:
            text += f", code {self.close_code}"
        if self.close_reason is not None:
            text += f": {_printable(self.close_reason)}"
        if self.reason == SEQUENCE_GAP:
            text += f", {self.from_} to {self.to}"
            if self.key is not None:
                text += f" of {_printable(self.key)}"
        return text


def _printable(text: str) -> str:
    """On one line, and nothing that a terminal would obey."""
    return text if text.isprintable() else ascii(text)


OnGap: TypeAlias = Callable[[Gap], "Awaitable[None] | None"]


class GapLog:
    """Every gap so far, oldest first; the last `MAX_GAPS` are kept.

    The callback is told of a gap when it begins, and again when it is over: a new connection is open, or
    there will be none. The listeners are called then, too, and when the first connection opens.
    """

    def __init__(self, callback: OnGap | None) -> None:
        self.callback = callback
        #: before the callback, for our own layers
        self.listeners: list[Callable[[], None]] = []
        self._gaps: deque[Gap] = deque(maxlen=MAX_GAPS)
        self._is_open = False
        self._tasks: set[asyncio.Future[Any]] = set()

    def __iter__(self) -> Iterator[Gap]:
        return iter(self._gaps)

    def begin(self, gap: Gap) -> None:
        """A connection is lost."""
        self._gaps.append(gap)
        self._is_open = True
        self._call_listeners()
        self._tell(gap)

    def attempt(self) -> None:
        """A reconnect attempt begins."""
        if self._is_open:
            self._replace(attempts=self._gaps[-1].attempts + 1)

    def end(self, reconnected_at: int | None) -> None:
        """A connection is open; None: there will be none. That is the end of the gap, if there is one."""
        was_open, self._is_open = self._is_open, False
        if was_open:
            self._replace(reconnected_at=reconnected_at)
        self._call_listeners()
        if was_open:
            self._tell(self._gaps[-1])

    def tell_soon(self, gaps: list[Gap]) -> None:
        """Tell the callback of gaps that are not in this record, when the socket read is over."""
        if self.callback is not None:
            for gap in gaps:
                asyncio.get_running_loop().call_soon(self._tell, gap)

    def fill(self, to: str, filled: bool) -> None:
        """The first message with a cursor has come behind the last gaps; `to` is its cursor."""
        for i in range(len(self._gaps) - 1, -1, -1):
            if not self._gaps[i].undecided:
                break
            self._gaps[i] = msgspec.structs.replace(self._gaps[i], to=to, filled=filled)
        # Also when none is here: there may be one from before the first connection.
        self._call_listeners()

    def reopen(self) -> None:
        """There will be another attempt after all: the last gap goes on."""
        if self._gaps and self._gaps[-1].reconnected_at is None:
            self._is_open = True
            self._replace(attempts=0)

    def renumber(self, shift: int, least: int) -> None:
        """Messages behind `least` have got numbers that are higher by `shift`; those before have none."""
        replace = msgspec.structs.replace
        gaps = [replace(gap, last_seq=max(gap.last_seq + shift, least)) for gap in self._gaps]
        self._gaps = deque(gaps, maxlen=MAX_GAPS)

    async def settle(self, timeout: float) -> None:
        """Wait `timeout` seconds for the callbacks that are still running, then cancel them."""
        current = asyncio.current_task()
        tasks = [task for task in self._tasks if task is not current]
        if not tasks:
            return
        try:
            late = await wait_within(tasks, timeout)
            if late:
                _log.warning("on_gap callback cancelled: it runs for more than %g s after close", timeout)
        finally:
            # Also if whoever closes is cancelled: nobody would wait for them any more.
            for task in tasks:
                task.cancel()
        if late:
            # One that goes on all the same must not hold `close` up.
            await wait_within(late, timeout)

    def _replace(self, **changes: Any) -> None:
        self._gaps[-1] = msgspec.structs.replace(self._gaps[-1], **changes)

    def _call_listeners(self) -> None:
        for listener in self.listeners:
            listener()

    def _tell(self, gap: Gap) -> None:
        if self.callback is None:
            return
        try:
            result = self.callback(gap)
        except Exception:
            _log.exception("on_gap callback failed")
            return
        if inspect.isawaitable(result):
            task = asyncio.ensure_future(_watched(result))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)


async def _watched(awaitable: Awaitable[None]) -> None:
    try:
        await awaitable
    except Exception:
        _log.exception("on_gap callback failed")
