"""The examples of feeds do what they say: by their command lines and by their functions, over reconnects.

The server wants of a client what the feed wants, and drops it three times.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.cli.helpers import start
from tests.feeds import examples
from tests.feeds.examples import FEEDS
from tests.feeds.replay import SECRETS, Replay, replaying
from tests.test_feeds import compare

import rlfast
from rlfast.capture import capture, open_dataset

DROPS = 3
SIZE = 7
"""Messages from the opening of a connection to its end: more than any feed has in one turn."""

OTHER = {
    "binance": ["no field 'stream'", "no tag 'e'"],
    "bitfinex": ["no array"],
    "huobi": ["no field 'ch'"],
    "okx": ["no field 'data'"],
}
"""What tells messages that are in no table. Kept, too: the answers to a subscription, say."""

FILLED = {"jetstream", "k8s"}
"""Feeds that send what was missed."""

JUMPS = {"binance": 3, "binance_raw": 7, "coinbase": 4, "okx": 4}
"""How often numbers in the messages do not follow, because the same ones come again."""

WANTS = {
    "alpaca": 1008,
    "binance": 401,
    "binance_raw": 0,
    "bitfinex": 1008,
    "certstream": 0,
    "coinbase": 1008,
    "finnhub": 401,
    "graphql": 4406,
    "huobi": 1008,
    "jetstream": 401,
    "jupyter": 401,
    "k8s": 401,
    "mastodon": 401,
    "okx": 1008,
    "openai": 401,
}
"""How a client is got rid of that only connects; 0: that is enough."""


def at(replay: Replay, feed: str, url: str) -> str:
    """A feed's URL, but of the server of the tests."""
    return f"{replay.url}/{feed}" + (f"?{query}" if (query := urlsplit(url).query) else "")


def check(feed: str, replay: Replay, out: Path) -> None:
    """Nothing is missing in a capture, and nothing is there twice; each value is what msgspec makes of it."""
    connections = replay.connections[feed]
    assert [connection.fault for connection in connections] == [None] * (DROPS + 1)
    options = itertools.pairwise(examples.command_line(feed))
    ignored = [value for name, value in options if name == "--ignore"]
    sent = [text for text in replay.stream(feed) if text not in ignored]
    events_at = examples.option(feed, "--events-at") or ""
    others = compare(examples.type_of(feed), sent, out, events_at)
    assert sorted(set(others)) == OTHER.get(feed, [])
    dataset = open_dataset(out)
    gaps = [gap for gap in dataset.gaps if gap.reason == "closed_by_peer"]
    assert [(gap.close_code, gap.reconnected_at is not None) for gap in gaps] == [(1012, True)] * DROPS
    assert [gap.filled for gap in gaps] == [True if feed in FILLED else None] * DROPS
    assert sum(gap.reason == "sequence_gap" for gap in dataset.gaps) == JUMPS.get(feed, 0)


async def until_complete(replay: Replay, feed: str, running: asyncio.Future[Any]) -> None:
    """Wait until everything was sent, or a capture has ended before."""
    complete = asyncio.ensure_future(replay.complete(feed))
    await asyncio.wait([running, complete], return_when=asyncio.FIRST_COMPLETED)
    complete.cancel()


async def by_command_line(feed: str, replay: Replay, out: Path) -> None:
    """Run what the example says, until everything was sent."""
    arguments = examples.command_line(feed)
    url = next(argument for argument in arguments if "://" in argument)
    arguments[arguments.index(url)] = at(replay, feed, url)
    arguments[arguments.index("--out") + 1] = str(out)
    arguments = [argument.replace("20s:ping", "50ms:ping") for argument in arguments]
    process = await start(*arguments, "--json", cwd=examples.FOLDER, extra=SECRETS)
    ending = asyncio.ensure_future(process.communicate())
    try:
        await until_complete(replay, feed, ending)
    finally:
        if not ending.done():
            process.send_signal(signal.SIGTERM)
    stdout, stderr = await ending
    assert process.returncode == 0, stderr
    assert not [name for name, secret in SECRETS.items() if secret.encode() in stdout + stderr]


async def by_function(feed: str, replay: Replay, out: Path) -> None:
    """Capture what the example's function connects to, until everything was sent."""
    module = examples.example(feed)
    stop = asyncio.Event()
    running = asyncio.ensure_future(capture(module.connect(at(replay, feed, module.URL)), out, stop=stop))
    await until_complete(replay, feed, running)
    stop.set()
    summary = await running
    assert summary.error is None


async def ending(feed: str, url: str, **arguments: Any) -> int:
    """How a feed gets rid of a client: the status or the close code."""
    try:
        async with rlfast.connect(url, backoff=None, **arguments) as ws:
            while not ws.closed:
                with contextlib.suppress(rlfast.DecodeError):
                    await ws.next_message()
            assert isinstance(ws.last_error, rlfast.ConnectionClosedError)
            return ws.last_error.close_code or 0
    except rlfast.HandshakeRejectedError as error:
        return error.status


async def test_the_server_is_as_strict_as_the_feeds() -> None:
    """Otherwise what the examples do would prove nothing."""
    assert sorted(FEEDS) == sorted(WANTS)
    okx, huobi, graphql = (examples.example(feed) for feed in ("okx", "huobi", "graphql"))
    protocol = {"on_connect": graphql.subscribe, "subprotocols": ["graphql-transport-ws"]}
    async with replaying(0, SIZE, patience=1.0) as replay:
        clients = [
            *((feed, {}, code) for feed, code in WANTS.items() if code),
            # These subscribe, and do not say that they are there.
            ("graphql", protocol, 4004),
            ("huobi", {"subscribe": huobi.SUBSCRIPTIONS}, 4004),
            ("okx", {"subscribe": [okx.SUBSCRIPTION]}, 4004),
        ]
        codes = await asyncio.gather(
            *(ending(feed, f"{replay.url}/{feed}", **arguments) for feed, arguments, _ in clients)
        )
    found = [(feed, code) for (feed, _, _), code in zip(clients, codes, strict=True)]
    assert found == [(feed, code) for feed, _, code in clients]


@pytest.mark.parametrize("run", [by_command_line, by_function])
async def test_every_example_captures_its_feed_over_reconnects(
    run: Callable[[str, Replay, Path], Awaitable[None]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, secret in SECRETS.items():
        monkeypatch.setenv(name, secret)
    monkeypatch.setattr(examples.example("okx"), "HEARTBEAT", rlfast.Heartbeat(every=0.05, message="ping"))
    # All at once: most of the time goes by in delays before attempts.
    async with replaying(DROPS, SIZE) as replay:
        running = {feed: asyncio.ensure_future(run(feed, replay, tmp_path / feed)) for feed in FEEDS}
        _, late = await asyncio.wait(running.values(), timeout=90)
        for task in late:
            task.cancel()
        assert replay.refused == []
        for feed, task in running.items():
            assert task not in late, (feed, replay.connections[feed])
            await task
    for feed in FEEDS:
        check(feed, replay, tmp_path / feed)
