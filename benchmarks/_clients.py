"""Ways to read a stream of JSON messages to its end: rlfast's, and what a user would write instead.

A client is made first, which imports what it needs, and then run with a URL; it returns how many messages it
took. All of them let go of each message at once.
"""

from __future__ import annotations

import importlib.util
import os
import ssl as ssl_module
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Ssl = ssl_module.SSLContext | None
Run = Callable[[str, Ssl], Awaitable[int]]


@dataclass(frozen=True)
class Client:
    """One contender.

    Attributes:
        label: for people.
        make: from the type of the messages (None: plain values).
        share: of the events that the fastest get, 1/share: a slow client's rate does not depend on the count.
        blocking: it has no event loop, so it reads one connection.
    """

    label: str
    make: Callable[[Any], Run]
    share: int = 1
    blocking: bool = False


def _decoder(name: str, type_: Any) -> Callable[[Any], Any]:
    if name == "json":
        import json

        return json.loads
    if name == "orjson":
        import orjson

        return orjson.loads
    if name == "msgspec":
        import msgspec

        return msgspec.json.Decoder(type_ if type_ is not None else Any).decode
    from reasoning_layer_python_sdk.generated.models.agent_event import AgentEvent

    return AgentEvent.from_json


# rlfast


def _next_message(typed: bool) -> Callable[[Any], Run]:
    def make(type_: Any) -> Run:
        import rlfast

        async def run(url: str, ssl: Ssl) -> int:
            count = 0
            async with rlfast.connect(url, type=type_ if typed else None, backoff=None, ssl=ssl) as ws:
                # The road of next_message, and ends where the stream does.
                async for _ in ws:
                    count += 1
            return count

        return run

    return make


def _next_messages(type_: Any) -> Run:
    import rlfast

    async def run(url: str, ssl: Ssl) -> int:
        count = 0
        async with rlfast.connect(url, type=type_, backoff=None, ssl=ssl) as ws:
            while messages := await ws.next_messages():
                count += len(messages)
        return count

    return run


def _batches(type_: Any) -> Run:
    import numpy as np  # noqa: F401 (the first batch would import it)

    import rlfast

    async def run(url: str, ssl: Ssl) -> int:
        count = 0
        async with rlfast.connect(url, type=type_, backoff=None, ssl=ssl) as ws:
            async for batch in ws.batches():
                count += batch.num_events
            if ws.stats.fallback_events:
                raise SystemExit(
                    f"msgspec judged {ws.stats.fallback_events} events: not what is to be measured"
                )
        return count

    return run


def _capture(durability: str) -> Callable[[Any], Run]:
    def make(type_: Any) -> Run:
        import rlfast
        from rlfast.capture import CaptureOptions, _start, capture  # noqa: F401 (capture would load it)

        async def run(url: str, ssl: Ssl) -> int:
            options = CaptureOptions(durability=durability)  # type: ignore[arg-type]
            where = os.environ.get("BENCH_OUT")
            with tempfile.TemporaryDirectory(prefix="rlfast-bench-", dir=where) as folder:
                async with rlfast.connect(url, type=type_, backoff=None, ssl=ssl) as ws:
                    summary = await capture(ws, Path(folder) / "out", options)
                return summary.events

        return run

    return make


# picows alone


def _picows(type_: Any) -> Run:
    from picows import ws_connect

    from benchmarks import _counting

    counting = _counting.load(Path(os.environ["BENCH_COUNTING"]))

    async def run(url: str, ssl: Ssl) -> int:
        # The read buffer of rlfast's connection options; and its bound on a message.
        transport, counter = await ws_connect(
            counting.Counter,
            url,
            ssl_context=ssl,
            read_buffer_init_size=256 * 1024,
            max_frame_size=16 << 20,
        )
        await transport.wait_disconnected()
        return int(counter.frames)

    return run


# Others


def _websockets(decoder: str) -> Callable[[Any], Run]:
    def make(type_: Any) -> Run:
        from websockets.asyncio.client import connect

        decode = _decoder(decoder, type_)

        async def run(url: str, ssl: Ssl) -> int:
            count = 0
            async with connect(url, compression=None, max_size=None, ssl=ssl) as ws:
                async for message in ws:
                    decode(message)
                    count += 1
            return count

        return run

    return make


def _picows_websockets(decoder: str) -> Callable[[Any], Run]:
    def make(type_: Any) -> Run:
        from picows.websockets.asyncio.client import connect

        decode = _decoder(decoder, type_)

        async def run(url: str, ssl: Ssl) -> int:
            count = 0
            async with connect(url, compression=None, max_size=None, ssl=ssl) as ws:
                async for message in ws:
                    decode(message)
                    count += 1
            return count

        return run

    return make


def _aiohttp(decoder: str) -> Callable[[Any], Run]:
    def make(type_: Any) -> Run:
        import aiohttp

        decode = _decoder(decoder, type_)

        async def run(url: str, ssl: Ssl) -> int:
            count = 0
            connector = aiohttp.TCPConnector(ssl=ssl if ssl is not None else True)
            session = aiohttp.ClientSession(connector=connector)
            async with session, session.ws_connect(url, max_msg_size=0) as ws:
                async for message in ws:
                    decode(message.data)
                    count += 1
            return count

        return run

    return make


def _websocket_client(decoder: str) -> Callable[[Any], Run]:
    def make(type_: Any) -> Run:
        import websocket

        decode = _decoder(decoder, type_)

        async def run(url: str, ssl: Ssl) -> int:
            count = 0
            ws = websocket.create_connection(url, sslopt={"context": ssl} if ssl is not None else None)
            while message := ws.recv():
                decode(message)
                count += 1
            ws.close()
            return count

        return run

    return make


CLIENTS: dict[str, Client] = {
    "picows": Client("picows, counting frames", _picows),
    "next_message": Client("rlfast next_message, typed", _next_message(True)),
    "next_message_untyped": Client("rlfast next_message, untyped", _next_message(False)),
    "next_messages": Client("rlfast next_messages, typed", _next_messages),
    "batches": Client("rlfast batches", _batches),
    "capture_none": Client("rlfast capture, durability none", _capture("none")),
    "capture_process": Client("rlfast capture, durability process", _capture("process")),
    "capture_machine": Client("rlfast capture, durability machine", _capture("machine")),
}
for _decode in ("json", "orjson", "msgspec"):
    CLIENTS |= {
        f"websockets_{_decode}": Client(f"websockets + {_decode}", _websockets(_decode), 25),
        f"aiohttp_{_decode}": Client(f"aiohttp + {_decode}", _aiohttp(_decode), 25),
        f"picows_websockets_{_decode}": Client(
            f"picows.websockets + {_decode}", _picows_websockets(_decode), 25
        ),
        f"websocket_client_{_decode}": Client(
            f"websocket-client + {_decode}", _websocket_client(_decode), 100, blocking=True
        ),
    }
LIBRARIES = {
    "websockets_": ("websockets", "websockets"),
    "aiohttp": ("aiohttp", "aiohttp"),
    "websocket_client": ("websocket", "websocket-client"),
    "orjson": ("orjson", "orjson"),
    "sdk": ("reasoning_layer_python_sdk", "reasoning_layer_python_sdk"),
    "capture": ("pyarrow", "pyarrow"),
}
"""What a client needs that has this in its name: the module, and what pip calls it."""


def missing(name: str) -> str | None:
    """What pip has to install for a client; None if it can run."""
    for part, (module, package) in LIBRARIES.items():
        if part in name and importlib.util.find_spec(module) is None:
            return package
    return None


CLIENTS["websockets_sdk"] = Client("websockets + official SDK", _websockets("sdk"), 400)
