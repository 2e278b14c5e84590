from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
import xxhash
from sample_events import EVENTS, PAYLOADS

from rlfast import CaptureError, __version__
from rlfast.capture import RotationPolicy, recover
from rlfast.sinks.parquet import _file as parquet_module
from rlfast.sinks.parquet import _segment as segment_module
from rlfast.sinks.parquet._file import schema_fingerprint
from rlfast.sinks.parquet._layout import final_name
from rlfast.sinks.parquet._manifest import ManifestFile, read_manifest

from .helpers import (
    STREAM,
    DatasetWriter,
    add,
    batch_of,
    dead_letters,
    files,
    part_files,
    rows,
    sent,
    stored,
    write,
)

N = len(PAYLOADS)
TYPES = len({event["type"] for event in EVENTS})


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def writer_with(out: Path, clock: Clock | None = None, **rotation: float) -> DatasetWriter:
    policy = RotationPolicy(**rotation)  # type: ignore[arg-type]
    return DatasetWriter(out, STREAM, None, clock or Clock(), rotation=policy)


def add_payloads(writer: DatasetWriter, first_seq: int) -> None:
    add(writer, batch_of(PAYLOADS, first_seq))


def first_seqs(out: Path) -> list[int]:
    return [entry.first_seq for entry in read_manifest(out).entries]


def test_nothing_is_visible_before_the_commit(tmp_path: Path) -> None:
    writer = writer_with(tmp_path)
    add_payloads(writer, 0)
    assert part_files(tmp_path) == []
    writer.commit()
    assert len(part_files(tmp_path)) == TYPES
    assert not [name for name in files(tmp_path) if name.endswith(".tmp")]
    writer.commit()
    assert len(read_manifest(tmp_path).entries) == 1


def test_the_manifest_line_describes_the_segment(tmp_path: Path) -> None:
    writer = writer_with(tmp_path)
    batch = batch_of([*PAYLOADS, b"{"], 5)
    add(writer, batch)
    writer.commit()
    (entry,) = read_manifest(tmp_path).entries
    assert (entry.stream, entry.first_seq, entry.last_seq) == (STREAM, 5, 5 + N)
    assert (entry.events, entry.dead_letters, entry.epochs) == (N, 1, (1, 1))
    received = [int(time) for table in batch.values() for time in table["received_at"].astype("int64")]
    assert entry.received_at == (min(received), max(received))
    assert entry.rlfast == __version__
    assert sorted(file.path for file in entry.files) == [
        path.relative_to(tmp_path).as_posix() for path in part_files(tmp_path)
    ]
    path = tmp_path / "type=kb_change" / final_name(STREAM, 5)
    checksum = xxhash.xxh3_64_hexdigest(path.read_bytes())
    schema = schema_fingerprint(pq.read_schema(path).remove_metadata())
    assert (
        ManifestFile(path.relative_to(tmp_path).as_posix(), 1, path.stat().st_size, checksum, schema)
        in entry.files
    )
    assert sum(file.rows for file in entry.files) == N + 1
    assert sum(file.bytes for file in entry.files) == writer.parquet.nbytes


def test_rotation_by_rows(tmp_path: Path) -> None:
    writer = writer_with(tmp_path, max_rows=2 * N)
    for i in range(5):
        add_payloads(writer, i * N)
    writer.commit()
    assert first_seqs(tmp_path) == [0, 2 * N, 4 * N]
    assert stored(tmp_path) == sent(PAYLOADS * 5)


def test_rotation_by_age(tmp_path: Path) -> None:
    clock = Clock()
    writer = writer_with(tmp_path, clock, interval=10.0)
    assert writer.seconds_to_commit() is None
    add_payloads(writer, 0)
    clock.now += 9.5
    assert writer.seconds_to_commit() == pytest.approx(0.5)
    writer.commit_if_due()
    assert part_files(tmp_path) == []
    clock.now += 0.5
    writer.commit_if_due()
    assert first_seqs(tmp_path) == [0]
    assert writer.seconds_to_commit() is None


def test_rotation_by_bytes_counts_what_is_not_written_yet(tmp_path: Path) -> None:
    payloads = [
        b'{"type":"kb_change","change_type":"added","sort":"s%d","term_id":"%08x-0000-4000-8000-%012x"}'
        % (i * 7919, i * 2654435761 % 2**32, i * 40503 % 2**48)
        for i in range(20_000)
    ]
    writer = writer_with(tmp_path, max_bytes=40_000)
    for start in range(0, 20_000, 500):
        batch = batch_of(payloads[start : start + 500], start)
        add(writer, batch)
    writer.commit()
    sizes = [sum(file.bytes for file in entry.files) for entry in read_manifest(tmp_path).entries]
    # The first segment goes by a guess of the compression, the others by what was measured.
    assert len(sizes) >= 4
    assert all(32_000 < size < 50_000 for size in sizes[1:-1])


def test_memory_is_bounded_by_writing_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment_module, "MAX_PENDING_BYTES", 20_000)
    assert parquet_module.ROW_GROUP_ROWS > 100 * N
    writer = writer_with(tmp_path)
    for i in range(100):
        add_payloads(writer, i * N)
        segment = writer.parquet._segment
        assert segment is not None
        assert sum(file.pending_bytes for file in segment.files.values()) <= 20_000
    assert [name for name in files(tmp_path) if name.endswith(".tmp")]
    writer.commit()
    assert stored(tmp_path) == sent(PAYLOADS * 100)


@pytest.mark.parametrize("last", range(N + 4))
def test_a_batch_is_cut_at_any_message(tmp_path: Path, last: int) -> None:
    payloads = [*PAYLOADS[:4], b"{", b"[]", *PAYLOADS[4:], b"}", b"1"]
    writer = writer_with(tmp_path)
    add(writer, batch_of(payloads, 50), 50 + last)
    writer.commit()
    kept = payloads[: last + 1]
    good = {50 + i: payload for i, payload in enumerate(kept) if payload in PAYLOADS}
    assert rows(tmp_path) == dict(zip(good, sent(good.values()), strict=True))
    assert [row["raw"] for row in dead_letters(tmp_path)] == [raw for raw in kept if raw not in PAYLOADS]
    (entry,) = read_manifest(tmp_path).entries
    assert (entry.first_seq, entry.last_seq) == (50, 50 + last)
    assert entry.events + entry.dead_letters == last + 1


def test_a_hole_between_batches_is_refused(tmp_path: Path) -> None:
    writer = writer_with(tmp_path)
    add_payloads(writer, 0)
    with pytest.raises(ValueError, match=f"batch starts at seq {N + 1} behind {N - 1}"):
        add_payloads(writer, N + 1)
    writer.abort()
    assert files(tmp_path) == []


def test_an_existing_file_is_never_overwritten(tmp_path: Path) -> None:
    write(tmp_path, PAYLOADS)
    before = {path: path.read_bytes() for path in part_files(tmp_path)}
    with pytest.raises(CaptureError, match="File exists; another capture writes here"):
        write(tmp_path, PAYLOADS[::-1])
    assert {path: path.read_bytes() for path in part_files(tmp_path)} == before
    assert not [name for name in files(tmp_path) if name.endswith(".tmp")]


def test_a_commit_that_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    write(tmp_path, PAYLOADS[:2])
    committed = files(tmp_path)
    writer = writer_with(tmp_path)
    # The last table of the batch cannot get its final name, when others have theirs already.
    taken = tmp_path / "type=error" / final_name(STREAM, 2)
    taken.mkdir(parents=True)
    add_payloads(writer, 2)
    with pytest.raises(CaptureError, match="type=error"):
        writer.commit()
    assert files(tmp_path) == committed
    assert first_seqs(tmp_path) == [0]
    assert writer.seconds_to_commit() is None
    writer.commit()


def test_a_table_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "type=heartbeat").touch()
    writer = writer_with(tmp_path)
    add_payloads(writer, 0)
    with pytest.raises(
        CaptureError, match="type=heartbeat.*: Not a directory; a part of this path is a file"
    ):
        writer.commit()
    assert files(tmp_path) == ["type=heartbeat"]


def test_a_manifest_that_cannot_be_written_leaves_a_commit_to_be_completed(tmp_path: Path) -> None:
    writer = writer_with(tmp_path)
    (tmp_path / "_manifest.jsonl").mkdir()
    add_payloads(writer, 0)
    with pytest.raises(CaptureError, match="cannot complete a commit in"):
        writer.commit()
    (tmp_path / "_manifest.jsonl").rmdir()
    assert recover(tmp_path).commit == "completed"
    assert stored(tmp_path) == sent(PAYLOADS)
    assert {file.path for file in read_manifest(tmp_path).entries[0].files} == {
        path.relative_to(tmp_path).as_posix() for path in part_files(tmp_path)
    }
