"""Seeded payloads for the simulator's streams: the same arguments give the same bytes on every machine.

The mix of the agent stream follows what an agent at work sends: two thirds knowledge base changes and
finished cycles, then shifts of attention, goals, reviews, impasses, a few heartbeats and errors; 127 bytes
per event on average, some text with escapes and outside ASCII, optional fields now absent and now null.

Only `random.Random.random` and `random.Random.getrandbits` are drawn from, because Python promises their
sequence across versions; `choice` and `randrange` changed in the past.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timezone
from typing import Any, TypeVar

import msgspec

__all__ = ["agent_events", "connected_event", "cycle_messages", "oversight_alerts"]

T = TypeVar("T")

SIDE_POOL = 8_192
"""Most distinct payloads of the oversight and cycle streams, which carry far less than the agent stream."""

_EPOCH = 1_790_000_000
"""Start of simulated time, seconds since 1970: a fixed date, so that payloads do not depend on the clock."""

_SORTS = (
    "person",
    "employee",
    "contract",
    "invoice",
    "goal_state",
    "belief/observation",
    "well_paid",
    "résumé",
)
_CHANGES = ("added", "updated", "deleted", "feature_modified")
_RESULTS = ("ok", 'Goal reached after 3 "retries"\n with a fallback plan', "zurückgestellt → später ✓")
_IMPASSES = ("tie", "conflict", "no_change")
_SUGGESTIONS = ("relax constraint", "ask human", "subgoal: decompose")
_ERRORS = ("transient backend failure", "path C:\\kb\\terms not readable", "queue \x1b[31mfull\x1b[0m 🚧")
_LAYERS = ("syntax", "type_check", "constraint", "provenance", "policy/überprüfung")
_ALERTS = (
    "step matches the plan",
    'term "résumé" has no provenance',
    "confidence below threshold",
    "two rules disagree:\n  a ⊑ b\n  b ⊑ a",
)
_SEVERITIES = ("info", "warning", "critical")
_PHASES = ("perceive", "deliberate", "act", "reflect")


class _Draw:
    """A seeded source of the values that payloads are made of."""

    def __init__(self, stream: str, seed: int) -> None:
        source = random.Random(f"rlfast.simulator:{stream}:{seed}")  # noqa: S311 (no secret is drawn)
        self.unit: Callable[[], float] = source.random
        self._bits: Callable[[int], int] = source.getrandbits

    def below(self, bound: int) -> int:
        return int(self.unit() * bound)

    def pick(self, values: Sequence[T]) -> T:
        return values[int(self.unit() * len(values))]

    def uuid(self) -> str:
        """A version 4 UUID; by hand, because `uuid.UUID` takes three times as long and would dominate."""
        digits = f"{self._bits(128):032x}"
        variant = "89ab"[int(digits[16], 16) & 3]
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"

    def optional(self, event: dict[str, Any], name: str, make: Callable[[], object]) -> None:
        """Set a field in half of the events; of the others, half hold null and half lack the field."""
        chance = self.unit()
        if chance < 0.5:
            event[name] = make()
        elif chance < 0.75:
            event[name] = None


def _timestamp(milliseconds: int) -> str:
    moment = datetime.fromtimestamp(_EPOCH + milliseconds / 1000, timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def connected_event(seed: int, agent_id: str) -> bytes:
    """Return the first payload of an agent stream, with a timestamp that depends on the seed alone."""
    moment = _timestamp(_Draw("connected", seed).below(86_400_000))
    return msgspec.json.encode({"type": "connected", "agent_id": agent_id, "timestamp": moment})


def agent_pool(seed: int, pool: int) -> list[bytes]:
    """Return the ``pool`` payloads that an agent stream repeats after ``connected``."""
    draw = _Draw("agent", seed)
    unit, below, pick, uuid = draw.unit, draw.below, draw.pick, draw.uuid
    encode = msgspec.json.Encoder().encode
    agents = [uuid() for _ in range(50)]

    def event(index: int) -> dict[str, Any]:
        kind = unit()
        if kind < 0.40:
            return {
                "type": "kb_change",
                "term_id": uuid(),
                "sort": pick(_SORTS),
                "change_type": pick(_CHANGES),
            }
        if kind < 0.62:
            return {
                "type": "cycle_complete",
                "agent_id": pick(agents),
                "actions_executed": below(20),
                "beliefs_updated": below(200),
                "pending_reviews": [uuid() for _ in range(pick((0, 0, 0, 1, 2)))],
            }
        if kind < 0.78:
            event: dict[str, Any] = {"type": "attention_shift"}
            draw.optional(event, "from", uuid)
            event["to"] = uuid()
            event["priority"] = round(unit(), 6)
        elif kind < 0.88:
            event = {"type": "goal_completed", "goal_id": uuid(), "success": unit() < 0.8}
            draw.optional(event, "result", lambda: pick(_RESULTS))
        elif kind < 0.93:
            event = {
                "type": "hitl_request",
                "review_id": uuid(),
                "action_sort": pick(_SORTS),
                "confidence": unit(),
            }
            draw.optional(event, "deadline", lambda: _timestamp(index + 3_600_000))
        elif kind < 0.97:
            return {
                "type": "impasse_detected",
                "blocked_goal": uuid(),
                "impasse_type": pick(_IMPASSES),
                "recovery_suggestions": _SUGGESTIONS[: below(4)],
            }
        elif kind < 0.99:
            return {"type": "heartbeat", "timestamp": _timestamp(index)}
        else:
            return {"type": "error", "code": f"E{below(500)}", "message": pick(_ERRORS)}
        return event

    return [encode(event(index)) for index in range(pool)]


def alert_pool(seed: int, pool: int) -> list[bytes]:
    """Return the payloads that an oversight stream repeats, ``SIDE_POOL`` at most."""
    draw = _Draw("oversight", seed)
    encode = msgspec.json.Encoder().encode
    agents = [draw.uuid() for _ in range(5)]
    payloads = []
    step = 0
    for _ in range(min(pool, SIDE_POOL)):
        step += draw.below(3)
        alert: dict[str, Any] = {}
        draw.optional(alert, "agent_id", lambda: draw.pick(agents))
        alert["layer"] = draw.pick(_LAYERS)
        alert["message"] = draw.pick(_ALERTS)
        alert["severity"] = draw.pick(_SEVERITIES)
        alert["step_index"] = step
        payloads.append(encode(alert))
    return payloads


def cycle_pool(seed: int, pool: int) -> list[bytes]:
    """Return the payloads that a cycle stream repeats, ``SIDE_POOL`` at most."""
    draw = _Draw("cycle", seed)
    encode = msgspec.json.Encoder().encode
    payloads = []
    for index in range(min(pool, SIDE_POOL)):
        beliefs = [
            {"id": draw.uuid(), "sort": draw.pick(_SORTS), "degree": draw.unit()}
            for _ in range(draw.below(3))
        ]
        message = {
            "phase": _PHASES[index % len(_PHASES)],
            "cycle": index // len(_PHASES),
            "elapsed_ms": round(draw.unit() * 40, 3),
            "beliefs": beliefs,
            "note": draw.pick((None, *_RESULTS)),
        }
        payloads.append(encode(message))
    return payloads


def agent_events(seed: int, agent_id: str, pool: int) -> Iterator[bytes]:
    """Yield, without end, the payloads that one connection to an agent stream receives, in order.

    Args:
        seed: the simulator's seed.
        agent_id: the agent asked for; it appears in the first payload only.
        pool: the simulator's pool: how many events are generated before they repeat.

    Yields:
        UTF-8 JSON text: first ``connected``, then the pool again and again.
    """
    yield connected_event(seed, agent_id)
    yield from itertools.cycle(agent_pool(seed, pool))


def oversight_alerts(seed: int, pool: int) -> Iterator[bytes]:
    """Yield, without end, the payloads of an oversight stream: alerts as UTF-8 JSON text."""
    return itertools.cycle(alert_pool(seed, pool))


def cycle_messages(seed: int, pool: int) -> Iterator[bytes]:
    """Yield, without end, what a cycle stream sends of its own accord: cycle phases as UTF-8 JSON text."""
    return itertools.cycle(cycle_pool(seed, pool))
