"""Memory stays bounded whatever the server does."""

from __future__ import annotations

import pytest
from wsserver import (
    Peer,
    frame,
    serve,
    turns,
    until,
)

import rlfast
from rlfast import ConnectionOptions


@pytest.mark.parametrize("payload", [b"1", b'"' + b"x" * 200 + b'"', b'"' + b"y" * 700_000 + b'"', b""])
async def test_memory_is_bounded_when_the_consumer_stops_reading(payload: bytes) -> None:
    """The server sends until TCP makes it wait; what the client holds stays within its options."""
    options = ConnectionOptions(high_water=2 << 20, low_water=1 << 20, block_size=256 * 1024)
    chunk = frame(payload) * max(1, 65536 // (len(payload) + 4))
    per_chunk = max(1, 65536 // (len(payload) + 4))
    sent = 0
    stop = False

    async def handler(peer: Peer) -> None:
        nonlocal sent
        while not stop:
            await peer.write(chunk)
            sent += per_chunk
        await peer.close()

    async with serve(handler) as server, rlfast.connect(server.url, backoff=None, options=options) as ws:
        await until(lambda: ws.stats.paused)
        # Paused: from here on the server fills the buffers of both kernels, and then waits.
        last = -1
        while sent != last:
            last = sent
            await turns(200)
        received = ws.stats.messages
        assert received < sent
        stats = ws.stats
        # One socket read may come on top, and the message that it completes.
        overshoot = options.read_buffer_size + len(payload)
        assert stats.peak_queued_bytes <= options.high_water + overshoot + 24 * overshoot // (
            len(payload) + 2
        )
        assert stats.allocated_bytes <= 2 * stats.peak_queued_bytes + 2 * options.block_size
        stop = True
        if not payload:
            return  # no JSON: reading them would only raise, a few million times
        # Nothing was dropped for it: reading goes on with the next message, and all of them arrive.
        count = 0
        while messages := await ws.next_messages(10_000):
            count += len(messages)
        assert count == sent
        assert ws.stats.pauses >= 1
        assert not ws.stats.paused
