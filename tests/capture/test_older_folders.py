"""A folder that an earlier version wrote: read, recovered, continued and compacted.

``data/before.tar.xz`` was made by rlfast 0.1.0 before it was published: a run of 201 messages, one of them no
JSON, over two connections that the server closed; and 100 of a run that was killed, in its journal.
"""

from __future__ import annotations

import tarfile
from itertools import islice
from pathlib import Path

import duckdb
import pytest
from wsserver import Peer, close_frame, frame, serve

import rlfast
from rlfast.capture import capture, compact, inspect_dataset, recover
from rlfast.simulator._events import agent_events

from .helpers import gaps, rows, sent

AGENT = "11111111-2222-3333-4444-555555555555"
SENT = list(islice(agent_events(7, AGENT, 300), 350))
DATA = Path(__file__).parent / "data" / "before.tar.xz"


@pytest.fixture
def before(tmp_path: Path) -> Path:
    with tarfile.open(DATA) as file:
        file.extractall(tmp_path, filter="data")
    return tmp_path / "events"


def test_it_is_read_and_recovered(before: Path) -> None:
    assert list(rows(before).values()) == sent(SENT[:200])
    report = inspect_dataset(before)
    assert (report.events, report.dead_letters, dict(report.uncommitted)) == (200, 1, {"old": 100})
    assert [found.messages for found in recover(before).streams] == [100]
    assert list(rows(before).values()) == sent(SENT[:300])
    assert [(gap.last_seq, gap.close_code, gap.close_reason) for gap in inspect_dataset(before).gaps] == [
        (100, 1008, None),
        (200, 1000, None),
        (200, None, None),
    ]


async def test_it_is_continued_and_compacted(before: Path) -> None:
    async def handler(peer: Peer) -> None:
        await peer.write(*map(frame, SENT[300:]), close_frame(4001, b"token expired"))
        await peer.wait_closed()

    async with serve(handler) as server:
        connecting = rlfast.connect(server.url, type=rlfast.AgentEvent, stream="old", backoff=None)
        summary = await capture(connecting, before)
    assert (summary.first_seq, summary.last_seq, summary.reason) == (301, 350, "connection_failed")
    assert summary.gap_reasons == {"crashed": 1, "closed_by_peer, code 4001: token expired": 1}
    assert list(rows(before).values()) == sent(SENT)
    assert [(gap["last_seq"], gap["reason"], gap["close_code"]) for gap in gaps(before)] == [
        (100, "closed_by_peer", 1008),
        (200, "closed_by_peer", 1000),
        (200, "capture_stopped", None),
        (300, "crashed", None),
        (350, "closed_by_peer", 4001),
    ]
    reasons = duckdb.sql(
        f"select close_reason from read_parquet('{before}/_gaps/*.parquet', union_by_name=true) "
        "where close_reason is not null"
    )
    assert reasons.fetchall() == [("token expired",)]
    compact(before)
    assert list(rows(before).values()) == sent(SENT)
    assert inspect_dataset(before).streams["old"].holes == 0
