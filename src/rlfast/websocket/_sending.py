"""Sending one message, on whatever connection is open, or on one that is new."""

from __future__ import annotations

from typing import Any

import msgspec

from rlfast._core.frame_handler import FrameHandler
from rlfast.errors import NotConnectedError

__all__ = ["NewConnection", "send"]


async def send(frame_handler: FrameHandler | None, value: Any) -> None:
    """Send one message: a str as text frame, as it is; bytes as binary frame; anything else as JSON text.

    Waits while the transport's buffer is full.

    Raises:
        NotConnectedError: there is no connection, or it is going down.
        TypeError: msgspec cannot encode the value.
    """
    binary = isinstance(value, (bytes, bytearray, memoryview))
    payload = value if binary or isinstance(value, str) else msgspec.json.encode(value)
    if isinstance(payload, str):
        payload = payload.encode()
    if frame_handler is None or not frame_handler.sends:
        raise NotConnectedError
    # Again: all who waited are woken, and the first of them may have filled the buffer.
    while frame_handler.write_paused:
        await frame_handler.drained()
        if not frame_handler.sends:
            raise NotConnectedError
    frame_handler.send(payload, binary)


class NewConnection:
    """A connection that was just opened, before anything is received on it: what `on_connect` is given.

    Attributes:
        epoch: number of the connection.
    """

    def __init__(self, frame_handler: FrameHandler) -> None:
        self.epoch = frame_handler.epoch
        self._frame_handler = frame_handler

    async def send(self, value: Any) -> None:
        """Send one message, as `WebSocketConnection.send` does.

        Raises:
            NotConnectedError: the connection is lost already.
            TypeError: msgspec cannot encode the value.
        """
        await send(self._frame_handler, value)
