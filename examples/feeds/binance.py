r"""Binance, several streams over one connection: trades, order book updates, candles.

Documentation: "WebSocket Streams for Binance", Spot API. Market data want no login and no message: the
streams are in the URL, ``/stream?streams=A/B/C``. The server sends WebSocket pings, which are answered
without our doing, and ends each connection after 24 hours. A client may send five messages a second.

Messages are wrapped as ``{"stream": …, "data": {"e": "trade", …}}``: ``events_at`` makes a table of each
event type. Events without ``e`` (``bookTicker``) and arrays (``!miniTicker@arr``) are kept in ``_other``;
for those, capture the raw stream (binance_raw.py). Prices and quantities are texts, and kept as such. The
updates of a symbol's order book say from which number to which they are: those that do not follow the
ones before are recorded in ``_gaps``.

    rlfast capture \
        'wss://stream.binance.com:9443/stream?streams=btcusdt@trade/btcusdt@depth@100ms/btcusdt@kline_1m' \
        --out binance --types binance:Message --events-at /data \
        --sequence /data/U --sequence-last /data/u --sequence-by /data/s
"""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import NamedTuple

from msgspec import Struct, field

import rlfast
from rlfast.capture import capture
from rlfast.schema import EpochMillis

URL = "wss://stream.binance.com:9443/stream?streams=btcusdt@trade/btcusdt@depth@100ms/btcusdt@kline_1m"


class Trade(Struct, tag_field="e", tag="trade"):
    event_time: EpochMillis = field(name="E")
    symbol: rlfast.CategoryStr = field(name="s")
    trade_id: int = field(name="t")
    price: Decimal = field(name="p")
    quantity: Decimal = field(name="q")
    trade_time: EpochMillis = field(name="T")
    buyer_is_maker: bool = field(name="m")


class Level(NamedTuple):
    price: Decimal
    quantity: Decimal
    """0: there is no such level any more."""


class Depth(Struct, tag_field="e", tag="depthUpdate"):
    event_time: EpochMillis = field(name="E")
    symbol: rlfast.CategoryStr = field(name="s")
    first_update: int = field(name="U")
    last_update: int = field(name="u")
    bids: list[Level] = field(name="b")
    asks: list[Level] = field(name="a")


class Candle(Struct):
    opened: EpochMillis = field(name="t")
    closes: EpochMillis = field(name="T")
    interval: rlfast.CategoryStr = field(name="i")
    open: Decimal = field(name="o")
    close: Decimal = field(name="c")
    high: Decimal = field(name="h")
    low: Decimal = field(name="l")
    volume: Decimal = field(name="v")
    trades: int = field(name="n")
    is_closed: bool = field(name="x")


class Kline(Struct, tag_field="e", tag="kline"):
    event_time: EpochMillis = field(name="E")
    symbol: rlfast.CategoryStr = field(name="s")
    candle: Candle = field(name="k")


class Message(Struct):
    stream: rlfast.CategoryStr
    data: Trade | Depth | Kline


def connect(url: str = URL) -> rlfast.Connecting[Message]:
    return rlfast.connect(
        url,
        type=Message,
        events_at="/data",
        sequence=rlfast.Sequence("/data/U", last="/data/u", by="/data/s"),
        backoff=rlfast.Backoff.capture(),
    )


async def main() -> None:
    summary = await capture(connect(), "binance")
    print(f"{summary.events} events, {summary.gaps} gaps: {summary.reason}")


if __name__ == "__main__":
    asyncio.run(main())
