"""``_manifest.jsonl``: one line per committed segment, the truth of what is in a data set."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from rlfast.capture.files import MANIFEST, sync_folder

__all__ = ["Manifest", "ManifestEntry", "ManifestFile", "append_entry", "read_manifest"]


class ManifestFile(msgspec.Struct, frozen=True):
    """One file of a segment.

    Attributes:
        path: path below the data set's folder, with forward slashes.
        rows: rows in the file.
        bytes: size of the file.
    """

    path: str
    rows: int
    bytes: int


class ManifestEntry(msgspec.Struct, frozen=True):
    """One committed segment: everything that one stream received in a span of sequence numbers.

    Attributes:
        stream: name of the stream.
        first_seq: sequence number of the first message, inclusive.
        last_seq: sequence number of the last message, inclusive.
        events: messages that became events.
        dead_letters: messages that did not.
        epochs: number of the first and of the last connection.
        received_at: earliest and latest time of receipt, in nanoseconds since 1970-01-01 UTC.
        files: the files of the segment, dead letters included.
        rlfast: version of rlfast that wrote it.
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


class Manifest(msgspec.Struct, frozen=True):
    """What `read_manifest` found.

    Attributes:
        entries: the segments, in the order of their commits.
        damaged_lines: numbers, from 1, of lines that are no entry: a capture was killed while it wrote one.
    """

    entries: tuple[ManifestEntry, ...]
    damaged_lines: tuple[int, ...]


def append_entry(out: Path, entry: ManifestEntry) -> None:
    """Append a line, durably. If that fails, the manifest is as it was.

    Raises:
        OSError: the line could not be written.
    """
    path = out / MANIFEST
    is_new = not path.exists()
    fd = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
    try:
        end = os.lseek(fd, 0, os.SEEK_END)
        line = msgspec.json.encode(entry) + b"\n"
        if end:
            os.lseek(fd, end - 1, os.SEEK_SET)
            if os.read(fd, 1) != b"\n":
                line = b"\n" + line  # A killed capture left half a line; it must not spoil this one.
        try:
            view = memoryview(line)
            while view:
                view = view[os.write(fd, view) :]
            os.fsync(fd)
        except OSError:
            os.ftruncate(fd, end)
            raise
    finally:
        os.close(fd)
    if is_new:
        sync_folder(out)


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
