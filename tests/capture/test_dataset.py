from __future__ import annotations

from pathlib import Path

import pytest
from sample_events import PAYLOADS

from rlfast import CaptureError
from rlfast.capture import next_seq
from rlfast.sinks._files import prepare_folder
from rlfast.sinks.parquet._layout import MANIFEST, final_name

from .helpers import STREAM, files, write

N = len(PAYLOADS)


def test_a_new_folder_is_made_and_left_empty(tmp_path: Path) -> None:
    out = tmp_path / "a" / "b"
    prepare_folder(out)
    prepare_folder(out)
    assert files(out) == []
    assert next_seq(out, STREAM) == 0


@pytest.mark.parametrize("below", ["file", "file/folder"])
def test_a_folder_below_a_file_is_refused(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        CaptureError, match="cannot write to the folder .*Not a directory; a part of this path"
    ):
        prepare_folder(tmp_path / below)


def test_a_folder_that_takes_no_files_is_refused() -> None:
    with pytest.raises(CaptureError, match="cannot write to the folder /proc/self"):
        prepare_folder(Path("/proc/self"))


def test_the_sequence_goes_on_behind_the_last_segment(tmp_path: Path) -> None:
    assert next_seq(tmp_path / "missing", STREAM) == 0
    write(tmp_path, PAYLOADS)
    assert next_seq(tmp_path, STREAM) == N
    write(tmp_path, PAYLOADS, first_seq=N)
    assert next_seq(tmp_path, STREAM) == 2 * N
    # A trailing dead letter has a number, too.
    write(tmp_path, [b"{"], first_seq=2 * N)
    assert next_seq(tmp_path, STREAM) == 2 * N + 1


def test_each_stream_has_its_own_sequence(tmp_path: Path) -> None:
    write(tmp_path, PAYLOADS)
    write(tmp_path, PAYLOADS[:3], stream="other")
    assert next_seq(tmp_path, STREAM) == N
    assert next_seq(tmp_path, "other") == 3
    assert next_seq(tmp_path, "third") == 0


def test_files_that_the_manifest_does_not_list_count(tmp_path: Path) -> None:
    write(tmp_path, PAYLOADS)
    manifest = (tmp_path / MANIFEST).read_bytes()
    write(tmp_path, PAYLOADS[:5], first_seq=N)
    for text in (manifest, manifest + b'{"stream":"te', b""):
        (tmp_path / MANIFEST).write_bytes(text)
        assert next_seq(tmp_path, STREAM) == N + 5
    (tmp_path / MANIFEST).unlink()
    assert next_seq(tmp_path, STREAM) == N + 5


@pytest.mark.parametrize("content", [b"", b"PAR1 no footer"])
def test_a_file_of_the_stream_that_cannot_be_read_is_named(tmp_path: Path, content: bytes) -> None:
    write(tmp_path, PAYLOADS)
    broken = tmp_path / "type=kb_change" / final_name(STREAM, N)
    broken.write_bytes(content)
    with pytest.raises(CaptureError, match=f"{broken.name} is not a Parquet file that rlfast wrote.*move it"):
        next_seq(tmp_path, STREAM)
    assert next_seq(tmp_path, "other") == 0
