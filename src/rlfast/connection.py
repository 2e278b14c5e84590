"""A WebSocket connection that reconnects by itself, read message by message or batch by batch.

Semantics are those of the Rust SDK's client (``reasoninglayer`` 1.0.3, ``ws.rs``): see `WebSocketConnection`.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import ssl as ssl_module
import time
import warnings
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from types import TracebackType
from typing import Any, Generic, Literal, TypeVar, overload

import msgspec

from rlfast._core.block import BlockQueue, BlockTap
from rlfast._core.messages import MessageReader, MessageSource
from rlfast._core.wire import FrameLoop
from rlfast.backoff import Backoff
from rlfast.batches import BatchIterator
from rlfast.block_decoding import BlockDecoding
from rlfast.compression import Deflate, check_compression
from rlfast.decoding import BatchAssembler, MessageDecoder
from rlfast.errors import (
    ConfigError,
    ConnectError,
    MessageTooBigError,
    NetworkError,
    NotConnectedError,
    ProtocolError,
    RlfastError,
    UsageError,
)
from rlfast.gaps import GapLog, OnGap
from rlfast.home import Home
from rlfast.liveness import Liveness, Silence
from rlfast.opening import HeaderProvider, Headers, check_headers, check_url, display_url, open_connection
from rlfast.options import ConnectionOptions, ConnectionStats, Gap, Timing
from rlfast.proxy import check_proxy

T = TypeVar("T")
OnReconnect = Callable[[int], "Awaitable[None] | None"]

_log = logging.getLogger("rlfast.connection")
_OFFICIAL = Backoff.official()
_NO_HEADERS: Headers = {}


class WebSocketConnection(MessageSource, Generic[T]):
    """A stream of JSON messages over a WebSocket, which outlives its connections.

    - `next_message` takes text and binary frames alike as JSON. A message that cannot be decoded raises
      `DecodeError`; the connection stays usable. Pings are answered, pongs ignored.
    - When the connection is closed or lost, it is opened anew by `backoff`: for each attempt the
      `on_reconnect` callback first, then the delay, then the attempt. Reading simply goes on with the first
      message of the new connection; each disconnect is recorded in `gaps`. When every attempt failed (or
      there is no `backoff`), `next_message` returns None, `async for` and `batches` end, and `last_error`
      says why.
    - `send` while disconnected raises `NotConnectedError`; it never reconnects.
    - `close` sends a close frame, never fails, and ends the stream: what was received before can still be
      read, then None.

    Payloads wait in blocks, bounded by ``options.high_water`` bytes; then the socket is paused and TCP makes
    the server wait. Make one with `rlfast.connect`.

    It belongs to the event loop that it was opened in. In another one, or in another thread, `send`, `close`
    and a `next_message` that would have to wait raise `UsageError`; so they do in a fork of the process, but
    for `close`, which does nothing there. One that nobody refers to any more drops its connection with a
    ResourceWarning, also while it reconnects.
    """

    # No dict: what is called for each message, next_message, is found sooner.
    __slots__ = (
        "__weakref__",
        "_all_closed",
        "_attempt",
        "_backoff",
        "_binary_messages",
        "_block_decoding",
        "_closing",
        "_compression",
        "_connection_lost",
        "_decoder",
        "_delays",
        "_discarded_messages",
        "_epoch",
        "_first_opened_at",
        "_frame_loop",
        "_gaps",
        "_headers",
        "_home",
        "_last_error",
        "_liveness",
        "_on_reconnect",
        "_opened_at",
        "_options",
        "_oversized_messages",
        "_proxy",
        "_queue",
        "_reconnects",
        "_silence",
        "_ssl",
        "_stream",
        "_supervisor",
        "_timing",
        "_type",
        "_url",
    )

    def __init__(
        self,
        url: str,
        *,
        type: Any = None,  # noqa: A002 - the word msgspec uses
        headers: Headers | HeaderProvider = _NO_HEADERS,
        backoff: Backoff | None = _OFFICIAL,
        on_reconnect: OnReconnect | None = None,
        on_gap: OnGap | None = None,
        ssl: ssl_module.SSLContext | None = None,
        proxy: str | None = None,
        compression: Literal["deflate"] | Deflate | None = None,
        stream: str | None = None,
        options: ConnectionOptions | None = None,
        timing: Timing | None = None,
    ) -> None:
        """Prepare a connection; `connect` opens it."""
        self._home: Home | None = None  # First, for __del__.
        self._url = check_url(url)
        if not callable(headers):
            headers = check_headers(headers)
        self._headers = headers
        self._type = type
        self._backoff = backoff
        self._on_reconnect = on_reconnect
        self._ssl = ssl
        self._proxy = check_proxy(proxy)
        self._compression = check_compression(compression)
        self._options = options = options or ConnectionOptions()
        self._timing = timing or Timing()
        self._stream = stream if stream is not None else display_url(url).split("://", 1)[1]

        self._queue = BlockQueue(options.block_size, options.high_water, options.low_water, options.first_seq)
        # Whatever the event loop holds, holds this object weakly: one that is dropped is to go away.
        self._queue.bind(_weakly(self._pause), _weakly(self._resume))
        self._decoder = MessageDecoder(type)
        self._reader = MessageReader(
            self._queue, self._decoder.decode, self._decoder.recover, UsageError, self._decoder.make_structs
        )
        self._block_decoding: BlockDecoding | None = None

        self._frame_loop: FrameLoop | None = None
        self._epoch = options.first_epoch - 1
        self._opened_at = 0.0
        self._first_opened_at: int | None = None
        self._delays: Generator[float, None, None] | Any = None
        self._attempt = 0
        self._supervisor: asyncio.Task[None] | None = None
        self._closing = False
        self._all_closed: asyncio.Future[None] | None = None
        self._connection_lost: asyncio.Future[None] | None = None
        self._gaps = GapLog(on_gap)
        self._liveness = Liveness(self._queue, options, _weakly(self._found_dead))
        self._silence: Silence | None = None
        self._reconnects = 0
        self._binary_messages = 0
        self._oversized_messages = 0
        self._discarded_messages = 0
        self._last_error: NetworkError | None = None

    # -- opening ---------------------------------------------------------------------------------------

    @classmethod
    def connect(cls, url: str, **arguments: Any) -> Connecting[Any]:
        """Open a connection; the arguments are those of `rlfast.connect`."""
        return Connecting(cls(url, **arguments))

    async def _open(self) -> None:
        """Open connection number epoch + 1. Raises ConnectError, or what a header provider raises."""
        if self._home is None:
            self._home = Home()
            self._reader.check_caller, self._reader.loop = self._home.check, self._home.loop
        options = self._options
        frame_loop = FrameLoop(
            self._queue,
            options.max_message_size,
            options.read_buffer_size,
            self._epoch + 1,
            _weakly(self._opened),
            _weakly(self._lost),
        )
        await open_connection(
            self._url,
            frame_loop,
            headers=self._headers,
            ssl=self._ssl,
            proxy=self._proxy,
            compression=self._compression,
            options=options,
        )

    def _opened(self, frame_loop: FrameLoop) -> None:
        """The frame loop's upgrade is done (called by it, once, before its first message)."""
        self._frame_loop = frame_loop
        self._epoch = frame_loop.epoch
        self._opened_at = self._timing.clock()
        if self._first_opened_at is None:
            self._first_opened_at = time.time_ns()
        self._last_error = None
        self._connection_lost = asyncio.get_running_loop().create_future()
        self._silence = None
        self._liveness.start(frame_loop)
        if self._epoch > self._options.first_epoch:
            self._reconnects += 1
            self._gaps.end(time.time_ns())

    # -- losing and reconnecting -----------------------------------------------------------------------

    def _lost(self, frame_loop: FrameLoop) -> None:
        """The frame loop's connection is gone (called by it, once)."""
        self._frame_loop = None
        self._liveness.stop()
        self._binary_messages += frame_loop.assembler.binary_messages
        self._oversized_messages += frame_loop.assembler.oversized_messages
        self._discarded_messages += frame_loop.assembler.discarded_messages
        assert self._connection_lost is not None
        if not self._connection_lost.done():
            self._connection_lost.set_result(None)
        if self._closing:
            return
        if frame_loop.error is not None or frame_loop.close_received:
            # It was going down for a better reason, but its peer did not read.
            self._silence = None
        reason = self._describe_loss(frame_loop)
        ended = self._backoff is None and frame_loop.close_code == 1000
        if not ended:
            self._gaps.begin(
                Gap(
                    epoch=frame_loop.epoch,
                    last_seq=self._queue.next_seq - 1,
                    # Since its last sign of life a dead connection may have missed messages.
                    disconnected_at=self._silence.since if self._silence else frame_loop.lost_at,
                    reason=reason,
                    close_code=frame_loop.close_code,
                )
            )
        if self._backoff is None:
            self._gaps.end(None)
            if not ended and self._last_error is None:
                self._last_error = NetworkError(f"connection to {self.url} ended: {reason}")
            self._queue.finish()
            return
        self._supervisor = asyncio.get_running_loop().create_task(
            _reconnect(weakref.ref(self), self._queue, self._backoff, self._timing)
        )

    def _found_dead(self, silence: Silence) -> None:
        """The connection is open and dead (called by the liveness timer)."""
        self._silence = silence
        if self._frame_loop is not None:
            self._frame_loop.abort()

    def _describe_loss(self, frame_loop: FrameLoop) -> str:
        if self._silence is not None:
            self._last_error = NetworkError(f"connection to {self.url} is dead: {self._silence.error}")
            return self._silence.reason
        if frame_loop.error is not None:
            code, text = frame_loop.error
            error = (
                MessageTooBigError(text, self._queue.next_seq - 1, b"")
                if code == 1009
                else ProtocolError(text, code)
            )
            self._last_error = error
            return "message_too_big" if code == 1009 else f"protocol_error: {text}"
        if frame_loop.close_received:
            return "closed_by_peer"
        return "connection_lost"

    def _schedule(self, backoff: Backoff) -> Any:
        """Delays of the attempts that are left, after a connection was lost."""
        if self._delays is None or self._timing.clock() - self._opened_at >= backoff.reset_after:
            self._delays = backoff.delays(self._timing.random)
            self._attempt = 0
        return self._delays

    async def _announce(self) -> None:
        self._attempt += 1
        if self._on_reconnect is None:
            return
        try:
            result = self._on_reconnect(self._attempt)
            if inspect.isawaitable(result):
                await result
        except Exception:
            _log.exception("on_reconnect callback failed")

    async def _try_again(self, backoff: Backoff) -> tuple[bool, Exception | None]:
        """Make an attempt. Returns whether there is another one to be made, and what this one failed with."""
        self._gaps.attempt()
        try:
            await self._open()
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
        """There will be no more connection."""
        self._last_error = (
            error
            if isinstance(error, NetworkError)
            else ConnectError(f"websocket connect failed: {error or 'the attempts are used up'}")
        )
        self._end()

    def _end(self) -> None:
        self._gaps.end(None)
        self._queue.finish()

    def on_reconnect(self, callback: OnReconnect | None) -> None:
        """Set the callback for reconnect attempts.

        It is called, or awaited, with the number of the attempt (from 1), before the delay of that attempt.
        """
        self._on_reconnect = callback

    def on_gap(self, callback: OnGap | None) -> None:
        """Set the callback for gaps.

        It is called, or awaited in a task, with the `Gap` when a connection is lost, and again when the gap
        is over: a new connection is open, or there will be none (``reconnected_at`` is None then). What it
        raises is logged. `close` waits ``options.close_timeout`` seconds for tasks, then cancels them.
        """
        self._gaps.callback = callback

    def _pause(self) -> None:
        if self._frame_loop is not None:
            self._frame_loop.pause()

    def _resume(self) -> None:
        self._liveness.resumed()
        if self._frame_loop is not None:
            self._frame_loop.resume()

    # -- message mode ----------------------------------------------------------------------------------

    # next_message is the base class's, compiled; this is its type.
    next_message: Callable[[], Awaitable[T | None]]
    """Awaitable of the next message, decoded; None when the stream is over.

    Completes without suspending when a message is there. Cancelling or timing out the await loses no message.
    In typed mode an event of a type that is not known comes as an `UnknownEvent`.

    Raises:
        DecodeError: the message is not JSON or does not fit the type; the next call goes on behind it.
        MessageTooBigError: the message exceeded ``max_message_size``; the connection was closed with 1009.
        UsageError: another task waits for a message, or `batches` is reading; it would have to wait, and was
            called from elsewhere than its event loop.
    """

    async def next_messages(self, max_messages: int = 1024) -> list[T]:
        """Wait for a message and return it with those that are there too, up to `max_messages`.

        An empty list means that the stream is over. A message that cannot be decoded ends the list before it
        and is raised by the next call. Errors are those of `next_message`.
        """
        if max_messages < 1:
            raise ConfigError("max_messages must be at least 1")
        while True:
            messages: list[T] = self._reader.take_nowait(max_messages)
            if messages or self._queue.finished:
                return messages
            await self._reader.wait("next_messages")

    # The base class's, too.
    __aiter__: Callable[[], AsyncIterator[T]]
    __anext__: Callable[[], Awaitable[T]]

    # -- batch mode ------------------------------------------------------------------------------------

    def batches(
        self, max_rows: int = 65_536, max_wait: float = 0.25, *, bury_hook_errors: bool = False
    ) -> BatchIterator:
        """Iterate over what arrives as `EventBatch`.

        A batch is handed out when it has `max_rows` messages, or `max_wait` seconds after its first one. The
        iteration ends when the stream is over and everything that was received is delivered. Leaving the loop
        loses nothing: a later `batches()` goes on where this one stopped.

        A message that a hook of the type (``__post_init__``) trips over raises that exception, and stays the
        next to be read; with `bury_hook_errors` it becomes a dead letter with reason ``hook_error``.

        Raises:
            UnsupportedFieldError: a field of the type has no column type.
            UsageError: (from the iteration) another reader is at work; it was called from elsewhere than the
                connection's event loop.
        """
        if max_rows < 1 or not max_wait >= 0:
            raise ConfigError("max_rows must be at least 1 and max_wait at least 0 seconds")
        if self._block_decoding is None:
            self._block_decoding = BlockDecoding(self._queue, BatchAssembler(self._type))
        self._block_decoding.assembler.buries_hook_errors = bury_hook_errors
        return BatchIterator(self, self._queue, self._reader, self._block_decoding, max_rows, max_wait)

    # -- sending and closing ---------------------------------------------------------------------------

    async def send(self, value: Any) -> None:
        """Send one message: a str as text frame, as it is; bytes as binary frame; anything else as JSON text.

        Waits while the transport's buffer is full.

        Raises:
            NotConnectedError: there is no connection at the moment.
            UsageError: it was called from elsewhere than the connection's event loop.
            TypeError: msgspec cannot encode the value.
        """
        if self._home is not None:
            self._home.check("send")
        binary = isinstance(value, (bytes, bytearray, memoryview))
        payload = value if binary or isinstance(value, str) else msgspec.json.encode(value)
        if isinstance(payload, str):
            payload = payload.encode()
        frame_loop = self._frame_loop
        if frame_loop is None or not frame_loop.sends:
            raise NotConnectedError
        # Again: all who waited are woken, and the first of them may have filled the buffer.
        while frame_loop.write_paused:
            await frame_loop.drained()
            if not frame_loop.sends:
                raise NotConnectedError
        frame_loop.send(payload, binary)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the connection and end the stream.

        No fault of the peer or the network makes it fail; a second call waits for the first.

        What was received before stays readable; what arrives later is counted in
        ``stats.discarded_messages``. The peer gets ``options.close_timeout`` seconds to answer, and so do
        `on_gap` callbacks that are still running; then they are cancelled.

        In a fork of the process that opened the connection it does nothing. If the event loop that it was
        opened in is closed, it only ends the stream.

        Raises:
            ConfigError: the code may not be sent (RFC 6455 section 7.4), or the reason exceeds 123 bytes.
            UsageError: it was called from another thread or event loop.
        """
        if not (code in (1000, 1001) or 3000 <= code <= 4999) or len(reason.encode()) > 123:
            raise ConfigError("close takes code 1000, 1001 or 3000-4999 and a reason of at most 123 bytes")
        home = self._home
        if home is not None:
            if home.is_inherited:
                return
            if home.is_closed:
                # Nobody is left to wait for. The transport goes with the loop.
                self._closing = True
                self._frame_loop = None
                self._queue.finish()
                return
            home.check("close")
        if self._all_closed is not None:
            await asyncio.shield(self._all_closed)
            return
        self._closing = True
        self._liveness.stop()
        self._all_closed = asyncio.get_running_loop().create_future()
        supervisor = self._supervisor
        try:
            if supervisor is not None and not supervisor.done() and supervisor is not asyncio.current_task():
                supervisor.cancel()
                # A callback that does not let itself be cancelled must not hold this up.
                await asyncio.wait([supervisor], timeout=self._options.close_timeout)
            if self._frame_loop is not None and not self._frame_loop.lost:
                assert self._connection_lost is not None
                self._frame_loop.start_close(code, reason)
                await asyncio.wait([self._connection_lost], timeout=self._options.close_timeout)
        finally:
            if self._frame_loop is not None:
                self._frame_loop.abort()
            self._gaps.end(None)
            self._queue.finish()
            # Before the callbacks: one of them may wait for it in a close of its own.
            self._all_closed.set_result(None)
            await self._gaps.settle(self._options.close_timeout)

    # Bound early: an interpreter that shuts down takes its modules apart.
    def __del__(self, _warn: Callable[..., None] = warnings.warn) -> None:
        home = self._home
        if home is None or home.is_inherited:
            return
        frame_loop, supervisor, liveness = self._frame_loop, self._supervisor, self._liveness
        is_open = frame_loop is not None and not frame_loop.lost and not self._closing
        if not is_open and (supervisor is None or supervisor.done()):
            return

        def drop() -> None:
            liveness.stop()
            if frame_loop is not None:
                frame_loop.abort()
            if supervisor is not None:
                supervisor.cancel()

        # Later, and there: the garbage collector runs in any thread, at any time.
        home.call_soon(drop)
        _warn(f"unclosed {self!r}; use async with, or close()", ResourceWarning, source=self)

    async def __aenter__(self) -> WebSocketConnection[T]:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    # -- for a capture ----------------------------------------------------------------------------------

    def attach(self, tap: BlockTap, max_spill: int = 0) -> None:
        """Show every message that waits, and every later one, to `tap` before it is read: to a journal.

        With `max_spill`, so many bytes may be in the tap's store only when ``options.high_water`` is reached.
        """
        self._queue.attach(tap, max_spill)

    def detach(self) -> None:
        """Forget the tap."""
        self._queue.detach()

    @property
    def next_unread_seq(self) -> int:
        """Sequence number of the next message that a reader gets."""
        return int(self._queue.unread_seq)

    def listen_to_gaps(self, listener: Callable[[Gap], None] | None) -> None:
        """Tell `listener` of gaps, before the callback of `on_gap`; None: nobody."""
        self._gaps.listeners[:] = [listener] if listener is not None else []

    def hold(self, held: bool) -> None:
        """Pause the socket whatever is queued, or end that."""
        self._queue.hold(held)

    # -- what is known ---------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """The URL without its query."""
        return display_url(self._url)

    @property
    def stream(self) -> str:
        """Name of the stream, for the ``stream`` column of a capture."""
        return self._stream

    @property
    def type(self) -> Any:
        """What a message is decoded to; None for plain values."""
        return self._type

    @property
    def opened_at(self) -> int | None:
        """When the first connection was open, in nanoseconds since the Unix epoch; None before that."""
        return self._first_opened_at

    @property
    def epoch(self) -> int:
        """Number of the connection, from ``options.first_epoch``."""
        return self._epoch

    @property
    def connected(self) -> bool:
        """Whether a connection is open at the moment."""
        return self._frame_loop is not None and self._frame_loop.sends and not self._closing

    @property
    def closed(self) -> bool:
        """Whether the stream is over: nothing more will arrive."""
        return bool(self._queue.finished)

    @property
    def last_error(self) -> NetworkError | None:
        """Why the stream is over, or why the connection was last lost. None after a normal close."""
        return self._last_error

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """Every disconnect so far, oldest first; the last 100,000 are kept."""
        return tuple(self._gaps)

    @property
    def stats(self) -> ConnectionStats:
        """Counters since the start, over all connections."""
        queue = self._queue
        live = self._frame_loop.assembler if self._frame_loop is not None else None
        assembler = self._block_decoding.assembler if self._block_decoding is not None else None
        return ConnectionStats(
            messages=queue.messages,
            payload_bytes=queue.payload_bytes,
            epoch=self._epoch,
            reconnects=self._reconnects,
            queued_bytes=queue.queued_bytes,
            peak_queued_bytes=queue.peak_queued_bytes,
            spilled_bytes=queue.spilled_bytes,
            allocated_bytes=queue.allocated_bytes,
            paused=bool(queue.paused),
            pauses=queue.pauses,
            decode_errors=self._decoder.errors,
            unknown_events=self._decoder.unknown_events,
            fast_events=assembler.num_fast if assembler is not None else 0,
            judged_events=assembler.num_judged if assembler is not None else 0,
            dead_letters=assembler.num_dead_letters if assembler is not None else 0,
            binary_messages=self._binary_messages + (live.binary_messages if live else 0),
            oversized_messages=self._oversized_messages + (live.oversized_messages if live else 0),
            discarded_messages=self._discarded_messages + (live.discarded_messages if live else 0),
        )

    def __repr__(self) -> str:
        state = "closed" if self.closed else "open" if self.connected else "disconnected"
        return f"<WebSocketConnection {self.url} {state} epoch={self._epoch}>"


def _weakly(method: Callable[..., None]) -> Callable[..., None]:
    """`method`, as a callable that does not keep its object alive, and does nothing when that is gone."""
    reference = weakref.WeakMethod(method)

    def call(*arguments: object) -> None:
        bound = reference()
        if bound is not None:
            bound(*arguments)

    return call


async def _reconnect(
    reference: weakref.ref[WebSocketConnection[Any]], queue: BlockQueue, backoff: Backoff, timing: Timing
) -> None:
    """Try until a connection opens, the attempts are used up, or the error is fatal.

    It holds the connection while it works for it, and not during a delay; but always the queue, which whoever
    waits for a message hangs on: a task that nobody else knows of must not be collected as garbage.
    """
    connection = reference()
    if connection is None:
        return
    try:
        error: Exception | None = connection._last_error
        for delay in connection._schedule(backoff):
            await connection._announce()
            if connection._closing:
                return
            del connection
            await timing.sleep(backoff.next_delay(delay, error))
            connection = reference()
            if connection is None or connection._closing:
                return
            goes_on, error = await connection._try_again(backoff)
            if not goes_on or connection._closing:
                return
        connection._give_up(error)
    except asyncio.CancelledError:
        closing = reference()
        if closing is not None:
            closing._end()
        queue.finish()
        raise


def _provider_failed(failure: Exception) -> ConnectError:
    return ConnectError(f"websocket connect failed: the header provider raised {type(failure).__name__}")


class Connecting(Generic[T]):
    """What `connect` returns: an awaitable, and an async context manager that closes at its end."""

    def __init__(self, connection: WebSocketConnection[T]) -> None:
        self._connection = connection

    async def _run(self) -> WebSocketConnection[T]:
        try:
            await self._connection._open()
        except BaseException:
            await self._connection.close()
            raise
        return self._connection

    def __await__(self) -> Generator[Any, None, WebSocketConnection[T]]:
        return self._run().__await__()

    async def __aenter__(self) -> WebSocketConnection[T]:
        return await self._run()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._connection.close()


@overload
def connect(url: str, *, type: type[T], **arguments: Any) -> Connecting[T]: ...


@overload
def connect(url: str, *, type: Any = None, **arguments: Any) -> Connecting[Any]: ...


def connect(url: str, **arguments: Any) -> Connecting[Any]:
    """Open a WebSocket connection: ``await connect(url)`` or ``async with connect(url) as ws``.

    Args:
        url: ``ws://`` or ``wss://``.
        type: what a message is decoded to, as in msgspec: a struct, a tagged union of structs; None for plain
            Python values.
        headers: sent with the upgrade request; a callable (sync or async) is called anew for every attempt.
        backoff: how to reconnect; `Backoff.official()` by default, None to never reconnect.
        on_reconnect: called with the number of each reconnect attempt, before its delay.
        on_gap: called with each `Gap`, when it begins and when it is over; see `WebSocketConnection.on_gap`.
        ssl: context for ``wss://``; by default the system's certificates, verified.
        proxy: URL of a proxy (``http://``, ``https://``, ``socks5://``, ``socks4://``), with credentials if
            it wants them; None: directly, whatever the environment says.
        compression: ``"deflate"`` or a `Deflate` offers permessage-deflate (RFC 7692) to the server. It saves
            bandwidth, and costs about a microsecond for each small message; None on a fast network.
        stream: name of the stream; by default host and path of the URL.
        options: a `ConnectionOptions`: time-outs, sizes, first sequence number.
        timing: a `Timing`: clock, sleep and randomness, for tests.

    Raises:
        ConfigError: an argument cannot work.
        HandshakeRejectedError: the server refused the upgrade.
        ConnectError: the connection cannot be opened. The first attempt is never repeated.
    """
    return WebSocketConnection.connect(url, **arguments)
