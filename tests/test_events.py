from __future__ import annotations

import ast
import gc
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from rlfast.decode._messages import UnknownEvent
from rlfast.reasoning_layer import _events as events
from rlfast.reasoning_layer._events import (
    AgentEvent,
    AttentionShift,
    Connected,
    CycleComplete,
    ErrorEvent,
    GoalCompleted,
    Heartbeat,
    HitlRequest,
    ImpasseDetected,
    KbChange,
    OversightAlert,
)

A = "0b5c6f0e-6e55-4e6c-a9a5-4f5a0f6f1c11"
B = "8e5a3c2b-09d4-4a57-9a35-3b0b7f0d2e22"

SAMPLES: list[tuple[Any, dict[str, object]]] = [
    (
        KbChange(change_type="feature_modified", sort="person", term_id=A),
        {"type": "kb_change", "change_type": "feature_modified", "sort": "person", "term_id": A},
    ),
    (
        HitlRequest(action_sort="transfer", confidence=0.25, deadline="2026-01-01T00:00:00Z", review_id=A),
        {
            "type": "hitl_request",
            "action_sort": "transfer",
            "confidence": 0.25,
            "deadline": "2026-01-01T00:00:00Z",
            "review_id": A,
        },
    ),
    (
        CycleComplete(actions_executed=0, agent_id=A, beliefs_updated=7, pending_reviews=[A, B]),
        {
            "type": "cycle_complete",
            "actions_executed": 0,
            "agent_id": A,
            "beliefs_updated": 7,
            "pending_reviews": [A, B],
        },
    ),
    (
        AttentionShift(from_=A, priority=1.5, to=B),
        {"type": "attention_shift", "from": A, "priority": 1.5, "to": B},
    ),
    (
        GoalCompleted(goal_id=A, result="réussi", success=True),
        {"type": "goal_completed", "goal_id": A, "result": "réussi", "success": True},
    ),
    (
        ImpasseDetected(blocked_goal=A, impasse_type="no_plan", recovery_suggestions=["relax", "ask"]),
        {
            "type": "impasse_detected",
            "blocked_goal": A,
            "impasse_type": "no_plan",
            "recovery_suggestions": ["relax", "ask"],
        },
    ),
    (
        Connected(agent_id=A, timestamp="2026-01-01T00:00:00Z"),
        {"type": "connected", "agent_id": A, "timestamp": "2026-01-01T00:00:00Z"},
    ),
    (
        Heartbeat(timestamp="2026-01-01T00:00:00Z"),
        {"type": "heartbeat", "timestamp": "2026-01-01T00:00:00Z"},
    ),
    (ErrorEvent(code="E1", message="bad"), {"type": "error", "code": "E1", "message": "bad"}),
]
IDS = [str(builtins["type"]) for _, builtins in SAMPLES]


def decode(fields: dict[str, object]) -> Any:
    return msgspec.json.decode(msgspec.json.encode(fields), type=AgentEvent)


def test_the_samples_cover_the_union() -> None:
    assert {type(event) for event, _ in SAMPLES} == set(get_args(AgentEvent))
    assert len(SAMPLES) == 9


@pytest.mark.parametrize(("event", "fields"), SAMPLES, ids=IDS)
def test_json_round_trip(event: Any, fields: dict[str, object]) -> None:
    assert decode(fields) == event
    encoded = msgspec.json.encode(event)
    assert msgspec.json.decode(encoded) == fields
    assert list(msgspec.json.decode(encoded)) == list(fields), "the fields keep their documented order"
    assert msgspec.json.decode(encoded, type=AgentEvent) == event


@pytest.mark.parametrize(
    ("fields", "attribute"),
    [
        ({"type": "hitl_request", "action_sort": "a", "confidence": 1.0, "review_id": A}, "deadline"),
        ({"type": "attention_shift", "priority": 1.0, "to": B}, "from_"),
        ({"type": "goal_completed", "goal_id": A, "success": False}, "result"),
    ],
)
def test_an_optional_field_may_be_absent_or_null(fields: dict[str, object], attribute: str) -> None:
    absent = decode(fields)
    null = decode({**fields, attribute.removesuffix("_"): None})
    assert absent == null
    assert getattr(absent, attribute) is None


@pytest.mark.parametrize(("event", "fields"), SAMPLES, ids=IDS)
def test_every_other_field_is_required(event: Any, fields: dict[str, object]) -> None:
    optional = {"deadline", "from", "result"}
    for name in fields.keys() - optional - {"type"}:
        with pytest.raises(msgspec.ValidationError, match=f"missing required field `{name}`"):
            decode({key: value for key, value in fields.items() if key != name})
        with pytest.raises(msgspec.ValidationError, match=rf"got `null` - at `\$.{name}`"):
            decode({**fields, name: None})


@pytest.mark.parametrize(("event", "fields"), SAMPLES, ids=IDS)
def test_unknown_fields_are_ignored_and_the_type_may_come_last(event: Any, fields: dict[str, object]) -> None:
    tag = fields["type"]
    rest = {key: value for key, value in fields.items() if key != "type"}
    assert decode({"new": {"deep": [1]}, **rest, "type": tag}) == event


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"type": "kb_change", "change_type": "renamed", "sort": "s", "term_id": A}, "Invalid enum value"),
        (
            {
                "type": "cycle_complete",
                "actions_executed": -1,
                "agent_id": A,
                "beliefs_updated": 0,
                "pending_reviews": [],
            },
            ">= 0",
        ),
        (
            {
                "type": "cycle_complete",
                "actions_executed": 1,
                "agent_id": A,
                "beliefs_updated": 0.5,
                "pending_reviews": [],
            },
            "Expected `int`",
        ),
        ({"type": "goal_completed", "goal_id": A, "success": 1}, "Expected `bool`"),
        ({"type": "heartbeat", "timestamp": 1}, "Expected `str`"),
        ({"type": "weather"}, "Invalid value 'weather'"),
        ({"timestamp": "t"}, "missing required field `type`"),
    ],
)
def test_values_outside_the_schema_are_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=message):
        decode(fields)


def test_a_whole_number_fits_a_number_field() -> None:
    event = decode({"type": "attention_shift", "priority": 3, "to": B})
    assert event.priority == 3.0
    assert type(event.priority) is float


def test_uuid_fields_are_marked_for_the_column_plan() -> None:
    marked: set[str] = set()
    for struct in get_args(AgentEvent):
        info = msgspec.inspect.type_info(struct)
        assert isinstance(info, msgspec.inspect.StructType)
        for field in info.fields:
            kinds = field.type.types if isinstance(field.type, msgspec.inspect.UnionType) else (field.type,)
            for kind in kinds:
                leaf = kind.item_type if isinstance(kind, msgspec.inspect.ListType) else kind
                if isinstance(leaf, msgspec.inspect.Metadata):
                    assert leaf.extra == {"rlfast": "uuid"}
                    assert isinstance(leaf.type, msgspec.inspect.StrType)
                    marked.add(f"{info.tag}.{field.encode_name}")
    assert marked == {
        "kb_change.term_id",
        "hitl_request.review_id",
        "cycle_complete.agent_id",
        "cycle_complete.pending_reviews",
        "attention_shift.from",
        "attention_shift.to",
        "goal_completed.goal_id",
        "impasse_detected.blocked_goal",
        "connected.agent_id",
    }


@pytest.mark.parametrize(("event", "fields"), SAMPLES, ids=IDS)
def test_events_are_immutable_and_only_those_with_lists_are_tracked(
    event: Any, fields: dict[str, object]
) -> None:
    with pytest.raises(AttributeError, match="immutable type"):
        setattr(event, event.__struct_fields__[0], "other")
    assert gc.is_tracked(event) == any(isinstance(value, list) for value in fields.values())


def test_the_alert_has_no_tag() -> None:
    text = b'{"layer":"safety","message":"m","severity":"critical","step_index":3,"type":"anything"}'
    alert = msgspec.json.decode(text, type=OversightAlert)
    assert alert == OversightAlert(layer="safety", message="m", severity="critical", step_index=3)
    assert alert.agent_id is None
    assert "type" not in msgspec.json.decode(msgspec.json.encode(alert))
    for wrong in (text.replace(b"critical", b"fatal"), text.replace(b":3", b":-3")):
        with pytest.raises(msgspec.ValidationError):
            msgspec.json.decode(wrong, type=OversightAlert)


def test_an_unknown_event_keeps_its_json() -> None:
    raw = b'{"type":"weather","sky":"blue"}'
    event = UnknownEvent("weather", raw)
    assert msgspec.json.decode(event.raw) == {"type": event.type, "sky": "blue"}
    assert UnknownEvent not in get_args(AgentEvent)
    with pytest.raises(AttributeError, match="immutable type"):
        event.type = "other"  # type: ignore[misc]


def test_the_module_is_cheap_to_import() -> None:
    tree = ast.parse(Path(events.__file__).read_text(encoding="utf-8"))
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    imported |= {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    assert imported == {"__future__", "typing", "msgspec", "rlfast.schema"}
