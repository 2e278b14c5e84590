r"""Alpaca: trades, quotes and bars of US stocks.

Documentation: "Real-time Stock Data", Alpaca Market Data. The server says ``connected``, wants a login
within 10 seconds, says ``authenticated``, and then takes subscriptions. Most accounts may have one
connection: a second one is told ``connection limit exceeded``. The stream ``/v2/test`` has the symbol
FAKEPACA at any hour.

Messages are arrays of events: each event is a row of its table, with the column ``item``.

    rlfast capture wss://stream.data.alpaca.markets/v2/iex --out alpaca --types alpaca:Message \
        --wait-for /0/msg=connected \
        --send '{"action": "auth", "key": "${ALPACA_KEY}", "secret": "${ALPACA_SECRET}"}' \
        --wait-for /0/msg=authenticated \
        --send '{"action": "subscribe", "trades": ["AAPL"], "quotes": ["AMD"], "bars": ["*"]}'
"""

from __future__ import annotations

import asyncio
import os
from datetime import datetime

from msgspec import Struct, field

import rlfast
from rlfast.capture import capture

URL = "wss://stream.data.alpaca.markets/v2/iex"
SUBSCRIPTION = {"action": "subscribe", "trades": ["AAPL"], "quotes": ["AMD"], "bars": ["*"]}


class Trade(Struct, tag_field="T", tag="t"):
    symbol: rlfast.CategoryStr = field(name="S")
    time: datetime = field(name="t")
    id: int = field(name="i")
    exchange: rlfast.CategoryStr = field(name="x")
    price: float = field(name="p")
    size: int = field(name="s")
    conditions: list[str] = field(name="c")
    tape: rlfast.CategoryStr = field(name="z")


class Quote(Struct, tag_field="T", tag="q"):
    symbol: rlfast.CategoryStr = field(name="S")
    time: datetime = field(name="t")
    bid_exchange: rlfast.CategoryStr = field(name="bx")
    bid_price: float = field(name="bp")
    bid_size: int = field(name="bs")
    ask_exchange: rlfast.CategoryStr = field(name="ax")
    ask_price: float = field(name="ap")
    ask_size: int = field(name="as")
    conditions: list[str] = field(name="c")
    tape: rlfast.CategoryStr = field(name="z")


class Bar(Struct, tag_field="T", tag="b"):
    symbol: rlfast.CategoryStr = field(name="S")
    time: datetime = field(name="t")
    open: float = field(name="o")
    high: float = field(name="h")
    low: float = field(name="l")
    close: float = field(name="c")
    volume: int = field(name="v")
    trades: int = field(name="n")
    average_price: float = field(name="vw")


class Success(Struct, tag_field="T", tag="success"):
    msg: str


class Error(Struct, tag_field="T", tag="error"):
    code: int
    msg: str


class Subscription(Struct, tag_field="T", tag="subscription"):
    trades: list[str] = []
    quotes: list[str] = []
    bars: list[str] = []


Message = list[Trade | Quote | Bar | Success | Error | Subscription]


async def log_in(connection: rlfast.NewConnection) -> None:
    await connection.receive()  # connected
    login = {"action": "auth", "key": os.environ["ALPACA_KEY"], "secret": os.environ["ALPACA_SECRET"]}
    await connection.send(login)
    (answer,) = await connection.receive()
    if answer["T"] == "error":
        raise PermissionError(answer["msg"])
    await connection.send(SUBSCRIPTION)


def connect(url: str = URL) -> rlfast.Connecting[Message]:
    return rlfast.connect(url, type=Message, on_connect=log_in, backoff=rlfast.Backoff.capture())


async def main() -> None:
    summary = await capture(connect(), "alpaca")
    print(f"{summary.events} events, {summary.gaps} gaps: {summary.reason}")


if __name__ == "__main__":
    asyncio.run(main())
