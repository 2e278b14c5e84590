from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from sample_events import PAYLOADS

from rlfast import CaptureError
from rlfast.capture import compact, inspect_dataset, next_seq
from rlfast.sinks import ParquetOptions
from rlfast.sinks._lock import FolderLock
from rlfast.sinks.parquet._manifest import read_manifest
from rlfast.sinks.parquet._transaction import INTENT

from .helpers import STREAM, dead_letters, files, part_files, sent, stored, write

N = len(PAYLOADS)


def grow(out: Path, segments: int, **options: object) -> None:
    for _ in range(segments):
        write(out, PAYLOADS, first_seq=next_seq(out, STREAM), options=ParquetOptions(**options))  # type: ignore[arg-type]


def test_small_files_become_one_per_table(tmp_path: Path) -> None:
    grow(tmp_path, 5)
    before = len(part_files(tmp_path))
    report = compact(tmp_path)
    after = part_files(tmp_path)
    assert stored(tmp_path) == sent(PAYLOADS * 5)
    assert (report.merged, report.written, before) == (before, len(after), 5 * len(after))
    assert report.bytes_after == sum(path.stat().st_size for path in after) < report.bytes_before
    assert set(read_manifest(tmp_path).files) == {path.relative_to(tmp_path).as_posix() for path in after}
    found = inspect_dataset(tmp_path)
    assert found.healthy
    assert (found.unlisted, found.lost, found.unfinished, found.events) == ((), (), (), 5 * N)
    assert next_seq(tmp_path, STREAM) == 5 * N
    assert compact(tmp_path).merged == 0
    grow(tmp_path, 1)
    compact(tmp_path)
    assert stored(tmp_path) == sent(PAYLOADS * 6)


def test_files_are_merged_up_to_the_target(tmp_path: Path) -> None:
    grow(tmp_path, 4)
    sizes = {path.parent: path.stat().st_size for path in part_files(tmp_path)}
    compact(tmp_path, target_bytes=2 * max(sizes.values()) + 64)
    assert {len(list(folder.glob("part-*"))) for folder in sizes} == {2}
    assert stored(tmp_path) == sent(PAYLOADS * 4)


def test_streams_dead_letters_and_schemas_stay_apart(tmp_path: Path) -> None:
    grow(tmp_path, 2)
    write(tmp_path, PAYLOADS, stream="other")
    grow(tmp_path, 1, uuid="binary")
    write(tmp_path, [b"{", b"}"], first_seq=3 * N)
    write(tmp_path, [b"["], first_seq=3 * N + 2)
    compact(tmp_path)
    assert [row["raw"] for row in dead_letters(tmp_path)] == [b"{", b"}", b"["]
    found = inspect_dataset(tmp_path)
    assert found.healthy
    assert {name: stream.messages for name, stream in found.streams.items()} == {
        STREAM: 3 * N + 3,
        "other": N,
    }
    # kb_change: two with text ids in one file, one with binary ones, one of the other stream.
    assert len(list((tmp_path / "type=kb_change").iterdir())) == 3


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    grow(tmp_path, 2)
    with FolderLock(tmp_path, "capture of something"):
        with pytest.raises(CaptureError, match=r"is in use by process \d+ on .*capture of something"):
            compact(tmp_path)
    with pytest.raises(CaptureError, match="is not a folder"):
        compact(tmp_path / "missing")


def test_readers_by_the_manifest_see_every_event_once_at_each_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between any two changes of the disk, what the manifest lists is whole."""
    import os

    from rlfast.sinks.parquet import _transaction as transaction

    grow(tmp_path, 3)
    seen = []

    def look(*_: object) -> None:
        listed = read_manifest(tmp_path).files
        present = {name for name in listed if (tmp_path / name).exists()}
        # After the line is written old files go; before it the new ones are extra.
        assert present == set(listed)
        seen.append(sum(file.rows for file in listed.values()))

    for name in ("sync_folder", "append_entry"):
        real = getattr(transaction, name)
        monkeypatch.setattr(
            transaction, name, lambda *arguments, real=real: (look(), real(*arguments), look())[1]
        )
    real_rename = os.rename
    monkeypatch.setattr(os, "rename", lambda *names: (real_rename(*names), look())[0])
    compact(tmp_path)
    assert set(seen) == {3 * N}
    assert not (tmp_path / INTENT).exists()


def test_partitions_stay_apart(tmp_path: Path) -> None:
    options = ParquetOptions(partition_by="hour")
    from rlfast.sinks.parquet._rows import RowMaker

    from .helpers import DatasetWriter, batch_of

    tmp_path.mkdir(exist_ok=True)
    for i, hour in itertools.product(range(2), (9, 10)):
        del i
        first = next_seq(tmp_path, STREAM)
        writer = DatasetWriter(tmp_path, STREAM, options)
        batch = batch_of(PAYLOADS, first)
        writer.add(RowMaker(STREAM).make(batch, batch.last_seq, None, f"date=2026-11-23/hour={hour:02d}"))
        writer.commit()
    compact(tmp_path)
    assert stored(tmp_path) == sent(PAYLOADS * 4)
    assert len([name for name in files(tmp_path) if "type=heartbeat/date=2026-11-23/hour=" in name]) == 2
    assert inspect_dataset(tmp_path).healthy
