"""Write the seed corpus: ``python -m fuzz.seeds``. Findings that were fixed are kept beside it by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fuzz.schemas import SCHEMAS

HERE = Path(__file__).resolve().parent
A = "0b5c6f0e-6e55-4e6c-a9a5-4f5a0f6f1c11"
B = "8E5A3C2B-09D4-4A57-9A35-3B0B7F0D2E22"
(
    AGENT,
    WIDE,
    TAGGED,
    SMALL,
    UNTYPED,
    EMPTY,
    KINDS,
    DEEP,
    EVENTS,
    ROW,
    ORDERS,
    SHAPES,
    DATA,
    BOOK,
    ROWS,
    STREAM,
    AROUND,
    LENIENT,
    MAPS,
) = range(len(SCHEMAS))

AGENT_EVENTS = [
    {"type": "connected", "agent_id": A, "timestamp": "2026-01-01T00:00:00Z"},
    {"type": "kb_change", "term_id": A, "sort": "person", "change_type": "added"},
    {
        "type": "hitl_request",
        "review_id": B,
        "action_sort": "é",
        "confidence": 0.8444218515250481,
        "deadline": None,
    },
    {
        "type": "cycle_complete",
        "agent_id": A,
        "actions_executed": 3,
        "beliefs_updated": 7,
        "pending_reviews": [A, B],
    },
    {"type": "attention_shift", "from": None, "to": A, "priority": 0.123456},
    {"type": "goal_completed", "goal_id": A, "success": True, "result": 'after 3 "retries"\n🙂'},
    {
        "type": "impasse_detected",
        "blocked_goal": B,
        "impasse_type": "tie",
        "recovery_suggestions": ["relax", ""],
    },
    {"type": "heartbeat", "timestamp": "2026-01-01T00:00:05.123456+00:00"},
    {"type": "error", "code": "E1", "message": "transient backend failure"},
]
WIDE_EVENT = {
    "i": -9223372036854775808, "f": 1e-7, "b": False, "s": "x" * 40, "u": A, "from": B, "o": A, "ge": 99, "fl": 1.5,
    "short": "éé", "été": "z", "a b": 1, "word": "grün", "colour": "red", "category": "c", "ls": ["a", "b\\"],
    "lu": [A], "two": ["q"], "a_name_that_is_longer_than_one_vector": 1234567890123456789,
}  # fmt: skip
REQUIRED = '"i":1,"f":%s,"b":true,"s":"","u":"' + A + '"'
KINDS_EVENT = {
    "i8": -128, "i16": 32767, "i32": -1, "u8": 255, "u16": 65535, "u32": 0, "u64": 18446744073709551615, "f32": 0.1,
    "number": "-0.0010", "integer": "42", "decimal": "12.50", "d18": "-1.5", "d76": 0.1, "at": "2026-01-01T00:00:00Z",
    "aware": "2026-01-01T00:00:00.123456+01:30", "naive": "2026-01-01T00:00:00.5", "nanos": "2026-01-01T00:00:00.123456789Z",
    "day": "2024-02-29", "time": "23:59:59.5", "s": 1767225600, "ms": "1767225600123", "us": 1.5, "ns": 1,
    "raw": "AAEC", "short": "/+8=", "level": -70000, "code": 123456789012, "any": {"a": [1, None, "x"]}, "either": "x",
    "anything": [],
}  # fmt: skip
DEEP_EVENT = {
    "orders": [{"side": "bid", "price": "1.50", "sizes": [1, 2]}, {"price": 2.5, "side": "ask", "by": A, "point": [1, None]}, {"side": "halt"}],
    "shapes": {"x": [[1, 0.5, {"l": "r"}], [12, [0, 0], [1]]], "": []}, "points": [[1, 2.5], None], "pair": ["a", None],
    "both": [1, "é", [0.5]], "data": {"name": "n", "tags": ["a", "b"], "counts": {"k": 1}}, "keys": {"a": 1, "b": [True]},
    "leaves": {"a/b": {"~": {"a/b~": "x", "n": 3}, "n": None}}, "leaf": {"n": 9}, "grid": [[[1, 2], []], []], "words": ["a", "b"],
    "maybe": {"side": "bid", "price": 3},
}  # fmt: skip
OPENED = {"é": "opened", "deep": [{"k": {"side": "ask", "price": 1}}, {}], "at": "2026-01-01T00:00:00Z"}
CLOSED = {"é": "closed", "shape": [1, 2.5], "leaf": {"a/b~": None}, "rest": [{}]}
NUMBERS = [
    "0",
    "-0",
    "-0.0",
    "1.0",
    "0.1",
    "1e22",
    "1e23",
    "123456789012345678e-10",
    "9007199254740993",
    "5e-324",
]


def seeds() -> dict[str, bytes]:
    """Name and bytes of every seed."""
    out: dict[str, bytes] = {}

    def add(name: str, schema: int, *messages: bytes) -> None:
        for kernel in range(3):
            out[f"{name}-{kernel}"] = bytes([schema + len(SCHEMAS) * kernel]) + b"\x1e".join(messages)

    def compact(event: object) -> bytes:
        return json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode()

    for event in AGENT_EVENTS:
        add(str(event["type"]), AGENT, compact(event))
    kinds = [
        ("dumps", lambda e: json.dumps(e).encode()),
        ("sorted", lambda e: json.dumps(e, sort_keys=True).encode()),
        ("indented", lambda e: json.dumps(e, indent=1).encode()),
    ]
    for name, encode in kinds:
        for part in range(0, 9, 3):
            add(f"{name}-{part}", AGENT, *map(encode, AGENT_EVENTS[part : part + 3]))
        add(f"wide-{name}", WIDE, encode(WIDE_EVENT))
    add("reordered", AGENT, compact(AGENT_EVENTS[1]), compact(dict(reversed(AGENT_EVENTS[1].items()))))
    add(
        "unknown",
        AGENT,
        b'{"type":"heartbeat","x":{"a":[1,2.5e3,{}],"b":null},"timestamp":"t","y":"\\u00e9"}',
    )
    add("unknown-brace", AGENT, b'{"type":"heartbeat","timestamp":"t","x":{}')
    add("duplicate", AGENT, b'{"type":"heartbeat","timestamp":"a","timestamp":"b"}')
    add("no-object", AGENT, b"[]", b"1", b"", b"{}")
    add(
        "escapes",
        AGENT,
        b'{"type":"heartbeat","timestamp":"\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000\\ud83d\\ude00\\ud800"}',
    )
    add("wide", WIDE, compact(WIDE_EVENT))
    for number in NUMBERS:
        add(f"number-{number}", WIDE, ("{" + REQUIRED % number + "}").encode())
    add(
        "tagged",
        TAGGED,
        b'{"kind":1,"x":2}',
        b'{"x":3,"kind":12}',
        b'{ "kind" : -7 }',
        b'{"x":1,"y":"a","kind":1}',
    )
    order = {"side": "bid", "price": "1.50", "sizes": [1]}
    add("envelope", STREAM, compact({"name": "a", "data": order, "point": [1], "new": 0}))
    add(
        "envelope-dumps",
        STREAM,
        json.dumps({"data": {"price": 1, "side": "ask", "x": 2}, "name": "é"}).encode(),
    )
    inside = {"n": 1, "a/b": [[1, None, [[2]]], [2, {"a/b~": "x", "y": 1}], ["?"]], "z": {}}
    add("envelope-rows", AROUND, compact({"type": "rows", "inside": inside, "words": ["a"]}))
    add(
        "envelope-other",
        AROUND,
        compact({"type": "other", "text": "a"}),
        compact({"inside": inside, "type": "rows"}),
    )
    add("lenient", LENIENT, b'{"a":"1","b":"\\ud800"}', b'{"a":1,"b":NaN}', b'{"a":1,"x":-Infinity}')
    add("maps", MAPS, b'{"k":[{"a/b~":null,"n":3}],"":[]}', b"{}")
    add("small", SMALL, b'{"a":1}', b'{"b":null,"a":2}', b'{"a":3,"b":"\\u0062"}', b'{"a":1}}')
    add("untyped", UNTYPED, b'{"a":[1,-2.5e+10,true,false,null,"x\\n",{"b":[]}]}', b'"s"', b" [ ] ", b"nul")
    add(
        "untyped-events",
        UNTYPED,
        *(compact(event) for event in AGENT_EVENTS[:3]),
        json.dumps(AGENT_EVENTS[3:6], indent=1).encode(),
    )
    add(
        "untyped-nested", UNTYPED, b'{"a":{"b":[{"c":"d"},{"c":[]}]},"e":{}}', b'{"e":{"a":-0.0},"a":1,"a":2}'
    )
    add("untyped-keys", UNTYPED, b'{"\\u00e9":1,"\xc3\xa9":2,"":"x"}', b'{ "" : "y" , "\\u00e9":"\\"}')
    add("deep", UNTYPED, b"[" * 40 + b"]" * 40, b'{"a":' * 20 + b"1" + b"}" * 20)
    add("repeated", AGENT, *(b"\x1d\xff" + compact(AGENT_EVENTS[i]) for i in (3, 5, 6)))
    add("repeated-wide", WIDE, b"\x1d\x80" + compact(WIDE_EVENT), b"\x1d\x10" + compact(WIDE_EVENT))
    for name, schema, events in (
        ("kinds", KINDS, [KINDS_EVENT, {}, {"took": "PT1S", "ns": None}]),
        ("deep", DEEP, [DEEP_EVENT, {}]),
        ("events", EVENTS, [OPENED, CLOSED]),
        ("row", ROW, [[1, {"n": 2}, [[1], [2, 3]]], [1], [1, None, [], "more"]]),
        ("orders", ORDERS, DEEP_EVENT["orders"]),
        ("shapes", SHAPES, [[1, 0.5, {"a": "b"}], [12, [0, 0], [1, None]]]),
        (
            "book",
            BOOK,
            [DEEP_EVENT["orders"], [], [{"side": "halt", "x": 1}, {"price": 1, "new": [], "side": "bid"}]],
        ),
        ("rows", ROWS, [[[1, {"n": 2}, [[1]]], [1, None, [], 2], [3]], [[0]]]),
        ("data", DATA, [{"name": "n"}, {"name": "", "tags": None, "counts": {"a": 1}}]),
    ):
        add(f"nested-{name}", schema, *map(compact, events))
        add(f"nested-{name}-spaced", schema, *(json.dumps(event, indent=1).encode() for event in events))
        add(f"nested-{name}-repeated", schema, *(b"\x1d\x46" + compact(event) for event in events))
        for i, event in enumerate(events):
            if isinstance(event, dict):
                unknown = {"new": {"x": [1]}, **reversed_inside(event), "/": 1}
                add(f"nested-{name}-unknown-{i}", schema, compact(unknown), compact(event))
    deep = json.loads(compact(DEEP_EVENT))
    deep["leaves"]["a/b"]["~"] |= {"s": 1, "~/": {}}
    deep["orders"][0]["later"] = [1]
    deep["shapes"]["x"][0].append("more")
    add("nested-deep-paths", DEEP, compact(deep), compact(DEEP_EVENT))
    for field, value in (
        ("grid", [[[1, "x"]]]),
        ("orders", [{"side": "bid", "price": "1.5", "sizes": [1, {}]}]),
        ("leaves", {"a": {"b": {"n": 10}}}),
    ):
        add(
            f"nested-undo-{field}",
            DEEP,
            compact(DEEP_EVENT),
            compact({**DEEP_EVENT, field: value}),
            compact(DEEP_EVENT),
        )
    add("row-and-more", ROW, b"\x1d\x46[1]", b"[1][1]", b"[1] [2]", b"[1]")
    add("rows-and-more", ROWS, b"[[1],[2]]", b"[[1],[2]][[3]]", b"[[1],[2],[]]", b"[[4]]")
    add(
        "book-and-less",
        BOOK,
        b'[{"side":"halt"}]',
        b'[{"side":"halt"},{"side":"bid","price":"x"}]',
        b'[{"side":"halt"},',
        b'[{"side":"bid","price":1}]',
    )
    add("empty", EMPTY, b"{}", b"{5}", b'{"x":1}', b"{\0005}")
    return out


def reversed_inside(value: Any) -> Any:
    """The same with the members of all objects in reverse."""
    if isinstance(value, list):
        return [reversed_inside(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {name: reversed_inside(item) for name, item in reversed(value.items())}


def main() -> None:
    """Write them."""
    folder = HERE / "corpus"
    folder.mkdir(exist_ok=True)
    for name, data in seeds().items():
        (folder / name).write_bytes(data)


if __name__ == "__main__":
    main()
