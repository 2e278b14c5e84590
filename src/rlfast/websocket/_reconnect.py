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
from rlfast._core.socket_reader import SocketReader
from rlfast.errors import (
    ConfigError,
    ConnectError,
    ConnectionClosedError,
    HandshakeRejectedError,
    MessageTooBigError,
    NetworkError,
    ProtocolError,
    RlfastError,
)
from rlfast.websocket._affinity import LoopAffinity
from rlfast.websocket._backoff import Backoff
from rlfast.websocket._gaps import Gap, GapLog
from rlfast.websocket._handshake import open_connection
from rlfast.websocket._keepalive import Keepalive, Silence
from rlfast.websocket._options import Timing
from rlfast.websocket._resume import Resumption
from rlfast.websocket._sending import NewConnection
from rlfast.websocket._settings import OnConnect, Settings
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
        first_opened_at: in nanoseconds since 1970-01-01 UTC; None: it has not been open yet.
        state: changed by `_move` only.
        resumption: the cursor of the stream, if the user wants it to go on where it was.
        last_error: why there is no connection any more, or why the last one was lost.
        binary_messages, oversized_messages, discarded_messages: of the connections that are gone.
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
        queue.bind(_weakly(self._pause), _weakly(self._resume))

        self.frame_handler: FrameHandler | None = None
        self.epoch = options.first_epoch - 1
        self.first_opened_at: int | None = None
        self.state = State.NEW
        self.last_error: NetworkError | None = None
        self.gaps = GapLog(settings.on_gap)
        self.resumption: Resumption | None = None
        if settings.resume is not None:
            fill, mark = _weakly(self.gaps.fill), options.resume_from
            self.resumption = Resumption(settings.resume, settings.decoding, queue, mark, fill)
        self.keepalive = Keepalive(queue, options, _weakly(self._found_dead))
        self.reconnects = 0
        self.binary_messages = 0
        self.oversized_messages = 0
        self.discarded_messages = 0
        self._opened_at = 0.0
        self._delays: Generator[float, None, None] | Any = None
        self._attempt = 0
        self._loss: NetworkError | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._all_closed: asyncio.Future[None] | None = None
        self._connection_lost: asyncio.Future[None] | None = None
        self._silence: Silence | None = None
        self._held: tuple[SocketReader, OnConnect] | None = None

    @property
    def url(self) -> str:
        """The URL without its query."""
        return self.settings.display_url

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
        """Open connection number epoch + 1. Raises ConnectError, or what a header provider raises."""
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
            resumed = resumption.url if resumption is not None else None
            await open_connection(self.settings, frame_handler, resumed)
        except HandshakeRejectedError as error:
            if resumption is None or not resumption.refused(error.status):
                raise
            await self.open()
            return
        held, self._held = self._held, None
        if held is not None:
            reader, on_connect = held
            try:
                await self._greet(on_connect, frame_handler)
            except BaseException:
                frame_handler.abort()
                raise
            self._establish(frame_handler)
            reader.release()
        if self.epoch != frame_handler.epoch:
            raise ConnectError(f"websocket connect failed: {self.url}: the stream was closed meanwhile")

    def _opened(self, frame_handler: FrameHandler) -> None:
        """The frame handler's upgrade is done (called by it, once, before its first message)."""
        options, on_connect = self._options, self.on_connect
        reader = SocketReader.install(
            frame_handler, options.read_buffer_size, int(options.busy_poll * 1e9), on_connect is not None
        )
        self._connection_lost = asyncio.get_running_loop().create_future()
        if self.resumption is not None:
            self.resumption.opened()
        if on_connect is None:
            self._establish(frame_handler)
        else:
            self._held = reader, on_connect

    async def _greet(self, on_connect: OnConnect, frame_handler: FrameHandler) -> None:
        """Call `on_connect`, with nothing received yet. Raises ConnectError: the attempt has failed."""
        failed = f"websocket connect failed: {self.url}: on_connect"
        options = self._options
        try:
            result = on_connect(NewConnection(frame_handler))
            greeting = asyncio.ensure_future(result) if inspect.isawaitable(result) else None
        except Exception as error:
            # What it says is not ours to quote: it may hold a secret.
            raise ConnectError(f"{failed} raised {type(error).__name__}") from error
        if greeting is not None:
            greeting.add_done_callback(_retrieve)
            try:
                await wait_within([greeting], options.connect_timeout)
            finally:
                is_late = not greeting.done()
                if is_late:
                    frame_handler.abort()
                    greeting.cancel()
                    await wait_within([greeting], options.close_timeout)
            if is_late:
                raise ConnectError(f"{failed} did not end within {options.connect_timeout:g} s")
            if greeting.cancelled():
                raise ConnectError(f"{failed} was cancelled")
            failure = greeting.exception()
            if failure is not None:
                raise ConnectError(f"{failed} raised {type(failure).__name__}") from failure
        if not frame_handler.sends:
            raise ConnectError(f"{failed} was called, and the server closed the connection meanwhile")

    def _establish(self, frame_handler: FrameHandler) -> None:
        """Nothing is left to be done before the first message; unless the stream was closed meanwhile."""
        if State.OPEN not in MOVES[self.state]:
            frame_handler.abort()
            return
        self._move(State.OPEN)
        self.frame_handler = frame_handler
        self.epoch = frame_handler.epoch
        self._opened_at = self._timing.clock()
        self.last_error = self._loss = None
        self._silence = None
        self.keepalive.start(frame_handler)
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
        self.binary_messages += frame_handler.assembler.binary_messages
        self.oversized_messages += frame_handler.assembler.oversized_messages
        self.discarded_messages += frame_handler.assembler.discarded_messages
        assert self._connection_lost is not None
        if not self._connection_lost.done():
            self._connection_lost.set_result(None)
        if self.state is not State.OPEN:
            return
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
        self.last_error = self._loss = self._error_of_loss(frame_handler, gap)
        self.gaps.begin(gap)
        if self.state is not State.OPEN:
            return  # The callback has closed it.
        if self._backoff is None:
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
            self._attempt = 0
        return self._delays

    async def _announce(self) -> None:
        self._attempt += 1
        if self.on_reconnect is None:
            return
        try:
            result = self.on_reconnect(self._attempt)
            if inspect.isawaitable(result):
                await result
        except Exception:
            _log.exception("on_reconnect callback failed")

    async def _try_again(self, backoff: Backoff) -> tuple[bool, Exception | None]:
        """Make an attempt. Returns whether there is another one to be made, and what this one failed with."""
        self.gaps.attempt()
        try:
            await self.open()
        except Exception as failure:
            if self._supervisor is not asyncio.current_task():
                return False, None  # it opened, was lost, and its successor is at work
            # What a header provider raises is not ours to quote: it may hold a secret.
            error = failure if isinstance(failure, RlfastError) else _provider_failed(failure)
            # Their frames hold this object.
            error.__traceback__ = error.__context__ = None
            _log.info("reconnect attempt %d to %s failed: %s", self._attempt, self.url, error)
            fatal = backoff.is_fatal(failure) or isinstance(failure, ConfigError)
            if fatal:
                self._give_up(error)
            return not fatal, error
        return False, None

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
        self._all_closed = asyncio.get_running_loop().create_future()
        supervisor = self._supervisor
        try:
            if supervisor is not None and not supervisor.done() and supervisor is not asyncio.current_task():
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
        is_open = self.state is State.OPEN and frame_handler is not None and not frame_handler.lost
        if not is_open and (supervisor is None or supervisor.done()):
            return False

        def drop() -> None:
            keepalive.stop()
            if frame_handler is not None:
                frame_handler.abort()
            if supervisor is not None:
                supervisor.cancel()

        # Later, and there: the garbage collector runs in any thread, at any time.
        affinity.call_soon(drop)
        return True


def _retrieve(task: asyncio.Future[Any]) -> None:
    """Take note of its exception, which asyncio would log in full."""
    if not task.cancelled():
        task.exception()


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
    """Try until a connection opens, the attempts are used up, or the error is fatal.

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


def _provider_failed(failure: Exception) -> ConnectError:
    return ConnectError(f"websocket connect failed: the header provider raised {type(failure).__name__}")
