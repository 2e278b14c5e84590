r"""HTX, formerly Huobi: order books and trades, compressed with gzip.

Documentation: "HTX API, Spot, Websocket Market Data". No login for market data, a message for each
subscription. Every message is a binary frame of gzip, each by itself. Every 5 seconds the server asks
``{"ping": 1492420473027}`` and wants ``{"pong": 1492420473027}``; after two that nobody answered it
closes the connection.

Ids of trades have more than 64 bits: they are not declared, so each is in ``_extra`` with all its digits.

    rlfast capture wss://api.huobi.pro/ws --out huobi --types huobi:Message --encoding gzip \
        --send '{"sub": "market.btcusdt.depth.step0", "id": "id1"}' \
        --send '{"sub": "market.btcusdt.trade.detail", "id": "id2"}' \
        --reply '{"ping":=>{"pong": ${/ping}}'
"""

from __future__ import annotations

import asyncio
from typing import Literal, NamedTuple

from msgspec import Struct, field

import rlfast
from rlfast.capture import capture
from rlfast.schema import EpochMillis

URL = "wss://api.huobi.pro/ws"
SUBSCRIPTIONS = [
    {"sub": "market.btcusdt.depth.step0", "id": "id1"},
    {"sub": "market.btcusdt.trade.detail", "id": "id2"},
]
PONG = rlfast.Reply(when='{"ping":', answer='{"pong": ${/ping}}')


class Level(NamedTuple):
    price: float
    size: float


class Trade(Struct):
    trade_id: int = field(name="tradeId")
    time: EpochMillis = field(name="ts")
    price: float
    amount: float
    direction: Literal["buy", "sell"]


class Tick(Struct):
    time: EpochMillis = field(name="ts")
    version: int | None = None
    bids: list[Level] = []
    asks: list[Level] = []
    trades: list[Trade] = field(name="data", default_factory=list)


class Message(Struct):
    channel: rlfast.CategoryStr = field(name="ch")
    sent: EpochMillis = field(name="ts")
    tick: Tick


def connect(url: str = URL) -> rlfast.Connecting[Message]:
    return rlfast.connect(
        url,
        type=Message,
        encoding="gzip",
        subscribe=SUBSCRIPTIONS,
        reply=[PONG],
        backoff=rlfast.Backoff.capture(),
    )


async def main() -> None:
    summary = await capture(connect(), "huobi")
    print(f"{summary.events} events, {summary.gaps} gaps: {summary.reason}")


if __name__ == "__main__":
    asyncio.run(main())
