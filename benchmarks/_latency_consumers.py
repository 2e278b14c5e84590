"""Consumers whose latency is measured: from when an event was due to when the program holds it, decoded.

Each appends to a list what `time.monotonic_ns` says less the event's own time, for every event. All decode
to the same struct, rlfast by its own decoder and the others by msgspec. They are a tenth of a microsecond
apart, so what differs is the way from the socket to the program.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import msgspec
import numpy as np


class Tick(msgspec.Struct, tag="tick", tag_field="type"):
    n: int
    due: int
    symbol: str
    price: float
    size: int
    venue: str
    side: str


Latencies = list[Any]
"""Of ints, or of arrays of them."""
MESSAGE = b'{"type":"echo","n":12345,"symbol":"EUR/USD","price":1.08457,"size":500,"side":"buy"}'


async def floor(url: str) -> Latencies:
    """What C needs for it: ``peers/latency.c``, which decodes nothing but the time."""
    parts = urlsplit(url)
    command = [os.environ["BENCH_LATENCY"], str(parts.port), f"{parts.path}?{parts.query}"]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return [np.frombuffer(done.stdout, dtype=np.int64)]


async def picows(url: str) -> Latencies:
    """The yardstick: the callback of a listener in Python, called by picows for each frame."""
    from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

    decode = msgspec.json.Decoder(Tick).decode
    out: Latencies = []
    add, now = out.append, time.monotonic_ns

    class Listener(WSListener):  # type: ignore[misc]
        def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
            if frame.msg_type == WSMsgType.TEXT:
                event = decode(frame.get_payload_as_memoryview())
                add(now() - event.due)
            elif frame.msg_type == WSMsgType.CLOSE:
                transport.send_close(frame.get_close_code())
                transport.disconnect()

    transport, _ = await ws_connect(Listener, url)
    await transport.wait_disconnected()
    return out


def next_message(busy_poll: float) -> Callable[[str], Awaitable[Latencies]]:
    async def consume(url: str) -> Latencies:
        import rlfast

        out: Latencies = []
        add, now = out.append, time.monotonic_ns
        options = rlfast.ConnectionOptions(busy_poll=busy_poll)
        async with rlfast.connect(url, type=Tick, backoff=None, options=options) as ws:
            while isinstance(event := await ws.next_message(), Tick):
                add(now() - event.due)
        return out

    return consume


async def async_for(url: str) -> Latencies:
    import rlfast

    out: Latencies = []
    add, now = out.append, time.monotonic_ns
    async with rlfast.connect(url, type=Tick, backoff=None) as ws:
        async for event in ws:
            add(now() - event.due)
    return out


def batches(max_wait: float) -> Callable[[str], Awaitable[Latencies]]:
    async def consume(url: str) -> Latencies:
        import rlfast

        out: Latencies = []
        now = time.monotonic_ns
        async with rlfast.connect(url, type=Tick, backoff=None) as ws:
            async for batch in ws.batches(max_wait=max_wait):
                at = now()
                out.append(at - batch["tick"]["due"])
        return out

    return consume


async def websockets(url: str) -> Latencies:
    from websockets.asyncio.client import connect

    decode = msgspec.json.Decoder(Tick).decode
    out: Latencies = []
    add, now = out.append, time.monotonic_ns
    async with connect(url, compression=None, max_size=None) as ws:
        async for message in ws:
            event = decode(message)
            add(now() - event.due)
    return out


async def aiohttp(url: str) -> Latencies:
    import aiohttp

    decode = msgspec.json.Decoder(Tick).decode
    out: Latencies = []
    add, now = out.append, time.monotonic_ns
    async with aiohttp.ClientSession() as session, session.ws_connect(url, max_msg_size=0) as ws:
        async for message in ws:
            event = decode(message.data)
            add(now() - event.due)
    return out


CONSUMERS: dict[str, tuple[str, Callable[[str], Awaitable[Latencies]]]] = {
    "floor": ("C, poll and recv", floor),
    "picows": ("picows, callback in Python", picows),
    "next_message": ("rlfast next_message", next_message(0.0)),
    "busy_poll": ("rlfast next_message, busy_poll 100 µs", next_message(1e-4)),
    "async_for": ("rlfast async for", async_for),
    "batches_0": ("rlfast batches, max_wait 0", batches(0)),
    "batches_1ms": ("rlfast batches, max_wait 1 ms", batches(0.001)),
    "batches_10ms": ("rlfast batches, max_wait 10 ms", batches(0.01)),
    "aiohttp": ("aiohttp", aiohttp),
    "websockets": ("websockets", websockets),
}


# Round trips


async def _trips(count: int, trip: Callable[[], Awaitable[Any]]) -> Latencies:
    out: Latencies = []
    now = time.monotonic_ns
    for _ in range(count):
        start = now()
        await trip()
        out.append(now() - start)
    return out


async def picows_echo(url: str, count: int) -> Latencies:
    from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

    out: Latencies = []
    now = time.monotonic_ns

    class Listener(WSListener):  # type: ignore[misc]
        start = 0

        def send(self, transport: WSTransport) -> None:
            self.start = now()
            transport.send(WSMsgType.TEXT, MESSAGE)

        def on_ws_connected(self, transport: WSTransport) -> None:
            self.send(transport)

        def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
            msgspec.json.decode(frame.get_payload_as_memoryview())
            out.append(now() - self.start)
            if len(out) < count:
                self.send(transport)
            else:
                transport.disconnect()

    transport, _ = await ws_connect(Listener, url)
    await transport.wait_disconnected()
    return out


async def rlfast_echo(url: str, count: int) -> Latencies:
    import rlfast

    async with rlfast.connect(url, backoff=None) as ws:

        async def trip() -> None:
            await ws.send(MESSAGE)
            await ws.next_message()

        return await _trips(count, trip)


async def websockets_echo(url: str, count: int) -> Latencies:
    from websockets.asyncio.client import connect

    async with connect(url, compression=None) as ws:

        async def trip() -> None:
            await ws.send(MESSAGE)
            msgspec.json.decode(await ws.recv())

        return await _trips(count, trip)


async def aiohttp_echo(url: str, count: int) -> Latencies:
    import aiohttp

    async with aiohttp.ClientSession() as session, session.ws_connect(url) as ws:

        async def trip() -> None:
            await ws.send_bytes(MESSAGE)
            msgspec.json.decode((await ws.receive()).data)

        return await _trips(count, trip)


ECHOES: dict[str, tuple[str, Callable[[str, int], Awaitable[Latencies]]]] = {
    "picows": ("picows, callback in Python", picows_echo),
    "next_message": ("rlfast send, next_message", rlfast_echo),
    "aiohttp": ("aiohttp", aiohttp_echo),
    "websockets": ("websockets", websockets_echo),
}


def run(name: str, url: str, echoes: int, loop: str) -> np.ndarray[Any, np.dtype[np.int64]]:
    """All latencies of one consumer, in nanoseconds, in the order of the events."""
    work = ECHOES[name][1](url, echoes) if echoes else CONSUMERS[name][1](url)
    if loop == "uvloop":
        import uvloop

        found = uvloop.run(work)  # type: ignore[arg-type]
    else:
        found = asyncio.run(work)  # type: ignore[arg-type]
    if not found:
        return np.zeros(0, dtype=np.int64)
    if isinstance(found[0], int):
        return np.array(found, dtype=np.int64)
    return np.concatenate(found).astype(np.int64)
