r"""OKX: order books and trades.

Documentation: "OKX API v5, WebSocket, Overview" and "Order Book Trading, Market Data". Public channels
want no login, but a subscription within 30 seconds; private ones are at ``/ws/v5/private`` and want a
signed login first (docs/feeds.md). A connection without a message for 30 seconds is closed: a client says
``ping``, and gets ``pong``. Three connections a second and 480 subscriptions an hour are allowed.

Which event it is says ``arg``, outside of the event: that is not a tag, so one struct has the fields of
both channels, and ``events_at`` makes a row of each element of ``data``. An update of the book names the
one before it: where that is another one, ``_gaps`` says so.

    rlfast capture wss://ws.okx.com:8443/ws/v5/public --out okx --types okx:Message --events-at /data \
        --send '{"op": "subscribe", "args": [{"channel": "books", "instId": "BTC-USDT"},
                                             {"channel": "trades", "instId": "BTC-USDT"}]}' \
        --heartbeat 20s:ping --ignore pong \
        --sequence '/data/*/prevSeqId' --sequence-last '/data/*/seqId' --sequence-step 0 \
        --sequence-by /arg/instId --sequence-per-connection
"""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Literal, NamedTuple

from msgspec import Struct, field

import rlfast
from rlfast.capture import capture
from rlfast.schema import EpochMillis, IntText

URL = "wss://ws.okx.com:8443/ws/v5/public"
SUBSCRIPTION = {
    "op": "subscribe",
    "args": [{"channel": "books", "instId": "BTC-USDT"}, {"channel": "trades", "instId": "BTC-USDT"}],
}
HEARTBEAT = rlfast.Heartbeat(every=20, message="ping")
NUMBERS = rlfast.Sequence(
    "/data/*/prevSeqId", last="/data/*/seqId", step=0, by="/arg/instId", per_connection=True
)


class Channel(Struct):
    channel: rlfast.CategoryStr
    instrument: rlfast.CategoryStr = field(name="instId")


class Level(NamedTuple):
    price: Decimal
    size: Decimal
    """0: there is no such level any more."""
    deprecated: str
    orders: IntText


class Entry(Struct):
    time: EpochMillis = field(name="ts")
    asks: list[Level] = []
    bids: list[Level] = []
    checksum: int | None = None
    previous: int | None = field(name="prevSeqId", default=None)
    sequence: int | None = field(name="seqId", default=None)
    trade_id: str | None = field(name="tradeId", default=None)
    price: Decimal | None = field(name="px", default=None)
    size: Decimal | None = field(name="sz", default=None)
    side: Literal["buy", "sell"] | None = None


class Message(Struct):
    arg: Channel
    data: list[Entry]
    action: Literal["snapshot", "update"] | None = None


def connect(url: str = URL) -> rlfast.Connecting[Message]:
    return rlfast.connect(
        url,
        type=Message,
        events_at="/data",
        subscribe=[SUBSCRIPTION],
        heartbeat=HEARTBEAT,
        ignore=["pong"],
        sequence=NUMBERS,
        backoff=rlfast.Backoff.capture(),
    )


async def main() -> None:
    summary = await capture(connect(), "okx")
    print(f"{summary.events} events, {summary.gaps} gaps: {summary.reason}")


if __name__ == "__main__":
    asyncio.run(main())
