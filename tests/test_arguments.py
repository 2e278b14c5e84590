"""Arguments of the wrong type or range are refused by the call that gets them, by name."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import math
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import rlfast
import rlfast.capture as captures
from rlfast import (
    Backoff,
    ClientConfig,
    ConfigError,
    ConnectionOptions,
    Deflate,
    Heartbeat,
    Reply,
    Resume,
    Sequence,
    Timing,
)
from rlfast.capture import CaptureOptions, RotationPolicy
from rlfast.errors import check_path
from rlfast.sinks import ParquetOptions, ParquetSink
from rlfast.websocket._settings import ConnectArguments, Settings

URL = "ws://127.0.0.1:9/"
SECRET = "s3cret"

#: What an argument is for: values that it never takes.
WRONG_FOR: dict[str, list[Any]] = {
    "number": [SECRET, True, math.nan, -1, [1], None],
    "optional number": [SECRET, True, math.nan, -1, [1]],
    "int": [SECRET, True, math.nan, 1.5, -1, [1], None],
    "optional int": [SECRET, True, math.nan, 1.5, -1, [1]],
    "bool": [SECRET, 1, 0, None],
    "optional bool": [SECRET, 1, 0],
    "str": [3, b"x", None, [SECRET]],
    "optional str": [3, b"x", [SECRET]],
    "url": [3, b"x", None, [SECRET]],
    "callable": [3, SECRET, [print], None],
    "optional callable": [3, SECRET, [print]],
    "optional object": [3, SECRET, True, {"cap": 1}],
    "object": [3, SECRET, True, {"cap": 1}, None],
    "path": [3, None, b"x", [SECRET]],
    "headers": [3, SECRET, [(SECRET, SECRET)], {3: SECRET}, {"X": 3}, {SECRET + ": x": "y"}, None],
    "type": [3, SECRET, [int], {"a": int}],
    "message": [None, 1j, [1j], {SECRET: 1j}],
    "optional heartbeats": [3, SECRET, True, {"every": 1}, [SECRET]],
    "replies": [3, SECRET, True, {"when": "x"}, [SECRET], None],
    "optional texts": [3, SECRET, True, {"a": 1}, [3], [b"x"]],
    "choice": [3, "zip", None, ["zstd"]],
    "optional choice": [3, "zip", ["zstd"]],
    "optional names": [3, SECRET, b"x", {SECRET: 1}, [3], [b"x"], [None]],
    "optional messages": [
        3,
        SECRET,
        b"s3cret",
        {"login": SECRET},
        {SECRET},
        [{"login": SECRET, "x": object}],
    ],
}

Call = Callable[..., Any]


def new(**arguments: Any) -> Any:
    return rlfast.WebSocketConnection(URL, **arguments)


def client(**arguments: Any) -> Any:
    return rlfast.ReasoningLayerClient(ClientConfig("https://h", "t", **arguments))


def later(method: str) -> Call:
    """A coroutine method of a connection, run."""
    return lambda **arguments: asyncio.run(getattr(new(), method)(**arguments))


def capture(ws: Any = None, out: Any = "/nowhere", **arguments: Any) -> Any:
    return asyncio.run(captures.capture(ws, out, **arguments))


def capture_of_one(**arguments: Any) -> Any:
    return capture(new(), **arguments)


CONNECTION = {
    "url": "url",
    "type": "type",
    "events_at": "str",
    "strict": "bool",
    "dec_hook": "optional callable",
    "framing": "optional choice",
    "nan": "choice",
    "surrogates": "choice",
    "headers": "headers",
    "backoff": "optional object",
    "retry": "optional callable",
    "subscribe": "optional messages",
    "on_connect": "optional callable",
    "on_reconnect": "optional callable",
    "on_gap": "optional callable",
    "heartbeat": "optional heartbeats",
    "reply": "replies",
    "ignore": "optional texts",
    "sequence": "optional object",
    "ssl": "optional object",
    "proxy": "optional str",
    "compression": "optional object",
    "encoding": "optional choice",
    "subprotocols": "optional names",
    "resume": "optional object",
    "stream": "optional str",
    "options": "optional object",
    "timing": "optional object",
}

#: Every callable that users give arguments to: how to call it, and what its arguments are for.
TABLE: dict[str, tuple[Call, dict[str, str]]] = {
    "connect": (lambda **given: rlfast.connect(**{"url": URL, **given}), CONNECTION),
    "WebSocketConnection": (lambda **given: rlfast.WebSocketConnection(**{"url": URL, **given}), CONNECTION),
    "WebSocketConnection.connect": (
        lambda **given: rlfast.WebSocketConnection.connect(**{"url": URL, **given}),
        CONNECTION,
    ),
    "on_connect": (lambda **given: new().on_connect(**given), {"callback": "optional callable"}),
    "on_reconnect": (lambda **given: new().on_reconnect(**given), {"callback": "optional callable"}),
    "on_gap": (lambda **given: new().on_gap(**given), {"callback": "optional callable"}),
    "next_messages": (later("next_messages"), {"max_messages": "int"}),
    "batches": (
        lambda **given: new().batches(**given),
        {"max_rows": "int", "max_wait": "number", "hook_errors": "choice"},
    ),
    "close": (later("close"), {"code": "int", "reason": "str"}),
    "attach": (
        lambda **given: new().attach(**{"tap": None, **given}),
        {"tap": "object"},
    ),
    "listen": (
        lambda **given: new().listen(**{"listener": None, **given}),
        {"listener": "optional callable", "of_numbers": "optional callable"},
    ),
    "hold": (lambda **given: new().hold(**given), {"held": "bool"}),
    "ConnectionOptions": (
        ConnectionOptions,
        {
            "connect_timeout": "number",
            "close_timeout": "number",
            "idle_timeout": "optional number",
            "pong_timeout": "number",
            "data_timeout": "optional number",
            "max_message_size": "int",
            "high_water": "int",
            "low_water": "int",
            "block_size": "int",
            "read_buffer_size": "int",
            "busy_poll": "number",
            "first_seq": "int",
            "first_epoch": "int",
            "resume_from": "optional object",
        },
    ),
    "Heartbeat": (
        lambda **given: Heartbeat(**{"every": 20, "message": "ping", **given}),
        {"every": "number", "message": "message"},
    ),
    "Reply": (
        lambda **given: Reply(**{"when": "ping", "answer": "pong", **given}),
        {"when": "str", "answer": "message", "ignore": "bool"},
    ),
    "Sequence": (
        lambda **given: Sequence(**{"number": "/n", **given}),
        {
            "number": "str",
            "by": "optional str",
            "last": "optional str",
            "step": "int",
            "per_connection": "bool",
        },
    ),
    "Resume": (
        lambda **given: Resume(**{"parameter": "cursor", "value": "/t", **given}),
        {"parameter": "str", "value": "str", "inclusive": "optional bool", "gone": "optional str"},
    ),
    "Timing": (Timing, {"clock": "callable", "sleep": "callable", "random": "callable"}),
    "Backoff": (
        Backoff,
        {
            "initial": "number",
            "factor": "number",
            "cap": "number",
            "max_attempts": "optional int",
            "jitter": "bool",
            "reset_after": "number",
            "max_refusals": "optional int",
            "honor_retry_after": "bool",
            "max_retry_after": "number",
        },
    ),
    "Deflate": (
        Deflate,
        {
            "server_no_context_takeover": "bool",
            "client_no_context_takeover": "bool",
            "server_max_window_bits": "int",
            "client_max_window_bits": "int",
            "level": "int",
        },
    ),
    "ClientConfig": (
        lambda **given: ClientConfig(**{"base_url": "https://h", "tenant_id": "t", **given}),
        {
            "base_url": "str",
            "tenant_id": "str",
            "auth": "optional object",
            "send_sdk_headers": "bool",
        },
    ),
    "ReasoningLayerClient": (rlfast.ReasoningLayerClient, {"config": "object"}),
    "Bearer": (rlfast.Bearer, {"token": "str"}),
    "Cookie": (rlfast.Cookie, {"value": "str"}),
    "TokenProvider": (rlfast.TokenProvider, {"provider": "callable"}),
    "agent_events": (
        lambda **given: client().cognitive.agent_events(**{"agent_id": "a", **given}),
        {"agent_id": "str", "backoff": "optional object", "type": "type"},
    ),
    "session": (
        lambda **given: client().oversight.session(**{"session_id": "a", **given}),
        {"session_id": "str", "options": "optional object"},
    ),
    "RotationPolicy": (RotationPolicy, {"max_bytes": "int", "max_rows": "int", "interval": "number"}),
    "CaptureOptions": (
        CaptureOptions,
        {
            "rotation": "object",
            "max_events": "optional int",
            "duration": "optional number",
            "batch_rows": "int",
            "batch_wait": "number",
            "progress_interval": "number",
            "durability": "choice",
            "sync_interval": "number",
            "journal_bytes": "int",
            "max_backlog": "int",
            "min_free": "int",
        },
    ),
    "ParquetOptions": (
        ParquetOptions,
        {
            "compression": "choice",
            "compression_level": "optional int",
            "uuid": "choice",
            "timestamps": "choice",
            "schema_change": "choice",
            "partition_by": "optional choice",
        },
    ),
    "capture": (capture, {"ws": "object"}),
    "capture of a connection": (
        capture_of_one,
        {
            "out": "path",
            "options": "optional object",
            "progress": "optional callable",
            "stop": "optional object",
        },
    ),
    "resume": (
        lambda **given: captures.resume(**{"out": "/nowhere", "stream": "s", **given}),
        {"out": "path", "stream": "str", "type": "type", "idle_timeout": "optional number"},
    ),
    "recover": (
        lambda **given: captures.recover(**{"out": "/nowhere", **given}),
        {"out": "path", "type": "type", "stream": "optional str", "progress": "optional callable"},
    ),
    "compact": (
        lambda **given: captures.compact(**{"out": "/nowhere", **given}),
        {
            "out": "path",
            "target_bytes": "int",
            "compression": "choice",
            "unify": "bool",
            "progress": "optional callable",
        },
    ),
    "redrive": (
        lambda **given: captures.redrive(**{"out": "/nowhere", "type": None, **given}),
        {
            "out": "path",
            "type": "type",
            "uuid": "optional choice",
            "timestamps": "optional choice",
            "stream": "optional str",
        },
    ),
    "inspect_dataset": (captures.inspect_dataset, {"out": "path"}),
    "list_dead_letters": (
        lambda **given: captures.list_dead_letters(**{"out": "/nowhere", **given}),
        {"out": "path", "samples": "int", "raw_chars": "int"},
    ),
    "next_seq": (
        lambda **given: captures.next_seq(**{"out": "/nowhere", "stream": "s", **given}),
        {"out": "path", "stream": "str"},
    ),
    "open_dataset": (captures.open_dataset, {"path": "path"}),
    "ParquetSink": (
        lambda **given: ParquetSink(**{"out": "/nowhere", **given}),
        {"out": "path", "options": "optional object"},
    ),
}

CASES = [
    pytest.param(call, name, value, id=f"{title}-{name}-{value!r}")
    for title, (call, arguments) in TABLE.items()
    for name, kind in arguments.items()
    for value in WRONG_FOR[kind]
]


@pytest.mark.parametrize(("call", "name", "value"), CASES)
def test_a_wrong_argument_is_refused_by_name(call: Call, name: str, value: Any) -> None:
    with pytest.raises(ConfigError) as refusal:
        call(**{name: value})
    text = str(refusal.value)
    subject = {"token": "token of Bearer", "headers": "header"}.get(name, name)
    assert subject in text
    assert "must be" in text or name == "headers"
    assert SECRET not in text
    if not isinstance(value, (int, float, str, dict)) or isinstance(value, bool):
        assert type(value).__name__ in text


@pytest.mark.parametrize(
    "settings",
    [
        *(ConnectionOptions, Sequence, Timing, Backoff, Deflate, Resume, RotationPolicy, ClientConfig),
        *(Heartbeat, Reply),
    ],
)
def test_the_table_has_every_field(settings: type[Any]) -> None:
    assert set(TABLE[settings.__name__][1]) == {field.name for field in dataclasses.fields(settings)}


def test_the_table_has_every_argument_of_connect() -> None:
    keywords = ConnectArguments.__optional_keys__
    assert set(CONNECTION) == {"url", "type", *keywords}
    assert set(inspect.signature(Settings).parameters) == {"url", "type", *keywords}


@pytest.mark.parametrize("call", [rlfast.connect, rlfast.WebSocketConnection])
def test_an_argument_that_there_is_not_is_named(call: Call) -> None:
    with pytest.raises(TypeError, match=r"^connect\(\) got an unexpected keyword argument 'nonsense'$"):
        call(URL, nonsense=1)


@pytest.mark.parametrize("path", ["events", "C:/x", "./s3:/x", "/s3:/x", "a:b", "é://x"])
def test_a_path_becomes_absolute(path: str) -> None:
    assert check_path("out", path) == Path.cwd() / path


def test_a_wrong_argument_makes_no_folder(tmp_path: Path) -> None:
    out = tmp_path / "events"
    for wrong in ({"stream": 3}, {"stream": "s", "type": 3}, {"stream": "s", "high_water": "x"}):
        with pytest.raises(ConfigError):
            captures.resume(out, **typing.cast("Any", wrong))
    with pytest.raises(ConfigError):
        capture_of_one(out=out, options=3)
    assert not out.exists()


async def test_what_a_header_provider_returns_is_checked_by_name() -> None:
    for wrong in (None, 3, SECRET, [SECRET]):
        with pytest.raises(ConfigError, match="headers must be a mapping") as refusal:
            await rlfast.connect(URL, headers=lambda wrong=wrong: wrong)
        assert SECRET not in str(refusal.value)


def test_numbers_of_other_libraries_are_numbers() -> None:
    import numpy as np

    options = ConnectionOptions(first_seq=np.int64(7), idle_timeout=np.float32(2.5))  # type: ignore[arg-type]
    assert (options.first_seq, options.idle_timeout) == (7, 2.5)
    with pytest.raises(ConfigError):
        ConnectionOptions(first_seq=np.bool_(True))  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [10**5000, -(10**5000)], ids=["huge", "negative"])
def test_numbers_of_any_length_are_refused_in_short(value: int) -> None:
    with pytest.raises(ConfigError, match="must be int from 0 to .*, not a huge one"):
        ConnectionOptions(first_seq=value)
