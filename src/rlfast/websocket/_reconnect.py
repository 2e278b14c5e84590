"""One open connection after the other: opening, losing, reconnecting, closing. No reading, no sending.

The schedule of attempts is that of the Rust SDK's client (``reasoninglayer`` 1.0.3, ``ws.rs``).
"""

from __future__ import annotations

import asyncio
import enum
import inspect
import logging
import time
import weakref
from collections.abc import Callable, Generator
from typing import Any

from rlfast._core.frame_handler import FrameHandler
from rlfast._core.queue import BlockQueue
from rlfast._core.screen import KeepAliveScreen
from rlfast._core.socket_reader import SocketReader
from rlfast.errors import (
    ConnectError,
    ConnectionClosedError,
    HandshakeRejectedError,
    MessageTooBigError,
    NetworkError,
    ProtocolError,
    RlfastError,
    check_bool,
)
from rlfast.websocket._affinity import LoopAffinity
from rlfast.websocket._backoff import Backoff
from rlfast.websocket._gaps import Gap, GapLog
from rlfast.websocket._greeting import call, greet, retrieve
from rlfast.websocket._handshake import open_connection
from rlfast.websocket._heartbeats import Heartbeats
from rlfast.websocket._keepalive import Keepalive, Silence
from rlfast.websocket._options import Timing
from rlfast.websocket._received import find_last_received
from rlfast.websocket._replies import Replies
from rlfast.websocket._resume import Resumption
from rlfast.websocket._sending import NewConnection
from rlfast.websocket._sequence import SequenceLog
from rlfast.websocket._settings import Settings, check_url, display_url
from rlfast.websocket._timeouts import wait_within

__all__ = ["Reconnector"]

_log = logging.getLogger("rlfast.connection")


class State(enum.Enum):
    """What becomes of the stream; docs/design.md has the picture."""

    NEW = "no connection was open yet"
    OPEN = "a connection is open"
    WAITING = "it was lost, and attempts are being made"
    GIVEN_UP = "every attempt has failed"
    CLOSING = "close was called"
    OVER = "there will be no more connection"


#: By state: those that may follow it.
MOVES = {
    State.NEW: {State.OPEN, State.CLOSING, State.OVER},
    State.OPEN: {State.WAITING, State.CLOSING, State.OVER},
    State.WAITING: {State.OPEN, State.GIVEN_UP, State.CLOSING, State.OVER},
    State.GIVEN_UP: {State.WAITING, State.CLOSING, State.OVER},
    State.CLOSING: {State.OVER},
    State.OVER: set[State](),
}


class Reconnector:
    """Fills a queue with messages, over as many connections as it takes, until it is closed or gives up.

    Whatever the event loop holds, holds this object weakly: it goes away with whoever reads from the queue. A
    reconnect attempt that is being made holds it until the attempt is over.

    Args:
        settings: where to connect, and how; without a backoff, a connection that is lost is the last one.
        queue: where messages go; it is finished when there will be no more.

    Attributes:
        affinity: where the calls must come from; set before the first `open`.
        frame_handler: of the connection that is open; None: none is.
        epoch: number of the current or last connection.
        url: of that connection, without its query; None of a function's before the first call
        subprotocol: that its server chose; None: none.
        first_opened_at: in nanoseconds since 1970-01-01 UTC; None: it has not been open yet.
        state: changed by `_move` only.
        resumption: the cursor of the stream, if the user wants it to go on where it was.
        last_error: why there is no connection any more, or why the last one was lost.
        screen: what finds the application's keep-alives in the queue; None: there is nothing to be found.
        binary_messages, oversized_messages, discarded_messages, answers: of the connections that are gone.
    """

    def __init__(self, settings: Settings, queue: BlockQueue) -> None:
        self.affinity: LoopAffinity | None = None
        self.settings = settings
        self._queue = queue
        self._backoff = settings.backoff
        self._timing = settings.timing
        self._options = options = settings.options
        self.on_connect = settings.on_connect
        self.on_reconnect = settings.on_reconnect
        queue.keep_last = callable(settings.url)
        queue.bind(_weakly(self._pause), _weakly(self._resume))

        self.frame_handler: FrameHandler | None = None
        self.epoch = options.first_epoch - 1
        #: without its query
        self.url = settings.display_url
        self.subprotocol: str | None = None
        self.first_opened_at: int | None = None
        self.state = State.NEW
        self.last_error: NetworkError | None = None
        self.gaps = GapLog(settings.on_gap)
        self.sequence: SequenceLog | None = None
        if settings.sequence is not None:
            self.sequence = SequenceLog(settings.sequence, settings.decoding, self.gaps)
            queue.watchers = (*queue.watchers, self.sequence.watcher)
        self.resumption: Resumption | None = None
        if settings.resume is not None:
            fill, mark = _weakly(self.gaps.fill), options.resume_from
            self.resumption = Resumption(settings.resume, settings.decoding, queue, mark, fill)
        self.keepalive = Keepalive(queue, options, _weakly(self._found_dead))
        self.heartbeats = Heartbeats(settings.heartbeats)
        self.replies = Replies(settings.replies)
        self.screen: KeepAliveScreen | None = None
        if settings.replies or settings.ignore is not None:
            asks = [(reply.when.encode(), reply.ignore) for reply in settings.replies]
            self.screen = KeepAliveScreen(settings.ignore, asks, _weakly(self.replies.asked))
            queue.append_screen(self.screen)
        self.reconnects = 0
        self.binary_messages = 0
        self.oversized_messages = 0
        self.discarded_messages = 0
        self.answers = 0
        self._opened_at = 0.0
        self._delays: Generator[float, None, None] | Any = None
        self._attempt = 0
        #: of the last failure, and how often in a row it was the same
        self._kind: object = None
        self._alike = 0
        self._loss: NetworkError | None = None
        self._supervisor: asyncio.Task[None] | None = None
        #: in which `on_reconnect` runs
        self.announcing: asyncio.Task[None] | None = None
        self._all_closed: asyncio.Future[None] | None = None
        self._connection_lost: asyncio.Future[None] | None = None
        self._silence: Silence | None = None
        #: of the attempt that is being made
        self._held: SocketReader | None = None
        self._messages_before = 0
        self._asked = ""  #: which of a user's functions

    @property
    def connected(self) -> bool:
        """Whether a message would be sent."""
        return self.state is State.OPEN and self.frame_handler is not None and self.frame_handler.sends

    def _move(self, state: State) -> None:
        """Change the state; nothing else does."""
        assert state in MOVES[self.state], f"{state} cannot follow {self.state}"
        self.state = state

    # -- opening ---------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Open connection number epoch + 1. Raises ConnectError, or what a user's function raises."""
        frame_handler = FrameHandler(
            self._queue,
            self._options.max_message_size,
            self.epoch + 1,
            _weakly(self._opened),
            _weakly(self._lost),
        )
        self._held = None
        resumption = self.resumption
        try:
            await open_connection(self.settings, frame_handler, self._find_url, self.url)
            if self._held is not None:
                await self._greet(frame_handler, self._held)
        except BaseException as error:
            if self._held is not None:
                self._held = None
                frame_handler.abort()
                self._greeting_failed(frame_handler, error)
            elif (
                resumption is not None
                and isinstance(error, HandshakeRejectedError)
                and resumption.refused(error.status)
            ):
                await self.open()
                return
            raise
        reader, self._held = self._held, None
        if reader is not None:
            self._establish(frame_handler)
            self._queue.open_gate()
            reader.release()
            if frame_handler.lost and self.state is State.OPEN:
                # It has served: what it brought, and its loss, are those of any other connection.
                self._was_lost(frame_handler)
        if self.epoch != frame_handler.epoch:
            raise ConnectError(f"websocket connect failed: {self.url}: the stream was closed meanwhile")

    async def _find_url(self) -> str:
        """The URL of the attempt that begins. Raises ConfigError, or what a function raises."""
        url = self.settings.url
        if callable(url):
            self._asked = "the url function"
            given = url(find_last_received(self._queue))
            url = check_url(await given if inspect.isawaitable(given) else given)
            self.url = display_url(url)
        self._asked = "the header provider"
        return url if self.resumption is None else self.resumption.url(url)

    def _opened(self, frame_handler: FrameHandler) -> None:
        """The frame handler's upgrade is done (called by it, once, before its first message)."""
        options, greets = self._options, self.on_connect is not None or bool(self.settings.subscribe)
        reader = SocketReader.install(
            frame_handler, options.read_buffer_size, int(options.busy_poll * 1e9), greets
        )
        self._connection_lost = asyncio.get_running_loop().create_future()
        if self.resumption is not None:
            self.resumption.opened()
        self.replies.frame_handler = frame_handler
        if greets:
            self._held = reader
            self._messages_before = self._queue.messages
            self._queue.close_gate()
        else:
            self._establish(frame_handler)

    async def _greet(self, frame_handler: FrameHandler, reader: SocketReader) -> None:
        """Subscribe and call `on_connect`, while readers get nothing. Raises ConnectError."""
        what = "subscribe" if self.on_connect is None else "on_connect"
        failed = f"websocket connect failed: {self.url}: {what}"
        connection = NewConnection(frame_handler, reader, self._queue)
        await greet(frame_handler, connection, self.settings, self.on_connect, failed)
        if not frame_handler.sends and not self._has_received:
            raise ConnectError(f"{failed} is done, and the server has closed the connection meanwhile")

    @property
    def _has_received(self) -> bool:
        """Whether the attempt that is being made has brought messages."""
        return self._queue.messages != self._messages_before

    def _greeting_failed(self, frame_handler: FrameHandler, error: BaseException) -> None:
        """What was received stays in the stream. It was a connection then, and a gap is behind it."""
        if self._has_received:
            text = str(error) if isinstance(error, ConnectError) else "cancelled"
            self.epoch = frame_handler.epoch
            now = time.time_ns()
            reason = f"on_connect_failed: {text.rpartition(': on_connect ')[2]}"
            self.gaps.end(now)
            self.gaps.begin(
                Gap(
                    epoch=self.epoch,
                    last_seq=self._queue.next_seq - 1,
                    disconnected_at=now,
                    reason=reason,
                    close_code=frame_handler.close_code,
                    close_reason=frame_handler.close_reason,
                    from_=self.resumption.lost(reason) if self.resumption is not None else None,
                )
            )
            if self.state is State.OVER:
                self.gaps.end(None)
        self._queue.open_gate()

    def _establish(self, frame_handler: FrameHandler) -> None:
        """Nothing is left to be done before the first message; unless the stream was closed meanwhile."""
        if State.OPEN not in MOVES[self.state]:
            frame_handler.abort()
            return
        self._move(State.OPEN)
        if not frame_handler.lost:
            self.frame_handler = frame_handler
            self.keepalive.start(frame_handler)
            self.heartbeats.start(frame_handler)
        self.epoch = frame_handler.epoch
        self.subprotocol = frame_handler.subprotocol
        self._opened_at = self._timing.clock()
        self.last_error = self._loss = None
        self._silence = None
        now = time.time_ns()
        if self.first_opened_at is None:
            self.first_opened_at = now
        else:
            self.reconnects += 1
        self.gaps.end(now)

    # -- losing ----------------------------------------------------------------------------------------

    def _lost(self, frame_handler: FrameHandler) -> None:
        """The frame loop's connection is gone (called by it, once)."""
        self.frame_handler = None
        self.keepalive.stop()
        if self.replies.frame_handler is frame_handler:
            self.replies.frame_handler = None
            self.heartbeats.stop()
        self.answers += frame_handler.answers
        self.binary_messages += frame_handler.assembler.binary_messages
        self.oversized_messages += frame_handler.assembler.oversized_messages
        self.discarded_messages += frame_handler.assembler.discarded_messages
        assert self._connection_lost is not None
        if not self._connection_lost.done():
            self._connection_lost.set_result(None)
        if self.state is State.OPEN:
            self._was_lost(frame_handler)

    def _was_lost(self, frame_handler: FrameHandler) -> None:
        """The connection that was open is gone: what becomes of the stream."""
        if frame_handler.error is not None or frame_handler.close_received:
            # It was going down for a better reason, but its peer did not read.
            self._silence = None
        reason = self._why_lost(frame_handler)
        gap = Gap(
            epoch=frame_handler.epoch,
            last_seq=self._queue.next_seq - 1,
            # Since its last sign of life a dead connection may have missed messages.
            disconnected_at=self._silence.since if self._silence else frame_handler.lost_at,
            reason=reason,
            close_code=frame_handler.close_code,
            close_reason=frame_handler.close_reason,
            from_=self.resumption.lost(reason) if self.resumption is not None else None,
        )
        if self._backoff is None and gap.reason == "closed_by_peer" and gap.close_code == 1000:
            # As the peer meant it.
            self._end()
            return
        self.last_error = self._loss = error = self._error_of_loss(frame_handler, gap)
        self.gaps.begin(gap)
        if self.state is not State.OPEN:
            return  # The callback has closed it.
        if self._backoff is None or not self._retries(self._backoff, error):
            self._end()
        else:
            self._start_reconnecting(self._backoff)

    def _start_reconnecting(self, backoff: Backoff) -> None:
        self._move(State.WAITING)
        self._supervisor = asyncio.get_running_loop().create_task(
            _reconnect(weakref.ref(self), self._queue, backoff, self._timing)
        )

    def _found_dead(self, silence: Silence) -> None:
        """The connection is open and dead (called by the keepalive timer)."""
        self._silence = silence
        if self.frame_handler is not None:
            self.frame_handler.abort()

    def _why_lost(self, frame_handler: FrameHandler) -> str:
        """The reason of the gap."""
        if self._silence is not None:
            return self._silence.reason
        if frame_handler.error is not None:
            code, text = frame_handler.error
            return "message_too_big" if code == 1009 else f"protocol_error: {text}"
        return "closed_by_peer" if frame_handler.close_received else "connection_lost"

    def _error_of_loss(self, frame_handler: FrameHandler, gap: Gap) -> NetworkError:
        if self._silence is not None:
            return NetworkError(f"connection to {self.url} is dead: {self._silence.error}")
        if frame_handler.error is not None:
            code, text = frame_handler.error
            return MessageTooBigError(text, gap.last_seq, b"") if code == 1009 else ProtocolError(text, code)
        text = f"connection to {self.url} ended: {gap.describe()}"
        if frame_handler.close_received:
            return ConnectionClosedError(text, gap.close_code, gap.close_reason)
        return NetworkError(text)

    # -- reconnecting: for `_reconnect` -----------------------------------------------------------------

    def _schedule(self, backoff: Backoff) -> Any:
        """Delays of the attempts that are left, after a connection was lost."""
        if self._delays is None or self._timing.clock() - self._opened_at >= backoff.reset_after:
            self._delays = backoff.delays(self._timing.random)
            self._attempt = self._alike = 0
        return self._delays

    async def _announce(self) -> None:
        """Call `on_reconnect`. What it raises is logged; it does not end the stream."""
        self._attempt += 1
        if self.on_reconnect is None:
            return
        # As a task of its own, its cancellation is not taken for ours.
        self.announcing = task = asyncio.get_running_loop().create_task(
            call(self.on_reconnect, self._attempt)
        )
        task.add_done_callback(retrieve)
        try:
            await asyncio.wait([task])
        finally:
            self.announcing = None
            if not task.done():
                task.cancel()
                await wait_within([task], self._options.close_timeout)
        failure = asyncio.CancelledError("it was cancelled") if task.cancelled() else task.exception()
        if failure is not None:
            _log.error("on_reconnect callback failed: %s", failure, exc_info=failure)

    async def _try_again(self, backoff: Backoff) -> tuple[bool, Exception | None]:
        """Make an attempt. Returns whether there is another one to be made, and what this one failed with."""
        self.gaps.attempt()
        try:
            await self.open()
        except Exception as failure:
            if self._supervisor is not asyncio.current_task():
                return False, None  # it opened, was lost, and its successor is at work
            # What a user's function raises is not ours to quote: it may hold a secret.
            error = failure if isinstance(failure, RlfastError) else self._provider_failed(failure)
            # Their frames hold this object.
            error.__traceback__ = error.__context__ = None
            _log.info("reconnect attempt %d to %s failed: %s", self._attempt, self.url, error)
            goes_on = self._retries(backoff, failure)
            if not goes_on:
                self._give_up(error)
            return goes_on, error
        return False, None

    def _retries(self, backoff: Backoff, error: Exception) -> bool:
        """Ask the rule whether to try again."""
        status = error.status if isinstance(error, HandshakeRejectedError) else None
        close_code = error.close_code if isinstance(error, ConnectionClosedError) else None
        kind = type(error), status, close_code
        self._alike = self._alike + 1 if kind == self._kind else 1
        self._kind = kind
        rule = self.settings.retry or backoff.retries
        try:
            goes_on = rule(error, self._alike)
            check_bool("what retry returns", goes_on)
        except Exception:
            # It may quote a secret.
            _log.exception("retry callback failed; the backoff decides")
            return backoff.retries(error, self._alike)
        return goes_on

    def _provider_failed(self, failure: Exception) -> ConnectError:
        return ConnectError(f"websocket connect failed: {self._asked} raised {type(failure).__name__}")

    def _give_up(self, error: Exception | None) -> None:
        """There will be no more connection, unless `try_again` is called."""
        lost = self._loss
        if error is lost:
            # No attempt was left. What the peer said is worth repeating, unless it was a plain goodbye.
            plain = isinstance(lost, ConnectionClosedError) and (lost.close_code, lost.close_reason) == (
                1000,
                None,
            )
            why = f"; {lost}" if lost is not None and not plain else ""
            error = ConnectError(f"websocket connect failed: the attempts are used up{why}")
        elif not isinstance(error, NetworkError):
            error = ConnectError(f"websocket connect failed: {error}")
        error.__cause__ = lost
        self.last_error = error
        self._end(State.GIVEN_UP)

    def try_again(self) -> bool:
        """Begin to reconnect anew, after every attempt has failed. Returns False if the stream stays over."""
        affinity = self.affinity
        if self.state is not State.GIVEN_UP or affinity is None or not affinity.is_here:
            return False
        assert self._backoff is not None
        self._delays = None
        self._queue.reopen()
        self.gaps.reopen()
        self._start_reconnecting(self._backoff)
        return True

    def _end(self, state: State = State.OVER) -> None:
        if self.state is not State.OVER:
            self._move(state)
        self.gaps.end(None)
        self._queue.finish()

    # -- the queue's word ------------------------------------------------------------------------------

    def _pause(self) -> None:
        if self.frame_handler is not None:
            self.frame_handler.pause()

    def _resume(self) -> None:
        self.keepalive.resumed()
        if self.frame_handler is not None:
            self.frame_handler.resume()

    # -- closing ---------------------------------------------------------------------------------------

    async def close(self, code: int, reason: str) -> None:
        """Close the connection and finish the queue; a second call waits for the first.

        Nothing makes it fail, and it takes not much longer than ``options.close_timeout``.
        """
        if self._all_closed is not None:
            await asyncio.shield(self._all_closed)
            return
        if self.state is not State.OVER:
            self._move(State.CLOSING)
        self.keepalive.stop()
        self.heartbeats.stop()
        self._all_closed = asyncio.get_running_loop().create_future()
        supervisor = self._supervisor
        ours = asyncio.current_task() in (supervisor, self.announcing)
        try:
            if supervisor is not None and not supervisor.done() and not ours:
                supervisor.cancel()
                # A callback that does not let itself be cancelled must not hold this up.
                await wait_within([supervisor], self._options.close_timeout)
            if self.frame_handler is not None and not self.frame_handler.lost:
                assert self._connection_lost is not None
                self.frame_handler.start_close(code, reason)
                await wait_within([self._connection_lost], self._options.close_timeout)
        finally:
            if self.frame_handler is not None:
                self.frame_handler.abort()
            self._end()
            # Before the callbacks: one of them may wait for it in a close of its own.
            self._all_closed.set_result(None)
            await self.gaps.settle(self._options.close_timeout)

    def forget(self) -> None:
        """The event loop is closed, and the transport went with it: only finish the queue."""
        if self.state is not State.OVER:
            self._move(State.OVER)
        self.frame_handler = None
        self._queue.finish()

    def abandon(self) -> bool:
        """Nobody refers to it any more: drop the connection, and make no other one, in the event loop.

        Returns False if there was nothing left to be dropped. May be called in any thread.
        """
        affinity = self.affinity
        if affinity is None or affinity.is_inherited:
            return False
        frame_handler, supervisor, keepalive = self.frame_handler, self._supervisor, self.keepalive
        heartbeats = self.heartbeats
        is_open = self.state is State.OPEN and frame_handler is not None and not frame_handler.lost
        if not is_open and (supervisor is None or supervisor.done()):
            return False

        def drop() -> None:
            keepalive.stop()
            heartbeats.stop()
            if frame_handler is not None:
                frame_handler.abort()
            if supervisor is not None:
                supervisor.cancel()

        # Later, and there: the garbage collector runs in any thread, at any time.
        affinity.call_soon(drop)
        return True


def _weakly(method: Callable[..., None]) -> Callable[..., None]:
    """`method`, as a callable that does not keep its object alive, and does nothing when that is gone."""
    reference = weakref.WeakMethod(method)

    def call(*arguments: object) -> None:
        bound = reference()
        if bound is not None:
            bound(*arguments)

    return call


async def _reconnect(
    reference: weakref.ref[Reconnector], queue: BlockQueue, backoff: Backoff, timing: Timing
) -> None:
    """Try until a connection opens, the attempts are used up, or the rule says that another one cannot help.

    It holds the reconnector while it works for it, and not during a delay; but always the queue, which
    whoever waits for a message hangs on: a task that nobody else knows of must not be collected as garbage.
    """
    reconnector = reference()
    if reconnector is None:
        return
    try:
        error: Exception | None = reconnector.last_error
        for delay in reconnector._schedule(backoff):
            await reconnector._announce()
            if reconnector.state is not State.WAITING:
                return
            del reconnector
            await timing.sleep(backoff.next_delay(delay, error))
            reconnector = reference()
            if reconnector is None or reconnector.state is not State.WAITING:
                return
            goes_on, error = await reconnector._try_again(backoff)
            if not goes_on or reconnector.state is not State.WAITING:
                return
        reconnector._give_up(error)
    except asyncio.CancelledError:
        closing = reference()
        if closing is not None:
            closing._end()
        queue.finish()
        raise
