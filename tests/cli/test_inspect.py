from __future__ import annotations

import json
from pathlib import Path

import pytest
from capture.helpers import STREAM, part_files, write
from sample_events import PAYLOADS

from rlfast.cli import main
from rlfast.sinks.parquet._layout import final_name

from .helpers import assert_one_line

N = len(PAYLOADS)


def inspect(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    code = main(["inspect", *map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out, err


def test_a_data_set_for_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, [*PAYLOADS, b"{", b"[]"])
    write(tmp_path, PAYLOADS, first_seq=N + 12)
    code, out, err = inspect(capsys, tmp_path)
    assert (code, err) == (0, "")
    for text in (
        f"{2 * N} events in",
        "attention_shift",
        "18.2%",
        f"{len(part_files(tmp_path))} in 2 segments",
        "dead letters  2 (malformed_json 1, schema_mismatch 1)",
        f"stream        {STREAM}",
        f"seq         0 to {2 * N + 11} ({2 * N + 2} messages)",
        "holes       1, 10 messages missing",
        f"{N + 2} to {N + 11}",
        " UTC to ",
    ):
        assert text in out


def test_a_data_set_for_programs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, [*PAYLOADS, b"{"])
    code, out, err = inspect(capsys, tmp_path, "--json")
    assert (code, err) == (0, "")
    assert out.count("\n") == 1
    report = json.loads(out)
    assert (report["events"], report["dead_letters"], report["segments"]) == (N, 1, 1)
    assert report["types"]["attention_shift"]["events"] == 2
    assert report["streams"][STREAM]["holes"] == 0
    assert report["streams"][STREAM]["last_seq"] == N
    assert report["unreadable"] == []


def test_an_unreadable_file_is_named_and_exit_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, PAYLOADS)
    broken = tmp_path / "type=error" / final_name(STREAM, 0)
    broken.write_bytes(b"PAR1")
    code, out, err = inspect(capsys, tmp_path)
    assert code == 1
    assert f"{N - 1} events" in out
    assert_one_line(err, f"cannot read type=error/{broken.name}")
    code, out, err = inspect(capsys, tmp_path, "--json")
    assert code == 1
    assert json.loads(out)["unreadable"][0]["path"] == f"type=error/{broken.name}"


def test_numbers_that_occur_twice_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, PAYLOADS)
    write(tmp_path, PAYLOADS, first_seq=N - 1)
    code, _, err = inspect(capsys, tmp_path)
    assert code == 1
    assert_one_line(err, "1 sequence numbers occur twice")


@pytest.mark.parametrize("name", ["missing", "file", ""])
def test_what_is_no_data_set(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    code, out, err = inspect(capsys, tmp_path / name)
    assert (code, out) == (1, "")
    assert_one_line(err, str(tmp_path), "of a capture")
