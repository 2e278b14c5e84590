"""Small files merged into larger ones: ``rlfast compact``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from rlfast.capture.arrow import pa, pq
from rlfast.capture.files import GAPS, explain
from rlfast.capture.lock import DatasetLock
from rlfast.capture.manifest import ManifestFile, read_manifest
from rlfast.capture.options import CaptureOptions, Compression
from rlfast.capture.recovery import recover_locked
from rlfast.capture.rewriting import Rewrite
from rlfast.errors import CaptureError

__all__ = ["CompactionReport", "compact"]

TARGET_BYTES = 128 << 20


class CompactionReport(msgspec.Struct, frozen=True):
    """What compaction did.

    Attributes:
        merged: files that were merged.
        written: files that took their place.
        bytes_before, bytes_after: their sizes.
    """

    merged: int
    written: int
    bytes_before: int
    bytes_after: int


class _Part(NamedTuple):
    file: ManifestFile
    folder: str
    stream: str
    first_seq: int
    last_seq: int


def compact(
    out: str | Path,
    target_bytes: int = TARGET_BYTES,
    compression: Compression = "zstd",
    *,
    progress: Callable[[int, int], None] | None = None,
) -> CompactionReport:
    """Merge files of one table, one partition and one stream that follow each other, up to `target_bytes`.

    Each merge is one change: who goes by the manifest sees either the old files or the new one. Who goes by
    the names in the folders may, for the moment between the two, see both. May be killed, and called again.

    Args:
        out: folder of the data set; no capture may be running.
        target_bytes: size of the new files at most, as a sum of the old ones'.
        compression: codec of the new files.
        progress: called with the files merged so far, and to merge in all.

    Raises:
        CaptureError: a capture is running, or a file cannot be read or written.
    """
    out = Path(out)
    if not out.is_dir():
        raise CaptureError(f"{out} is not a folder; name the folder of a capture (its --out)")
    options = CaptureOptions(compression=compression)
    merged = written = before = after = 0
    with DatasetLock(out, "compaction"):
        recover_locked(out)
        try:
            groups = list(_groups(_parts(out), target_bytes))
            total = sum(map(len, groups))
            for group in groups:
                size = _merge(out, group, options)
                merged += len(group)
                written += 1
                before += sum(part.file.bytes for part in group)
                after += size
                if progress is not None:
                    progress(merged, total)
        except (OSError, pa.ArrowException) as error:
            if isinstance(error, OSError):
                raise explain(error, out, "cannot compact") from error
            raise CaptureError(f"cannot compact {out}: {error}") from error
    return CompactionReport(merged, written, before, after)


def _parts(out: Path) -> Iterator[_Part]:
    for path, file in sorted(read_manifest(out).files.items()):
        folder, _, _ = path.rpartition("/")
        if folder == GAPS:
            continue
        stored = pq.read_metadata(out / path).metadata or {}
        yield _Part(
            file,
            folder,
            stored[b"rlfast.stream"].decode(),
            int(stored[b"rlfast.first_seq"]),
            int(stored[b"rlfast.last_seq"]),
        )


def _groups(parts: Iterator[_Part], target_bytes: int) -> Iterator[list[_Part]]:
    """Yield runs of files to be merged into one each."""
    tables: dict[tuple[str, str, str], list[_Part]] = defaultdict(list)
    for part in parts:
        tables[part.folder, part.stream, part.file.schema].append(part)
    for found in tables.values():
        group: list[_Part] = []
        size = 0
        for part in sorted(found, key=lambda part: part.first_seq):
            if group and size + part.file.bytes > target_bytes:
                if len(group) > 1:
                    yield group
                group, size = [], 0
            group.append(part)
            size += part.file.bytes
        if len(group) > 1:
            yield group


def _merge(out: Path, group: list[_Part], options: CaptureOptions) -> int:
    rewrite = Rewrite(out, group[0].stream, "compaction", options)
    try:
        file = rewrite.write(
            group[0].folder,
            (batch for part in group for batch in _batches(out / part.file.path)),
            group[0].first_seq,
            max(part.last_seq for part in group),
        )
        if file.rows != sum(part.file.rows for part in group) or file.schema != group[0].file.schema:
            raise CaptureError(f"{file.final} would not hold what {group[0].file.path} and others do")
    except BaseException:
        rewrite.discard()
        raise
    is_dead = file.final.parent.name == "_dead_letters"
    rewrite.commit((part.file.path for part in group), dead_letters=file.rows if is_dead else 0)
    return file.written_bytes


def _batches(path: Path) -> Iterator[Any]:
    with pq.ParquetFile(path) as file:
        yield from file.iter_batches(batch_size=65_536)
