r"""Finnhub: trades of stocks, currencies and cryptocurrencies.

Documentation: "Finnhub API, WebSocket Trades". The token is in the query, and a message subscribes to
each symbol, 50 of them with a free account; one connection for each token. The server says
``{"type":"ping"}`` when there are no trades; nothing has to be answered.

A message holds an array of trades: ``events_at`` makes a row of each. What says only that the server is
there is not kept.

    rlfast capture wss://ws.finnhub.io --query 'token=${FINNHUB_TOKEN}' --out finnhub \
        --types finnhub:Message --events-at /data --ignore '{"type":"ping"}' \
        --send '{"type": "subscribe", "symbol": "AAPL"}' \
        --send '{"type": "subscribe", "symbol": "BINANCE:BTCUSDT"}'
"""

from __future__ import annotations

import asyncio
import os
from typing import Literal

from msgspec import Struct, field

import rlfast
from rlfast.capture import capture
from rlfast.schema import EpochMillis

URL = "wss://ws.finnhub.io"
SUBSCRIPTIONS = [{"type": "subscribe", "symbol": symbol} for symbol in ("AAPL", "BINANCE:BTCUSDT")]


class Trade(Struct):
    symbol: rlfast.CategoryStr = field(name="s")
    time: EpochMillis = field(name="t")
    price: float = field(name="p")
    volume: float = field(name="v")
    conditions: list[str] | None = field(name="c", default=None)


class Message(Struct):
    type: Literal["trade"]
    data: list[Trade]


def connect(url: str = URL) -> rlfast.Connecting[Message]:
    return rlfast.connect(
        f"{url}?token={os.environ['FINNHUB_TOKEN']}",
        type=Message,
        events_at="/data",
        subscribe=SUBSCRIPTIONS,
        ignore=['{"type":"ping"}'],
        backoff=rlfast.Backoff.capture(),
    )


async def main() -> None:
    summary = await capture(connect(), "finnhub")
    print(f"{summary.events} events, {summary.gaps} gaps: {summary.reason}")


if __name__ == "__main__":
    asyncio.run(main())
