from __future__ import annotations

import random
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_events import EVENTS, PAYLOADS

from rlfast import CaptureError
from rlfast.capture import inspect_dataset
from rlfast.sinks._files import temporary_name
from rlfast.sinks.parquet._inspect import MAX_HOLES, _SequenceCheck
from rlfast.sinks.parquet._layout import MANIFEST, final_name
from rlfast.sinks.parquet._manifest import read_manifest

from .helpers import STREAM, part_files, write

N = len(PAYLOADS)


def test_a_healthy_data_set(tmp_path: Path) -> None:
    write(tmp_path, [*PAYLOADS, b"{", b"{", b"[]"])
    write(tmp_path, PAYLOADS, first_seq=N + 3)
    report = inspect_dataset(tmp_path)
    assert report.healthy
    assert (report.events, report.dead_letters, report.segments) == (2 * N, 3, 2)
    assert report.dead_letter_reasons == {"malformed_json": 2, "schema_mismatch": 1}
    assert report.files == len(part_files(tmp_path))
    assert report.bytes == sum(path.stat().st_size for path in part_files(tmp_path))
    counts = {name: found.events for name, found in report.types.items()}
    assert counts == {
        name: 2 * [event["type"] for event in EVENTS].count(name)
        for name in {event["type"] for event in EVENTS}
    }
    assert list(counts.values()) == sorted(counts.values(), reverse=True)
    assert sum(found.bytes for found in report.types.values()) < report.bytes
    stream = report.streams[STREAM]
    assert (stream.messages, stream.first_seq, stream.last_seq) == (2 * N + 3, 0, 2 * N + 2)
    assert (stream.holes, stream.missing, stream.hole_list, stream.duplicates) == (0, 0, (), 0)
    spans = [entry.received_at for entry in read_manifest(tmp_path).entries]
    assert report.received_at == (spans[0][0] // 1000 * 1000, spans[1][1] // 1000 * 1000)
    assert report.unreadable == report.unlisted == report.lost == report.unfinished == ()
    assert report.damaged_manifest_lines == ()


def test_a_hole_between_and_within_segments(tmp_path: Path) -> None:
    write(tmp_path, PAYLOADS)
    write(tmp_path, PAYLOADS, first_seq=N + 5)
    (tmp_path / "type=attention_shift" / final_name(STREAM, 0)).unlink()
    report = inspect_dataset(tmp_path)
    stream = report.streams[STREAM]
    assert (stream.holes, stream.missing) == (2, 7)
    assert stream.hole_list == ((4, 5), (N, N + 4))
    assert report.lost == (f"type=attention_shift/{final_name(STREAM, 0)}",)
    assert report.healthy


def test_streams_are_told_apart(tmp_path: Path) -> None:
    write(tmp_path, PAYLOADS)
    write(tmp_path, PAYLOADS[:4], first_seq=100, stream="other")
    report = inspect_dataset(tmp_path)
    assert {name: stream.first_seq for name, stream in report.streams.items()} == {STREAM: 0, "other": 100}
    assert report.streams["other"].holes == 0


def test_numbers_that_occur_twice(tmp_path: Path) -> None:
    write(tmp_path, PAYLOADS)
    write(tmp_path, PAYLOADS, first_seq=N - 2)
    report = inspect_dataset(tmp_path)
    assert report.streams[STREAM].duplicates == 2
    assert report.streams[STREAM].holes == 0
    assert not report.healthy


@pytest.mark.parametrize("damage", ["empty", "cut", "garbage", "body"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, damage: str) -> None:
    rng = random.Random(3)
    write(tmp_path, PAYLOADS * 200)
    path = tmp_path / "type=error" / final_name(STREAM, 0)
    content = bytearray(path.read_bytes())
    if damage == "body":
        # Whole pages of the column seq, behind a footer that is fine.
        start = pq.read_metadata(path).row_group(0).column(0).data_page_offset
        content[start : start + 60] = rng.randbytes(60)
    path.write_bytes({"empty": b"", "cut": bytes(content[:-9]), "garbage": b"x" * 999}.get(damage, content))
    report = inspect_dataset(tmp_path)
    assert [file.path for file in report.unreadable] == [f"type=error/{path.name}"]
    assert report.unreadable[0].error
    assert "\n" not in report.unreadable[0].error
    assert not report.healthy
    assert "error" not in report.types
    assert report.events == 200 * (N - 1)
    assert report.streams[STREAM].missing >= 199


def test_files_of_strangers_are_named(tmp_path: Path) -> None:
    write(tmp_path, PAYLOADS)
    table = pq.ParquetFile(tmp_path / "type=error" / final_name(STREAM, 0)).read()
    pq.write_table(table.replace_schema_metadata(None), tmp_path / "type=error" / "part-9.parquet")
    report = inspect_dataset(tmp_path)
    (file,) = report.unreadable
    assert file.path == "type=error/part-9.parquet"
    assert "not written by rlfast" in file.error
    assert report.events == N


def test_what_the_manifest_and_the_folder_disagree_about(tmp_path: Path) -> None:
    write(tmp_path, PAYLOADS)
    write(tmp_path, PAYLOADS, first_seq=N)
    manifest = tmp_path / MANIFEST
    manifest.write_text(manifest.read_text().splitlines()[0] + '\n{"stream":')
    unfinished = tmp_path / "type=error" / temporary_name("part-1.parquet")
    unfinished.touch()
    report = inspect_dataset(tmp_path)
    assert report.damaged_manifest_lines == (2,)
    assert all(name.endswith(final_name(STREAM, N)) for name in report.unlisted)
    assert len(report.unlisted) == len(part_files(tmp_path)) / 2
    assert report.unfinished == (f"type=error/{unfinished.name}",)
    assert report.events == 2 * N


def test_a_folder_that_is_no_data_set(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CaptureError, match="holds no data set"):
        inspect_dataset(tmp_path)
    for path in (tmp_path / "file", tmp_path / "missing"):
        with pytest.raises(CaptureError, match="is not a folder; name the folder of a capture"):
            inspect_dataset(path)


@given(st.sets(st.integers(0, 60), min_size=1), st.integers(1, 7))
def test_holes_are_those_of_the_set_however_it_is_cut(seqs: set[int], parts: int) -> None:
    import numpy as np

    ordered = sorted(seqs)
    check = _SequenceCheck()
    for chunk in np.array_split(np.array(ordered), parts):
        check.add(chunk, np.full(len(chunk), -1))
    report = check.report()
    missing = set(range(ordered[0], ordered[-1] + 1)) - seqs
    assert {seq for first, last in report.hole_list for seq in range(first, last + 1)} == missing
    assert (report.missing, report.messages, report.duplicates) == (len(missing), len(seqs), 0)
    assert report.holes == len(report.hole_list) == sum(seq - 1 not in missing for seq in missing)
    assert (report.first_seq, report.last_seq) == (ordered[0], ordered[-1])


def test_elements_of_a_message_are_no_duplicates_of_each_other() -> None:
    import numpy as np

    check = _SequenceCheck()
    check.add(np.array([4, 5, 5, 5, 6, 6]), np.array([-1, 0, 1, 1, -1, -1]))
    report = check.report()
    assert (report.messages, report.holes, report.duplicates) == (6, 0, 2)


def test_many_holes_are_counted_and_some_listed() -> None:
    import numpy as np

    check = _SequenceCheck()
    check.add(np.arange(0, 6 * MAX_HOLES, 2), np.full(3 * MAX_HOLES, -1))
    report = check.report()
    assert report.holes == report.missing == 3 * MAX_HOLES - 1
    assert len(report.hole_list) == MAX_HOLES
    assert report.hole_list[-1] == (2 * MAX_HOLES - 1, 2 * MAX_HOLES - 1)
