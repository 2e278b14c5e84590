"""A file system that takes no more: at a file size limit, and on a small disk where root can mount one.

The limit (RLIMIT_FSIZE) binds a process, so the writer runs in one of its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sample_events import PAYLOADS

from rlfast.capture import inspect_dataset

from .helpers import STREAM, files, sent, stored, write

# Appends batches until the disk is full; prints the error and what was saved, as JSON.
WRITER = """
import json, pathlib, resource, sys
from capture.helpers import DatasetWriter, add, batch_of
from rlfast.capture import CaptureOptions, RotationPolicy
from rlfast.errors import CaptureError

out, stream, limit, row_group, max_rows = sys.argv[1:]
if int(limit):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
import rlfast.sinks.parquet._file
rlfast.sinks.parquet._file.ROW_GROUP_ROWS = int(row_group)
# Ids that do not compress: 16 bytes on disk for each event.
import random
source = random.Random(1)
seq = int(pathlib.Path(out, "next").read_text())
rotation = RotationPolicy(max_rows=int(max_rows))
writer = DatasetWriter(pathlib.Path(out), stream, rotation=rotation)
try:
    for _ in range(1000):
        payloads = []
        for _ in range(500):
            digits = f"{source.getrandbits(128):032x}"
            term = "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
            payloads.append(
                b'{"type":"kb_change","change_type":"added","sort":"s","term_id":"%s"}' % term.encode()
            )
        add(writer, batch_of(payloads, seq), stream=stream)
        seq += 500
except CaptureError as error:
    print(json.dumps({"error": str(error), "errno": error.errno, "last_seq": writer.last_seq}))
"""


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    folder.mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", folder], check=True, capture_output=True
    )
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def can_mount() -> bool:
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return False
    import tempfile

    with tempfile.TemporaryDirectory() as parent:
        try:
            with small_disk(Path(parent) / "disk"):
                return True
        except (OSError, subprocess.CalledProcessError):
            return False


BOUNDS = ["file size limit", *(["small disk"] if can_mount() else [])]


@pytest.fixture(params=BOUNDS)
def bound(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """A folder, and the limit on the size of a file there (0 for none)."""
    out = tmp_path / "out"
    if request.param == "small disk":
        with small_disk(out):
            yield out, 0
    else:
        out.mkdir()
        yield out, 200_000


# At the first row groups of a segment, at its commit, and after some segments that are committed.
@pytest.mark.parametrize(("row_group", "max_rows"), [(500, 10**6), (10**6, 40_000), (10**6, 6_000)])
def test_a_full_disk_leaves_what_was_committed_and_nothing_else(
    bound: tuple[Path, int], row_group: int, max_rows: int
) -> None:
    out, limit = bound
    write(out, PAYLOADS)
    (out / "next").write_text(str(len(PAYLOADS)))
    if limit and max_rows == 6_000:
        limit = 60_000  # Below the size of such a segment.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])}
    command = [sys.executable, "-c", WRITER, out, STREAM, str(limit), str(row_group), str(max_rows)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    result = json.loads(done.stdout)
    if limit:
        assert "File too large; raise the limit (ulimit -f) or rotate to smaller files" in result["error"]
    else:
        assert "No space left on device; free some space or choose another folder" in result["error"]
    assert "\n" not in result["error"]
    assert not [name for name in files(out) if name.endswith(".tmp")]
    report = inspect_dataset(out)
    assert report.healthy
    assert (report.unlisted, report.unfinished, report.streams[STREAM].holes) == ((), (), 0)
    committed = result["last_seq"]
    assert report.streams[STREAM].last_seq == (len(PAYLOADS) - 1 if committed is None else committed)
    assert stored(out)[: len(PAYLOADS)] == sent(PAYLOADS)
    if not limit and max_rows == 6_000:
        assert report.segments > 1
