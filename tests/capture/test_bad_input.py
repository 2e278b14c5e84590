"""Every kind of bad input ends as a dead letter on disk, with its bytes, and the stream goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import polars
import pytest
from streams import FakeTiming
from wsserver import BINARY, TEXT, Peer, frame, serve

import rlfast
from rlfast import ConnectionOptions
from rlfast.capture import CaptureOptions, capture
from rlfast.sinks import ParquetOptions, ParquetSink

GOOD = b'{"type":"heartbeat","timestamp":"t"}'
UUID = b"0b4f6a2e-3c1d-4f5a-9b8c-7d6e5f4a3b2c"
LIMIT = 200_000
CYCLE = (
    b'{"type":"cycle_complete","agent_id":"%s","actions_executed":%s,'
    b'"beliefs_updated":1,"pending_reviews":%s}'
)

OTHER = [b'{"type":"quantum_leap","x":1}', b"[1,2]", b'{"id":1}', b"null", b"pong"]
"""Messages of other kinds than the type's."""

BAD: list[tuple[bytes, int, str]] = [
    (b'{"type":"heartbeat"', TEXT, "malformed_json"),
    (b"", TEXT, "malformed_json"),
    (b"\x00\x01\x02", BINARY, "malformed_json"),
    (b'{"type":"heartbeat"}', TEXT, "schema_mismatch"),
    (b'{"type":"heartbeat","timestamp":5}', TEXT, "schema_mismatch"),
    (CYCLE % (UUID, b"99999999999999999999", b"[]"), TEXT, "schema_mismatch"),
    (CYCLE % (b"not-a-uuid", b"1", b"[]"), TEXT, "schema_mismatch"),
    (CYCLE % (UUID, b"1", b'["%s","x"]' % UUID), TEXT, "schema_mismatch"),
    # As a text message it would end the connection, too: RFC 6455 section 8.1.
    (b'{"type":"heartbeat","timestamp":"\xff\xfe"}', BINARY, "invalid_utf8"),
    (b'{"type":"heartbeat","timestamp":"t","deep":' + b"[" * 50_000 + b"]" * 50_000 + b"}", TEXT, "too_deep"),
]


async def test_bad_input_is_kept_and_the_stream_goes_on(tmp_path: Path) -> None:
    async def first(peer: Peer) -> None:
        await peer.write(frame(GOOD))
        for payload, opcode, _ in BAD:
            await peer.write(frame(payload, opcode))
        await peer.write(frame(GOOD, BINARY), frame(b"x" * (LIMIT + 1)))
        await peer.hang()

    async def second(peer: Peer) -> None:
        await peer.write(frame(GOOD))
        await peer.wait_closed()

    fake = FakeTiming()
    options = ConnectionOptions(max_message_size=LIMIT)
    async with serve(first, second) as server:
        async with rlfast.connect(
            server.url, type=rlfast.AgentEvent, options=options, timing=fake.timing
        ) as ws:
            summary = await capture(ws, tmp_path, CaptureOptions(max_events=3, batch_wait=0.01))
    assert (summary.events, summary.dead_letters, summary.gaps) == (3, len(BAD) + 1, 1)
    good = polars.read_parquet(tmp_path / "type=heartbeat" / "*.parquet")
    assert good["seq"].to_list() == [0, len(BAD) + 1, len(BAD) + 3]
    assert good["epoch"].to_list() == [1, 1, 2]
    letters = polars.read_parquet(tmp_path / "_dead_letters" / "*.parquet").sort("seq")
    assert letters["seq"].to_list() == [*range(1, len(BAD) + 1), len(BAD) + 2]
    assert letters["reason"].to_list() == [*(reason for _, _, reason in BAD), "message_too_big"]
    assert letters["raw"].to_list()[:-1] == [payload for payload, _, _ in BAD]
    assert all(letters["error"].to_list())
    assert str(LIMIT) in letters["error"][-1]


async def test_messages_of_other_kinds_are_kept_as_they_are(tmp_path: Path) -> None:
    async def handler(peer: Peer) -> None:
        await peer.write(frame(GOOD), *map(frame, OTHER), frame(GOOD))
        await peer.wait_closed()

    async with serve(handler) as server, rlfast.connect(server.url, type=rlfast.AgentEvent) as ws:
        summary = await capture(ws, tmp_path, CaptureOptions(max_events=2, batch_wait=0.01))
    assert (summary.events, summary.dead_letters) == (2, 0)
    assert {name: found.events for name, found in summary.types.items()} == {"heartbeat": 2, "_other": 5}
    table = polars.read_parquet(tmp_path / "_other" / "*.parquet")
    assert table["seq"].to_list() == [1, 2, 3, 4, 5]
    assert table["reason"].to_list() == [
        "unknown type 'quantum_leap'",
        "no tag 'type'",
        "no tag 'type'",
        "no tag 'type'",
        "a word",
    ]
    texts = [text.encode() for text in table["json"].to_list()]
    assert texts == [*OTHER[:4], b'"pong"']


@pytest.mark.parametrize("partition_by", [None, "hour"])
async def test_arrays_without_an_element_are_kept(
    tmp_path: Path, partition_by: Literal["hour"] | None
) -> None:
    """And a batch may have nothing else."""

    async def only(peer: Peer) -> None:
        await peer.write(frame(b"[]"), frame(b" [ ] "))
        await peer.close(1000)

    async with serve(only) as server:
        ws = rlfast.connect(server.url, type=list[rlfast.AgentEvent], backoff=None)
        sink = ParquetSink(tmp_path / "events", ParquetOptions(partition_by=partition_by))
        summary = await capture(ws, sink)
    assert (summary.events, summary.dead_letters, summary.error) == (0, 0, None)
    (path,) = (tmp_path / "events" / "_other").rglob("*.parquet")
    columns = ["seq", "item", "reason", "json"]
    assert polars.read_parquet(path, hive_partitioning=False, columns=columns).rows() == [
        (0, None, "an empty array", "[]"),
        (1, None, "an empty array", " [ ] "),
    ]
