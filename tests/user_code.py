"""What a user writes, for the type checker: `tests/test_typing.py` runs it, nobody imports it.

A ``type: ignore`` says that the line must be an error: without one, the checker complains of it.
"""

from __future__ import annotations

import ssl
from typing import Any

import msgspec
from typing_extensions import assert_type

import rlfast


class Trade(msgspec.Struct, tag="trade"):
    price: float


class Quote(msgspec.Struct, tag="quote"):
    bid: float


URL = "ws://localhost/stream"


async def inferred_types(client: rlfast.ReasoningLayerClient) -> None:
    async with rlfast.connect(URL, type=Trade) as ws:
        assert_type(ws, rlfast.WebSocketConnection[Trade])
        assert_type(await ws.next_message(), Trade | None)
        assert_type(await ws.next_messages(), list[Trade])
        async for trade in ws:
            assert_type(trade, Trade)
        async for batch in ws.batches(max_rows=10):
            assert_type(batch, rlfast.EventBatch)
    assert_type(await rlfast.connect(URL, type=Trade | Quote), rlfast.WebSocketConnection[Trade | Quote])
    assert_type(await rlfast.connect(URL, type=list[Trade]), rlfast.WebSocketConnection[list[Trade]])
    assert_type(await rlfast.connect(URL, type=None), rlfast.WebSocketConnection[Any])
    assert_type(await rlfast.connect(URL), rlfast.WebSocketConnection[Any])
    connecting = rlfast.WebSocketConnection.connect(URL, type=Trade | Quote, stream="trades")
    assert_type(connecting, rlfast.Connecting[Trade | Quote])
    assert_type(await connecting, rlfast.WebSocketConnection[Trade | Quote])
    events = await client.cognitive.agent_events("id", backoff=None)
    assert_type(events, rlfast.WebSocketConnection[rlfast.AgentEvent | rlfast.UnknownEvent])
    cycle = await client.cognitive.cycle("id", type=Trade | Quote, proxy=None)
    assert_type(cycle, rlfast.WebSocketConnection[Trade | Quote])
    session = await client.oversight.session("id")
    assert_type(session, rlfast.WebSocketConnection[Any])


async def refuses(client: rlfast.ReasoningLayerClient) -> None:
    rlfast.connect(URL, nonsense=1)  # type: ignore[call-overload]
    rlfast.connect(URL, subscribe={"subscribe": "EUR/USD"})  # type: ignore[call-overload]
    rlfast.connect(lambda: URL)  # type: ignore[misc, arg-type]
    rlfast.connect(URL, backoff="never")  # type: ignore[call-overload]
    rlfast.connect(URL, type=Trade, headers=3)  # type: ignore[call-overload]
    rlfast.WebSocketConnection.connect(URL, nonsense=1)  # type: ignore[call-overload]
    rlfast.WebSocketConnection(URL, nonsense=1)  # type: ignore[call-arg]
    client.cognitive.agent_events("id", nonsense=1)  # type: ignore[call-overload]
    client.cognitive.cycle("id", nonsense=1)  # type: ignore[call-overload]
    client.oversight.session("id", headers={"a": "b"})  # type: ignore[call-overload]


async def takes(client: rlfast.ReasoningLayerClient) -> None:
    def on_gap(gap: rlfast.Gap) -> None:
        print(gap.close_code, gap.close_reason)

    async def subscribe(connection: rlfast.NewConnection) -> None:
        await connection.send({"subscribe": ["EUR/USD"]})

    def retry(error: Exception, attempt: int) -> bool:
        is_revoked = isinstance(error, rlfast.ConnectionClosedError) and error.close_code == 4003
        return not is_revoked and rlfast.Backoff.capture().retries(error, attempt)

    async def headers() -> dict[str, str]:
        return {"Authorization": "Bearer …"}

    async def address(last: rlfast.LastReceived | None) -> str:
        return URL if last is None else f"{URL}?since={last.seq}"

    assert_type(await rlfast.connect(address, type=Trade), rlfast.WebSocketConnection[Trade])
    await rlfast.connect(lambda last: URL)
    rlfast.connect(
        URL,
        type=Trade,
        headers=headers,
        backoff=rlfast.Backoff.capture(),
        retry=retry,
        subscribe=[{"subscribe": ["EUR/USD"]}, Trade(1.5), "text", b"bytes"],
        on_connect=subscribe,
        on_reconnect=print,
        on_gap=on_gap,
        ssl=ssl.create_default_context(),
        proxy="http://proxy:3128",
        compression="deflate",
        subprotocols=["graphql-transport-ws"],
        stream="trades",
        options=rlfast.ConnectionOptions(idle_timeout=None),
        timing=rlfast.Timing(),
    )
