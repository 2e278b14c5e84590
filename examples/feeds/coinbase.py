r"""Coinbase Advanced Trade: order books and trades.

Documentation: "Advanced Trade WebSocket Overview" and "Channels" of the Coinbase Developer Platform.
Market data want no login, but a subscription within 5 seconds, one message for each channel. Most
channels are closed when they have had nothing to say for 60 to 90 seconds; with the channel
``heartbeats``, which says something every second, they stay open. ``sequence_num`` counts the messages of
a connection, all channels together.

Events are nested twice: ``events`` of one message, each with its ``updates`` or ``trades``.

    rlfast capture wss://advanced-trade-ws.coinbase.com --out coinbase --types coinbase:Message \
        --send '{"type": "subscribe", "channel": "heartbeats"}' \
        --send '{"type": "subscribe", "channel": "level2", "product_ids": ["BTC-USD"]}' \
        --send '{"type": "subscribe", "channel": "market_trades", "product_ids": ["BTC-USD", "ETH-USD"]}' \
        --sequence /sequence_num --sequence-per-connection
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from decimal import Decimal
from typing import Literal

from msgspec import Struct

import rlfast
from rlfast.capture import capture

URL = "wss://advanced-trade-ws.coinbase.com"
SUBSCRIPTIONS = [
    {"type": "subscribe", "channel": "heartbeats"},
    {"type": "subscribe", "channel": "level2", "product_ids": ["BTC-USD"]},
    {"type": "subscribe", "channel": "market_trades", "product_ids": ["BTC-USD", "ETH-USD"]},
]


class Level(Struct):
    side: Literal["bid", "offer"]
    event_time: datetime
    price_level: Decimal
    new_quantity: Decimal
    """0: there is no such level any more."""


class Book(Struct):
    type: Literal["snapshot", "update"]
    product_id: rlfast.CategoryStr
    updates: list[Level]


class Trade(Struct):
    trade_id: str
    product_id: rlfast.CategoryStr
    price: Decimal
    size: Decimal
    side: Literal["BUY", "SELL"]
    time: datetime


class TradeEvent(Struct):
    type: Literal["snapshot", "update"]
    trades: list[Trade]


class Beat(Struct):
    current_time: str
    heartbeat_counter: int | str


class Subscribed(Struct):
    subscriptions: dict[str, list[str]]


class Books(Struct, tag_field="channel", tag="l2_data"):
    timestamp: datetime
    sequence_num: int
    events: list[Book]


class Trades(Struct, tag_field="channel", tag="market_trades"):
    timestamp: datetime
    sequence_num: int
    events: list[TradeEvent]


class Heartbeats(Struct, tag_field="channel", tag="heartbeats"):
    timestamp: datetime
    sequence_num: int
    events: list[Beat]


class Subscriptions(Struct, tag_field="channel", tag="subscriptions"):
    timestamp: datetime
    sequence_num: int
    events: list[Subscribed]


Message = Books | Trades | Heartbeats | Subscriptions


def connect(url: str = URL) -> rlfast.Connecting[Message]:
    return rlfast.connect(
        url,
        type=Message,
        subscribe=SUBSCRIPTIONS,
        sequence=rlfast.Sequence("/sequence_num", per_connection=True),
        backoff=rlfast.Backoff.capture(),
    )


async def main() -> None:
    summary = await capture(connect(), "coinbase")
    print(f"{summary.events} events, {summary.gaps} gaps: {summary.reason}")


if __name__ == "__main__":
    asyncio.run(main())
