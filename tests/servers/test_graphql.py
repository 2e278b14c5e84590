"""A subscription of graphql-ws, the server of npm, over connections that it cuts off."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

import rlfast

from .programs import capturing, check_numbers, find_program, running

FOLDER = Path(__file__).parent / "graphql"
SUBSCRIBE = {
    "id": "1",
    "type": "subscribe",
    "payload": {
        "query": "subscription ($symbol: String!) { ticks(symbol: $symbol) { n symbol price } }",
        "variables": {"symbol": "EURUSD"},
    },
}


class Tick(msgspec.Struct):
    n: int
    symbol: str
    price: str


class Data(msgspec.Struct):
    ticks: Tick


class Result(msgspec.Struct):
    data: Data


class Next(msgspec.Struct, tag_field="type", tag="next"):
    id: str
    payload: Result


class Acknowledged(msgspec.Struct, tag_field="type", tag="connection_ack"):
    pass


async def subscribe(connection: rlfast.NewConnection) -> None:
    await connection.send({"type": "connection_init", "payload": {"token": "not a secret"}})
    while (await connection.receive())["type"] != "connection_ack":
        pass
    await connection.send(SUBSCRIBE)


async def test_a_subscription_over_reconnects(tmp_path: Path) -> None:
    node = find_program("node", "nodejs")
    if not (FOLDER / "node_modules").is_dir():
        pytest.skip(f"graphql-ws is not installed: npm ci --prefix {FOLDER}")
    async with running(node, FOLDER / "server.cjs") as server:
        port = int((await server.printed(r"^port (\d+)"))[1])
        async with capturing(
            f"ws://127.0.0.1:{port}/graphql",
            tmp_path / "out",
            type=Next | Acknowledged,
            subprotocols=["graphql-transport-ws"],
            on_connect=subscribe,
            reply=[rlfast.Reply(when='"type":"ping"', answer={"type": "pong"})],
        ) as capture:
            for times in range(1, 4):
                await capture.received(1000)
                await server.printed("subscribed to EURUSD")
                await server.printed("pong of WebSocket")
                server.tell("ping")
                await server.printed("pong of the protocol")
                server.tell("terminate")
                await capture.reconnected(times)
            await capture.received(1000)
            assert capture.ws.subprotocol == "graphql-transport-ws"
            summary = await capture.end()
    assert summary.gap_reasons == {"connection_lost": 3}
    tables = check_numbers(
        tmp_path / "out", capture.ws, "next", lambda row: row["payload"]["data"]["ticks"]["n"]
    )
    assert tables["connection_ack"]["epoch"].to_pylist() == [1, 2, 3, 4]
