"""Messages like those of public feeds, made up: some of each, and makers of many of a kind."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

__all__ = ["LATER", "SAMPLES"]


def _status(text: str) -> str:
    return json.dumps({"id": "1093", "created_at": "2024-03-01T10:00:00.000Z", "content": text, "tags": []})


def _cert(name: str) -> dict[str, Any]:
    return {
        "subject": {"aggregated": f"/CN={name}", "C": None, "CN": name},
        "extensions": {"keyUsage": "Digital Signature", "subjectAltName": f"DNS:{name}"},
        "not_before": 1709200000.0,
        "not_after": 1716976000.0,
        "serial_number": "3A9F",
        "all_domains": [name, f"www.{name}"],
    }


def _pod(phase: str) -> dict[str, Any]:
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {
            "name": "db-0",
            "uid": "0b6c7f1e-5a2b-4c3d-8e4f-0123456789ab",
            "resourceVersion": "771",
            "creationTimestamp": "2024-03-01T10:00:00Z",
            "labels": {"app": "db", "example.org/tier": "back"},
        },
        "spec": {"containers": [{"name": "c", "image": "db:2"}]},
        "status": {"phase": phase, "conditions": [{"type": "Ready", "status": "True"}]},
    }


def _jupyter(kind: str, content: dict[str, Any], channel: str = "iopub") -> dict[str, Any]:
    header = {"msg_id": "m1", "msg_type": kind, "date": "2024-03-01T10:00:00.123456Z", "version": "5.3"}
    return {"header": header, "msg_type": kind, "metadata": {}, "content": content, "channel": channel}


SAMPLES: dict[str, list[Any]] = {
    "jetstream": [
        {
            "did": "did:plc:abc",
            "time_us": 1709287200123456,
            "kind": "commit",
            "commit": {
                "rev": "3kabc",
                "operation": "create",
                "collection": "org.example.post",
                "record": {"$type": "org.example.post", "text": "hi 🌍", "langs": ["en"]},
                "cid": "bafy1",
            },
        },
        {
            "did": "did:plc:abc",
            "time_us": 1709287200223456,
            "kind": "commit",
            "commit": {"rev": "3kabd", "operation": "delete", "collection": "org.example.like"},
        },
        {
            "did": "did:plc:abd",
            "time_us": 1709287200323456,
            "kind": "identity",
            "identity": {"did": "did:plc:abd", "seq": 1409752997, "time": "2024-03-01T10:00:00.323Z"},
        },
    ],
    "binance": [
        {"result": None, "id": 3},
        {
            "stream": "ethusdt@trade",
            "data": {
                "e": "trade",
                "E": 1709287200123,
                "t": 4711,
                "p": "3401.10000000",
                "q": "0.5",
                "m": False,
            },
        },
        {
            "stream": "ethusdt@depth",
            "data": {
                "e": "depthUpdate",
                "E": 1709287200124,
                "U": 1,
                "u": 3,
                "b": [["3401.00", "7"]],
                "a": [],
            },
        },
        {"stream": "ethusdt@bookTicker", "data": {"u": 8, "b": "3401.00", "B": "7.5", "a": "3401.20"}},
        {"stream": "!miniTicker@arr", "data": [{"e": "24hrMiniTicker", "E": 1709287200125, "c": "3401.1"}]},
    ],
    "coinbase": [
        {
            "channel": "subscriptions",
            "timestamp": "2024-03-01T10:00:00.714964855Z",
            "sequence_num": 0,
            "events": [{"subscriptions": {"level2": ["ETH-USD"]}}],
        },
        {
            "channel": "l2_data",
            "timestamp": "2024-03-01T10:00:00.814964855Z",
            "sequence_num": 1,
            "events": [
                {
                    "type": "snapshot",
                    "product_id": "ETH-USD",
                    "updates": [{"side": "bid", "price_level": "3401.73", "new_quantity": "0.06"}],
                }
            ],
        },
        {
            "channel": "heartbeats",
            "timestamp": "2024-03-01T10:00:01Z",
            "sequence_num": 2,
            "events": [
                {"current_time": "2024-03-01 10:00:01.1 +0000 UTC m=+9.5", "heartbeat_counter": "3049"}
            ],
        },
    ],
    "bitfinex": [
        {"event": "subscribed", "channel": "trades", "chanId": 337},
        [337, [[501597393, 1709287200123, 0.5, 3401.5], [501597394, 1709287200124, -0.5, 3401]]],
        [337, "te", [501597395, 1709287200125, 0.25, 3401.5]],
        [337, "hb"],
    ],
    "okx": [
        {"event": "subscribe", "arg": {"channel": "books", "instId": "ETH-USDT"}, "connId": "a1"},
        {
            "arg": {"channel": "books", "instId": "ETH-USDT"},
            "action": "update",
            "data": [{"asks": [["3401.2", "415", "0", "13"]], "bids": [], "ts": "1709287200123", "seqId": 7}],
        },
        {
            "arg": {"channel": "trades", "instId": "ETH-USDT"},
            "data": [
                {"tradeId": "939474", "px": "3401.2", "sz": "0.12", "side": "buy", "ts": "1709287200124"}
            ],
        },
        "pong",
    ],
    "htx": [
        {"ping": 1709287200123},
        {"id": "id1", "status": "ok", "subbed": "market.ethusdt.depth.step0", "ts": 1709287200123},
        {
            "ch": "market.ethusdt.depth.step0",
            "ts": 1709287200124,
            "tick": {"bids": [[3401.7, 344.8]], "asks": [[3402, 15]], "version": 100434317651},
        },
        {
            "ch": "market.ethusdt.trade.detail",
            "ts": 1709287200125,
            "tick": {"id": 1465, "data": [{"amount": 0.1, "id": 146507451359183894799, "direction": "buy"}]},
        },
    ],
    "alpaca": [
        [{"T": "success", "msg": "connected"}],
        [{"T": "subscription", "trades": ["ABC"], "quotes": [], "bars": ["*"]}],
        [
            {"T": "t", "i": 96, "S": "ABC", "p": 126.55, "t": "2024-03-01T10:00:00.208Z", "c": ["@"]},
            {"T": "q", "S": "ABC", "bp": 87.66, "ap": 87.68, "as": 4, "t": "2024-03-01T10:00:00.335689322Z"},
        ],
    ],
    "finnhub": [
        {"type": "ping"},
        {"type": "trade", "data": [{"p": 3401.5, "s": "X:ETHUSDT", "t": 1709287200123, "v": 0.5}]},
        {"type": "trade", "data": [{"p": 7, "s": "ABC", "t": 1709287200124, "v": 1, "c": ["1", "12"]}]},
    ],
    "mastodon": [
        {"stream": ["public"], "event": "update", "payload": _status("hello")},
        {"stream": ["public"], "event": "delete", "payload": "10669"},
        {"stream": ["list", "7"], "event": "filters_changed"},
    ],
    "certstream": [
        {"message_type": "heartbeat", "timestamp": 1709287200.9},
        {
            "message_type": "certificate_update",
            "data": {
                "leaf_cert": _cert("a.example"),
                "chain": [_cert("ca.example")],
                "seen": 1709287200.959,
                "source": {"url": "ct.example", "name": "A 'quoted' log"},
            },
        },
    ],
    "kubernetes": [
        {"type": "ADDED", "object": _pod("Pending")},
        {"type": "MODIFIED", "object": _pod("Running")},
        {
            "type": "BOOKMARK",
            "object": {"kind": "Pod", "apiVersion": "v1", "metadata": {"resourceVersion": "9"}},
        },
        {"type": "ERROR", "object": {"kind": "Status", "metadata": {}, "status": "Failure", "code": 410}},
    ],
    "realtime": [
        {
            "type": "session.created",
            "event_id": "e1",
            "session": {"id": "s", "modalities": ["text"], "tools": []},
        },
        {
            "type": "response.audio.delta",
            "event_id": "e2",
            "item_id": "i",
            "output_index": 0,
            "delta": "AA==",
        },
        {"type": "response.text.delta", "event_id": "e3", "item_id": "i", "output_index": 0, "delta": "Hel"},
        {
            "type": "rate_limits.updated",
            "event_id": "e4",
            "rate_limits": [{"name": "requests", "limit": 1000, "reset_seconds": 60}],
        },
    ],
    "graphql": [
        {"type": "connection_ack"},
        {
            "id": "1",
            "type": "next",
            "payload": {"data": {"tick": {"price": 1.5, "at": "2024-03-01T10:00:00Z"}}},
        },
        {"id": "1", "type": "error", "payload": [{"message": "no", "path": ["tick"]}]},
        {"id": "1", "type": "complete"},
    ],
    "jupyter": [
        _jupyter("status", {"execution_state": "busy"}),
        _jupyter("stream", {"name": "stdout", "text": "hi\n"}),
        _jupyter("display_data", {"data": {"text/plain": "x", "image/png": "iVBO"}, "transient": {}}),
        _jupyter("execute_reply", {"status": "ok", "execution_count": 1}, "shell"),
    ],
}


def _decimal(draw: Random) -> str:
    return f"{draw.uniform(0.1, 99):.{draw.choice([2, 8])}f}"


def _gateway(draw: Random, i: int) -> dict[str, Any]:
    """A small integer says what a message is, and of the most frequent kind a text says it again."""
    if draw.random() < 0.05:
        return {"op": 11, "d": None, "s": None, "t": None}
    kind = draw.choice(["MESSAGE_CREATE", "TYPING_START", "MEMBER_ADD"])
    data: dict[str, Any] = {"guild_id": str(10**17 + i)}
    if kind == "MESSAGE_CREATE":
        data |= {"content": draw.choice(["", "hi"]), "mentions": [{"id": "7"}] * draw.randint(0, 2)}
    elif kind == "TYPING_START":
        data |= {"timestamp": 1709287200 + i}
    else:
        data |= {"roles": [], "joined_at": "2024-03-01T10:00:00+00:00"}
    return {"op": 0, "t": kind, "s": i, "d": data}


def _relay(draw: Random, i: int) -> list[Any]:
    """Arrays whose first item says what they are."""
    if i % 10 == 5:
        return draw.choice([["EOSE", "s1"], ["NOTICE", "slow"], ["OK", "a1", True, ""]])
    event = {"id": f"{draw.getrandbits(64):x}", "created_at": 1709287200 + i, "kind": draw.choice([1, 7])}
    return ["EVENT", "s1", {**event, "tags": [["p", "a"], ["e", "b", "wss://r"]][: draw.randint(0, 2)]}]


def _topics(draw: Random, i: int) -> dict[str, Any]:
    """Topics with the symbol in them, and data that are an object or a list."""
    if i % 2:
        book = {"s": "ETHUSDT", "b": [[_decimal(draw), "0"]] * draw.randint(0, 3), "u": 1852128 + i}
        return {"topic": "book.50.ETHUSDT", "type": "delta", "ts": 1709287200123 + i, "data": book}
    trade = {"T": 1709287200123 + i, "S": draw.choice(["Buy", "Sell"]), "v": _decimal(draw), "p": "3401"}
    return {"topic": "trades.ETHUSDT", "type": "snapshot", "ts": 1709287200123 + i, "data": [trade]}


def _ships(draw: Random, i: int) -> dict[str, Any]:
    """An envelope in which the kind is also the name of the only field."""
    kind = draw.choice(["PositionReport", "PositionReport", "StaticData"])
    body: dict[str, Any] = {"UserID": draw.randint(2 * 10**8, 7 * 10**8), "Valid": True}
    if kind == "StaticData":
        body |= {"CallSign": "3FOF8", "Eta": {"Day": 1, "Month": draw.randint(1, 12)}}
    else:
        body |= {"Cog": draw.choice([308.2, 360]), "Latitude": draw.uniform(-90, 90)}
    times = {"time_utc": "2024-03-01 10:00:00.31 +0000 UTC"}
    return {"MessageType": kind, "MetaData": {"MMSI": body["UserID"], **times}, "Message": {kind: body}}


def _sensors(draw: Random, i: int) -> dict[str, Any]:
    """One kind of message, with a map whose keys vary."""
    tags = {f"k{draw.randint(0, 99)}": str(draw.random()) for _ in range(2)}
    reading = {
        "device": f"s-{draw.randint(1, 9)}",
        "ts": 1709287200 + i / 4,
        "temperature": draw.choice([20, 20.5]),
    }
    return {**reading, "tags": tags, **({"error": None} if draw.random() < 0.1 else {})}


LATER: dict[str, Callable[[Random, int], Any]] = {
    "gateway": _gateway,
    "relay": _relay,
    "topics": _topics,
    "ships": _ships,
    "sensors": _sensors,
}
