from __future__ import annotations

import copy
import json
import logging
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers

import rlfast
from rlfast.decode._messages import UnknownEvent
from rlfast.errors import ConfigError, HandshakeRejectedError
from rlfast.reasoning_layer._client import Bearer, ClientConfig, Cookie, ReasoningLayerClient, TokenProvider
from rlfast.reasoning_layer._events import Connected, Heartbeat, OversightAlert
from rlfast.simulator import Simulator, SimulatorOptions
from rlfast.websocket._backoff import Backoff
from rlfast.websocket._options import Timing

TENANT = "6f1c0c9e-2b7f-4c39-8f53-1e3f6a7d9b01"
AGENT = "0b5c6f0e-6e55-4e6c-a9a5-4f5a0f6f1c11"
SECRET = "s3cret-t0ken"

# Any text that is an id: not blank, no line break, no NUL, no lone surrogate.
id_texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"), min_size=1).filter(
    lambda text: text.strip() != "" and text not in (".", "..")
)
tenants = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1).filter(
    lambda text: text.strip() != ""
)


def client(
    base_url: str = "https://platform.example", auth: Any = None, **settings: Any
) -> ReasoningLayerClient:
    return ReasoningLayerClient(ClientConfig(base_url, TENANT, auth, **settings))


# URLs


def test_the_three_urls() -> None:
    streams = client()
    assert streams.cognitive.agent_events_url(AGENT) == (
        f"wss://platform.example/api/v1/cognitive/agents/ws?agent_id={AGENT}&tenant_id={TENANT}"
    )
    assert streams.cognitive.cycle_url(AGENT) == (
        f"wss://platform.example/ws/cognitive/{AGENT}?tenant_id={TENANT}"
    )
    assert streams.oversight.session_url("s 1/ä?") == (
        f"wss://platform.example/ws/oversight/s%201%2F%C3%A4%3F?tenant_id={TENANT}"
    )


@pytest.mark.parametrize(
    ("base_url", "expected"),
    [
        ("http://h", "ws://h"),
        ("https://h", "wss://h"),
        ("ws://h", "ws://h"),
        ("wss://h", "wss://h"),
        ("HTTPS://Host.example", "wss://Host.example"),
        ("http://127.0.0.1:8080", "ws://127.0.0.1:8080"),
        ("http://[::1]:8080/", "ws://[::1]:8080"),
        ("http://h:/", "ws://h"),
        ("https://h/", "wss://h"),
        ("https://h/rl/v%201", "wss://h/rl/v%201"),
        ("https://h:8443/rl/", "wss://h:8443/rl"),
        ("https://xn--pltform-5wa.example", "wss://xn--pltform-5wa.example"),
    ],
)
def test_scheme_port_and_path_prefix_of_the_base_url(base_url: str, expected: str) -> None:
    streams = client(base_url)
    for url in (
        streams.cognitive.agent_events_url(AGENT),
        streams.cognitive.cycle_url(AGENT),
        streams.oversight.session_url(AGENT),
    ):
        assert url.startswith((expected + "/api/v1/", expected + "/ws/"))


def test_ids_may_be_uuids() -> None:
    as_uuid = ReasoningLayerClient(ClientConfig("https://platform.example", uuid.UUID(TENANT)))
    assert as_uuid.cognitive.agent_events_url(uuid.UUID(AGENT)) == client().cognitive.agent_events_url(AGENT)
    assert as_uuid.cognitive.cycle_url(uuid.UUID(AGENT)) == client().cognitive.cycle_url(AGENT)
    assert as_uuid.oversight.session_url(uuid.UUID(AGENT)) == client().oversight.session_url(AGENT)


@given(tenants, id_texts)
def test_ids_come_back_from_the_urls(tenant: str, text: str) -> None:
    streams = ReasoningLayerClient(ClientConfig("https://platform.example/prefix", tenant))

    url = urlsplit(streams.cognitive.agent_events_url(text))
    assert url.path == "/prefix/api/v1/cognitive/agents/ws"
    assert parse_qsl(url.query, strict_parsing=True) == [("agent_id", text), ("tenant_id", tenant)]

    for built, parent in (
        (streams.cognitive.cycle_url(text), "/prefix/ws/cognitive/"),
        (streams.oversight.session_url(text), "/prefix/ws/oversight/"),
    ):
        assert built.isascii()
        assert not set(built) & set(' "<>\\^`{|}\t')
        url = urlsplit(built)
        assert url.path.startswith(parent)
        segment = url.path.removeprefix(parent)
        assert "/" not in segment
        assert unquote(segment, errors="strict") == text
        assert parse_qsl(url.query, strict_parsing=True) == [("tenant_id", tenant)]
        assert url.fragment == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        (" \t", "is empty"),
        ("a\r\nX: 1", "line break or a NUL"),
        ("a\n", "line break or a NUL"),
        ("a\0", "line break or a NUL"),
        ("a\ud800", "no UTF-8 form"),
        (7, "must be a str or a uuid.UUID, not int"),
        (None, "must be a str or a uuid.UUID, not NoneType"),
    ],
)
def test_ids_that_cannot_be_sent_are_refused(text: Any, message: str) -> None:
    streams = client()
    with pytest.raises(ConfigError, match=f"^agent_id .*{message}"):
        streams.cognitive.agent_events_url(text)
    with pytest.raises(ConfigError, match=f"^agent_id .*{message}"):
        streams.cognitive.cycle_url(text)
    with pytest.raises(ConfigError, match=f"^session_id .*{message}"):
        streams.oversight.session_url(text)


@pytest.mark.parametrize("dots", [".", ".."])
def test_ids_that_would_leave_the_path_are_refused(dots: str) -> None:
    with pytest.raises(ConfigError, match="cannot be part of a URL path"):
        client().oversight.session_url(dots)
    with pytest.raises(ConfigError, match="cannot be part of a URL path"):
        client().cognitive.cycle_url(dots)
    assert f"agent_id={dots}&" in client().cognitive.agent_events_url(dots)


@pytest.mark.parametrize(
    ("base_url", "message"),
    [
        ("", "must be a URL"),
        (None, "must be a URL"),
        ("platform.example", "must begin with"),
        ("ftp://platform.example", "must begin with"),
        ("https://", "must begin with"),
        ("https:///path", "must begin with"),
        ("https://h:0x50", "no valid host and port"),
        ("https://h:99999", "no valid host and port"),
        ("https://[::1", "no valid host and port"),
        (f"https://user:{SECRET}@h", "user name or password"),
        (f"https://{SECRET}@h", "user name or password"),
        (f"https://h:{SECRET}", "no valid host and port"),
        (f"https://h/?token={SECRET}", "query"),
        ("https://h/?", "query"),
        (f"https://h/#{SECRET}", "fragment"),
        (f"https://h/ {SECRET}", "without spaces"),
        ("https://h\n", "without spaces"),
        ("https://h\\evil", "without spaces"),
        ("https://plätform.example", "xn--"),
    ],
)
def test_base_urls_that_cannot_work_are_refused(base_url: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        ClientConfig(base_url, TENANT)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("tenant", ["", "  ", "a\r\nX: 1", "a\0", "ä", 7, None])
def test_a_tenant_that_fits_no_header_is_refused(tenant: Any) -> None:
    with pytest.raises(ConfigError, match=r"^tenant_id "):
        ClientConfig("https://platform.example", tenant)


# headers and credentials


SDK_HEADERS = {"X-Tenant-Id": TENANT, "X-SDK-Version": rlfast.__version__, "X-SDK-Language": "python"}


async def test_the_headers_of_each_kind_of_auth() -> None:
    async def provide() -> str:
        return SECRET

    for auth, expected in (
        (None, {}),
        (Bearer(SECRET), {"Authorization": f"Bearer {SECRET}"}),
        (Cookie(f"session={SECRET}; theme=dark"), {"Cookie": f"session={SECRET}; theme=dark"}),
        (TokenProvider(lambda: SECRET), {"Authorization": f"Bearer {SECRET}"}),
        (TokenProvider(provide), {"Authorization": f"Bearer {SECRET}"}),
    ):
        assert await client(auth=auth, send_sdk_headers=False).headers() == expected
        headers = await client(auth=auth).headers()
        assert headers == {**expected, **SDK_HEADERS}


async def test_a_tenant_given_as_uuid_is_sent_as_text() -> None:
    config = ClientConfig("https://platform.example", uuid.UUID(TENANT))
    assert (await ReasoningLayerClient(config).headers())["X-Tenant-Id"] == TENANT


async def test_the_headers_can_be_changed_without_changing_the_client() -> None:
    streams = client(auth=Bearer(SECRET))
    (await streams.headers()).clear()
    assert (await streams.headers())["Authorization"] == f"Bearer {SECRET}"


async def test_a_provider_is_called_anew_each_time() -> None:
    tokens = iter(["first", "second"])
    streams = client(auth=TokenProvider(lambda: next(tokens)))
    assert (await streams.headers())["Authorization"] == "Bearer first"
    assert (await streams.headers())["Authorization"] == "Bearer second"


async def test_what_a_provider_raises_is_passed_on() -> None:
    failure = OSError("the key store is locked")

    def fail() -> str:
        raise failure

    with pytest.raises(OSError, match="locked") as caught:
        await client(auth=TokenProvider(fail)).headers()
    assert caught.value is failure


@pytest.mark.parametrize(
    "wrong", ["", SECRET + "\n", f"Bearer {SECRET}", SECRET + "\0", SECRET + "ä", None, b"x", 7]
)
async def test_a_provider_must_return_a_token(wrong: Any) -> None:
    async def later() -> Any:
        return wrong

    for provider in (lambda: wrong, later):
        with pytest.raises(ConfigError, match=r"^what the token provider returned (is|must be) ") as caught:
            await client(auth=TokenProvider(provider)).headers()
        assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "wrong", ["", SECRET + "\r\n", f"Bearer {SECRET}", SECRET + "\0", SECRET + "ä", None, b"x"]
)
def test_a_bearer_token_must_be_visible_ascii(wrong: Any) -> None:
    with pytest.raises(ConfigError, match=r"^the token of Bearer (is|must be) ") as caught:
        Bearer(wrong)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("wrong", ["", " ", f"a={SECRET}\r\nX: 1", f"a={SECRET}\0", f"a={SECRET}ä", None])
def test_a_cookie_must_be_printable_ascii(wrong: Any) -> None:
    with pytest.raises(ConfigError, match=r"^the value of Cookie (is|must be) ") as caught:
        Cookie(wrong)
    assert SECRET not in str(caught.value)


def test_a_provider_must_be_callable() -> None:
    with pytest.raises(ConfigError, match="a fixed one is a Bearer") as caught:
        TokenProvider(SECRET)  # type: ignore[arg-type]
    assert SECRET not in str(caught.value)


def test_an_unknown_kind_of_auth_is_refused_without_showing_it() -> None:
    with pytest.raises(ConfigError, match=r"auth must be Bearer\(token\).* not str") as caught:
        client(auth=SECRET)
    assert SECRET not in str(caught.value)


def test_no_text_of_an_object_shows_a_credential() -> None:
    def provider(token: str = SECRET) -> str:
        return token

    for auth in (Bearer(SECRET), Cookie(f"session={SECRET}"), TokenProvider(provider)):
        streams = client(auth=auth)
        for shown in (
            auth,
            streams.config,
            streams,
            [auth],
            {"auth": auth},
            copy.copy(auth),
            (streams.config,),
        ):
            for text in (repr(shown), str(shown), f"{shown}", f"{shown!s:>10}"):
                assert SECRET not in text
        for url in (
            streams.cognitive.agent_events_url(AGENT),
            streams.cognitive.cycle_url(AGENT),
            streams.oversight.session_url(AGENT),
        ):
            assert SECRET not in url


def test_the_configuration_says_what_it_is() -> None:
    assert repr(client(auth=Bearer(SECRET))) == (
        f"ReasoningLayerClient(ClientConfig(base_url='https://platform.example', tenant_id='{TENANT}', "
        "auth=Bearer('***'), send_sdk_headers=True))"
    )


# connections, to a server of another library and to the simulator


class Upgrade(msgspec.Struct):
    """An upgrade request that reached the server."""

    path: str
    headers: Headers


@asynccontextmanager
async def server(
    handler: Callable[[ServerConnection], Awaitable[None]],
) -> AsyncIterator[tuple[str, list[Upgrade]]]:
    upgrades: list[Upgrade] = []

    async def record(connection: ServerConnection) -> None:
        assert connection.request is not None
        upgrades.append(Upgrade(connection.request.path, connection.request.headers))
        await handler(connection)

    async with serve(record, "127.0.0.1", 0) as running:
        port = next(iter(running.sockets)).getsockname()[1]
        yield f"http://127.0.0.1:{port}/prefix", upgrades


async def test_the_agent_stream_arrives_typed_and_with_its_headers() -> None:
    async def handler(connection: ServerConnection) -> None:
        await connection.send(json.dumps({"type": "connected", "agent_id": AGENT, "timestamp": "t0"}))
        await connection.send(json.dumps({"type": "weather", "sky": "blue"}))

    async with server(handler) as (base_url, upgrades):
        streams = client(base_url, Bearer(SECRET))
        async with streams.cognitive.agent_events(uuid.UUID(AGENT), backoff=None) as ws:
            assert ws.stream == f"agent_events:{AGENT}"
            assert await ws.next_message() == Connected(agent_id=AGENT, timestamp="t0")
            assert isinstance(await ws.next_message(), UnknownEvent)
            assert await ws.next_message() is None
            assert SECRET not in repr(ws) + ws.url
    (upgrade,) = upgrades
    assert upgrade.path == f"/prefix/api/v1/cognitive/agents/ws?agent_id={AGENT}&tenant_id={TENANT}"
    assert upgrade.headers["Authorization"] == f"Bearer {SECRET}"
    assert {name: upgrade.headers[name] for name in SDK_HEADERS} == SDK_HEADERS
    assert "Cookie" not in upgrade.headers


async def test_the_cycle_stream_talks_both_ways() -> None:
    async def handler(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(json.dumps({"echo": json.loads(message)}))

    async with server(handler) as (base_url, upgrades):
        streams = client(base_url, Cookie(f"session={SECRET}"), send_sdk_headers=False)
        async with streams.cognitive.cycle(AGENT, backoff=None) as ws:
            assert ws.stream == f"cycle:{AGENT}"
            await ws.send({"observe": 1})
            assert await ws.next_message() == {"echo": {"observe": 1}}
    (upgrade,) = upgrades
    assert upgrade.path == f"/prefix/ws/cognitive/{AGENT}?tenant_id={TENANT}"
    assert upgrade.headers["Cookie"] == f"session={SECRET}"
    assert "Authorization" not in upgrade.headers
    assert not [name for name in SDK_HEADERS if name in upgrade.headers]


async def test_the_oversight_stream_is_untyped_unless_told_otherwise() -> None:
    alert = {"layer": "l", "message": "m", "severity": "info", "step_index": 0}

    async def handler(connection: ServerConnection) -> None:
        await connection.send(json.dumps(alert))

    async with server(handler) as (base_url, upgrades):
        sessions = client(base_url).oversight
        async with sessions.session("s 1/2", backoff=None) as ws:
            assert ws.stream == "oversight:s 1/2"
            assert await ws.next_message() == alert
        async with sessions.session("s 1/2", type=OversightAlert, stream="mine", backoff=None) as typed:
            assert typed.stream == "mine"
            assert await typed.next_message() == msgspec.convert(alert, OversightAlert)
    assert {upgrade.path for upgrade in upgrades} == {f"/prefix/ws/oversight/s%201%2F2?tenant_id={TENANT}"}


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_reconnect_asks_the_provider_anew(asynchronous: bool) -> None:
    tokens = iter(["first", "second", "third"])
    waited: list[float] = []

    async def provide() -> str:
        return next(tokens)

    async def sleep(delay: float) -> None:
        waited.append(delay)

    async def handler(connection: ServerConnection) -> None:
        await connection.send(json.dumps({"type": "heartbeat", "timestamp": str(len(upgrades))}))

    async with server(handler) as (base_url, upgrades):
        streams = client(base_url, TokenProvider(provide if asynchronous else lambda: next(tokens)))
        async with streams.cognitive.agent_events(
            AGENT, backoff=Backoff.official(), timing=Timing(sleep=sleep)
        ) as ws:
            received = [await ws.next_message() for _ in range(3)]
    assert received == [Heartbeat(timestamp=str(number)) for number in (1, 2, 3)]
    assert [upgrade.headers["Authorization"] for upgrade in upgrades[:3]] == [
        "Bearer first",
        "Bearer second",
        "Bearer third",
    ]
    assert waited[:2] == [1.0, 1.0]


async def test_what_a_provider_raises_comes_out_of_connecting() -> None:
    failure = OSError("the key store is locked")

    def fail() -> str:
        raise failure

    streams = client("http://127.0.0.1:9", TokenProvider(fail))
    with pytest.raises(OSError, match="locked") as caught:
        await streams.cognitive.agent_events(AGENT)
    assert caught.value is failure


async def test_the_platform_checks_the_token_and_no_text_shows_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with Simulator(SimulatorOptions(events=1, pool=64, require_token=SECRET)) as simulator:
        for auth in (Bearer(SECRET), Cookie(f"session={SECRET}"), TokenProvider(lambda: SECRET)):
            async with client(simulator.base_url, auth).cognitive.agent_events(AGENT, backoff=None) as ws:
                event = await ws.next_message()
                assert isinstance(event, Connected)
                assert event.agent_id == AGENT
        for refused in (None, Bearer(SECRET + "-old")):
            with pytest.raises(HandshakeRejectedError, match="401") as caught:
                await client(simulator.base_url, refused).cognitive.agent_events(AGENT)
            assert SECRET not in str(caught.value)
            assert TENANT not in str(caught.value), "the query is not shown either"
    assert SECRET not in caplog.text


def test_headers_are_the_clients() -> None:
    with pytest.raises(TypeError, match="headers"):
        client().cognitive.agent_events(AGENT, headers={"Authorization": "other"})


def test_ids_are_checked_before_anything_is_opened() -> None:
    for connecting in (client().cognitive.agent_events, client().cognitive.cycle, client().oversight.session):
        with pytest.raises(ConfigError, match="is empty"):
            connecting("")
