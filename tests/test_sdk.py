"""Against the official SDK itself, `reasoning_layer_python_sdk`; nothing of it is replaced."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, get_args
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reasoning_layer_python_sdk import ClientConfig as OfficialConfig
from reasoning_layer_python_sdk import ReasoningLayerClient as OfficialClient
from reasoning_layer_python_sdk.generated.models import AgentEvent as OfficialEvent
from reasoning_layer_python_sdk.generated.models import OversightAlertDto
from websockets.asyncio.server import ServerConnection, serve

from rlfast.decode._messages import UnknownEvent
from rlfast.errors import ConfigError, MissingExtraError
from rlfast.reasoning_layer import _sdk as sdk
from rlfast.reasoning_layer._client import ReasoningLayerClient
from rlfast.reasoning_layer._events import AgentEvent, Connected, KbChange, OversightAlert
from rlfast.reasoning_layer._sdk import from_sdk_event, read_official_client, to_sdk

TENANT = "6f1c0c9e-2b7f-4c39-8f53-1e3f6a7d9b01"
ID = "0b5c6f0e-6e55-4e6c-a9a5-4f5a0f6f1c11"

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
ids = st.uuids().map(str)
count = st.integers(0, 2**53)
number = st.floats(allow_nan=False, allow_infinity=False)


def fields(tag: str, **strategies: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"type": st.just(tag), **strategies})


CHANGES = st.sampled_from(["added", "updated", "deleted", "feature_modified"])
JSON_EVENTS = {
    "kb_change": fields("kb_change", change_type=CHANGES, sort=text, term_id=ids),
    "hitl_request": fields(
        "hitl_request", action_sort=text, confidence=number, deadline=st.none() | text, review_id=ids
    ),
    "cycle_complete": fields(
        "cycle_complete",
        actions_executed=count,
        agent_id=ids,
        beliefs_updated=count,
        pending_reviews=st.lists(ids, max_size=3),
    ),
    "attention_shift": fields("attention_shift", priority=number, to=ids, **{"from": st.none() | ids}),
    "goal_completed": fields("goal_completed", goal_id=ids, result=st.none() | text, success=st.booleans()),
    "impasse_detected": fields(
        "impasse_detected",
        blocked_goal=ids,
        impasse_type=text,
        recovery_suggestions=st.lists(text, max_size=3),
    ),
    "connected": fields("connected", agent_id=ids, timestamp=text),
    "heartbeat": fields("heartbeat", timestamp=text),
    "error": fields("error", code=text, message=text),
}
STRUCTS = {struct.__struct_config__.tag: struct for struct in get_args(AgentEvent)}


def ours(event: dict[str, Any]) -> Any:
    return msgspec.json.decode(json.dumps(event), type=AgentEvent)


@pytest.mark.parametrize("tag", JSON_EVENTS)
@given(data=st.data())
def test_both_libraries_agree_on_every_event(tag: str, data: st.DataObject) -> None:
    event = data.draw(JSON_EVENTS[tag])
    official = OfficialEvent.from_json(json.dumps(event))
    struct = ours(event)

    converted = to_sdk(struct)
    assert converted == official
    assert type(converted.actual_instance) is type(official.actual_instance)
    assert converted.to_dict() == official.to_dict()
    assert json.loads(converted.to_json()) == event

    assert from_sdk_event(official) == struct
    assert from_sdk_event(official.actual_instance) == struct
    assert type(from_sdk_event(official)) is STRUCTS[tag]


@pytest.mark.parametrize("tag", JSON_EVENTS)
@given(data=st.data())
def test_the_first_event_of_a_type_is_no_exception(tag: str, data: st.DataObject) -> None:
    struct = ours(data.draw(JSON_EVENTS[tag]))
    known = to_sdk(struct)
    sdk._concrete_models.clear()
    first = to_sdk(struct)
    assert first == known
    assert sdk._concrete_models == {STRUCTS[tag]: type(known.actual_instance)}


def test_code_written_for_the_sdk_keeps_working() -> None:
    event = to_sdk(KbChange(change_type="added", sort="person", term_id=ID))
    assert isinstance(event, OfficialEvent)
    inner = event.actual_instance
    assert type(inner).__name__ == "AgentEventOneOf"
    assert inner.type == "kb_change"
    assert inner.change_type.value == "added"
    assert inner.term_id == UUID(ID)
    assert OfficialEvent.from_json(event.to_json()) == event


def official_models() -> Iterator[type[Any]]:
    union = OfficialEvent.model_fields["actual_instance"].annotation
    yield from (model for model in get_args(union) if model is not type(None))


def test_every_model_of_the_sdk_has_its_struct() -> None:
    sdk._concrete_models.clear()
    examples: dict[str, dict[str, Any]] = {
        "kb_change": {"change_type": "added", "sort": "s", "term_id": ID},
        "hitl_request": {"action_sort": "s", "confidence": 1.0, "review_id": ID},
        "cycle_complete": {
            "actions_executed": 1,
            "agent_id": ID,
            "beliefs_updated": 1,
            "pending_reviews": [ID],
        },
        "attention_shift": {"priority": 1.0, "to": ID},
        "goal_completed": {"goal_id": ID, "success": True},
        "impasse_detected": {"blocked_goal": ID, "impasse_type": "t", "recovery_suggestions": ["r"]},
        "connected": {"agent_id": ID, "timestamp": "t"},
        "heartbeat": {"timestamp": "t"},
        "error": {"code": "c", "message": "m"},
    }
    for tag, example in examples.items():
        to_sdk(ours({"type": tag, **example}))
    assert set(sdk._concrete_models) == set(get_args(AgentEvent))
    assert set(sdk._concrete_models.values()) == set(official_models())
    for struct, model in sdk._concrete_models.items():
        assert {**described_by_sdk(model), "type": None} == {**described_by_us(struct), "type": None}
    assert described_by_sdk(OversightAlertDto) == {
        # The SDK lists the severities only in the field's description.
        **described_by_us(OversightAlert),
        "severity": (True, "string"),
    }


def described_by_sdk(model: type[Any]) -> dict[str, Any]:
    """JSON name → (required, shape), from the JSON Schema that pydantic makes of the model."""
    schema = model.model_json_schema(by_alias=True)

    def shape(part: dict[str, Any]) -> Any:
        if "$ref" in part:
            part = schema["$defs"][part["$ref"].rsplit("/", 1)[1]]
        if "anyOf" in part:
            kinds = {shape(choice) for choice in part["anyOf"]} - {"null"}
            return "number" if kinds == {"number", "integer"} else kinds.pop() if len(kinds) == 1 else kinds
        if "enum" in part:
            return frozenset(part["enum"])
        if part["type"] == "array":
            return ("array", shape(part["items"]))
        if part["type"] == "integer" and part.get("minimum") == 0:
            return "count"
        return part.get("format", part["type"])

    return {
        name: (name in schema["required"], shape(part))
        for name, part in schema["properties"].items()
        if name != "type"
    }


def described_by_us(struct: type[msgspec.Struct]) -> dict[str, Any]:
    names = {
        msgspec.inspect.StrType: "string",
        msgspec.inspect.FloatType: "number",
        msgspec.inspect.BoolType: "boolean",
    }

    def shape(kind: msgspec.inspect.Type) -> Any:
        if isinstance(kind, msgspec.inspect.UnionType):
            (kind,) = (part for part in kind.types if not isinstance(part, msgspec.inspect.NoneType))
        if isinstance(kind, msgspec.inspect.Metadata):
            return (kind.extra or {})["rlfast"]
        if isinstance(kind, msgspec.inspect.ListType):
            return ("array", shape(kind.item_type))
        if isinstance(kind, msgspec.inspect.LiteralType):
            return frozenset(kind.values)
        if isinstance(kind, msgspec.inspect.IntType) and kind.ge == 0:
            return "count"
        return names[type(kind)]

    info = msgspec.inspect.type_info(struct)
    assert isinstance(info, msgspec.inspect.StructType)
    return {field.encode_name: (field.required, shape(field.type)) for field in info.fields}


@given(
    st.builds(
        OversightAlert,
        agent_id=st.none() | text,
        layer=text,
        message=text,
        severity=st.sampled_from(["info", "warning", "critical"]),
        step_index=count,
    )
)
def test_alerts_convert_both_ways(alert: OversightAlert) -> None:
    official = OversightAlertDto.from_json(msgspec.json.encode(alert).decode())
    assert to_sdk(alert) == official
    assert from_sdk_event(official) == alert


def test_an_event_without_a_model_is_refused() -> None:
    with pytest.raises(ConfigError, match="has no model for the event type 'weather'"):
        to_sdk(UnknownEvent("weather", b'{"type":"weather"}'))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="has no model for dict"):
        to_sdk({"type": "heartbeat", "timestamp": "t"})  # type: ignore[arg-type]


@pytest.mark.parametrize("known", [False, True])
def test_an_id_that_is_no_uuid_is_refused_by_the_sdk(known: bool) -> None:
    sdk._concrete_models.clear()
    if known:
        to_sdk(KbChange(change_type="added", sort="s", term_id=ID))
    with pytest.raises(ValueError, match="valid UUID"):
        to_sdk(KbChange(change_type="added", sort="s", term_id="term-1"))


@pytest.mark.parametrize("wrong", [None, {"type": "heartbeat"}, OfficialEvent.model_construct(), object()])
def test_what_is_no_event_of_the_sdk_is_refused(wrong: Any) -> None:
    with pytest.raises(ConfigError, match="is not an event of the official SDK"):
        from_sdk_event(wrong)


def test_a_severity_beyond_the_schema_is_refused() -> None:
    dto = OversightAlertDto(layer="l", message="m", severity="fatal", step_index=0)
    with pytest.raises(ConfigError, match="Invalid enum value 'fatal'"):
        from_sdk_event(dto)


def run(code: str) -> None:
    """Run `code` in a fresh interpreter with our import path."""
    code = f"import sys; sys.path[:0] = {sys.path!r}\n{code}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_the_sdk_is_imported_only_when_it_is_needed() -> None:
    run(
        "import rlfast.reasoning_layer._client, rlfast.reasoning_layer._sdk\n"
        "assert 'reasoning_layer_python_sdk' not in sys.modules and 'pydantic' not in sys.modules"
    )


def test_a_missing_extra_names_the_command() -> None:
    # None in sys.modules is how the import system is told that a module is not there.
    run(
        "sys.modules['reasoning_layer_python_sdk'] = None\n"
        "from rlfast.errors import MissingExtraError\n"
        "from rlfast.reasoning_layer._events import Heartbeat\n"
        "from rlfast.reasoning_layer._sdk import from_sdk_event, to_sdk\n"
        "for call in (to_sdk, from_sdk_event):\n"
        "    try:\n"
        "        call(Heartbeat(timestamp='t'))\n"
        "    except MissingExtraError as error:\n"
        "        assert \"pip install 'rlfast[sdk]'\" in str(error), error\n"
        "    else:\n"
        "        raise SystemExit('no error')\n"
    )


def test_a_dependency_that_the_sdk_itself_lacks_is_not_blamed_on_the_extra() -> None:
    run(
        "sys.modules['dateutil'] = None\n"
        "from rlfast.errors import MissingExtraError\n"
        "from rlfast.reasoning_layer._events import Heartbeat\n"
        "from rlfast.reasoning_layer._sdk import to_sdk\n"
        "try:\n"
        "    to_sdk(Heartbeat(timestamp='t'))\n"
        "except ModuleNotFoundError as error:\n"
        "    assert not isinstance(error, MissingExtraError) and 'dateutil' in str(error), error\n"
        "else:\n"
        "    raise SystemExit('no error')\n"
    )
    assert issubclass(MissingExtraError, ImportError)


# ReasoningLayerClient.from_sdk


def official_client(**settings: Any) -> OfficialClient:
    return OfficialClient(OfficialConfig("https://platform.example/rl/", TENANT, **settings))


async def test_from_sdk_takes_url_tenant_and_header_value() -> None:
    client = ReasoningLayerClient.from_sdk(official_client(api_key="Bearer s3cret"))
    assert client.cognitive.agent_events_url(ID) == (
        f"wss://platform.example/rl/api/v1/cognitive/agents/ws?agent_id={ID}&tenant_id={TENANT}"
    )
    headers = await client.headers()
    assert headers["Authorization"] == "Bearer s3cret"
    assert headers["X-Tenant-Id"] == TENANT
    assert "User-Agent" not in headers
    assert "s3cret" not in repr(client) + repr(client.config) + repr(vars(client))


async def test_from_sdk_reads_the_headers_anew() -> None:
    official = official_client(api_key="Bearer first")
    client = ReasoningLayerClient.from_sdk(official, send_sdk_headers=False)
    assert await client.headers() == {"Authorization": "Bearer first"}
    official._api_client.set_default_header("Authorization", "Bearer second")
    official._api_client.set_default_header("X-User-Id", "u-1")
    official._api_client.set_default_header("Content-Type", "application/json")
    official._api_client.cookie = "session=1"
    assert await client.headers() == {
        "Authorization": "Bearer second",
        "X-User-Id": "u-1",
        "Cookie": "session=1",
    }


async def test_a_stream_from_an_official_client_sends_its_headers() -> None:
    arrived: list[Any] = []

    async def handler(connection: ServerConnection) -> None:
        assert connection.request is not None
        arrived.append(connection.request)
        await connection.send(json.dumps({"type": "connected", "agent_id": ID, "timestamp": "t"}))

    async with serve(handler, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        official = OfficialClient(OfficialConfig(f"http://127.0.0.1:{port}", TENANT, api_key="Bearer s3cret"))
        official._api_client.set_default_header("X-User-Id", "u-1")
        client = ReasoningLayerClient.from_sdk(official)
        async with client.cognitive.agent_events(ID, backoff=None) as ws:
            event = await ws.next_message()
    assert isinstance(event, Connected)
    assert to_sdk(event).actual_instance.type == "connected"
    (request,) = arrived
    assert request.path == f"/api/v1/cognitive/agents/ws?agent_id={ID}&tenant_id={TENANT}"
    assert request.headers["Authorization"] == "Bearer s3cret"
    assert request.headers["X-User-Id"] == "u-1"
    assert request.headers["X-Tenant-Id"] == TENANT


@pytest.mark.parametrize(
    ("variable", "expected"), [("from-env", "Bearer from-env"), ("", None), (None, None)]
)
async def test_from_sdk_without_a_key_uses_the_environment_as_the_sdk_does(
    monkeypatch: pytest.MonkeyPatch, variable: str | None, expected: str | None
) -> None:
    if variable is None:
        monkeypatch.delenv("API_KEY", raising=False)
    else:
        monkeypatch.setenv("API_KEY", variable)
    headers = await ReasoningLayerClient.from_sdk(official_client()).headers()
    assert headers.get("Authorization") == expected


@pytest.mark.parametrize(
    "wrong", [None, object(), OfficialConfig("https://h", TENANT, api_key="Bearer s3cret")]
)
def test_from_sdk_refuses_what_is_no_client_of_the_sdk(wrong: object) -> None:
    with pytest.raises(ConfigError, match="from_sdk expects a reasoning_layer_python_sdk") as caught:
        ReasoningLayerClient.from_sdk(wrong)
    assert "s3cret" not in str(caught.value)


def test_from_sdk_refuses_a_header_value_with_a_line_break_without_showing_it() -> None:
    with pytest.raises(ConfigError, match="the header Authorization of the official SDK's client") as caught:
        ReasoningLayerClient.from_sdk(official_client(api_key="Bearer s3cret\n"))
    assert "s3cret" not in str(caught.value)


def test_the_settings_that_are_read_do_not_print_the_credentials() -> None:
    found = read_official_client(official_client(api_key="Bearer s3cret"))
    assert found.headers()["Authorization"] == "Bearer s3cret"
    assert "s3cret" not in repr(found)
