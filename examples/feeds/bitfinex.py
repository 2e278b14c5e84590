r"""Bitfinex: trades, as arrays.

Documentation: "WebSocket API v2, Public Channels". No login for market data. The server introduces
itself, and wants a subscription for each channel and symbol, 25 at most on a connection. It says
``[CHANNEL,"hb"]`` when a channel was quiet for 15 seconds; nothing has to be answered.

What happens in a channel is an array whose second element is the trades so far, or says what the third
one is: an array_like struct, with ``str | list[Trade]`` as JSON. Answers (``info``, ``subscribed``),
which say which number is which channel on this connection, are objects, and kept in ``_other``.

    rlfast capture wss://api-pub.bitfinex.com/ws/2 --out bitfinex --types bitfinex:Message \
        --send '{"event": "subscribe", "channel": "trades", "symbol": "tBTCUSD"}'
"""

from __future__ import annotations

import asyncio

from msgspec import Struct

import rlfast
from rlfast.capture import capture
from rlfast.schema import EpochMillis

URL = "wss://api-pub.bitfinex.com/ws/2"
SUBSCRIPTION = {"event": "subscribe", "channel": "trades", "symbol": "tBTCUSD"}


class Trade(Struct, array_like=True):
    id: int
    time: EpochMillis
    amount: float
    """Negative: sold."""
    price: float


class Message(Struct, array_like=True):
    channel: int
    kind: str | list[Trade]
    """``te``: executed; ``tu``: the same again, when it is settled; ``hb``; or the last trades."""
    trade: Trade | None = None


def connect(url: str = URL) -> rlfast.Connecting[Message]:
    return rlfast.connect(url, type=Message, subscribe=[SUBSCRIPTION], backoff=rlfast.Backoff.capture())


async def main() -> None:
    summary = await capture(connect(), "bitfinex")
    print(f"{summary.events} events, {summary.gaps} gaps: {summary.reason}")


if __name__ == "__main__":
    asyncio.run(main())
