"""What the tests of connections share: a clock that does not wait, and a server that sends and closes."""

from __future__ import annotations

import asyncio
from typing import Any

from wsserver import Peer, frame

from rlfast import Timing

HEARTBEAT = '{"type":"heartbeat","timestamp":"t"}'


class FakeTiming:
    """A clock that only moves when somebody sleeps, and a record of everything that happened."""

    def __init__(self) -> None:
        self.now = 0.0
        self.log: list[tuple[str, float]] = []

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.log.append(("sleep", seconds))
        self.now += seconds
        await asyncio.sleep(0)

    def on_reconnect(self, attempt: int) -> None:
        self.log.append(("callback", attempt))

    @property
    def timing(self) -> Timing:
        return Timing(clock=self.clock, sleep=self.sleep, random=lambda: 0.5)


def sender(*messages: str | bytes) -> Any:
    """A handler that sends messages and closes with 1000."""

    async def handler(peer: Peer) -> None:
        for message in messages:
            await peer.write(frame(message.encode() if isinstance(message, str) else message))
        await peer.close()

    return handler
