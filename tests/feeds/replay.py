"""A server that replays the messages of public feeds, each with the handshake and the keep-alives of its own.

A client that does not do what its feed wants is refused, or closed, and that is on record. Each connection to a
feed is closed after some messages, but for the last one, which stays open.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import itertools
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import reduce
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from tests.feeds import messages
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

SECRETS = {
    "ALPACA_KEY": "AK1",
    "ALPACA_SECRET": "alpaca-s3cret",
    "FINNHUB_TOKEN": "finnhub-s3cret",
    "JUPYTER_TOKEN": "jupyter-s3cret",
    "MASTODON_TOKEN": "mastodon-s3cret",
    "OPENAI_API_KEY": "openai-s3cret",
}
"""Environment of a client."""


class Say:
    """The server says its next message."""


class Hear(NamedTuple):
    """The client has to say something, or is closed.

    Attributes:
        wanted: a text, or members of a JSON object.
        otherwise: the code with which one is closed that says something else.
        late: the code for one that says nothing.
    """

    wanted: str | dict[str, Any]
    otherwise: int = 1008
    late: int = 1008


class Position(NamedTuple):
    """Events that were missed can be had again.

    Attributes:
        parameter: of the query: the event behind which they are wanted.
        path: to an event's position in it.
        of: the position of each event, by number.
        again: whether that event is sent again, too.
    """

    parameter: str
    path: tuple[str, ...]
    of: Callable[[int], Any]
    again: bool


class Feed(NamedTuple):
    """What a feed wants.

    Attributes:
        opening: what is said before anything else, in order.
        headers: that the request must have.
        query: the same.
        subprotocol: that the client must offer.
        asks: whether a message of the server wants an answer, and which.
        ping: what the client must say in the middle of a connection, without being asked, and the answer.
        position: how events that were missed are asked for.
    """

    opening: tuple[Say | Hear, ...] = ()
    headers: dict[str, str] = {}
    query: dict[str, str] = {}
    subprotocol: str | None = None
    asks: Callable[[Any], dict[str, Any] | None] = lambda message: None
    ping: tuple[str, str] | None = None
    position: Position | None = None


FEEDS = {
    "alpaca": Feed(
        (
            Say(),
            Hear({"action": "auth", "key": SECRETS["ALPACA_KEY"], "secret": SECRETS["ALPACA_SECRET"]}),
            Say(),
            Hear({"action": "subscribe", "trades": ["AAPL"], "quotes": ["AMD"], "bars": ["*"]}),
        )
    ),
    "binance": Feed(query={"streams": "btcusdt@trade/btcusdt@depth@100ms/btcusdt@kline_1m"}),
    "binance_raw": Feed(),
    "bitfinex": Feed((Say(), Hear({"event": "subscribe", "channel": "trades", "symbol": "tBTCUSD"}))),
    "certstream": Feed(),
    "coinbase": Feed(
        tuple(
            Hear({"type": "subscribe", "channel": channel})
            for channel in ("heartbeats", "level2", "market_trades")
        )
    ),
    "finnhub": Feed(
        tuple(Hear({"type": "subscribe", "symbol": symbol}) for symbol in ("AAPL", "BINANCE:BTCUSDT")),
        query={"token": SECRETS["FINNHUB_TOKEN"]},
    ),
    "graphql": Feed(
        (
            Hear({"type": "connection_init"}, 4401, 4408),
            Say(),
            Hear({"type": "subscribe", "id": "1"}, 4400),
        ),
        subprotocol="graphql-transport-ws",
        asks=lambda message: {"type": "pong"} if message["type"] == "ping" else None,
    ),
    "huobi": Feed(
        tuple(Hear({"sub": f"market.btcusdt.{channel}"}) for channel in ("depth.step0", "trade.detail")),
        asks=lambda message: {"pong": message["ping"]} if "ping" in message else None,
    ),
    "jetstream": Feed(
        query={"wantedCollections": "app.bsky.feed.post"},
        position=Position("cursor", ("time_us",), lambda n: 1_725_911_162_329_308 + 1000 * n, True),
    ),
    "jupyter": Feed((Hear({"channel": "shell"}),), {"Authorization": f"token {SECRETS['JUPYTER_TOKEN']}"}),
    "k8s": Feed(
        query={"watch": "true", "allowWatchBookmarks": "true"},
        position=Position(
            "resourceVersion", ("object", "metadata", "resourceVersion"), lambda n: str(10_245 + n), False
        ),
    ),
    "mastodon": Feed(
        headers={"Authorization": f"Bearer {SECRETS['MASTODON_TOKEN']}"}, query={"stream": "public"}
    ),
    "okx": Feed((Hear({"op": "subscribe"}),), ping=("ping", "pong")),
    "openai": Feed(
        (Say(), Hear({"type": "session.update"}), Hear({"type": "response.create"})),
        {"Authorization": f"Bearer {SECRETS['OPENAI_API_KEY']}", "OpenAI-Beta": "realtime=v1"},
    ),
}


@dataclass
class Connection:
    """What happened on one connection.

    Attributes:
        sent: the messages, as the application made them.
        heard: what the client said.
        fault: what it did not do as the feed wants it.
    """

    sent: list[str] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)
    fault: str | None = None


class Replay:
    """The server.

    Attributes:
        url: of all feeds, without a slash.
        refused: feeds, and why a request was refused.
        connections: of each feed, in order.
    """

    def __init__(self, drops: int, size: int, patience: float) -> None:
        """Make one; see `replaying`."""
        self.url = ""
        self.refused: list[tuple[str, str]] = []
        self.connections: dict[str, list[Connection]] = defaultdict(list)
        self._drops = drops
        self._size = size
        self._patience = patience
        self._complete = {feed: asyncio.Event() for feed in FEEDS}
        self._happened = dict.fromkeys(FEEDS, 0)

    async def complete(self, feed: str) -> None:
        """Wait until a client has got everything, on its last connection."""
        await self._complete[feed].wait()

    def stream(self, feed: str) -> list[str]:
        """What there was to be had: all that was sent; of a feed with positions also what happened meanwhile."""
        if FEEDS[feed].position is not None:
            return [_event(feed, number) for number in range(self._happened[feed])]
        return [text for connection in self.connections[feed] for text in connection.sent]

    def process(self, ws: ServerConnection, request: Request) -> Response | None:
        """Refuse a request that has not got what is wanted."""
        name, query = _split(request)
        feed = FEEDS[name]
        wrong = [
            *(key for key, value in feed.headers.items() if request.headers.get(key) != value),
            *(key for key, value in feed.query.items() if query.get(key) != value),
        ]
        if feed.subprotocol is None and "Sec-WebSocket-Protocol" in request.headers:
            wrong.append("a subprotocol")
        if not wrong:
            return None
        self.refused.append((name, ", ".join(wrong)))
        return ws.respond(HTTPStatus.UNAUTHORIZED, "no\n")

    def select(self, ws: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
        """Choose the subprotocol."""
        assert ws.request is not None
        name, _ = _split(ws.request)
        return next((offer for offer in offered if offer == FEEDS[name].subprotocol), None)

    async def handle(self, ws: ServerConnection) -> None:
        """Talk with a client."""
        assert ws.request is not None
        name, query = _split(ws.request)
        session = _Session(ws, FEEDS[name], self._patience)
        self.connections[name].append(session.connection)
        is_last = len(self.connections[name]) > self._drops
        try:
            await session.open(iter(messages.S[name]))
            await session.stream(itertools.islice(self._events(name, query), self._size), self._size // 2)
            if not is_last:
                # What happens while nobody is there.
                self._happened[name] += 2
                await ws.close(1012, "restart")
                return
            # Answered when everything before it has been read.
            await (await ws.ping())
            self._complete[name].set()
            await ws.wait_closed()
        except _FaultError as fault:
            session.connection.fault = str(fault)
            await ws.close(fault.code)
        except ConnectionClosed as error:
            session.connection.fault = f"it went away: {error}"

    def _events(self, name: str, query: dict[str, str]) -> Iterator[str | bytes]:
        """What is sent after the opening, for ever."""
        feed = FEEDS[name]
        if feed.position is None:
            greetings = sum(isinstance(step, Say) for step in feed.opening)
            yield from itertools.cycle(messages.S[name][greetings:])
            return
        first, position = self._happened[name], feed.position
        if position.parameter in query:
            known = query[position.parameter]
            found = next(n for n in itertools.count() if str(position.of(n)) == known)
            first = found if position.again else found + 1
        for number in itertools.count(first):
            self._happened[name] = max(self._happened[name], number + 1)
            yield _event(name, number)


class _Session:
    """One connection."""

    def __init__(self, ws: ServerConnection, feed: Feed, patience: float) -> None:
        self.connection = Connection()
        self._ws = ws
        self._feed = feed
        self._patience = patience

    async def open(self, greetings: Iterator[str | bytes]) -> None:
        """Say and hear what comes first."""
        if self._feed.subprotocol is not None and self._ws.subprotocol is None:
            raise _FaultError(4406, "it offers no subprotocol")
        for step in self._feed.opening:
            await (self._say(next(greetings)) if isinstance(step, Say) else self._hear(step))

    async def stream(self, events: Iterable[str | bytes], middle: int) -> None:
        """Send events; in the middle of them the client has to show that it is there."""
        for i, event in enumerate(events):
            if i == middle and self._feed.ping is not None:
                ping, pong = self._feed.ping
                await self._hear(Hear(ping, 4004, 4004))
                await self._ws.send(pong)
            await self._say(event)

    async def _say(self, message: str | bytes) -> None:
        text = message if isinstance(message, str) else gzip.decompress(message).decode()
        self.connection.sent.append(text)
        await self._ws.send(message)
        answer = self._feed.asks(_plain(text))
        if answer is not None:
            await self._hear(Hear(answer, 4004, 4004))

    async def _hear(self, step: Hear) -> None:
        try:
            said = await asyncio.wait_for(self._ws.recv(decode=True), self._patience)
        except asyncio.TimeoutError:
            raise _FaultError(step.late, "it says nothing") from None
        self.connection.heard.append(said)
        found, wanted = _plain(said), step.wanted
        members = isinstance(found, dict) and isinstance(wanted, dict) and found.items() >= wanted.items()
        if not members and said != wanted:
            raise _FaultError(step.otherwise, f"it says {said}")


class _FaultError(Exception):
    def __init__(self, code: int, what: str) -> None:
        super().__init__(what)
        self.code = code


def _split(request: Request) -> tuple[str, dict[str, str]]:
    """The feed that a request is for, and the query."""
    url = urlsplit(request.path)
    return url.path.strip("/"), {name: values[-1] for name, values in parse_qs(url.query).items()}


def _plain(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _event(name: str, number: int) -> str:
    """An event of a feed with positions; those of its messages that have one come in turns."""
    position = FEEDS[name].position
    assert position is not None
    *path, last = position.path
    patterns = [json.loads(text) for text in messages.S[name]]
    patterns = [event for event in patterns if last in reduce(dict.__getitem__, path, event)]
    event = patterns[number % len(patterns)]
    reduce(dict.__getitem__, path, event)[last] = position.of(number)
    return json.dumps(event, separators=(",", ":"))


@contextlib.asynccontextmanager
async def replaying(drops: int, size: int, patience: float = 20.0) -> AsyncIterator[Replay]:
    """Run a server.

    Args:
        drops: connections to each feed that are closed.
        size: messages on each connection, behind those of the opening.
        patience: seconds in which a client has to say what is wanted; a machine may be busy.
    """
    replay = Replay(drops, size, patience)
    async with serve(
        replay.handle,
        "127.0.0.1",
        0,
        process_request=replay.process,
        select_subprotocol=replay.select,
        compression=None,
        ping_interval=None,
    ) as server:
        replay.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield replay
