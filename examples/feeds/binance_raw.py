r"""Binance, one stream: the trades of a symbol, not wrapped.

Documentation: "WebSocket Streams for Binance", Spot API. No login, no message: the stream is in the path,
``/ws/STREAM``. The server sends WebSocket pings, and ends each connection after 24 hours. Trade ids of a
symbol are consecutive, so what was missed shows: ``Sequence`` records it in ``_gaps``.

    rlfast capture wss://stream.binance.com:9443/ws/btcusdt@trade --out binance_raw \
        --types binance_raw:Trade --sequence /t --sequence-by /s
"""

from __future__ import annotations

import asyncio
from decimal import Decimal

from msgspec import Struct, field

import rlfast
from rlfast.capture import capture
from rlfast.schema import EpochMillis

URL = "wss://stream.binance.com:9443/ws/btcusdt@trade"


class Trade(Struct, tag_field="e", tag="trade"):
    event_time: EpochMillis = field(name="E")
    symbol: rlfast.CategoryStr = field(name="s")
    trade_id: int = field(name="t")
    price: Decimal = field(name="p")
    quantity: Decimal = field(name="q")
    trade_time: EpochMillis = field(name="T")
    buyer_is_maker: bool = field(name="m")


def connect(url: str = URL) -> rlfast.Connecting[Trade]:
    return rlfast.connect(
        url, type=Trade, sequence=rlfast.Sequence("/t", by="/s"), backoff=rlfast.Backoff.capture()
    )


async def main() -> None:
    summary = await capture(connect(), "binance_raw")
    print(f"{summary.events} events, {summary.gaps} gaps: {summary.reason}")


if __name__ == "__main__":
    asyncio.run(main())
