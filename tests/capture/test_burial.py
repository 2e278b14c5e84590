from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest
from sample_events import PAYLOADS
from websockets.asyncio.server import ServerConnection, serve

from rlfast import AgentEvent, CaptureError, connect
from rlfast.capture import capture, compact, inspect_dataset, list_dead_letters, next_seq, redrive
from rlfast.sinks._lock import FolderLock
from rlfast.sinks.parquet._manifest import read_manifest

from .helpers import STREAM, column, dead_letters, part_files, write

N = len(PAYLOADS)
UNKNOWN = b'{"type":"plan_revised","plan":"p%d","steps":%d}'


class PlanRevised(msgspec.Struct, tag="plan_revised", tag_field="type"):
    plan: str
    steps: int


NEWER = AgentEvent | PlanRevised


def bury(out: Path) -> list[bytes]:
    messages = [
        PAYLOADS[0],
        UNKNOWN % (1, 3),
        b"{",
        UNKNOWN % (2, 5),
        b'{"type":"plan_revised","plan":1,"steps":1}',
        PAYLOADS[1],
        UNKNOWN % (3, 7),
    ]
    write(out, messages)
    return messages


def test_dead_letters_by_reason_with_samples(tmp_path: Path) -> None:
    bury(tmp_path)
    write(tmp_path, [b"\xff" + b"x" * 1000], first_seq=7)
    groups = list_dead_letters(tmp_path, samples=2)
    assert [(group.reason, group.count, len(group.samples)) for group in groups] == [
        ("unknown_type", 4, 2),
        ("malformed_json", 1, 1),
        ("invalid_utf8", 1, 1),
    ]
    sample = groups[0].samples[0]
    assert (sample.stream, sample.seq, sample.raw) == (STREAM, 1, (UNKNOWN % (1, 3)).decode())
    assert sample.received_at > 10**18
    assert groups[2].samples[0].raw.startswith("\\xffxxx")
    assert len(groups[2].samples[0].raw) == 201
    assert list_dead_letters(tmp_path, samples=0)[0].samples == ()


def test_what_fits_a_newer_type_becomes_events(tmp_path: Path) -> None:
    bury(tmp_path)
    before = {row["seq"]: row for row in read_meta(tmp_path)}
    report = redrive(tmp_path, NEWER)
    assert (report.read, report.events) == (5, {"plan_revised": 3})
    assert report.left == {"malformed_json": 1, "schema_mismatch": 1}
    assert column(tmp_path, "plan_revised", "plan") == ["p1", "p2", "p3"]
    assert column(tmp_path, "plan_revised", "steps") == [3, 5, 7]
    after = {row["seq"]: row for row in read_meta(tmp_path)}
    assert after == before
    assert [row["seq"] for row in dead_letters(tmp_path)] == [2, 4]
    found = inspect_dataset(tmp_path)
    assert found.healthy
    assert (found.unlisted, found.lost, found.streams[STREAM].holes) == ((), (), 0)
    assert (found.events, found.dead_letters) == (5, 2)
    assert next_seq(tmp_path, STREAM) == 7
    assert redrive(tmp_path, NEWER).events == {}
    assert len(read_manifest(tmp_path).entries) == 2


def read_meta(out: Path) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for path in part_files(out):
        table = pq.ParquetFile(path).read(["seq", "epoch", "received_at", "stream"])
        rows += table.set_column(2, "received_at", table["received_at"].cast("int64")).to_pylist()
    return sorted(rows, key=lambda row: int(str(row["seq"])))


def test_all_of_a_file_may_fit(tmp_path: Path) -> None:
    write(tmp_path, [UNKNOWN % (i, i) for i in range(3)])
    assert redrive(tmp_path, NEWER).left == {}
    assert dead_letters(tmp_path) == []
    assert json.loads((tmp_path / "_manifest.jsonl").read_text().splitlines()[1])["kind"] == "redrive"


def test_dead_letters_of_several_streams_are_not_mixed(tmp_path: Path) -> None:
    write(tmp_path, [UNKNOWN % (1, 1)])
    write(tmp_path, [UNKNOWN % (2, 2)], stream="other")
    write(tmp_path, [UNKNOWN % (3, 3)], first_seq=1, stream="other")
    compact(tmp_path)
    write(tmp_path, PAYLOADS, stream="without")
    with pytest.raises(CaptureError, match=rf"several streams: other, {STREAM}; .*--stream NAME"):
        redrive(tmp_path, NEWER)
    with pytest.raises(CaptureError, match="no stream othr; those with dead letters: other, test-stream"):
        redrive(tmp_path, NEWER, stream="othr")
    assert redrive(tmp_path, NEWER, stream="without").read == 0
    assert redrive(tmp_path, NEWER, stream="other").events == {"plan_revised": 2}
    assert column(tmp_path, "plan_revised", "stream") == ["other", "other"]
    assert [row["stream"] for row in dead_letters(tmp_path)] == [STREAM]
    assert redrive(tmp_path, NEWER).events == {"plan_revised": 1}


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    bury(tmp_path)
    with FolderLock(tmp_path, "capture"):
        with pytest.raises(CaptureError, match="is in use"):
            redrive(tmp_path, NEWER)
    for call in (lambda: list_dead_letters(tmp_path / "no"), lambda: redrive(tmp_path / "no", NEWER)):
        with pytest.raises(CaptureError, match="is not a folder"):
            call()


def test_dead_letters_of_more_than_one_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rlfast.sinks.parquet import _dead_letters

    monkeypatch.setattr(_dead_letters, "BLOCK_BYTES", 100)
    raws = [b'{"type":"t","n":%d}' % n if n % 3 else b"{" * (n + 1) for n in range(40)]
    write(tmp_path, raws)
    assert redrive(tmp_path, msgspec.defstruct("T", [("n", int)], tag="t")).events == {"t": 26}
    assert column(tmp_path, "t", "seq") == column(tmp_path, "t", "n") == [n for n in range(40) if n % 3]
    assert [row["seq"] for row in dead_letters(tmp_path)] == [n for n in range(40) if n % 3 == 0]


class Ask(msgspec.Struct, tag="ask", tag_field="T"):
    price: int
    seq: int = 0


class WideAsk(msgspec.Struct, tag="ask", tag_field="T"):
    price: float
    seq: int = 0

    def __post_init__(self) -> None:
        if self.price > 1e300:
            raise LookupError("too much")


class Bid(msgspec.Struct, tag="bid", tag_field="T"):
    price: float | None


ARRAYS = (
    b'[{"T":"ask","price":1},{"T":"ask","price":1.5,"seq":7},{"T":"bid","price":2},{"T":"ask","price":"x"}]',
    b'[{"T":"bid","price":null}]',
    b"[]",
    b'{"T":"ask","price":2.5}',
    b'[{"T":"halt"},{"T":"ask","price":3},{"T":"ask","price":1e301},{"T":"ask","price":3.5,"new":[1]}]',
    b'[{"T":"ask","price":4},',
)


async def test_elements_of_messages_become_events_in_their_places(tmp_path: Path) -> None:
    async def send(ws: ServerConnection) -> None:
        for message in ARRAYS:
            await ws.send(message)

    async with serve(send, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        summary = await capture(connect(url, type=list[Ask], stream=STREAM, backoff=None), tmp_path)
    assert (summary.events, summary.dead_letters) == (2, 6)

    with pytest.raises(CaptureError, match="elements of messages"):
        redrive(tmp_path, WideAsk | Bid)
    # The whole message that is no array is one still.
    report = redrive(tmp_path, list[WideAsk | Bid])
    assert report.events == {"ask": 2, "bid": 2}
    assert report.left == {"schema_mismatch": 2, "hook_error": 1, "malformed_json": 1, "other": 2}

    def places(folder: str, *fields: str) -> list[tuple[Any, ...]]:
        seq = "rlfast_seq" if folder.startswith("type=") else "seq"
        files = [pq.ParquetFile(path).read().to_pylist() for path in (tmp_path / folder).glob("*.parquet")]
        return sorted(tuple(row[name] for name in (seq, "item", *fields)) for rows in files for row in rows)

    assert places("type=ask", "price", "seq", "_extra") == [
        (0, 0, 1.0, 0, None),
        (0, 1, 1.5, 7, None),
        (4, 1, 3.0, 0, None),
        (4, 3, 3.5, 0, '{"new":[1]}'),
    ]
    assert places("type=bid", "price") == [(0, 2, 2.0), (1, 0, None)]
    assert places("_other", "json") == [(2, None, "[]"), (4, 0, '{"T":"halt"}')]
    assert places("_dead_letters", "raw") == [
        (0, 3, b'{"T":"ask","price":"x"}'),
        (3, None, ARRAYS[3]),
        (4, 2, b'{"T":"ask","price":1e301}'),
        (5, None, ARRAYS[5]),
    ]
    assert redrive(tmp_path, list[WideAsk | Bid]).events == {}
    # The price was an integer, and is none any more.
    compact(tmp_path, unify=True)
    found = inspect_dataset(tmp_path)
    assert found.healthy
    assert found.streams[STREAM].holes == 0
