from __future__ import annotations

import hashlib
import itertools
import time
import uuid
from collections import Counter

import msgspec
import pytest

from rlfast.reasoning_layer._events import AgentEvent, AttentionShift, OversightAlert
from rlfast.simulator._events import (
    SIDE_POOL,
    agent_events,
    agent_pool,
    alert_pool,
    cycle_messages,
    cycle_pool,
    oversight_alerts,
)

from .ids import AGENT, TENANT


def first(count: int, seed: int = 7, agent_id: str = AGENT, pool: int = 500) -> list[bytes]:
    return list(itertools.islice(agent_events(seed, agent_id, pool), count))


def test_same_seed_same_bytes() -> None:
    assert first(1200) == first(1200)


def test_bytes_are_the_same_on_every_machine_and_python() -> None:
    digest = hashlib.sha256(b"\n".join(first(5000, pool=4000)))
    digest.update(b"\n".join(alert_pool(7, 1000) + cycle_pool(7, 1000)))
    assert digest.hexdigest() == "dab07f1dc5f406a5affad113d15a045a864bdc3a5fd3fa88ab6403d3a706a824"


def test_other_seed_other_bytes() -> None:
    for one, other in zip(first(300, seed=1), first(300, seed=2), strict=True):
        if b'"heartbeat"' not in one:
            assert one != other
    assert alert_pool(1, 50) != alert_pool(2, 50)
    assert cycle_pool(1, 50) != cycle_pool(2, 50)


def test_agent_id_is_in_the_first_payload_only() -> None:
    one, other = first(400), first(400, agent_id=TENANT)
    assert msgspec.json.decode(one[0])["agent_id"] == AGENT
    assert msgspec.json.decode(other[0])["agent_id"] == TENANT
    assert one[1:] == other[1:]


def test_pool_repeats_after_connected() -> None:
    payloads = first(1 + 3 * 40 + 5, pool=40)
    assert payloads[0].startswith(b'{"type":"connected",')
    pool = agent_pool(7, 40)
    assert payloads[1:] == pool * 3 + pool[:5]


def test_every_event_fits_the_schema_and_the_mix_is_realistic() -> None:
    payloads = first(20_001, pool=20_000)
    kinds = Counter(type(msgspec.json.decode(p, type=AgentEvent)).__struct_config__.tag for p in payloads)
    assert kinds.pop("connected") == 1
    shares = {
        "kb_change": 0.40,
        "cycle_complete": 0.22,
        "attention_shift": 0.16,
        "goal_completed": 0.10,
        "hitl_request": 0.05,
        "impasse_detected": 0.04,
        "heartbeat": 0.02,
        "error": 0.01,
    }
    assert {kind: count / 20_000 for kind, count in kinds.items()} == pytest.approx(shares, abs=0.01)
    assert sum(map(len, payloads)) / len(payloads) == pytest.approx(127, abs=2)


def test_ids_are_uuids_of_version_4() -> None:
    for payload in first(2000, pool=2000)[1:]:
        event = msgspec.json.decode(payload)
        for name in ("term_id", "agent_id", "to", "goal_id", "review_id", "blocked_goal"):
            if name in event:
                assert str(uuid.UUID(event[name])) == event[name]
                assert uuid.UUID(event[name]).version == 4


def test_text_has_escapes_controls_and_more_than_ascii() -> None:
    joined = b"\n".join(first(5000, pool=5000))
    for sample in (rb"\"retries\"\n", rb"C:\\kb", rb"\u001b", "résumé".encode(), "🚧".encode()):
        assert sample in joined


def test_optional_fields_are_present_null_or_absent() -> None:
    states = set()
    for payload in first(3000, pool=3000):
        if isinstance(msgspec.json.decode(payload, type=AgentEvent), AttentionShift):
            event = msgspec.json.decode(payload)
            states.add("absent" if "from" not in event else "null" if event["from"] is None else "present")
    assert states == {"absent", "null", "present"}


def test_alerts_fit_the_schema() -> None:
    alerts = [msgspec.json.decode(p, type=OversightAlert) for p in alert_pool(3, 500)]
    assert {alert.severity for alert in alerts} == {"info", "warning", "critical"}
    steps = [alert.step_index for alert in alerts]
    assert steps == sorted(steps)
    assert steps[-1] > 0
    names = {name for p in alert_pool(3, 500) for name in msgspec.json.decode(p)}
    assert names == {"agent_id", "layer", "message", "severity", "step_index"}


def test_side_streams_repeat_and_are_bounded() -> None:
    assert len(alert_pool(7, 1 << 20)) == SIDE_POOL
    assert len(cycle_pool(7, 1 << 20)) == SIDE_POOL
    for stream, pool in ((oversight_alerts, alert_pool), (cycle_messages, cycle_pool)):
        assert list(itertools.islice(stream(7, 10), 25)) == (pool(7, 10) * 3)[:25]


def test_cycle_messages_walk_through_the_phases() -> None:
    messages = [msgspec.json.decode(p) for p in cycle_pool(7, 8)]
    assert [(m["cycle"], m["phase"]) for m in messages] == [
        (cycle, phase) for cycle in (0, 1) for phase in ("perceive", "deliberate", "act", "reflect")
    ]


def test_the_default_pool_is_built_fast() -> None:
    # 0.15-0.18 s on a two-core machine; the bound leaves room for a loaded one.
    start = time.process_time()
    assert len(agent_pool(7, 65_536)) == 65_536
    assert time.process_time() - start < 1.0
