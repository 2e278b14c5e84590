"""Realistic messages of public feeds, after their documentation: str is a text frame, bytes a binary one."""

import gzip
import json
from typing import Any


def J(o: Any) -> str:
    return json.dumps(o, separators=(",", ":"))


S: dict[str, list[Any]] = {}

# 1 Bluesky Jetstream: flat envelope + nested commit/identity/account; record is a free-form lexicon object
S["jetstream"] = [
    J(m)
    for m in [
        {
            "did": "did:plc:eygmaihciaxprqvxpfvl6flk",
            "time_us": 1725911162329308,
            "kind": "commit",
            "commit": {
                "rev": "3l3qo2vutsw2b",
                "operation": "create",
                "collection": "app.bsky.feed.like",
                "rkey": "3l3qo2vuowo2b",
                "record": {
                    "$type": "app.bsky.feed.like",
                    "createdAt": "2024-09-09T19:46:02.102Z",
                    "subject": {
                        "cid": "bafyreidc6sydkkbchcyg62v77wbhzvb2mvytlmsychqgwf2xojjtirmzj4",
                        "uri": "at://did:plc:wa7b35aakoll7hugkrjtf3xf/app.bsky.feed.post/3l3pte3p2e325",
                    },
                },
                "cid": "bafyreidwaivazkwu67xztlmuobx35hs2lnfh3kolmgfmucldvhd3sgzcqi",
            },
        },
        {
            "did": "did:plc:rfov6bpyztcnedeyyzgfq42k",
            "time_us": 1725516666833633,
            "kind": "commit",
            "commit": {
                "rev": "3l3f6nzl3cv2s",
                "operation": "delete",
                "collection": "app.bsky.graph.follow",
                "rkey": "3l3dn7tku762u",
            },
        },
        {
            "did": "did:plc:ufbl4k27gp6kzas5glhz7fim",
            "time_us": 1725516665234703,
            "kind": "identity",
            "identity": {
                "did": "did:plc:ufbl4k27gp6kzas5glhz7fim",
                "handle": "yohenrique.bsky.social",
                "seq": 1409752997,
                "time": "2024-09-05T06:11:04.870Z",
            },
        },
        {
            "did": "did:plc:ufbl4k27gp6kzas5glhz7fim",
            "time_us": 1725516665333808,
            "kind": "account",
            "account": {
                "active": True,
                "did": "did:plc:ufbl4k27gp6kzas5glhz7fim",
                "seq": 1409753013,
                "time": "2024-09-05T06:11:04.870Z",
            },
        },
        {
            "did": "did:plc:eygmaihciaxprqvxpfvl6flk",
            "time_us": 1725911162429308,
            "kind": "commit",
            "commit": {
                "rev": "3l3qo2w",
                "operation": "create",
                "collection": "app.bsky.feed.post",
                "rkey": "3l3qo2x",
                "record": {
                    "$type": "app.bsky.feed.post",
                    "createdAt": "2024-09-09T19:46:03.000Z",
                    "langs": ["en", "de"],
                    "text": 'hi 🌍 "quoted"\nline',
                    "facets": [
                        {
                            "index": {"byteStart": 0, "byteEnd": 2},
                            "features": [{"$type": "app.bsky.richtext.facet#tag", "tag": "hi"}],
                        }
                    ],
                    "reply": {"parent": {"cid": "c", "uri": "u"}, "root": {"cid": "c", "uri": "u"}},
                },
                "cid": "bafy",
            },
        },
    ]
]
# 2 Binance combined
S["binance"] = [J({"result": None, "id": 1})] + [
    J({"stream": s, "data": d})
    for s, d in [
        (
            "btcusdt@trade",
            {
                "e": "trade",
                "E": 1672515782136,
                "s": "BTCUSDT",
                "t": 12345,
                "p": "16550.12000000",
                "q": "0.00100000",
                "T": 1672515782136,
                "m": True,
                "M": True,
            },
        ),
        (
            "btcusdt@depth@100ms",
            {
                "e": "depthUpdate",
                "E": 1672515782136,
                "s": "BTCUSDT",
                "U": 157,
                "u": 160,
                "b": [["16550.10", "10"], ["16550.00", "0.00000000"]],
                "a": [["16550.20", "100"]],
            },
        ),
        (
            "btcusdt@kline_1m",
            {
                "e": "kline",
                "E": 1672515782136,
                "s": "BTCUSDT",
                "k": {
                    "t": 1672515780000,
                    "T": 1672515839999,
                    "s": "BTCUSDT",
                    "i": "1m",
                    "f": 100,
                    "L": 200,
                    "o": "0.0010",
                    "c": "0.0020",
                    "h": "0.0025",
                    "l": "0.0015",
                    "v": "1000",
                    "n": 100,
                    "x": False,
                    "q": "1.0000",
                    "V": "500",
                    "Q": "0.500",
                    "B": "123456",
                },
            },
        ),
        (
            "btcusdt@bookTicker",
            {
                "u": 400900217,
                "s": "BTCUSDT",
                "b": "25.35190000",
                "B": "31.21000000",
                "a": "25.36520000",
                "A": "40.66000000",
            },
        ),
        (
            "!miniTicker@arr",
            [
                {
                    "e": "24hrMiniTicker",
                    "E": 1672515782136,
                    "s": "BNBBTC",
                    "c": "0.0025",
                    "o": "0.0010",
                    "h": "0.0025",
                    "l": "0.0010",
                    "v": "10000",
                    "q": "18",
                }
            ],
        ),
    ]
]
S["binance_raw"] = [
    J(
        {
            "e": "trade",
            "E": 1672515782136,
            "s": "BTCUSDT",
            "t": 12345 + i,
            "p": "16550.12000000",
            "q": "0.00100000",
            "T": 1672515782136,
            "m": True,
            "M": True,
        }
    )
    for i in range(5)
]
# 3 Coinbase Advanced Trade
S["coinbase"] = [
    J(m)
    for m in [
        {
            "channel": "subscriptions",
            "client_id": "",
            "timestamp": "2023-02-09T20:32:50.714964855Z",
            "sequence_num": 0,
            "events": [{"subscriptions": {"level2": ["BTC-USD"]}}],
        },
        {
            "channel": "l2_data",
            "client_id": "",
            "timestamp": "2023-02-09T20:32:50.714964855Z",
            "sequence_num": 1,
            "events": [
                {
                    "type": "snapshot",
                    "product_id": "BTC-USD",
                    "updates": [
                        {
                            "side": "bid",
                            "event_time": "1970-01-01T00:00:00Z",
                            "price_level": "21921.73",
                            "new_quantity": "0.06317902",
                        },
                        {
                            "side": "offer",
                            "event_time": "1970-01-01T00:00:00Z",
                            "price_level": "21921.74",
                            "new_quantity": "0.02",
                        },
                    ],
                }
            ],
        },
        {
            "channel": "market_trades",
            "client_id": "",
            "timestamp": "2023-02-09T20:19:35.39625135Z",
            "sequence_num": 2,
            "events": [
                {
                    "type": "update",
                    "trades": [
                        {
                            "trade_id": "000000000",
                            "product_id": "ETH-USD",
                            "price": "1260.01",
                            "size": "0.3",
                            "side": "BUY",
                            "time": "2019-08-14T20:42:27.265Z",
                        }
                    ],
                }
            ],
        },
        {
            "channel": "heartbeats",
            "client_id": "",
            "timestamp": "2023-06-23T20:31:26.122969572Z",
            "sequence_num": 3,
            "events": [
                {
                    "current_time": "2023-06-23 20:31:56.121961769 +0000 UTC m=+91717.525857105",
                    "heartbeat_counter": "3049",
                }
            ],
        },
    ]
]
# 5 Bitfinex v2
S["bitfinex"] = [
    J(m)
    for m in [
        {
            "event": "info",
            "version": 2,
            "serverId": "2e3a1b9f-0000-4000-8000-000000000000",
            "platform": {"status": 1},
        },
        {"event": "subscribed", "channel": "trades", "chanId": 19111, "symbol": "tBTCUSD", "pair": "BTCUSD"},
        [19111, [[401597393, 1574694475039, 0.005, 7244.9], [401597394, 1574694475040, -0.005, 7244.8]]],
        [19111, "te", [401597395, 1574694478808, 0.005, 7245.3]],
        [19111, "tu", [401597395, 1574694478808, 0.005, 7245.3]],
        [19111, "hb"],
    ]
]
# 7 OKX
S["okx"] = [
    J({"event": "subscribe", "arg": {"channel": "books", "instId": "BTC-USDT"}, "connId": "accb8e21"}),
    J(
        {
            "arg": {"channel": "books", "instId": "BTC-USDT"},
            "action": "snapshot",
            "data": [
                {
                    "asks": [["8476.98", "415", "0", "13"], ["8477", "7", "0", "2"]],
                    "bids": [["8476.97", "256", "0", "12"]],
                    "ts": "1597026383085",
                    "checksum": -855196043,
                    "prevSeqId": -1,
                    "seqId": 123456,
                }
            ],
        }
    ),
    J(
        {
            "arg": {"channel": "trades", "instId": "BTC-USDT"},
            "data": [
                {
                    "instId": "BTC-USDT",
                    "tradeId": "130639474",
                    "px": "42219.9",
                    "sz": "0.12060306",
                    "side": "buy",
                    "ts": "1630048897897",
                    "count": "3",
                }
            ],
        }
    ),
    "pong",
]
# 8 Huobi/HTX: gzip in binary frames
S["huobi"] = [
    gzip.compress(J(m).encode())
    for m in [
        {"ping": 1492420473027},
        {"id": "id1", "status": "ok", "subbed": "market.btcusdt.depth.step0", "ts": 1489474081631},
        {
            "ch": "market.btcusdt.depth.step0",
            "ts": 1572362902027,
            "tick": {
                "bids": [[3.7721, 344.86], [3.7709, 46.66]],
                "asks": [[3.7745, 15.44]],
                "version": 100434317651,
                "ts": 1572362902012,
            },
        },
        {
            "ch": "market.btcusdt.trade.detail",
            "ts": 1489474082831,
            "tick": {
                "id": 14650745135,
                "ts": 1533265950234,
                "data": [
                    {
                        "amount": 0.0099,
                        "ts": 1533265950234,
                        "id": 146507451359183894799,
                        "tradeId": 102043495674,
                        "price": 401.74,
                        "direction": "buy",
                    }
                ],
            },
        },
    ]
]
# 9 Alpaca
S["alpaca"] = [
    J(m)
    for m in [
        [{"T": "success", "msg": "connected"}],
        [{"T": "success", "msg": "authenticated"}],
        [
            {
                "T": "subscription",
                "trades": ["AAPL"],
                "quotes": ["AMD"],
                "bars": ["*"],
                "updatedBars": [],
                "dailyBars": [],
                "statuses": [],
                "lulds": [],
                "corrections": ["AAPL"],
                "cancelErrors": ["AAPL"],
            }
        ],
        [
            {
                "T": "t",
                "i": 96921,
                "S": "AAPL",
                "x": "D",
                "p": 126.55,
                "s": 1,
                "t": "2021-02-22T15:51:44.208Z",
                "c": ["@", "I"],
                "z": "C",
            },
            {
                "T": "q",
                "S": "AMD",
                "bx": "U",
                "bp": 87.66,
                "bs": 1,
                "ax": "Q",
                "ap": 87.68,
                "as": 4,
                "t": "2021-02-22T15:51:45.335689322Z",
                "c": ["R"],
                "z": "C",
            },
        ],
        [
            {
                "T": "b",
                "S": "SPY",
                "o": 388.985,
                "h": 389.13,
                "l": 388.975,
                "c": 389.12,
                "v": 49378,
                "n": 461,
                "vw": 389.062639,
                "t": "2021-02-22T19:15:00Z",
            }
        ],
    ]
]
# 11 Finnhub
S["finnhub"] = [
    J(m)
    for m in [
        {"type": "ping"},
        {
            "data": [
                {"p": 7296.89, "s": "BINANCE:BTCUSDT", "t": 1575526691134, "v": 0.011467},
                {"p": 7296.9, "s": "BINANCE:BTCUSDT", "t": 1575526691135, "v": 1},
            ],
            "type": "trade",
        },
        {"data": [{"c": ["1", "12"], "p": 227.5, "s": "AAPL", "t": 1725911162329, "v": 1}], "type": "trade"},
    ]
]
# 12 Mastodon
status: dict[str, Any] = {
    "id": "108914327388663283",
    "created_at": "2022-08-31T02:00:00.000Z",
    "in_reply_to_id": None,
    "sensitive": False,
    "visibility": "public",
    "language": "en",
    "uri": "https://m.example/s/1",
    "content": "<p>hi</p>",
    "account": {
        "id": "1",
        "username": "a",
        "followers_count": 3,
        "fields": [{"name": "w", "value": "x", "verified_at": None}],
    },
    "media_attachments": [],
    "tags": [{"name": "t", "url": "u"}],
}
S["mastodon"] = [
    J(m)
    for m in [
        {"stream": ["public"], "event": "update", "payload": J(status)},
        {"stream": ["public"], "event": "delete", "payload": "106692867363994015"},
        {"stream": ["user"], "event": "filters_changed"},
        {"stream": ["list", "7"], "event": "status.update", "payload": J(status)},
    ]
]


# 14 Certstream
def cert(cn: str) -> dict[str, Any]:
    return {
        "subject": {
            "aggregated": "/CN=" + cn,
            "C": None,
            "ST": None,
            "L": None,
            "O": None,
            "OU": None,
            "CN": cn,
        },
        "extensions": {
            "keyUsage": "Digital Signature, Key Encipherment",
            "basicConstraints": "CA:FALSE",
            "subjectAltName": "DNS:" + cn,
        },
        "not_before": 1509908649.0,
        "not_after": 1517684649.0,
        "serial_number": "33980d1bef9b6a76cfc708e3139f55f33c5",
        "fingerprint": "95:CA:86",
        "as_der": "MIIF",
        "all_domains": [cn, "www." + cn],
    }


S["certstream"] = [
    J(m)
    for m in [
        {"message_type": "heartbeat", "timestamp": 1509912803.9},
        {
            "message_type": "certificate_update",
            "data": {
                "update_type": "X509LogEntry",
                "leaf_cert": cert("app.example.com"),
                "chain": [cert("ca")],
                "cert_index": 27910635,
                "cert_link": "http://x/ct/v1/get-entries",
                "seen": 1509912803.959279,
                "source": {"url": "sabre.ct.comodo.com", "name": "Comodo 'Sabre' CT log"},
            },
        },
    ]
]


# 17 Kubernetes watch
def pod(ph: str) -> dict[str, Any]:
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {
            "name": "web-0",
            "namespace": "default",
            "uid": "6c5d5c2e-1a2b-4c3d-8e4f-123456789abc",
            "resourceVersion": "10245",
            "creationTimestamp": "2024-01-01T00:00:00Z",
            "labels": {"app": "web", "app.kubernetes.io/name": "w"},
            "annotations": {"a/b": "c"},
        },
        "spec": {
            "containers": [{"name": "c", "image": "nginx:1", "ports": [{"containerPort": 80}]}],
            "nodeName": "n1",
        },
        "status": {
            "phase": ph,
            "podIP": "10.1.2.3",
            "startTime": "2024-01-01T00:00:00Z",
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


S["k8s"] = [
    J({"type": t, "object": o})
    for t, o in [
        ("ADDED", pod("Pending")),
        ("MODIFIED", pod("Running")),
        (
            "BOOKMARK",
            {
                "kind": "Pod",
                "apiVersion": "v1",
                "metadata": {"resourceVersion": "12746", "creationTimestamp": None},
            },
        ),
        ("DELETED", pod("Succeeded")),
        (
            "ERROR",
            {
                "kind": "Status",
                "apiVersion": "v1",
                "metadata": {},
                "status": "Failure",
                "message": "too old resource version",
                "reason": "Expired",
                "code": 410,
            },
        ),
    ]
]
# 18 OpenAI Realtime
S["openai"] = [
    J(m)
    for m in [
        {
            "type": "session.created",
            "event_id": "event_1",
            "session": {
                "id": "sess_1",
                "object": "realtime.session",
                "model": "gpt-realtime",
                "modalities": ["text", "audio"],
                "turn_detection": {"type": "server_vad", "threshold": 0.5},
                "tools": [],
                "temperature": 0.8,
            },
        },
        {
            "type": "response.output_item.added",
            "event_id": "event_2",
            "response_id": "resp_1",
            "output_index": 0,
            "item": {
                "id": "item_1",
                "object": "realtime.item",
                "type": "message",
                "status": "in_progress",
                "role": "assistant",
                "content": [],
            },
        },
        {
            "type": "response.audio.delta",
            "event_id": "event_3",
            "response_id": "resp_1",
            "item_id": "item_1",
            "output_index": 0,
            "content_index": 0,
            "delta": "UklGRg==",
        },
        {
            "type": "response.audio_transcript.delta",
            "event_id": "event_4",
            "response_id": "resp_1",
            "item_id": "item_1",
            "output_index": 0,
            "content_index": 0,
            "delta": "Hel",
        },
        {
            "type": "rate_limits.updated",
            "event_id": "event_5",
            "rate_limits": [{"name": "requests", "limit": 1000, "remaining": 999, "reset_seconds": 60}],
        },
        {
            "type": "response.done",
            "event_id": "event_6",
            "response": {
                "id": "resp_1",
                "object": "realtime.response",
                "status": "completed",
                "status_details": None,
                "output": [
                    {
                        "id": "item_1",
                        "type": "message",
                        "role": "assistant",
                        "content": [{"type": "audio", "transcript": "Hello"}],
                    }
                ],
                "usage": {
                    "total_tokens": 275,
                    "input_tokens": 127,
                    "output_tokens": 148,
                    "input_token_details": {"cached_tokens": 0, "text_tokens": 119, "audio_tokens": 8},
                },
            },
        },
        {
            "type": "error",
            "event_id": "event_7",
            "error": {
                "type": "invalid_request_error",
                "code": "invalid_event",
                "message": "m",
                "param": None,
                "event_id": "event_567",
            },
        },
    ]
]
# 19 GraphQL (graphql-transport-ws)
S["graphql"] = [
    J(m)
    for m in [
        {"type": "connection_ack"},
        {"type": "ping"},
        {
            "id": "1",
            "type": "next",
            "payload": {"data": {"tick": {"symbol": "AAPL", "price": 1.5, "at": "2024-01-01T00:00:00Z"}}},
        },
        {
            "id": "1",
            "type": "next",
            "payload": {"data": {"tick": {"symbol": "AAPL", "price": 1.6, "at": "2024-01-01T00:00:01Z"}}},
        },
        {
            "id": "1",
            "type": "error",
            "payload": [{"message": "boom", "path": ["tick"], "locations": [{"line": 1, "column": 2}]}],
        },
        {"id": "1", "type": "complete"},
    ]
]


# 20 Jupyter kernel channels
def hd(t: str, i: int) -> dict[str, Any]:
    return {
        "msg_id": f"m{i}",
        "msg_type": t,
        "username": "u",
        "session": "s",
        "date": "2024-01-01T00:00:00.000000Z",
        "version": "5.3",
    }


S["jupyter"] = [
    J(
        {
            "header": hd(t, i),
            "msg_id": f"m{i}",
            "msg_type": t,
            "parent_header": hd("execute_request", 0),
            "metadata": {},
            "content": c,
            "buffers": [],
            "channel": ch,
        }
    )
    for i, (t, c, ch) in enumerate(
        [
            ("status", {"execution_state": "busy"}, "iopub"),
            ("execute_input", {"code": "1", "execution_count": 1}, "iopub"),
            ("stream", {"name": "stdout", "text": "hi\n"}, "iopub"),
            (
                "display_data",
                {"data": {"text/plain": "x", "image/png": "iVBO"}, "metadata": {}, "transient": {}},
                "iopub",
            ),
            (
                "execute_reply",
                {"status": "ok", "execution_count": 1, "payload": [], "user_expressions": {}},
                "shell",
            ),
            ("status", {"execution_state": "idle"}, "iopub"),
        ],
        1,
    )
]

# 16 Nostr: arrays whose first element is the tag; an event inside, with tags as arrays of any length
ne = {"id": "ab" * 32, "pubkey": "cd" * 32, "created_at": 1700000001, "kind": 1, "sig": "ef" * 64}
S["nostr"] = [
    J(m)
    for m in [
        ["EVENT", "s1", {**ne, "tags": [], "content": "gm \U0001f31e\n\t"}],
        ["EVENT", "s1", {**ne, "tags": [["e", "ff" * 32, "wss://relay", "reply"], ["p"], []], "content": ""}],
        ["EVENT", "s1", {**ne, "kind": 30023, "tags": [["d", ""]], "content": "x" * 3000, "new": 1}, "more"],
        ["EOSE", "s1"],
        ["OK", "ab" * 32, True, ""],
        ["OK", "ab" * 32, False, "duplicate: already have this event"],
        ["OK", "ab" * 32, True],
        ["COUNT", "s2", {"count": 238}],
    ]
]

# 17 Discord gateway: an integer is the tag, and `d` is of another type in each
S["discord"] = [
    J(m)
    for m in [
        {"t": None, "s": None, "op": 10, "d": {"heartbeat_interval": 41250, "_trace": ["[]"]}},
        {"op": 11},
        {"op": 11, "d": None},
        {
            "t": "MESSAGE_CREATE",
            "s": 3,
            "op": 0,
            "d": {"id": "1199", "content": "\U0001f44b", "author": {"bot": True}},
        },
        {"t": "RESUMED", "s": 9, "op": 0, "d": None},
        {"op": 9, "d": False},
        {"op": 1, "d": 251},
        {"op": 1, "d": None},
    ]
]

# 18 GitHub webhooks, forwarded: keys that may be absent
gu = {"login": "octo", "id": 1}
S["github"] = [
    J(m)
    for m in [
        {
            "action": "opened",
            "issue": {
                "number": 1,
                "title": "Bug \U0001f41e",
                "user": gu,
                "labels": [],
                "created_at": "2024-05-01T10:00:00Z",
                "closed_at": None,
            },
        },
        {
            "action": "closed",
            "issue": {
                "number": 2,
                "title": "",
                "user": None,
                "labels": [{"name": "bug", "color": "f00"}, {"name": "x", "default": True}],
                "created_at": "2024-05-01T12:00:00+02:00",
                "closed_at": "2024-05-02T00:00:00.5Z",
                "assignees": [{**gu, "site_admin": False, "type": "User"}],
            },
            "changes": {"title": {"from": "x"}, "number": {"from": 3}},
            "sender": gu,
        },
    ]
]

# 19 OpenSky: rows as arrays, with nulls, of which the last element is a later addition
S["opensky"] = [
    J(m)
    for m in [
        {
            "time": 1458564121,
            "states": [
                ["3c6444", "DLH9LF  ", 1458564120, 6.1546, False, None],
                ["a", None, 1, None, True, [1, 2], 7],
            ],
        },
        {"time": 1458564131, "states": None},
        {"time": 1458564141.7, "states": []},
    ]
]

# 20 sensors behind an MQTT bridge: everything optional, numbers that are texts at times
S["sensors"] = [
    '{"sensorId":"s","value":null}',
    '{"sensorId":"\u00e9","value":-0.0,"raw":"AAEC/w==","quality":0,"sampledAt":"1969-12-31T23:59:59.999999",'
    '"lasted":"PT1H0.5S","day":"2024-02-29","at":"23:59:59.5","serial":"NaN","number":"NaN","level":100,'
    '"total":18446744073709551615,"odd value":1e300,"tags":["a","b"],"position":[1,2.5,null],'
    '"history":{"1":1.5,"-2":0}}',
    '{"sensorId":"s","value":5e-324,"sampledAt":"2024-01-01T00:00:00+14:00","lasted":"-P1D",'
    '"serial":12345678901234567890123,"number":7,"at":"10:00:00-05:00"}',
    '{"sensorId":"s","value":1,"serial":null,"tags":[],"position":null,"new":{"a":[1]}}',
    '{"status":"offline"}',
]

# 21 Polymarket: arrays of tagged objects, empty ones too; ids of 76 digits
pid = "6581861" + "1" * 69
S["polymarket"] = [
    J(m)
    for m in [
        [
            {
                "event_type": "book",
                "asset_id": pid,
                "bids": [{"price": ".48", "size": "30"}, {"price": "0.49", "size": "20"}],
                "asks": [],
                "timestamp": "1757908892351",
            }
        ],
        [],
        [
            {
                "event_type": "last_trade_price",
                "asset_id": pid,
                "price": "0.456",
                "side": "BUY",
                "fee_rate_bps": "0",
                "timestamp": "1750428146322",
            },
            {"event_type": "tick_size_change", "asset_id": pid},
            {
                "event_type": "last_trade_price",
                "asset_id": pid,
                "price": "0.456789",
                "side": "SELL",
                "fee_rate_bps": "-5",
                "timestamp": 1750428146322,
            },
        ],
    ]
]
