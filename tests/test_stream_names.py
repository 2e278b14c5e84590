"""Streams that are not named: one name for one subscription, another one for another, and never a secret."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streams import sender
from wsserver import serve

import rlfast
from rlfast.capture import capture, inspect_dataset, next_seq, resume
from rlfast.cli._target import TargetOptions, target_of
from rlfast.websocket._stream_names import default_stream_name

SECRET = "s3cretTokenOfSomebody"
BASE = "wss://host.example:8443/path/ws"


@pytest.mark.parametrize(
    "url", [BASE, BASE + "?", f"{BASE}?token={SECRET}", f"{BASE}?api_key={SECRET}&ts=17&_=3"]
)
def test_without_parameters_that_choose_it_is_host_and_path(url: str) -> None:
    assert default_stream_name(url) == "host.example:8443/path/ws"


def test_the_form_of_a_name_is_kept_over_versions() -> None:
    """It is written to data sets: another one would begin at seq 0 again."""
    assert default_stream_name(BASE + "?symbol=EURUSD&depth=5") == "host.example:8443/path/ws?88bb5acc57"


@pytest.mark.parametrize(
    "query",
    [
        "depth=5&symbol=EURUSD",
        "symbol=EUR%55SD&depth=5",
        f"symbol=EURUSD&depth=5&token={SECRET}",
        f"access_token=other&symbol=EURUSD&depth=5&timestamp=1700000001&nonce={SECRET}",
    ],
)
def test_order_credentials_and_times_do_not_count(query: str) -> None:
    assert default_stream_name(f"{BASE}?{query}") == default_stream_name(BASE + "?symbol=EURUSD&depth=5")


def test_other_subscriptions_have_other_names() -> None:
    queries = [
        "",
        "symbol=EURUSD",
        "symbol=GBPUSD",
        "symbol=EURUSD&depth=5",
        "symbol=EURUSD&depth=10",
        "symbol=EURUSD&symbol=GBPUSD",
        "symbol=",
        "symbol",
        "btcusdt@trade",
        "ethusdt@trade",
        "streams=btcusdt@trade/ethusdt@trade",
        "routing_key=a",
        "routing_key=b",
        "keyword=a",
        "code=600519",
        "author=a",
        "sort=asc",
        "q=%ff",
        "q=%fe",
    ]
    names = {default_stream_name(f"{BASE}?{query}") for query in queries}
    # "symbol" and "symbol=" say the same.
    assert len(names) == len(queries) - 1


@pytest.mark.parametrize(
    "name",
    [
        "token",
        "access_token",
        "accessToken",
        "ACCESS_TOKEN",
        "id-token",
        "X-Amz-Security-Token",
        "api_key",
        "apiKey",
        "apikey",
        "API-KEY",
        "x-api-key",
        "key",
        "secret",
        "client_secret",
        "signature",
        "sig",
        "X-Amz-Signature",
        "X-Amz-Date",
        "auth",
        "authorization",
        "authToken",
        "password",
        "passwd",
        "pwd",
        "jwt",
        "session",
        "session_id",
        "sessionid",
        "ticket",
        "nonce",
        "timestamp",
        "ts",
        "listenKey",
        "cursor",
        "sid",
        "connectId",
        "since",
        "accesstoken",
        "subscription-key",
        "otp",
        "expires",
    ],
)
def test_credentials_and_what_changes_with_each_connection(name: str) -> None:
    assert default_stream_name(f"{BASE}?symbol=x&{name}={SECRET}") == default_stream_name(f"{BASE}?symbol=x")


@given(st.text(st.characters(codec="utf-8", exclude_characters="&#"), max_size=40))
def test_no_part_of_a_query_is_in_a_name(query: str) -> None:
    from urllib.parse import quote

    name = default_stream_name(f"{BASE}?{quote(query, safe='=&+%')}{SECRET}")
    assert re.fullmatch(r"host\.example:8443/path/ws(\?[0-9a-f]{10})?", name)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        (f"{BASE}?symbol=EURUSD&token={SECRET}", default_stream_name(f"{BASE}?symbol=EURUSD")),
        ("wss://h/api/v1/cognitive/agents/ws?agent_id=a1&tenant_id=t1", "agent_events:a1"),
        ("wss://h/prefix/api/v1/cognitive/agents/ws?tenant_id=t1&agent_id=a1", "agent_events:a1"),
    ],
)
def test_connect_and_the_command_line_give_the_same_name(url: str, name: str) -> None:
    assert rlfast.WebSocketConnection(url).stream == name
    assert target_of(TargetOptions(url=url)).stream == name
    assert rlfast.WebSocketConnection(url, stream="mine").stream == "mine"
    assert target_of(TargetOptions(url=url, stream="mine")).stream == "mine"


async def test_two_subscriptions_of_one_path_are_two_streams_of_a_data_set(tmp_path: Path) -> None:
    async with serve(sender("1", "2", "3")) as server:
        for query in ("symbol=a&ts=1", "symbol=b&ts=2", "ts=3&symbol=a"):
            url = f"{server.url}?{query}"
            options = resume(tmp_path, default_stream_name(url))
            async with rlfast.connect(url, backoff=None, options=options) as ws:
                await capture(ws, tmp_path)
    names = [default_stream_name(f"{server.url}?symbol={symbol}") for symbol in "ab"]
    assert [next_seq(tmp_path, name) for name in names] == [6, 3]
    report = inspect_dataset(tmp_path)
    assert set(report.streams) == set(names)
    # The first one was stopped and started again; nothing is missing of the other one.
    assert [gap.reason for gap in report.gaps] == ["capture_stopped"]
