"""Settings of a connection: time-outs, sizes, and where it gets time and randomness from."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from rlfast.errors import check_callable, check_int, check_number, check_type
from rlfast.websocket._resume import Mark

_MIB = 1 << 20
_LARGEST = 1 << 30


@dataclass(frozen=True, slots=True)
class ConnectionOptions:
    """Time-outs in seconds, sizes in bytes.

    Attributes:
        connect_timeout: for DNS, TCP, TLS and the upgrade together.
        close_timeout: how long `close` waits for the peer's answer.
        idle_timeout: without a message for so long, a ping is sent; None: never. By default a third of the
            60 s of silence after which proxies and load balancers hang up (nginx: proxy_read_timeout).
        pong_timeout: without a byte for so long after that ping, the connection is dead, and opened anew.
        data_timeout: without a message for so long, it is dead whatever it answers; None: never. While the
            socket is paused, because the reader is slow, none of the three counts; then they start anew.
        max_message_size: bound on one message, all its fragments together; a larger one closes the connection
            with 1009.
        high_water: payload that may wait to be read; then the socket is paused.
        low_water: when so little is waiting, or being decoded, the socket is resumed.
        block_size: of the blocks that payloads wait in.
        read_buffer_size: of one socket read at most; the buffer holds that and one incomplete frame.
        busy_poll: how long, at most a millisecond, the socket is polled after a read while a task waits for a
            message, instead of going to sleep until the next one is there. Takes what it costs to wake a
            processor, 5 to 50 microseconds, out of the latency of a busy stream, for all of a core; the event
            loop's other work waits for up to a millisecond. Not with TLS, nor on Windows. 0: never.
        first_seq: number of the first message.
        first_epoch: number of the first connection.
        resume_from: where the stream was left, for ``connect(resume=…)``; `rlfast.capture.resume` says it.
    """

    connect_timeout: float = 30.0
    close_timeout: float = 5.0
    idle_timeout: float | None = 20.0
    pong_timeout: float = 10.0
    data_timeout: float | None = None
    max_message_size: int = 16 * _MIB
    high_water: int = 16 * _MIB
    low_water: int = 8 * _MIB
    block_size: int = _MIB
    read_buffer_size: int = 256 * 1024
    busy_poll: float = 0.0
    first_seq: int = 0
    first_epoch: int = 1
    resume_from: Mark | None = None

    def __post_init__(self) -> None:
        """Check types and ranges."""
        for name in ("connect_timeout", "close_timeout", "pong_timeout", "idle_timeout", "data_timeout"):
            optional = name in ("idle_timeout", "data_timeout")
            self._check(check_number, name, 0, 86_400, above=True, note="s", optional=optional)
        for name in ("max_message_size", "high_water", "block_size", "read_buffer_size"):
            self._check(check_int, name, 1, _LARGEST, note="bytes")
        self._check(check_number, "busy_poll", 0, 0.001, note="s")
        self._check(check_int, "low_water", 0, self.high_water - 1, note="bytes, less than high_water")
        self._check(check_int, "first_seq", 0, (1 << 62) - 1)
        self._check(check_int, "first_epoch", 1, (1 << 31) - 1)
        self._check(check_type, "resume_from", Mark, optional=True)

    def _check(self, check: Callable[..., None], name: str, *bounds: Any, **arguments: Any) -> None:
        check(f"ConnectionOptions.{name}", getattr(self, name), *bounds, **arguments)


@dataclass(frozen=True, slots=True)
class Timing:
    """Where a connection gets time and randomness from.

    Attributes:
        clock: monotonic seconds.
        sleep: coroutine function that waits for a number of seconds; used between reconnect attempts.
        random: floats from 0 up to 1, for the jitter.
    """

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    random: Callable[[], float] = random.random

    def __post_init__(self) -> None:
        """Check the types."""
        for name in ("clock", "sleep", "random"):
            check_callable(f"Timing.{name}", getattr(self, name))
