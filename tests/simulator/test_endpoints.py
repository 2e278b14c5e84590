from __future__ import annotations

import msgspec
import pytest
from multidict import CIMultiDict
from picows import WSUpgradeRequest

from rlfast.simulator._endpoints import Rejection, Route, Stream, resolve

from .ids import AGENT, TENANT

EVENTS = f"/api/v1/cognitive/agents/ws?agent_id={AGENT}&tenant_id={TENANT}"


def request(target: str, *headers: tuple[str, str]) -> WSUpgradeRequest:
    made = WSUpgradeRequest()
    made.method, made.version, made.path = b"GET", b"HTTP/1.1", target.encode()
    made.headers = CIMultiDict(headers)
    return made


def rejected(target: str, *headers: tuple[str, str], token: str | None = None) -> Rejection:
    with pytest.raises(Rejection) as caught:
        resolve(request(target, *headers), token)
    return caught.value


@pytest.mark.parametrize(
    ("target", "route"),
    [
        (EVENTS, Route(Stream.AGENT_EVENTS, AGENT, TENANT)),
        (EVENTS + "&unknown=1", Route(Stream.AGENT_EVENTS, AGENT, TENANT)),
        (
            EVENTS.upper()
            .replace("/API/V1/COGNITIVE/AGENTS/WS?AGENT_ID", "/api/v1/cognitive/agents/ws?agent_id")
            .replace("TENANT_ID", "tenant_id"),
            Route(Stream.AGENT_EVENTS, AGENT.upper(), TENANT.upper()),
        ),
        (f"/ws/cognitive/{AGENT}?tenant_id={TENANT}", Route(Stream.CYCLE, AGENT, TENANT)),
        (f"/ws/oversight/run%2F7%20b?tenant_id={TENANT}", Route(Stream.OVERSIGHT, "run/7 b", TENANT)),
    ],
)
def test_streams_are_found(target: str, route: Route) -> None:
    assert resolve(request(target), None) == route


@pytest.mark.parametrize("stream", list(Stream))
def test_urls_lead_back_to_their_stream(stream: Stream) -> None:
    url = stream.url("ws://host:1", AGENT, TENANT)
    assert resolve(request(url.removeprefix("ws://host:1")), None) == Route(stream, AGENT, TENANT)


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/api/v1/cognitive/agents",
        "/api/v1/cognitive/agents/ws/",
        f"/ws/cognitive/{AGENT}/more",
        "/ws/oversight/",
    ],
)
def test_unknown_paths_are_404(target: str) -> None:
    assert rejected(f"{target}?agent_id={AGENT}&tenant_id={TENANT}").status == 404


@pytest.mark.parametrize(
    ("target", "name"),
    [
        (f"/api/v1/cognitive/agents/ws?tenant_id={TENANT}", "agent_id"),
        (f"/api/v1/cognitive/agents/ws?agent_id={AGENT}", "tenant_id"),
        (f"/api/v1/cognitive/agents/ws?agent_id=&tenant_id={TENANT}", "agent_id"),
        (f"/api/v1/cognitive/agents/ws?agent_id=agent-7&tenant_id={TENANT}", "agent_id"),
        (f"/api/v1/cognitive/agents/ws?agent_id={AGENT}x&tenant_id={TENANT}", "agent_id"),
        (f"/api/v1/cognitive/agents/ws?agent_id={AGENT.replace('-', '')}&tenant_id={TENANT}", "agent_id"),
        (EVENTS + f"&agent_id={AGENT}", "agent_id"),
        (f"/ws/cognitive/seven?tenant_id={TENANT}", "agent_id"),
        (f"/ws/cognitive/{AGENT}", "tenant_id"),
        ("/ws/oversight/session?tenant_id=nobody", "tenant_id"),
    ],
)
def test_missing_and_malformed_ids_are_400(target: str, name: str) -> None:
    rejection = rejected(target)
    assert rejection.status == 400
    assert name in rejection.message


@pytest.mark.parametrize(
    "header",
    [
        ("Authorization", "Bearer t0ken"),
        ("authorization", "bearer  t0ken"),
        ("Cookie", "session=t0ken"),
        ("Cookie", 'theme=dark; session="t0ken"; lang=de'),
        ("Cookie", "t0ken"),
    ],
)
def test_the_token_opens(header: tuple[str, str]) -> None:
    assert resolve(request(EVENTS, header), "t0ken").subject_id == AGENT


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("Authorization", "t0ken")],
        [("Authorization", "Basic t0ken")],
        [("Authorization", "Bearer t0ken2")],
        [("Authorization", "Bearer T0KEN")],
        [("Authorization", "Bearer ")],
        [("Cookie", "session=t0kenx; t0ken=session")],
        [("Cookie", "session=\udce9")],
    ],
)
def test_anything_else_is_401(headers: list[tuple[str, str]]) -> None:
    rejection = rejected(EVENTS, *headers, token="t0ken")
    assert rejection.status == 401
    response = rejection.response()
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert b"t0ken" not in response.to_bytes()


def test_a_stranger_learns_nothing_about_ids() -> None:
    assert rejected("/ws/cognitive/seven", token="t0ken").status == 401


def test_the_answer_is_small_json() -> None:
    response = rejected("/nowhere").response()
    assert response.headers["Content-Type"] == "application/json"
    assert msgspec.json.decode(response.body) == {"error": "not_found", "message": "no such stream"}
