"""When what was written is committed, and what a commit says of the stream. Blocking code, for one thread."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress

from rlfast.capture._options import RotationPolicy
from rlfast.sinks._base import Rows, RunEnd, StreamState, StreamWriter
from rlfast.websocket._gaps import Gap

__all__ = ["Committer"]


class _Open:
    """What was written since the last commit."""

    def __init__(self, opened_at: float) -> None:
        self.opened_at = opened_at
        self.unit: str | None = None
        self.first_seq = -1
        self.last_seq = -1
        self.rows = 0
        self.counts: Counter[str | None] = Counter()
        self.gaps = 0
        self.alive_at = 0
        self.nbytes = 0


class Committer:
    """Rows and gaps of one stream into a sink, commit after commit.

    Args:
        writer: of the sink.
        state: up to where the stream is committed.
        rotation: when to commit.
        clock: monotonic seconds.
        on_commit: called, on the committing thread, with the last sequence number that is committed.
        commits: a thread for what a commit must wait for, the disk; None: the caller's.
        is_pressed: whether to commit whatever is open, because the log fills up.

    Attributes:
        counts: rows committed by event type; None stands for the dead letters.
        first_seq, last_seq: span of the messages that are committed, None before the first one.
        gaps: gaps committed.
    """

    def __init__(
        self,
        writer: StreamWriter,
        state: StreamState,
        rotation: RotationPolicy,
        clock: Callable[[], float] = time.monotonic,
        *,
        on_commit: Callable[[int], None] | None = None,
        commits: Executor | None = None,
        is_pressed: Callable[[], bool] | None = None,
    ) -> None:
        self.counts: Counter[str | None] = Counter()
        self.first_seq: int | None = None
        self.last_seq: int | None = None
        self.gaps = 0
        self._writer = writer
        self._state = state
        self._rotation = rotation
        self._clock = clock
        self._on_commit = on_commit
        self._commits = commits
        self._is_pressed = is_pressed
        self._next_seq = state.next_seq
        self._next_epoch = state.next_epoch
        self._resume = state.resume
        self._open: _Open | None = None
        self._committing: Future[None] | None = None

    def add(self, rows: Rows) -> None:
        """Write rows; commits before them if they are of another unit, and after them if that is due.

        Raises:
            CaptureError: they cannot be written.
        """
        if self._open is not None and self._open.rows and self._open.unit != rows.unit:
            self.commit()
        open_ = self._begin()
        try:
            open_.nbytes = self._writer.write(rows)
        except BaseException:
            self.abort()
            raise
        if not open_.rows:
            open_.first_seq, open_.unit = rows.first_seq, rows.unit
        open_.rows = rows.last_seq - open_.first_seq + 1
        open_.counts.update(rows.counts)
        open_.alive_at = max(open_.alive_at, rows.received_at[1])
        self._next_seq = rows.last_seq + 1
        self._next_epoch = max(self._next_epoch, rows.epochs[1] + 1)
        self._resume = rows.resume
        if self._committing is not None and self._committing.done():
            self.wait()
        self.commit_if_due()

    def add_gap(self, gap: Gap) -> None:
        """Record a gap, between the rows before it and those behind it."""
        open_ = self._begin()
        self._writer.add_gap(gap)
        open_.gaps += 1
        open_.alive_at = max(open_.alive_at, gap.reconnected_at or gap.disconnected_at)
        self._next_epoch = max(self._next_epoch, gap.epoch + 1)

    def _begin(self) -> _Open:
        if self._open is None:
            self._open = _Open(self._clock())
        return self._open

    def seconds_to_commit(self) -> float | None:
        """Seconds until what is open is due for its age; None if nothing is."""
        if self._open is None:
            return None
        return max(0.0, self._rotation.interval - (self._clock() - self._open.opened_at))

    def commit_if_due(self) -> None:
        """Commit if a bound of the rotation policy is reached, or the log fills up."""
        open_ = self._open
        if open_ is None:
            return
        is_free = self._committing is None or self._committing.done()
        if self._rotation.due(open_.nbytes, open_.rows, self._clock() - open_.opened_at) or (
            is_free and self._is_pressed is not None and self._is_pressed()
        ):
            self.commit()

    def commit(self, end: RunEnd | None = None) -> None:
        """Commit what is open, if anything is; with `end`, that is committed at least.

        With a thread for commits, this returns when everything is written and that thread has the rest;
        `wait` waits for it.

        Raises:
            CaptureError: it cannot be committed; or the commit before could not.
        """
        if end is not None:
            self._begin()
        open_, self._open = self._open, None
        if open_ is None:
            return
        open_.last_seq = self._next_seq - 1
        self._state = StreamState(
            self._next_seq, self._next_epoch, self._state.commits + 1, open_.alive_at, end, self._resume
        )
        publish = self._writer.commit(self._state)
        self.wait()
        if self._commits is None or publish is None:
            self._publish(publish, open_)
        else:
            self._committing = self._commits.submit(self._publish, publish, open_)

    def wait(self) -> None:
        """Wait for the commit that is under way. Raises its CaptureError."""
        committing, self._committing = self._committing, None
        if committing is not None:
            committing.result()

    def _publish(self, publish: Callable[[], None] | None, open_: _Open) -> None:
        if publish is not None:
            publish()
        self.counts.update(open_.counts)
        self.gaps += open_.gaps
        if open_.rows:
            if self.first_seq is None:
                self.first_seq = open_.first_seq
            self.last_seq = open_.last_seq
        if self._on_commit is not None:
            self._on_commit(open_.last_seq)

    def abort(self) -> None:
        """Forget what is open, when no commit is under way any more; never raises."""
        with suppress(Exception):
            self.wait()
        self._open = None
        self._writer.abort()
