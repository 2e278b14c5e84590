"""Batch mode on a live connection: full or due, complete, and not lost by leaving or cancelling."""

from __future__ import annotations

import asyncio
import time

import pytest
from streams import HEARTBEAT, FakeTiming, sender
from wsserver import BINARY, Peer, frame, serve, turns

import rlfast


async def test_batches_are_full_or_due_and_complete() -> None:
    go = asyncio.Event()

    async def handler(peer: Peer) -> None:
        await peer.text(*[HEARTBEAT] * 25)
        await go.wait()
        await peer.text(*[HEARTBEAT] * 3)
        await peer.close()

    async with serve(handler) as server:
        async with rlfast.connect(server.url, type=rlfast.AgentEvent, backoff=None) as ws:
            spans = []
            async for batch in ws.batches(max_rows=10, max_wait=0.02):
                spans.append((batch.first_seq, batch.last_seq, batch.num_rows))
                if batch.last_seq == 24:
                    go.set()
            assert spans[:2] == [(0, 9, 10), (10, 19, 10)]
            # max_wait hands out a partial batch while the server is silent.
            assert spans[2][2] <= 5
            assert sum(rows for _, _, rows in spans) == 28
            assert [first for first, _, _ in spans[1:]] == [last + 1 for _, last, _ in spans[:-1]]


async def test_batches_keep_dead_letters_epochs_and_times() -> None:
    bad = [b"{", b'{"type":"heartbeat"}', b'{"type":"nova"}', b'{"type":"heartbeat","timestamp":"\xff"}']

    async def first(peer: Peer) -> None:
        # Binary: as text messages, the last one would end the connection.
        messages = (HEARTBEAT.encode(), *bad, HEARTBEAT.encode())
        await peer.write(*(frame(message, BINARY) for message in messages))
        await peer.close()

    fake = FakeTiming()
    before = time.time_ns()
    async with (
        serve(first, sender(HEARTBEAT)) as server,
        rlfast.connect(server.url, type=rlfast.AgentEvent, timing=fake.timing) as ws,
    ):
        seqs, epochs, reasons, times = [], [], [], []
        async for batch in ws.batches(max_rows=7, max_wait=10):
            table = batch["heartbeat"]
            seqs += table["seq"].tolist()
            epochs += table["epoch"].tolist()
            times += table["received_at"].astype("int64").tolist()
            reasons += list(
                zip(batch.dead_letters["seq"].tolist(), batch.dead_letters["reason"], strict=True)
            )
            break
        assert ws.stats.dead_letters == 4
    assert seqs == [0, 5, 6]
    assert epochs == [1, 1, 2]
    assert all(before <= moment <= time.time_ns() for moment in times)
    assert reasons == [
        (1, "malformed_json"),
        (2, "schema_mismatch"),
        (3, "unknown_type"),
        (4, "invalid_utf8"),
    ]


async def test_message_and_batch_mode_at_the_same_time_are_a_clear_error() -> None:
    async def handler(peer: Peer) -> None:
        await peer.text(HEARTBEAT)
        await peer.wait_closed()

    async with serve(handler) as server, rlfast.connect(server.url, type=rlfast.AgentEvent) as ws:
        batches = ws.batches(max_wait=0.001)
        assert (await batches.__anext__()).num_rows == 1
        with pytest.raises(rlfast.UsageError, match="cannot be mixed"):
            await ws.next_message()
        with pytest.raises(rlfast.UsageError, match="cannot be mixed"):
            await ws.next_messages()
        with pytest.raises(rlfast.UsageError, match="cannot be mixed"):
            await ws.batches().__anext__()
        waiting = asyncio.create_task(batches.__anext__())
        await turns(1)
        with pytest.raises(rlfast.UsageError, match="another task"):
            await batches.__anext__()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await batches.aclose()
        with pytest.raises(StopAsyncIteration):
            await batches.__anext__()


async def test_leaving_and_cancelling_batches_loses_nothing() -> None:
    total = 3000

    async def handler(peer: Peer) -> None:
        for start in range(0, total, 30):
            await peer.write(b"".join(frame(b"%d" % i) for i in range(start, start + 30)))
        await peer.close()

    async with serve(handler) as server, rlfast.connect(server.url, backoff=None) as ws:
        got: list[int] = []
        turn = 0
        while True:
            turn += 1
            if turn % 4 == 0:
                # Message mode takes over where the batches stopped, unless rows are held back for them.
                try:
                    got += await ws.next_messages(5)
                except rlfast.UsageError:
                    pass
            batches = ws.batches(max_rows=40, max_wait=60)
            try:
                batch = await asyncio.wait_for(batches.__anext__(), 0 if turn % 2 else 5)
            except asyncio.TimeoutError:
                continue
            except StopAsyncIteration:
                break
            got += [int(text) for text in batch["message"]["json"]]
        assert got == list(range(total))
