r"""GraphQL subscriptions over WebSocket, of any server that speaks ``graphql-transport-ws``.

Documentation: PROTOCOL.md of github.com/enisdenjo/graphql-ws. The subprotocol has to be offered. The
client says ``connection_init`` within a time (with a token in its payload, if there is one), waits for
``connection_ack``, and subscribes; who subscribes before is closed with 4401. Either side may send
``ping``, which wants ``pong``.

    rlfast capture ws://localhost:4000/graphql --out graphql --types graphql:Message \
        --subprotocol graphql-transport-ws \
        --send '{"type": "connection_init"}' --wait-for /type=connection_ack \
        --send '{"id": "1", "type": "subscribe",
                 "payload": {"query": "subscription { tick { symbol price at } }"}}' \
        --reply '"type":"ping"=>{"type": "pong"}'
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

from msgspec import Struct

import rlfast
from rlfast.capture import capture

URL = "ws://localhost:4000/graphql"
SUBSCRIPTION = {
    "id": "1",
    "type": "subscribe",
    "payload": {"query": "subscription { tick { symbol price at } }"},
}
PONG = rlfast.Reply(when='"type":"ping"', answer={"type": "pong"})


class Tick(Struct):
    symbol: rlfast.CategoryStr
    price: float
    at: datetime


class Data(Struct):
    tick: Tick


class Payload(Struct):
    data: Data


class Next(Struct, tag_field="type", tag="next"):
    id: str
    payload: Payload


class Error(Struct, tag_field="type", tag="error"):
    id: str
    payload: list[dict[str, Any]]


class Complete(Struct, tag_field="type", tag="complete"):
    id: str


class Ack(Struct, tag_field="type", tag="connection_ack"):
    payload: dict[str, Any] | None = None


class Ping(Struct, tag_field="type", tag="ping"):
    payload: dict[str, Any] | None = None


Message = Next | Error | Complete | Ack | Ping


async def subscribe(connection: rlfast.NewConnection) -> None:
    await connection.send({"type": "connection_init"})
    while (await connection.receive())["type"] != "connection_ack":
        pass
    await connection.send(SUBSCRIPTION)


def connect(url: str = URL) -> rlfast.Connecting[Message]:
    return rlfast.connect(
        url,
        type=Message,
        subprotocols=["graphql-transport-ws"],
        on_connect=subscribe,
        reply=[PONG],
        backoff=rlfast.Backoff.capture(),
    )


async def main() -> None:
    summary = await capture(connect(), "graphql")
    print(f"{summary.events} events, {summary.gaps} gaps: {summary.reason}")


if __name__ == "__main__":
    asyncio.run(main())
