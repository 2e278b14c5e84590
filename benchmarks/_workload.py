"""The decoder's workload: a realistic mix of agent events of 128 bytes on average, and variants of it.

The mix: 40 % kb_change, 22 % cycle_complete, 16 % attention_shift, 10 % goal_completed, 5 % hitl_request,
4 % impasse_detected, 2 % heartbeat, 1 % error. Ids are random UUIDs, doubles have up to 17 digits, one sort
in eight is not ASCII, one event in thirty has a text with escapes.
"""

from __future__ import annotations

import datetime
import json
import random
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal

import msgspec

from rlfast.reasoning_layer._events import AgentEvent
from rlfast.schema._markers import UUIDStr

EVENTS = 200_000
SEED = 7
SORTS = (
    "person",
    "employee",
    "contract",
    "invoice",
    "goal_state",
    "belief/observation",
    "well_paid",
    "résumé",
)
CHANGES = ("added", "updated", "deleted", "feature_modified")
RESULTS = (None, "ok", 'Goal reached after 3 "retries"\n with fallback plan')
SUGGESTIONS = ("relax constraint", "ask human", "subgoal: decompose")
TEXTS = ("sort", "result", "action_sort", "impasse_type", "message")
"""Fields with free text."""
ODD_TEXTS = ('a "quoted" word', "two\nlines", "naïve", "日本語", "back\\slash", "tab\there")


def events(count: int = EVENTS, seed: int = SEED) -> Iterator[dict[str, Any]]:
    source = random.Random(seed)

    def identity() -> str:
        return str(uuid.UUID(int=source.getrandbits(128), version=4))

    agents = [identity() for _ in range(50)]
    for i in range(count):
        draw = source.random()
        event: dict[str, Any]
        if draw < 0.40:
            event = {"type": "kb_change", "term_id": identity(), "sort": source.choice(SORTS)}
            event["change_type"] = source.choice(CHANGES)
        elif draw < 0.62:
            event = {"type": "cycle_complete", "agent_id": source.choice(agents)}
            event |= {"actions_executed": source.randrange(20), "beliefs_updated": source.randrange(200)}
            event["pending_reviews"] = [identity() for _ in range(source.choice((0, 0, 0, 1, 2)))]
        elif draw < 0.78:
            event = {"type": "attention_shift", "from": source.choice((None, identity())), "to": identity()}
            event["priority"] = round(source.random(), 6)
        elif draw < 0.88:
            event = {"type": "goal_completed", "goal_id": identity(), "success": source.random() < 0.8}
            event["result"] = source.choice(RESULTS)
        elif draw < 0.93:
            event = {"type": "hitl_request", "review_id": identity(), "action_sort": source.choice(SORTS)}
            event |= {
                "confidence": source.random(),
                "deadline": source.choice((None, "2026-11-23T10:00:00Z")),
            }
        elif draw < 0.97:
            event = {"type": "impasse_detected", "blocked_goal": identity()}
            event["impasse_type"] = source.choice(("tie", "conflict", "no_change"))
            event["recovery_suggestions"] = list(SUGGESTIONS[: source.randrange(4)])
        elif draw < 0.99:
            moment = datetime.datetime.fromtimestamp(1.79e9 + i / 1000, datetime.timezone.utc)
            event = {"type": "heartbeat", "timestamp": moment.isoformat()}
        else:
            event = {
                "type": "error",
                "code": f"E{source.randrange(500)}",
                "message": "transient backend failure",
            }
        yield event


def compact(event: dict[str, Any]) -> bytes:
    return json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode()


def _base(source: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    return map(compact, source)


def _alphabetical(source: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    """Keys in alphabetical order: the tag comes last."""
    return (compact(dict(sorted(event.items()))) for event in source)


def _json_dumps(source: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    """As ``json.dumps`` writes by default: spaces behind commas and colons, everything in ASCII."""
    return (json.dumps(event).encode() for event in source)


def _ascii(source: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for event in source:
        for key, value in event.items():
            if isinstance(value, str) and json.dumps(value) != f'"{value}"':
                event[key] = "plain"
        yield event


def _plain(source: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    """No escapes and only ASCII. One base event in eleven has some, so this shows what they cost."""
    return map(compact, _ascii(source))


def _escapes(source: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    """One event in ten has a text with escapes or non-ASCII; no other has."""
    due = 0
    for number, event in enumerate(_ascii(source)):
        due += number % 10 == 0
        text = next((name for name in TEXTS if event.get(name)), None)
        if due and text is not None:
            due -= 1
            event[text] = ODD_TEXTS[number % len(ODD_TEXTS)]
        yield compact(event)


VARIANTS: dict[str, Callable[[Iterable[dict[str, Any]]], Iterator[bytes]]] = {
    "base": _base,
    "alphabetical": _alphabetical,
    "json_dumps": _json_dumps,
    "plain": _plain,
    "escapes": _escapes,
}


def payloads(variant: str = "base", count: int = EVENTS) -> list[bytes]:
    return list(VARIANTS[variant](events(count)))


# Types of other widths: the same kinds of fields in the same proportions.

_KINDS: tuple[tuple[Any, Callable[[random.Random], Any]], ...] = (
    (str, lambda source: source.choice(SORTS)),
    (UUIDStr, lambda source: str(uuid.UUID(int=source.getrandbits(128), version=4))),
    (int, lambda source: source.randrange(100_000)),
    (float, lambda source: round(source.random(), 6)),
    (bool, lambda source: source.random() < 0.5),
    (Literal["added", "updated", "deleted", "feature_modified"], lambda source: source.choice(CHANGES)),
)


def of_width(fields: int, count: int = 50_000) -> tuple[type, list[bytes]]:
    """A struct with so many fields, and messages of it."""
    source = random.Random(SEED)
    kinds = [_KINDS[i % len(_KINDS)] for i in range(fields)]
    names = [f"{['name', 'id', 'count', 'share', 'done', 'change'][i % 6]}_{i}" for i in range(fields)]
    annotations = [(name, kind) for name, (kind, _) in zip(names, kinds, strict=True)]
    draws = [(name, draw) for name, (_, draw) in zip(names, kinds, strict=True)]
    rows = [compact({name: draw(source) for name, draw in draws}) for _ in range(count)]
    return msgspec.defstruct(f"Wide{fields}", annotations), rows


__all__ = ["EVENTS", "VARIANTS", "AgentEvent", "compact", "events", "of_width", "payloads"]
