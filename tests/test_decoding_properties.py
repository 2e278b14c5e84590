"""Batches against msgspec, on valid, nearly valid and damaged payloads."""

from __future__ import annotations

import json
import uuid
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_events import PAYLOADS, assemble, letters, rows

from rlfast._core.queue import BlockQueue
from rlfast.decode._assembler import BatchAssembler
from rlfast.reasoning_layer._events import AgentEvent

HEARTBEAT = b'{"type":"heartbeat","timestamp":"t"}'


def fits(event: Any) -> bool:
    """Whether every field of a decoded event has a place in its column."""
    for field in msgspec.structs.fields(event):
        value = getattr(event, field.name)
        ids = field.name.endswith("_id") or field.name in ("from_", "to", "blocked_goal", "pending_reviews")
        if ids and value is not None:
            for item in value if isinstance(value, list) else [value]:
                if len(item) != 36 or not item.isascii():
                    return False
                try:
                    if str(uuid.UUID(item)) != item.lower():
                        return False
                except ValueError:
                    return False
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            return False
    return True


def check_against_msgspec(payloads: list[bytes]) -> None:
    """Every payload is one row: the event that msgspec sees, or a dead letter with the payload."""
    batch = assemble(AgentEvent, payloads, first_seq=50)
    events = rows(batch)
    buried = {letter["seq"]: letter for letter in letters(batch)}
    assert events.keys() | buried.keys() == set(range(50, 50 + len(payloads)))
    assert not events.keys() & buried.keys()
    assert batch.payload_bytes == sum(map(len, payloads))
    for seq, payload in enumerate(payloads, 50):
        try:
            event = msgspec.json.decode(payload, type=AgentEvent)
            # What msgspec skips in an unknown field must be JSON too.
            everything = msgspec.json.decode(payload)
            payload.decode()
        except (ValueError, RecursionError):
            assert seq in buried, payload
            assert buried[seq]["raw"] == payload
            continue
        if not fits(event):
            assert buried[seq]["reason"] == "schema_mismatch"
            continue
        name, fields, extra = events[seq]
        assert name == msgspec.structs.asdict(event).get("type", type(event).__struct_config__.tag)
        known = {field.encode_name for field in msgspec.structs.fields(event)}
        expected = {field.encode_name: getattr(event, field.name) for field in msgspec.structs.fields(event)}
        assert _lowered(fields) == _lowered(expected)
        unknown = {key: value for key, value in everything.items() if key not in known | {"type"}}
        assert (None if extra is None else json.loads(extra)) == (unknown or None)


def _lowered(fields: dict[str, Any]) -> dict[str, str]:
    """UUIDs lose the case of their digits on the way through 16 bytes."""
    return {name: repr(value).lower() for name, value in fields.items()}


TEXTS = st.text(max_size=8)
UUIDS = st.uuids().map(str) | st.uuids().map(lambda value: str(value).upper())
COUNTS = st.integers(0, 2**63 - 1)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**70), 2**70)
VALID = st.one_of(
    st.fixed_dictionaries(
        {
            "type": st.just("kb_change"),
            "change_type": st.sampled_from(["added", "updated", "deleted", "feature_modified"]),
            "sort": TEXTS,
            "term_id": UUIDS,
        }
    ),
    st.fixed_dictionaries(
        {"type": st.just("hitl_request"), "action_sort": TEXTS, "confidence": NUMBERS, "review_id": UUIDS},
        optional={"deadline": TEXTS | st.none()},
    ),
    st.fixed_dictionaries(
        {
            "type": st.just("cycle_complete"),
            "actions_executed": COUNTS,
            "agent_id": UUIDS,
            "beliefs_updated": COUNTS,
            "pending_reviews": st.lists(UUIDS, max_size=3),
        }
    ),
    st.fixed_dictionaries(
        {"type": st.just("attention_shift"), "priority": NUMBERS, "to": UUIDS},
        optional={"from": UUIDS | st.none()},
    ),
    st.fixed_dictionaries(
        {"type": st.just("goal_completed"), "goal_id": UUIDS, "success": st.booleans()},
        optional={"result": TEXTS | st.none()},
    ),
    st.fixed_dictionaries(
        {
            "type": st.just("impasse_detected"),
            "blocked_goal": UUIDS,
            "impasse_type": TEXTS,
            "recovery_suggestions": st.lists(TEXTS, max_size=3),
        }
    ),
    st.fixed_dictionaries({"type": st.just("connected"), "agent_id": UUIDS, "timestamp": TEXTS}),
    st.fixed_dictionaries({"type": st.just("heartbeat"), "timestamp": TEXTS}),
    st.fixed_dictionaries({"type": st.just("error"), "code": TEXTS, "message": TEXTS}),
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)


@st.composite
def near_events(draw: st.DrawFn) -> Any:
    """An event with fields dropped, added, exchanged or put in another order."""
    event = draw(VALID)
    for _ in range(draw(st.integers(1, 3))):
        names = list(event)
        change = draw(st.sampled_from(["drop", "add", "replace", "shuffle"]))
        if change == "drop" and names:
            del event[draw(st.sampled_from(names))]
        elif change == "add":
            event[draw(TEXTS | st.sampled_from(["seq", "from", "sort"]))] = draw(ANYTHING)
        elif change == "replace" and names:
            event[draw(st.sampled_from(names))] = draw(ANYTHING)
        else:
            event = {name: event[name] for name in draw(st.permutations(names))}
    return event


def encode(value: Any, ascii_only: bool, indent: int | None) -> bytes:
    return json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()


ENCODED = st.builds(encode, VALID | near_events() | ANYTHING, st.booleans(), st.sampled_from([None, 1]))


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    raw = draw(ENCODED)
    at = draw(st.integers(0, len(raw)))
    return draw(st.sampled_from([raw[:at], raw[at:], raw[:at] + draw(st.binary(max_size=3)) + raw[at + 1 :]]))


@given(payloads=st.lists(ENCODED | damaged() | st.binary(max_size=20), min_size=1, max_size=12))
@settings(deadline=None, max_examples=300)
def test_every_message_is_one_row_and_equals_msgspec(payloads: list[bytes]) -> None:
    check_against_msgspec(payloads)


@given(
    payloads=st.lists(ENCODED | st.binary(max_size=20), max_size=12),
    block_size=st.sampled_from([1, 64, 1000]),
    cuts=st.lists(st.tuples(st.booleans(), st.floats(0, 1), st.booleans()), max_size=12),
)
@settings(deadline=None, max_examples=100)
def test_batches_do_not_depend_on_how_the_stream_is_cut(
    payloads: list[bytes], block_size: int, cuts: list[tuple[bool, float, bool]]
) -> None:
    """`cuts`: whether a socket read ends here, how much of a block is taken, whether a batch ends here."""
    payloads.append(HEARTBEAT)
    whole = assemble(AgentEvent, payloads)
    queue = BlockQueue(block_size, 1 << 20, 0)
    queue.begin_epoch(1)
    for i, payload in enumerate(payloads):
        queue.feed(payload)
        if i < len(cuts) and cuts[i][0]:
            queue.end_of_read()
    queue.end_of_read()
    assembler = BatchAssembler(AgentEvent)
    events: dict[int, Any] = {}
    buried = []
    while (block := queue.take_block()) is not None:
        _, share, ends_batch = cuts.pop() if cuts else (True, 1.0, False)
        stop = block.taken + round(share * (block.count - block.taken))
        assembler.add(block, block.taken, stop)
        queue.give_back(block, stop)
        if assembler.num_rows and ends_batch:
            batch = assembler.finish()
            events |= rows(batch)
            buried += letters(batch)
    if assembler.num_rows:
        batch = assembler.finish()
        events |= rows(batch)
        buried += letters(batch)
    assert events == rows(whole)
    for letter in (*buried, *(expected := letters(whole))):
        del letter["received_at"]
    assert buried == expected


def test_every_byte_changed_is_judged_as_msgspec_does() -> None:
    sample = PAYLOADS[1]
    mutants = [
        sample[:i] + bytes([c]) + sample[i + 1 :] for i in range(len(sample)) for c in b'\0"\\{ 0\xff\xe9Z'
    ]
    check_against_msgspec(mutants)


@given(payloads=st.lists(ENCODED | damaged() | st.binary(max_size=20), min_size=1, max_size=12))
@settings(deadline=None, max_examples=100)
def test_untyped_messages_equal_their_payloads(payloads: list[bytes]) -> None:
    batch = assemble(None, payloads)
    events = rows(batch)
    buried = {letter["seq"]: letter["raw"] for letter in letters(batch)}
    for seq, payload in enumerate(payloads):
        try:
            msgspec.json.decode(payload)
        except (ValueError, RecursionError):
            assert buried.pop(seq) == payload
        else:
            assert events.pop(seq) == ("message", {"json": payload.decode()}, None)
    assert not events
    assert not buried
