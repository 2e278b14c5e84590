from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlfast import CaptureError, ConfigError
from rlfast.capture import (
    compact,
    inspect_dataset,
    list_dead_letters,
    next_seq,
    open_dataset,
    recover,
    redrive,
    resume,
)
from rlfast.sinks import ParquetSink
from rlfast.sinks._files import ensure_folder, explain, stream_key, temporary_name
from rlfast.sinks.parquet._layout import (
    LONGEST_FOLDER,
    final_name,
    is_type_folder,
    part_files,
    temporary_files,
    type_folder,
    type_of_folder,
)


@given(st.text(st.characters(codec="utf-8"), min_size=1))
def test_a_type_becomes_one_folder_and_comes_back(tag: str) -> None:
    folder = type_folder(tag)
    assert is_type_folder(folder)
    assert (type_of_folder(folder) == tag) == ("~" not in folder or "~" in tag)
    assert folder.isascii()
    assert len(folder) <= LONGEST_FOLDER
    assert not set(folder) & set('/\\:*?"<>|\0')


def test_long_types_have_short_folders_of_their_own() -> None:
    tags = ["название" * 20 + end for end in ("", "1", "2")] + ["x" * 300, "x" * 301]
    folders = {type_folder(tag) for tag in tags}
    assert len(folders) == len(tags)
    assert max(map(len, folders)) <= LONGEST_FOLDER
    assert type_folder("x" * 195) == "type=" + "x" * 195
    # What is left of it can be read: no character is cut in the middle.
    assert type_of_folder(type_folder(tags[0])).startswith("названиеназвание")
    assert "\ufffd" not in type_of_folder(type_folder(tags[0]))


@given(st.lists(st.integers(0, 2**62), min_size=2, max_size=2))
def test_names_sort_by_sequence_number(seqs: list[int]) -> None:
    assert sorted(final_name("s", seq) for seq in seqs) == [final_name("s", seq) for seq in sorted(seqs)]


def test_streams_have_names_of_their_own() -> None:
    assert stream_key("agent_events:a") != stream_key("agent_events:b")
    assert final_name("agent_events:a", 7) == f"part-{stream_key('agent_events:a')}-{7:020d}.parquet"


def test_a_temporary_name_is_hidden_and_never_the_same() -> None:
    names = {temporary_name("part-1.parquet") for _ in range(100)}
    assert len(names) == 100
    assert all(name.startswith(".part-1.parquet.") and name.endswith(".tmp") for name in names)


def test_part_and_temporary_files_are_told_apart(tmp_path: Path) -> None:
    folder = tmp_path / "type=a"
    folder.mkdir()
    (tmp_path / "other").mkdir()
    part = folder / final_name("s", 0)
    temporary = folder / temporary_name(part.name)
    stranger = folder / final_name("t", 0)
    for path in (part, temporary, stranger, folder / "notes.txt", tmp_path / "other" / part.name):
        path.touch()
    assert list(part_files(tmp_path, "s")) == [part]
    assert set(part_files(tmp_path)) == {part, stranger}
    assert list(temporary_files(tmp_path)) == [temporary]


@pytest.mark.parametrize(
    "url",
    ["s3://bucket/x", "gs://b", "file:///tmp/x", "https://h/x", "delta+s3://b/x", "S3://b", "abfss://c@a/x"],
)
@pytest.mark.parametrize("kind", [str, Path])
def test_a_url_is_not_taken_for_a_folder(
    url: str, kind: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    out = kind(url)
    calls: list[Callable[[], object]] = [
        lambda: ParquetSink(out),
        lambda: open_dataset(out),
        lambda: next_seq(out, "s"),
        lambda: resume(out, "s"),
        lambda: recover(out),
        lambda: compact(out),
        lambda: redrive(out, None),
        lambda: list_dead_letters(out),
        lambda: inspect_dataset(out),
    ]
    for call in calls:
        with pytest.raises(ConfigError, match=r"^(out|path) is a URL \([\w+]+:/+…\), and rlfast .* name one"):
            call()
    assert list(tmp_path.iterdir()) == []


def test_ensure_folder_makes_parents_and_accepts_what_is_there(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b" / "c"
    ensure_folder(folder)
    ensure_folder(folder)
    assert folder.is_dir()


def test_ensure_folder_below_a_file_fails(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "a"):
        with pytest.raises(NotADirectoryError):
            ensure_folder(path)


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EACCES, "change the permissions"),
        (errno.EROFS, "choose a folder that can be written to"),
        (errno.ENOTDIR, "a part of this path is a file"),
        (errno.EFBIG, "raise the limit"),
        (errno.ELOOP, "check the file system"),
    ],
)
def test_an_error_says_what_to_do(code: int, remedy: str) -> None:
    error = explain(OSError(code, "long text of a library"), Path("/data/out"))
    assert isinstance(error, CaptureError)
    assert error.errno == code
    assert str(error).startswith(f"cannot write /data/out: {os.strerror(code)}; ")
    assert remedy in str(error)
    assert explain(error, Path("/elsewhere")) is error


def test_an_error_without_a_number_keeps_its_text() -> None:
    assert "cannot write /x: odd; " in str(explain(OSError("odd"), Path("/x")))
