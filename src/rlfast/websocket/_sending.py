"""Sending one message on a connection, and what is said on one that is new."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from rlfast._core.frame_handler import FrameHandler
from rlfast._core.queue import BlockQueue
from rlfast._core.socket_reader import SocketReader
from rlfast.errors import ConfigError, NotConnectedError, UsageError, must_be
from rlfast.websocket._received import plain

__all__ = ["Encoded", "Messages", "NewConnection", "check_messages", "encode", "send", "send_encoded"]

Encoded: TypeAlias = tuple[bytes | bytearray | memoryview, bool]
Messages: TypeAlias = "list[Any] | tuple[Any, ...]"

_NOT_ENCODABLE = (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError)


def encode(value: Any) -> Encoded:
    """Return a message's payload, and whether it is binary: see `send`.

    Raises:
        TypeError: msgspec cannot encode the value.
    """
    if isinstance(value, (bytes, bytearray, memoryview)):
        return value, True
    return value.encode() if isinstance(value, str) else msgspec.json.encode(value), False


def check_messages(name: str, messages: Messages | None) -> list[tuple[bytes, bool]]:
    """Return the payloads of messages that are to be sent later, each with whether it is binary.

    Raises:
        ConfigError: it is no list, or one of them cannot be encoded. The text shows none of them.
    """
    what = "a list of messages or None"
    if messages is not None and not isinstance(messages, (list, tuple)):
        if isinstance(messages, (int, float)):
            raise must_be(name, what, messages)
        raise ConfigError(f"{must_be(name, what, messages)}; a single one is written as [message]")
    encoded = []
    for number, message in enumerate(messages or ()):
        try:
            payload, binary = encode(message)
        except _NOT_ENCODABLE as error:
            raise ConfigError(
                f"{name} must be a list of str, bytes, and what msgspec can write as JSON; message {number}, "
                f"{type(message).__name__}, cannot be written ({type(error).__name__})"
            ) from None
        encoded.append((bytes(payload), binary))
    return encoded


async def send(frame_handler: FrameHandler | None, value: Any) -> None:
    """Send one message: a str as text frame, as it is; bytes as binary frame; anything else as JSON text.

    Waits while the transport's buffer is full.

    Raises:
        NotConnectedError: there is no connection, or it is going down.
        TypeError: msgspec cannot encode the value.
    """
    await send_encoded(frame_handler, *encode(value))


async def send_encoded(frame_handler: FrameHandler | None, payload: Any, binary: bool) -> None:
    """Send one message that is encoded. Raises NotConnectedError."""
    if frame_handler is None or not frame_handler.sends:
        raise NotConnectedError
    # Again: all who waited are woken, and the first of them may have filled the buffer.
    while frame_handler.write_paused:
        await frame_handler.drained()
        if not frame_handler.sends:
            raise NotConnectedError
    frame_handler.send(payload, binary)


class NewConnection:
    """A connection that was just opened, before readers get anything of it: what `on_connect` is given.

    Attributes:
        epoch: number of the connection.
        subprotocol: that the server chose from ``subprotocols``; None: none.
    """

    def __init__(self, frame_handler: FrameHandler, reader: SocketReader, queue: BlockQueue) -> None:
        self.epoch = frame_handler.epoch
        self.subprotocol = frame_handler.subprotocol
        self._frame_handler = frame_handler
        self._reader = reader
        self._queue = queue
        self._num_received = 0
        self._waits = False
        self._is_over = False

    async def send(self, value: Any) -> None:
        """Send one message, as `WebSocketConnection.send` does.

        Raises:
            NotConnectedError: the connection is lost already.
            TypeError: msgspec cannot encode the value.
        """
        await send(self._frame_handler, value)

    async def receive(self) -> Any:
        """Wait for the connection's next message and return it, undecoded by the type of the stream.

        A message that is JSON comes as plain Python values; another one as str, or as bytes if it is no
        UTF-8. It stays in the stream: readers get it, too, when `on_connect` is done, with those behind it.
        Cancelling or timing out the await loses none.

        Raises:
            NotConnectedError: the connection is lost.
            UsageError: `on_connect` is done, or another task is receiving.
        """
        if self._waits:
            raise UsageError("another task is already receiving on this connection")
        self._waits = True
        try:
            while True:
                if self._is_over and self._frame_handler.sends:
                    raise UsageError(
                        "receive() is for on_connect, which is done; read from the connection itself"
                    )
                payload = self._queue.peek(self._num_received) if not self._is_over else None
                if payload is not None:
                    self._num_received += 1
                    return plain(payload)
                # The stream may have been closed, and the connection not yet.
                if self._is_over or not self._frame_handler.sends or not self._queue.gated:
                    raise NotConnectedError
                await self._reader.read_once()
        finally:
            self._waits = False

    def end(self) -> None:
        """Receive nothing more: `on_connect` is done, or the attempt has failed."""
        self._is_over = True
