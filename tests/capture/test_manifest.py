from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from rlfast.sinks.parquet._layout import MANIFEST
from rlfast.sinks.parquet._manifest import ManifestEntry, ManifestFile, append_entry, read_manifest

ENTRY = ManifestEntry(
    stream="agent_events:é",
    first_seq=5,
    last_seq=9,
    events=4,
    dead_letters=1,
    epochs=(1, 2),
    received_at=(1_790_000_000_000_000_001, 1_790_000_000_000_000_002),
    files=(
        ManifestFile("type=a/part-1.parquet", 4, 1000),
        ManifestFile("_dead_letters/part-1.parquet", 1, 90),
    ),
    rlfast="0.1.0",
)
NEXT = msgspec.structs.replace(ENTRY, first_seq=10, last_seq=19)


def test_entries_come_back_in_order(tmp_path: Path) -> None:
    append_entry(tmp_path, ENTRY)
    append_entry(tmp_path, NEXT)
    manifest = read_manifest(tmp_path)
    assert manifest.entries == (ENTRY, NEXT)
    assert manifest.damaged_lines == ()
    lines = (tmp_path / MANIFEST).read_text().splitlines()
    assert [json.loads(line)["first_seq"] for line in lines] == [5, 10]


def test_a_folder_without_manifest_has_no_entries(tmp_path: Path) -> None:
    assert read_manifest(tmp_path).entries == ()
    assert read_manifest(tmp_path / "missing").entries == ()


@pytest.mark.parametrize("cut", [1, 20, -2])
def test_half_a_line_spoils_no_other(tmp_path: Path, cut: int) -> None:
    append_entry(tmp_path, ENTRY)
    path = tmp_path / MANIFEST
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:cut])
    assert read_manifest(tmp_path).damaged_lines == (2,)
    append_entry(tmp_path, NEXT)
    manifest = read_manifest(tmp_path)
    assert manifest.entries == (ENTRY, NEXT)
    assert manifest.damaged_lines == ()


def test_a_line_that_lacks_only_its_end_is_whole(tmp_path: Path) -> None:
    append_entry(tmp_path, ENTRY)
    path = tmp_path / MANIFEST
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    append_entry(tmp_path, NEXT)
    manifest = read_manifest(tmp_path)
    assert (manifest.entries, manifest.damaged_lines) == ((ENTRY, NEXT), ())
    assert read_manifest(tmp_path).entries == (ENTRY, NEXT)


def test_fields_of_a_later_version_are_passed_over(tmp_path: Path) -> None:
    line = json.loads(msgspec.json.encode(ENTRY)) | {"checksum": "…", "partition": {"hour": 3}}
    (tmp_path / MANIFEST).write_text(json.dumps(line) + "\n")
    assert read_manifest(tmp_path).entries == (ENTRY,)
