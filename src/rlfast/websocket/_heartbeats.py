"""Messages that a server wants to get every now and then, or it hangs up."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from rlfast._core.frame_handler import FrameHandler
from rlfast.errors import ConfigError, check_number, check_type, must_be
from rlfast.websocket._sending import Encoded, encode

__all__ = ["Heartbeat", "Heartbeats", "check_heartbeats", "check_message"]

_log = logging.getLogger("rlfast.connection")


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A message that is sent again and again while a connection is open.

    Attributes:
        every: seconds from one to the next; the first one is sent so long after the connection
            is open, and `on_connect` done.
        message: as for `send`: a str, bytes, or what is sent as JSON; or a function without arguments that
            returns one, for those that count.
    """

    every: float
    message: Any = field(repr=False)

    def __post_init__(self) -> None:
        """Check types and ranges."""
        check_number("Heartbeat.every", self.every, 0, 86_400, above=True, note="s")
        check_message("Heartbeat.message", self.message)


def check_message(name: str, message: Any) -> None:
    """Refuse what is neither a message nor a function that makes one. The text shows nothing of it."""
    if inspect.iscoroutinefunction(message):
        raise ConfigError(f"{name} must be a message or a function that returns one, and not an async one")
    if callable(message):
        return
    try:
        if message is None:
            raise TypeError
        encode(message)
    except (TypeError, ValueError, RecursionError):
        what = "str, bytes, a value that msgspec can encode, or a function that returns one of these"
        raise must_be(name, what, message) from None


def check_heartbeats(value: Heartbeat | Sequence[Heartbeat] | None) -> tuple[Heartbeat, ...]:
    """Return what `heartbeat=` says as a tuple. Raises ConfigError: it cannot work."""
    beats = () if value is None else (value,) if isinstance(value, Heartbeat) else value
    what = "a Heartbeat, a list of them, or None"
    check_type("heartbeat", beats, (list, tuple), what=what)
    for beat in beats:
        check_type("heartbeat", beat, Heartbeat, what=what)
    return tuple(beats)


class Heartbeats:
    """Sends heartbeats on one connection after the other; one timer each.

    One that falls due while the transport takes no bytes is left out: the peer does not read.
    """

    def __init__(self, heartbeats: Sequence[Heartbeat]) -> None:
        self._heartbeats = heartbeats
        self._timers: dict[int, asyncio.TimerHandle] = {}

    def start(self, frame_handler: FrameHandler) -> None:
        """Send them on a connection that has just been opened."""
        self.stop()
        loop = asyncio.get_running_loop()
        for number, heartbeat in enumerate(self._heartbeats):
            message = heartbeat.message
            make = message if callable(message) else None
            encoded = encode(message) if make is None else None
            due = loop.time() + heartbeat.every
            self._timers[number] = loop.call_at(
                due, self._beat, number, frame_handler, loop, due, heartbeat.every, encoded, make
            )

    def stop(self) -> None:
        """Send no more."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _beat(
        self,
        number: int,
        frame_handler: FrameHandler,
        loop: asyncio.AbstractEventLoop,
        due: float,
        every: float,
        encoded: Encoded | None,
        make: Callable[[], Any] | None,
    ) -> None:
        if not frame_handler.sends:
            self._timers.pop(number, None)
            return
        # Those that a busy loop, or a process that was stopped, has missed are not made up for.
        due = max(due + every, loop.time())
        self._timers[number] = loop.call_at(
            due, self._beat, number, frame_handler, loop, due, every, encoded, make
        )
        if frame_handler.write_paused:
            return
        try:
            payload, binary = encoded if encoded is not None else encode(make())  # type: ignore[misc]
        except Exception:
            _log.exception("the function of a Heartbeat failed")
            return
        frame_handler.send(payload, binary)
