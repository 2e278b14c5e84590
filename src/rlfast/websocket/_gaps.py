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

__all__ = ["SEQUENCE_GAP", "Gap", "GapLog", "OnGap"]

MAX_GAPS = 100_000
SEQUENCE_GAP = "sequence_gap"
"""Reason of a gap that the numbers in the messages show, and not the connection."""

_log = logging.getLogger("rlfast.connection")


class Gap(msgspec.Struct, frozen=True):
    """A time in which messages may have been missed: from a disconnect to the next connection."""

    epoch: int
    """Number of the connection that was lost."""
    last_seq: int
    """Sequence number of the last message before the gap; -1 if there was none."""
    disconnected_at: int
    """Nanoseconds since 1970-01-01 UTC. With the reason ``idle_timeout``, when the last frame arrived, pongs
    included; with ``data_timeout``, when the last message did."""
    reason: str
    """``closed_by_peer``, ``connection_lost``, ``message_too_big``, ``protocol_error: …``; ``idle_timeout``,
    ``data_timeout`` of a connection that was open and silent. Of a capture also ``capture_stopped`` or
    ``crashed``, for the time since the run before, and ``journal_damaged``."""
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
    def identity(self) -> tuple[int, int, str | None, str | None]:
        """What stays the same while a gap goes on, and tells it from every other one of its stream."""
        return self.epoch, self.disconnected_at, self.key, self.from_ if self.reason == SEQUENCE_GAP else None

    @property
    def undecided(self) -> bool:
        """Whether it may still be filled: no message with a cursor has come behind it."""
        return self.from_ is not None and self.filled is None and self.reason != SEQUENCE_GAP

    def describe(self) -> str:
        """Return the reason with what the close frame said: "closed_by_peer, code 4001: token expired"."""
        text = self.reason
        if self.close_code is not None:
            text += f", code {self.close_code}"
        if self.close_reason is not None:
            # On one line, and nothing that a terminal would obey.
            text += f": {self.close_reason if self.close_reason.isprintable() else ascii(self.close_reason)}"
        return text


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
        self._tell()

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
            self._tell()

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

    def _tell(self) -> None:
        if self.callback is None:
            return
        gap = self._gaps[-1]
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
