"""A WebSocket connection that reconnects by itself, read message by message or batch by batch.

Semantics are those of the Rust SDK's client (``reasoninglayer`` 1.0.3, ``ws.rs``): see `WebSocketConnection`.
"""

from __future__ import annotations

import asyncio
import sys
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, overload

from rlfast._core.block import BlockTap
from rlfast._core.messages import MessageReader, MessageSource
from rlfast._core.queue import BlockQueue
from rlfast.decode._assembler import BatchAssembler
from rlfast.decode._iterator import BatchIterator as BatchIterator  # for a capture, too
from rlfast.decode._messages import MessageDecoder
from rlfast.decode._scheduler import BlockDecoding
from rlfast.errors import (
    ConfigError,
    NetworkError,
    NotConnectedError,
    UsageError,
    check_bool,
    check_callable,
    check_choice,
    check_int,
    check_number,
    check_type,
)
from rlfast.metrics._stats import ConnectionStats
from rlfast.schema._decoding import Decoding
from rlfast.websocket._affinity import LoopAffinity
from rlfast.websocket._gaps import Gap, OnGap
from rlfast.websocket._reconnect import Reconnector, State
from rlfast.websocket._resume import Filling, Mark, Marker, Resume
from rlfast.websocket._sending import send
from rlfast.websocket._sequence import SequenceListener
from rlfast.websocket._settings import ConnectArguments, OnConnect, OnReconnect, Settings, UrlProvider

if TYPE_CHECKING:
    from typing_extensions import TypeForm, Unpack

T = TypeVar("T")
U = TypeVar("U")


class WebSocketConnection(MessageSource, Generic[T]):
    """A stream of JSON messages over a WebSocket, which outlives its connections.

    - `next_message` takes text and binary frames alike as JSON. A message that cannot be decoded raises
      `DecodeError`; the connection stays usable. Pings are answered, pongs ignored.
    - When the connection is closed or lost, it is opened anew by `backoff`: for each attempt the
      `on_reconnect` callback first, then the delay, then the attempt. Reading simply goes on with the first
      message of the new connection; each disconnect is recorded in `gaps`. When every attempt failed (or
      there is no `backoff`), the stream is over: `async for` and `batches` end, `next_messages` returns an
      empty list, `next_message` None, as for a JSON null, and `last_error` says why. Reading on after that
      tries again, with as many attempts, unless there is no `backoff` or `close` was called.
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
        "_adaptive",
        "_block_decoding",
        "_decoded",
        "_decoder",
        "_queue",
        "_reconnector",
    )

    def __init__(
        self,
        url: str | UrlProvider,
        *,
        type: Any = None,
        **arguments: Unpack[ConnectArguments],
    ) -> None:
        """Prepare a connection; `connect` opens it, and describes the arguments."""
        unknown = arguments.keys() - ConnectArguments.__optional_keys__
        if unknown:
            raise TypeError(f"connect() got an unexpected keyword argument {min(unknown)!r}")
        settings = Settings(url, type=type, **arguments)
        options = settings.options
        self._queue = BlockQueue(options.block_size, options.high_water, options.low_water, options.first_seq)
        self._decoder = MessageDecoder(settings.decoding)
        self._reader = MessageReader(
            self._queue,
            self._decoder.decode,
            self._decoder.recover,
            UsageError,
            self._decoder.make_compiled,
            settings.decoding.separator,
        )
        self._adaptive = True
        self._block_decoding: BlockDecoding | None = None
        self._decoded: Marker | None = None
        self._reconnector = Reconnector(settings, self._queue)
        self._reader.go_on = self._reconnector.try_again

    # -- opening ---------------------------------------------------------------------------------------

    # A type variable of their own: that of the class has no value in WebSocketConnection.connect.
    @overload
    @classmethod
    def connect(
        cls, url: str | UrlProvider, *, type: None = None, **arguments: Unpack[ConnectArguments]
    ) -> Connecting[Any]: ...

    @overload
    @classmethod
    def connect(
        cls, url: str | UrlProvider, *, type: TypeForm[U], **arguments: Unpack[ConnectArguments]
    ) -> Connecting[U]: ...

    @classmethod
    def connect(
        cls, url: str | UrlProvider, *, type: Any = None, **arguments: Unpack[ConnectArguments]
    ) -> Connecting[Any]:
        """Open a connection; the arguments are those of `rlfast.connect`."""
        return Connecting(cls(url, type=type, **arguments))

    async def _open(self) -> None:
        """Open the first connection. Raises ConnectError, or what a user's function raises."""
        if self._reconnector.affinity is None:
            self._reconnector.affinity = affinity = LoopAffinity()
            self._reader.check_caller, self._reader.loop = affinity.check, affinity.loop
        await self._reconnector.open()

    # -- callbacks -------------------------------------------------------------------------------------

    def on_connect(self, callback: OnConnect | None) -> None:
        """Set the callback for new connections, the first one included.

        It is called, or awaited, with the `NewConnection` before readers get anything of it: what a server
        wants to be told first, such as a login or a subscription, is sent here, and reaches it on every
        connection; `NewConnection.receive` waits for its answer. A gap lasts until it is done. If it raises,
        or is not done within ``options.connect_timeout``, the attempt to connect has failed.
        """
        check_callable("callback", callback, optional=True)
        self._reconnector.on_connect = callback

    def on_reconnect(self, callback: OnReconnect | None) -> None:
        """Set the callback for reconnect attempts.

        It is called, or awaited, with the number of the attempt (from 1), before the delay of that attempt.
        What it raises is logged. There is no connection then, so `send` raises NotConnectedError: what a
        server wants to be told on each connection is sent by ``subscribe`` or `on_connect`.
        """
        check_callable("callback", callback, optional=True)
        self._reconnector.on_reconnect = callback

    def on_gap(self, callback: OnGap | None) -> None:
        """Set the callback for gaps.

        It is called, or awaited in a task, with the `Gap` when a connection is lost, and again when the gap
        is over: a new connection is open, or there will be none (``reconnected_at`` is None then). With
        ``reconnected_at`` set `send` works: subscribe again. What it raises is logged. `close` waits
        ``options.close_timeout`` seconds for tasks, then cancels them. Whether a `Resume` has filled the
        gap is known with the next message only, and is in `gaps`.

        With a `Sequence`, it is called with each gap in the numbers, too, once, when the socket read is over.
        """
        check_callable("callback", callback, optional=True)
        self._reconnector.gaps.callback = callback

    # -- message mode ----------------------------------------------------------------------------------

    if TYPE_CHECKING:
        # The base class's, compiled, have the documentation, but do not know of T.
        def next_message(self) -> Awaitable[T | None]: ...

        def __aiter__(self) -> AsyncIterator[T]: ...

        def __anext__(self) -> Awaitable[T]: ...

    async def next_messages(self, max_messages: int = 1024) -> list[T]:
        """Wait for a message and return it with those that are there too, up to `max_messages`.

        An empty list means that the stream is over; a JSON null is None in the list. A message that cannot be
        decoded ends the list before it and is raised by the next call. Errors are those of `next_message`.
        """
        check_int("max_messages", max_messages, 1, sys.maxsize)
        while True:
            messages: list[T] = self._reader.take_nowait(max_messages)
            if messages or self._reader.is_over():
                return messages
            await self._reader.wait("next_messages")

    # -- batch mode ------------------------------------------------------------------------------------

    def batches(
        self,
        max_rows: int = 65_536,
        max_wait: float = 0.25,
        *,
        hook_errors: Literal["raise", "dead_letter"] = "raise",
        other: Literal["keep", "dead_letter"] = "dead_letter",
    ) -> BatchIterator:
        """Iterate over what arrives as `EventBatch`.

        A batch is handed out when it has `max_rows` messages, or `max_wait` seconds after its first one. The
        iteration ends when the stream is over and everything that was received is delivered. Leaving the loop
        loses nothing: a later `batches()` goes on where this one stopped. A message that a hook of the type
        (``__post_init__``) trips over raises that exception, and stays the next to be read; with
        ``hook_errors="dead_letter"`` it is a dead letter with reason ``hook_error``. One of another kind than
        the type describes is a dead letter, too, or with ``other="keep"`` a row of the table ``_other``.

        Raises:
            UnsupportedFieldError: the type is none that msgspec can decode.
            UsageError: (from the iteration) another reader, or another event loop, is at work.
        """
        check_int("max_rows", max_rows, 1, sys.maxsize)
        check_number("max_wait", max_wait, 0, note="seconds")
        check_choice("hook_errors", hook_errors, ("raise", "dead_letter"))
        check_choice("other", other, ("keep", "dead_letter"))
        if self._block_decoding is None:
            assembler = BatchAssembler(self.decoding, adaptive=self._adaptive, other=other == "keep")
            self._block_decoding = BlockDecoding(self._queue, assembler)
            if self._reconnector.resumption is not None:
                self._decoded = Marker(self._reconnector.resumption.find)
                assembler.recent = self._decoded.recent
        self._block_decoding.assembler.keeps_hook_errors = hook_errors == "dead_letter"
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
        reconnector = self._reconnector
        if reconnector.affinity is not None:
            reconnector.affinity.check("send")
        try:
            await send(reconnector.frame_handler, value)
        except NotConnectedError:
            if reconnector.announcing is not None and asyncio.current_task() is reconnector.announcing:
                raise NotConnectedError(
                    "on_reconnect is called before the attempt to connect, when nothing can be sent; what "
                    "each connection is to be told first goes into subscribe=[...] or on_connect"
                ) from None
            raise

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
        check_int("code", code, 1000, 4999)
        check_type("reason", reason, str)
        if not (code in (1000, 1001) or 3000 <= code <= 4999) or len(reason.encode()) > 123:
            raise ConfigError("close takes code 1000, 1001 or 3000-4999 and a reason of at most 123 bytes")
        affinity = self._reconnector.affinity
        if affinity is not None:
            if affinity.is_inherited:
                return
            if affinity.is_closed:
                self._reconnector.forget()
                return
            affinity.check("close")
        await self._reconnector.close(code, reason)

    # Bound early: an interpreter that shuts down takes its modules apart.
    def __del__(self, _warn: Callable[..., None] = warnings.warn) -> None:
        reconnector: Reconnector | None = getattr(
            self, "_reconnector", None
        )  # None: the constructor has raised.
        if reconnector is not None and reconnector.abandon():
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
        check_type("tap", tap, BlockTap)
        check_int("max_spill", max_spill, 0, sys.maxsize, note="bytes")
        self._queue.attach(tap, max_spill)

    def prefer_plain_text(self) -> None:
        """Make no dictionaries of text in batches, because Parquet makes its own.

        Without effect once there was a batch.
        """
        self._adaptive = False

    def detach(self) -> None:
        """Forget the tap."""
        self._queue.detach()

    @property
    def next_unread_seq(self) -> int:
        """Sequence number of the next message that a reader gets."""
        decoding = self._block_decoding
        if decoding is not None and decoding.assembler.num_rows:
            return decoding.assembler.first_seq
        return int(self._queue.unread_seq)

    def renumber(self, seq: int, epoch: int) -> None:
        """Let the next message that a reader gets have the number `seq`; those behind it, and `gaps`, follow.

        If no connection was open yet, and ``options.first_epoch`` does not say otherwise, the first one gets
        the number `epoch`.

        Raises:
            UsageError: messages have been decoded for a batch, with their numbers, and nobody has read it.
        """
        if self.opened_at is None and self._reconnector.epoch == 0:
            self._reconnector.epoch = epoch - 1
        shift = seq - self.next_unread_seq
        if shift == 0:
            return
        if self._block_decoding is not None and self._block_decoding.assembler.num_rows:
            raise UsageError(
                f"messages from seq {self.next_unread_seq} on are decoded for batches(), and cannot get the "
                f"numbers from {seq} on; read them first, or open the connection where the stream goes on"
            )
        self._queue.renumber(seq)
        self._reconnector.gaps.renumber(shift, seq - 1)
        if self._reconnector.sequence is not None:
            self._reconnector.sequence.renumber(shift, seq - 1)

    def listen(self, listener: Callable[[], None] | None, of_numbers: SequenceListener | None = None) -> None:
        """Call `listener` when a connection opens, before its first message, and when one is lost.

        And `of_numbers` with the new ones of `sequence_gaps`, before a tap has the messages behind them. Both
        before the callback of `on_gap`. None: nobody is called.
        """
        check_callable("listener", listener, optional=True)
        check_callable("of_numbers", of_numbers, optional=True)
        if self._reconnector.sequence is not None:
            self._reconnector.sequence.listener = of_numbers
        self._reconnector.gaps.listeners[:] = [listener] if listener is not None else []

    def seed(self, mark: Mark | None) -> None:
        """Let the first connection begin from a mark, if `resume` was given; no effect once it was open."""
        resumption = self._reconnector.resumption
        if resumption is not None and self.opened_at is None:
            resumption.seed(mark)

    def marker(self, mark: Mark | None, next_seq: int) -> Marker | None:
        """Return what knows the mark of each message that is decoded for batches, from `next_seq` on.

        Args:
            mark: of what was before.
            next_seq: of the first message that is read.
        """
        if self._decoded is not None:
            self._decoded.begin(mark, next_seq)
            self._decoded.keep_all()
        return self._decoded

    def filling(self, mark: Mark | None) -> Filling | bool:
        """Return what became of the gap since a mark, when the first connection was opened.

        True: it is not known yet. False: it was not opened from there.
        """
        resumption = self._reconnector.resumption
        if resumption is None or mark is None or not resumption.began_from(mark):
            return False
        return resumption.first or True

    @property
    def overlaps(self) -> bool:
        """Whether the server was seen to begin with the message of the cursor itself."""
        resumption = self._reconnector.resumption
        return resumption is not None and resumption.overlaps

    def hold(self, held: bool) -> None:
        """Pause the socket whatever is queued, or end that."""
        check_bool("held", held)
        self._queue.hold(held)

    # -- what is known ---------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """The URL without its query; of a function, what it returned last."""
        return self._reconnector.url

    @property
    def stream(self) -> str:
        """Name of the stream, for the ``stream`` column of a capture.

        Empty if there is none: the URL is a function's, and ``stream`` was not given.
        """
        return self._reconnector.settings.stream

    @property
    def type(self) -> Any:
        """What a message is decoded to; None for plain values."""
        return self.decoding.type

    @property
    def decoding(self) -> Decoding:
        """How a message is decoded."""
        return self._reconnector.settings.decoding

    @property
    def resume(self) -> Resume | None:
        """How it goes on where it was."""
        return self._reconnector.settings.resume

    @property
    def opened_at(self) -> int | None:
        """When the first connection was open, in nanoseconds since 1970-01-01 UTC; None before that."""
        return self._reconnector.first_opened_at

    @property
    def epoch(self) -> int:
        """Number of the connection, from ``options.first_epoch``."""
        return self._reconnector.epoch

    @property
    def subprotocol(self) -> str | None:
        """What the server of the current or last connection chose from ``subprotocols``; None: none."""
        return self._reconnector.subprotocol

    @property
    def connected(self) -> bool:
        """Whether a connection is open at the moment."""
        return self._reconnector.connected

    @property
    def closed(self) -> bool:
        """Whether the stream is over: nothing more will arrive."""
        return bool(self._queue.finished)

    @property
    def last_error(self) -> NetworkError | None:
        """Why the stream is over, or why the connection was last lost. None after a normal close."""
        return self._reconnector.last_error

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """Every disconnect so far, oldest first; the last 100,000 are kept."""
        return tuple(self._reconnector.gaps)

    @property
    def sequence_gaps(self) -> tuple[Gap, ...]:
        """Every gap so far that the numbers in messages show, oldest first; the last 100,000 are kept.

        Without the argument `sequence` there are none.
        """
        return tuple(self.sequence_gaps_since(0))

    def sequence_gaps_since(self, recorded: int) -> list[Gap]:
        """Return the `sequence_gaps` behind the first `recorded` ones: for a capture."""
        sequence = self._reconnector.sequence
        return sequence.since(recorded) if sequence is not None else []

    @property
    def stats(self) -> ConnectionStats:
        """Counters since the start, over all connections."""
        queue, reconnector = self._queue, self._reconnector
        frame_handler = reconnector.frame_handler
        live = frame_handler.assembler if frame_handler is not None else None
        numbers = reconnector.sequence.watcher if reconnector.sequence is not None else None
        assembler = self._block_decoding.assembler if self._block_decoding is not None else None
        return ConnectionStats(
            messages=queue.messages,
            payload_bytes=queue.payload_bytes,
            epoch=reconnector.epoch,
            reconnects=reconnector.reconnects,
            queued_bytes=queue.queued_bytes,
            peak_queued_bytes=queue.peak_queued_bytes,
            spilled_bytes=queue.spilled_bytes,
            allocated_bytes=queue.allocated_bytes,
            paused=bool(queue.paused),
            pauses=queue.pauses,
            decode_errors=self._decoder.errors,
            unknown_events=self._decoder.unknown_events,
            fast_events=assembler.num_fast if assembler is not None else 0,
            fallback_events=assembler.num_fallback if assembler is not None else 0,
            dead_letters=assembler.num_dead_letters if assembler is not None else 0,
            binary_messages=reconnector.binary_messages + (live.binary_messages if live else 0),
            oversized_messages=reconnector.oversized_messages + (live.oversized_messages if live else 0),
            duplicate_messages=reconnector.resumption.duplicates if reconnector.resumption else 0,
            discarded_messages=reconnector.discarded_messages + (live.discarded_messages if live else 0),
            ignored_messages=reconnector.screen.ignored if reconnector.screen is not None else 0,
            replies=reconnector.answers + (frame_handler.answers if frame_handler is not None else 0),
            checked_numbers=numbers.checked if numbers is not None else 0,
            sequence_gaps=numbers.irregular if numbers is not None else 0,
            skipped_numbers=numbers.skipped if numbers is not None else 0,
            unchecked_numbers=numbers.unchecked if numbers is not None else 0,
        )

    def __repr__(self) -> str:
        state = "closed" if self.closed else "open" if self.connected else "disconnected"
        return f"<WebSocketConnection {self.url} {state} epoch={self.epoch}>"


class Connecting(Generic[T]):
    """What `connect` returns: an awaitable, and an async context manager that closes at its end."""

    def __init__(self, connection: WebSocketConnection[T]) -> None:
        self._connection = connection

    @property
    def connection(self) -> WebSocketConnection[T]:
        """What awaiting this opens."""
        return self._connection

    async def _run(self) -> WebSocketConnection[T]:
        if self._connection._reconnector.state is not State.NEW:
            raise UsageError("this opens one connection, once; for another one call connect(...) again")
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
def connect(
    url: str | UrlProvider, *, type: None = None, **arguments: Unpack[ConnectArguments]
) -> Connecting[Any]: ...


@overload
def connect(
    url: str | UrlProvider, *, type: TypeForm[T], **arguments: Unpack[ConnectArguments]
) -> Connecting[T]: ...


def connect(
    url: str | UrlProvider, *, type: Any = None, **arguments: Unpack[ConnectArguments]
) -> Connecting[Any]:
    """Open a WebSocket connection: ``await connect(url)`` or ``async with connect(url) as ws``.

    Args:
        url: ``ws://`` or ``wss://``; or a function (sync or async) that returns one, called anew for every
            attempt with the `LastReceived` message, None if there was none: for URLs that are good for once,
            tokens in queries, and streams that go on where they ended. A capture then wants a ``stream``.
        type: what a message is decoded to, as in msgspec: a struct, a tagged union of structs, or any
            other type; None for plain Python values.
        events_at: JSON Pointer (RFC 6901), such as ``"/data"``, to the event inside of a message, or to an
            array of events: in batches and captures each event is a row, with the other fields of the message
            in front of its own. `type` is that of the message; or that of the event, and then the message's
            other fields are kept in ``_extra``, and message mode gives the event.
        framing: what parts the JSON documents of a message that has several: ``"lines"``, newlines (NDJSON);
            ``"json-seq"``, the character 0x1E in front of each (RFC 7464); ``"record-separator"``, the same
            behind each (SignalR). Each is what a message is otherwise: a row, with the column ``item``; and
            message mode gives one after the other.
        strict: False also takes ``"42"`` for an int, ``1`` for a bool, ``"null"`` for None, and so on, as
            `msgspec.json.decode` does then.
        dec_hook: callable, (type, plain value) -> object, for types that msgspec does not know, as in
            `msgspec.json.decode`. In batches their columns have the JSON.
        nan: ``"null"`` takes NaN, Infinity and -Infinity, which Python servers send, for null; such a message
            is refused otherwise, because they are no JSON (RFC 8259 section 6).
        surrogates: ``"replace"`` takes U+FFFD for an escaped surrogate without its other half, which browsers
            send; such a message is refused otherwise (RFC 8259 section 8.2).
        headers: sent with the upgrade request; a callable (sync or async) is called anew for every attempt.
        backoff: how to reconnect; `Backoff.official()` by default, None to never reconnect.
        retry: callable, (error, attempt) -> bool, that says whether to try again; None: `Backoff.retries`,
            which gives up after some answers of 401 or 403 in a row, and describes the arguments. It is not
            asked about the first connection.
        subscribe: messages, in a list, that are sent on each new connection before anything else: dicts and
            structs as JSON, str, bytes. Where a server wants to be answered, use `on_connect`.
        on_connect: called with each new connection, before readers get anything of it: to log in, and to
            subscribe. See `WebSocketConnection.on_connect`.
        on_reconnect: called with the number of each reconnect attempt, before its delay, when nothing can be
            sent: see `WebSocketConnection.on_reconnect`.
        on_gap: called with each `Gap`, when it begins and when it is over; see `WebSocketConnection.on_gap`.
        heartbeat: a `Heartbeat`, or a list of them: what is sent again and again while a connection is open.
        reply: a list of `Reply`: how messages are answered in which a server asks whether we are there.
        ignore: messages, such as ``["pong"]``, that are only counted, in ``stats.ignored_messages``: they are
            no part of the stream, have no number, and no reader or capture gets them. White space around them
            does not matter. With a list, also an empty one, messages with nothing or only white space in them
            are ignored, too; otherwise they are messages that are no JSON.
        sequence: a `Sequence` says where the messages have numbers that follow each other; those that jump or
            go back are on record as gaps, in `WebSocketConnection.sequence_gaps` and in captures.
        ssl: context for ``wss://``; by default the system's certificates, verified.
        proxy: URL of a proxy (``http://``, ``https://``, ``socks5://``, ``socks4://``), with credentials if
            it wants them; None: directly, whatever the environment says.
        compression: ``"deflate"`` or a `Deflate` offers permessage-deflate (RFC 7692) to the server. It saves
            bandwidth, and costs about a microsecond for each small message; None on a fast network.
        encoding: ``"gzip"``, ``"zlib"``, ``"deflate"`` (without zlib's header) or ``"zstd"``: binary messages
            are compressed so by the application, each by itself; text ones are not. One that is no such data
            is a `DecodeError` or dead letter.
        subprotocols: names that are offered to the server, in the order in which they are preferred; what it
            chose is in `WebSocketConnection.subprotocol`.
        resume: a `Resume`: the stream goes on where it was, by a cursor in the URL of each connection but the
            first. What comes twice is left out.
        stream: name of the stream; by default host and path of the URL, and a hash of its query, without what
            is a credential or changes with each connection: see `rlfast.websocket._stream_names`.
        options: a `ConnectionOptions`: time-outs, sizes, first sequence number.
        timing: a `Timing`: clock, sleep and randomness, for tests.

    Raises:
        ConfigError: an argument cannot work.
        MissingExtraError: the encoding needs a package that is not installed.
        HandshakeRejectedError: the server refused the upgrade.
        ConnectError: the connection cannot be opened. The first attempt is never repeated.
    """
    return Connecting(WebSocketConnection(url, type=type, **arguments))
