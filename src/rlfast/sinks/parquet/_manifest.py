"""``_manifest.jsonl``: one line per committed segment, the truth of what is in a data set."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from rlfast.sinks._files import sync_folder, write_all
from rlfast.sinks.parquet._layout import MANIFEST
from rlfast.websocket._gaps import Gap
from rlfast.websocket._resume import Mark

__all__ = ["Manifest", "ManifestEntry", "ManifestFile", "append_entry", "read_manifest"]


class ManifestFile(msgspec.Struct, frozen=True):
    """One file of a segment.

    Attributes:
        path: path below the data set's folder, with forward slashes.
        rows: rows in the file.
        bytes: size of the file.
        checksum: XXH3 of the file, 64 bits, in hexadecimal digits.
        schema: XXH3 of its Arrow schema, the same way: files with the same one have the same columns.
    """

    path: str
    rows: int
    bytes: int
    checksum: str = ""
    schema: str = ""


class ManifestEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One committed change of the data set; as a rule, a segment.

    A segment is everything that one stream received in a span of sequence numbers. It may be without
    messages, for the sake of its gaps or of the end of a run; `last_seq` is then one less than `first_seq`.

    Attributes:
        stream: name of the stream.
        first_seq: sequence number of the first message, inclusive.
        last_seq: sequence number of the last message, inclusive.
        events: messages that became events.
        dead_letters: messages that did not.
        epochs: number of the first and of the last connection.
        received_at: earliest and latest time of receipt, in nanoseconds since 1970-01-01 UTC; zeros if there
            are no messages.
        files: the files of the segment, dead letters and gaps included.
        rlfast: version of rlfast that wrote it.
        id: of the entry, unique.
        kind: what made it. ``recovery`` is a segment, too; ``compaction`` and ``redrive`` put `files` in the
            place of `removed`.
        removed: paths of files, of earlier entries, that are no longer part of the data set.
        gaps: the gaps that are in the files of the segment.
        ended_at: if the run of the capture ended with this segment, when, in nanoseconds since 1970-01-01
            UTC.
        end_reason: ``capture_stopped`` or ``crashed``.
        resume: where the stream goes on with the server, behind the segment's last message.
    """

    stream: str
    first_seq: int
    last_seq: int
    events: int
    dead_letters: int
    epochs: tuple[int, int]
    received_at: tuple[int, int]
    files: tuple[ManifestFile, ...]
    rlfast: str
    id: str = ""
    kind: Literal["capture", "recovery", "compaction", "redrive"] = "capture"
    removed: tuple[str, ...] = ()
    gaps: tuple[Gap, ...] = ()
    ended_at: int | None = None
    end_reason: str | None = None
    resume: Mark | None = None

    @property
    def is_segment(self) -> bool:
        """Whether it brought new messages, gaps, or the end of a run."""
        return self.kind in ("capture", "recovery")


class Manifest(msgspec.Struct, frozen=True):
    """What `read_manifest` found.

    Attributes:
        entries: the segments, in the order of their commits.
        damaged_lines: numbers, from 1, of lines that are no entry: a capture was killed while it wrote one.
    """

    entries: tuple[ManifestEntry, ...]
    damaged_lines: tuple[int, ...]

    @property
    def files(self) -> dict[str, ManifestFile]:
        """The files of the data set as it is now, by path."""
        files: dict[str, ManifestFile] = {}
        for entry in self.entries:
            files.update((file.path, file) for file in entry.files)
            for path in entry.removed:
                files.pop(path, None)
        return files

    def segments(self, stream: str) -> list[ManifestEntry]:
        """The segments of one stream, in the order of their commits."""
        return [entry for entry in self.entries if entry.stream == stream and entry.is_segment]


def append_entry(out: Path, entry: ManifestEntry) -> None:
    """Append a line, durably. If that fails, the manifest is as it was.

    Raises:
        OSError: the line could not be written.
    """
    path = out / MANIFEST
    is_new = not path.exists()
    fd = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
    try:
        line = msgspec.json.encode(entry) + b"\n"
        end, tail = _last_line(fd)
        if _is_entry(tail):
            # A killed capture left a line without its end.
            end, line = end + len(tail), b"\n" + line
        else:
            # Or half a line, which never was an entry.
            os.ftruncate(fd, end)
        os.lseek(fd, end, os.SEEK_SET)
        try:
            write_all(fd, line)
            os.fsync(fd)
        except OSError:
            os.ftruncate(fd, end)
            raise
    finally:
        os.close(fd)
    if is_new:
        sync_folder(out)


def _last_line(fd: int) -> tuple[int, bytes]:
    """Position behind the last newline of a file, and what is there."""
    start = os.lseek(fd, 0, os.SEEK_END)
    tail = b""
    while start:
        size = min(start, 65_536)
        start -= size
        os.lseek(fd, start, os.SEEK_SET)
        tail = os.read(fd, size) + tail
        newline = tail.rfind(b"\n")
        if newline >= 0:
            return start + newline + 1, tail[newline + 1 :]
    return 0, tail


def _is_entry(line: bytes) -> bool:
    try:
        msgspec.json.decode(line, type=ManifestEntry)
    except msgspec.DecodeError:
        return False
    return True


def read_manifest(out: Path) -> Manifest:
    """Read the manifest of a data set; a data set without one has no entries.

    Raises:
        OSError: the file exists but cannot be read.
    """
    damaged: list[int] = []
    entries = tuple(_entries(out / MANIFEST, damaged))
    return Manifest(entries, tuple(damaged))


def _entries(path: Path, damaged: list[int]) -> Iterator[ManifestEntry]:
    decoder = msgspec.json.Decoder(ManifestEntry)
    try:
        lines = path.open("rb")
    except FileNotFoundError:
        return
    with lines:
        for number, line in enumerate(lines, 1):
            try:
                yield decoder.decode(line)
            except msgspec.DecodeError:
                damaged.append(number)
