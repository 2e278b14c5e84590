"""Write the seed corpus: ``python -m fuzz.seeds``. Findings that were fixed are kept beside it by hand."""

from __future__ import annotations

import json
from pathlib import Path

from fuzz.schemas import SCHEMAS

HERE = Path(__file__).resolve().parent
A = "0b5c6f0e-6e55-4e6c-a9a5-4f5a0f6f1c11"
B = "8E5A3C2B-09D4-4A57-9A35-3B0B7F0D2E22"
AGENT, WIDE, TAGGED, SMALL, UNTYPED, EMPTY = range(len(SCHEMAS))

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
    "lu": [A], "two": ["q"], "a_name_that_is_longer_than_one_vector": 12345678901234567890,
}  # fmt: skip
REQUIRED = '"i":1,"f":%s,"b":true,"s":"","u":"' + A + '"'
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
    add("empty", EMPTY, b"{}", b"{5}", b'{"x":1}', b"{\0005}")
    return out


def main() -> None:
    """Write them."""
    folder = HERE / "corpus"
    folder.mkdir(exist_ok=True)
    for name, data in seeds().items():
        (folder / name).write_bytes(data)


if __name__ == "__main__":
    main()
