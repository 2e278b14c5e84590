"""The journal on disk: a ring of preallocated segment files for what is received and not yet committed.

``OUT/_journal/<stream>/segment-<number>.rlj``. A file is used again and again, because making and deleting
one costs three times as much as writing into pages that the system has at hand. Each use has a generation of
its own, which every record carries, so that what an earlier use left behind is never taken for new. A segment
is free when everything in it is committed. `rlfast._core.wal` has the format of the records.
"""

from __future__ import annotations

import os
import secrets
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
from xxhash import xxh3_64_hexdigest, xxh3_64_intdigest

from rlfast._core.wal import SEGMENT_HEADER_SIZE, WalReader, WalWriter
from rlfast.errors import CaptureError
from rlfast.sinks._files import JOURNAL, ensure_folder, explain, stream_key, sync_folder, write_all
from rlfast.sinks._place import check_place
from rlfast.websocket._gaps import Gap

__all__ = [
    "StoredWalFile",
    "Wal",
    "WalInfo",
    "remove_wal",
    "stored_wal_files",
    "wal_end",
    "wal_folders",
]

FINISHED = "finished"
"""A file that says: nothing in this journal is wanted any more."""
TYPE_FILE = "type-{}.txt"
"""The name of a type that is too long for a header, such as that of a wide union; with its XXH3."""
LONGEST_TYPE = 256
FILE_BYTES = 64 << 20
GAPS_IN_NOTE = 1000
_MAGIC = b"RLFASTJ1"


class WalInfo(msgspec.Struct, frozen=True):
    """What must be known to decode a log and to commit what it holds, kept in every file of it.

    Attributes:
        stream: name of the stream.
        type: ``module:name`` of the events' type, None for an untyped stream.
        run: nanoseconds since 1970-01-01 UTC at which the run began.
        segments: commits of the stream at that moment; later ones are of this run, whatever the clock said.
            -1: unknown, as earlier versions wrote it.
        sink: settings of the sink.
        kind: name of the sink's class: no other one may have the messages.
        decoding: what is not the default of how they are decoded, see `name_decoding`.
        resume: JSON Pointer to the cursor in a message, if the stream is to go on behind the last one.
    """

    stream: str
    type: str | None
    run: int
    segments: int = -1
    sink: dict[str, Any] = {}
    kind: str = "ParquetSink"
    decoding: dict[str, Any] = {}
    resume: str | None = None


class _OldInfo(msgspec.Struct, frozen=True):
    """What earlier versions, which knew of Parquet only, wrote in the place of `sink`.

    A log that does not say which unit its timestamps have is from when there was only ``ns``.
    """

    uuid: str
    compression: str
    partition_by: str | None
    timestamps: str = "ns"


class _OldHeader(msgspec.Struct, frozen=True):
    info: _OldInfo


class _WalHeader(msgspec.Struct, frozen=True):
    generation: int
    first_seq: int
    info: WalInfo
    type_file: str | None = None
    """Name of the file with ``info.type``; None: that stands in `info`."""


def _encode_header(header: _WalHeader) -> bytes:
    body = msgspec.json.encode(header)
    page = _MAGIC + len(body).to_bytes(4, "little") + xxh3_64_intdigest(body).to_bytes(8, "little") + body
    if len(page) > SEGMENT_HEADER_SIZE:
        raise CaptureError(
            f"the name of the stream has {len(header.info.stream)} characters; use a shorter one"
        )
    return page.ljust(SEGMENT_HEADER_SIZE, b"\0")


def _decode_header(page: bytes) -> _WalHeader | None:
    """Header of a segment, None if it was never written whole."""
    size = int.from_bytes(page[8:12], "little")
    body = page[20 : 20 + size]
    if page[:8] != _MAGIC or xxh3_64_intdigest(body) != int.from_bytes(page[12:20], "little"):
        return None
    try:
        header = msgspec.json.decode(body, type=_WalHeader)
    except msgspec.DecodeError:
        return None
    if not header.info.sink:
        with suppress(msgspec.ValidationError):  # Not of an earlier version: the sink has no settings.
            old = msgspec.json.decode(body, type=_OldHeader).info
            info = msgspec.structs.replace(header.info, sink=msgspec.structs.asdict(old))
            return msgspec.structs.replace(header, info=info)
    return header


class _WalFile:
    """One file of the ring."""

    def __init__(self, path: Path, fd: int, size: int) -> None:
        self.path = path
        self.fd = fd
        self.size = size
        self.generation = 0
        self.first_seq = 0
        self.needed_until = -1
        self.unsynced = False
        self.has_gaps = False


class Wal:
    """The journal of one capture. Written by the event loop, released by the thread that commits.

    Owns its folder and its files until `close`. Its disk use is bounded: when `max_bytes` of it are not
    committed, `on_full` is called with True, and with False as soon as there is room; what is written in
    between (one socket read, at most) still finds a place.

    Args:
        out: folder of the data set.
        info: what recovery must know.
        max_bytes: bound of the files.
        min_free: bytes that must stay free in the file system.
        durable: whether `sync` will be called; new files are then made durable as they are made.
        on_full: called on the event loop's thread or the committing one.
        on_error: called on the event loop's thread, once, when writing has failed.

    Raises:
        CaptureError: (from the constructor) there is no room for the first segment, or it cannot be made.
    """

    def __init__(
        self,
        out: Path,
        info: WalInfo,
        *,
        max_bytes: int,
        min_free: int,
        durable: bool,
        on_full: Callable[[bool], None],
        on_error: Callable[[OSError], None],
    ) -> None:
        self._out = out
        self._folder = out / JOURNAL / stream_key(info.stream)
        self._info = info
        self._max_bytes = max_bytes
        self._file_bytes = min(FILE_BYTES, max(1 << 20, max_bytes // 4))
        self._min_free = min_free
        self._durable = durable
        self._on_full = on_full
        # Different for each run, so that what an earlier one left behind cannot be taken for ours.
        self._generation = secrets.randbits(31) << 32
        self._lock = threading.Lock()
        self._used: list[_WalFile] = []
        self._free: list[_WalFile] = []
        self._number = 0
        self._full = False
        self._allocated = 0
        self.writer = WalWriter(self._next_file, self._read_file, on_error)
        try:
            ensure_folder(self._folder)
            self._type_file = self._write_type()
            _encode_header(self._header(1 << 63, 1 << 63))  # Too long a name is told now.
            self._free.append(self._make_file(self._file_bytes))
        except OSError as error:
            self.close(delete=True)
            raise explain(error, self._folder, "cannot make the journal in") from error

    @property
    def allocated_bytes(self) -> int:
        """Size of its files."""
        return self._allocated

    @property
    def used_bytes(self) -> int:
        """Size of the files that hold something uncommitted."""
        with self._lock:
            return sum(segment.size for segment in self._used)

    def is_pressed(self) -> bool:
        """Whether half of the bound is used, so that something should be committed."""
        return self.used_bytes > self._max_bytes // 2

    def write_gap(self, gap: Gap) -> None:
        """Record a gap; one of the same epoch and time takes the place of an earlier one."""
        # News of an older gap may come after messages of the next connection, and open a segment.
        seq = max(gap.last_seq, self.writer.last_seq) + 1
        if self.writer.write_note(msgspec.json.encode(gap), seq):
            with self._lock:
                self._used[-1].has_gaps = True

    def write_sequence_gaps(self, gaps: list[Gap], first_seq: int) -> None:
        """Record gaps in the numbers of messages that are about to be written.

        `first_seq` is that of the first message of the run.
        """
        seq = max(self.writer.last_seq + 1, first_seq)
        for i in range(0, len(gaps), GAPS_IN_NOTE):
            some = gaps[i : i + GAPS_IN_NOTE]
            if self.writer.write_note(msgspec.json.encode(some), seq):
                with self._lock:
                    self._used[-1].needed_until = some[-1].last_seq + 1

    def _write_type(self) -> str | None:
        name = (self._info.type or "").encode()
        if len(name) <= LONGEST_TYPE:
            return None
        path = self._folder / TYPE_FILE.format(xxh3_64_hexdigest(name))
        with path.open("wb") as file:
            file.write(name)
            if self._durable:
                file.flush()
                os.fsync(file.fileno())
        self._info = msgspec.structs.replace(self._info, type="")
        return path.name

    def _header(self, generation: int, first_seq: int) -> _WalHeader:
        return _WalHeader(generation, first_seq, self._info, self._type_file)

    # -- segments, for the writer ------------------------------------------------------------------------

    def _next_file(self, wanted: int, seq: int) -> tuple[int, int, int]:
        size = max(self._file_bytes, wanted + SEGMENT_HEADER_SIZE)
        with self._lock:
            fitting = [segment for segment in self._free if segment.size >= size]
            if fitting:
                segment = fitting[-1]  # The one used last: its pages are at hand.
                self._free.remove(segment)
            else:
                segment = self._make_file(size)
            self._generation += 1
            segment.generation, segment.first_seq, segment.needed_until = self._generation, seq, -1
            segment.has_gaps = False
            _write_at(segment.fd, _encode_header(self._header(segment.generation, seq)), 0)
            segment.unsynced = True
            self._used.append(segment)
            full = sum(used.size for used in self._used) > self._max_bytes
            became_full, self._full = full and not self._full, full or self._full
        if became_full:
            self._on_full(True)
        return segment.fd, segment.generation, segment.size

    def _make_file(self, size: int) -> _WalFile:
        check_place(self._folder)
        stat = shutil.disk_usage(self._folder)
        if stat.free < size + self._min_free:
            raise CaptureError(
                f"the disk of {self._out} has {stat.free >> 20:,} MiB left; a journal segment needs "
                f"{size >> 20:,} MiB and {self._min_free >> 20:,} MiB must stay free; free some space, or "
                "lower min_free or the bound of the journal"
            )
        self._number += 1
        path = self._folder / f"segment-{self._number:06d}.rlj"
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
        fd = os.open(path, flags, 0o666)
        try:
            _allocate(fd, size)
            if self._durable:
                os.fsync(fd)
                sync_folder(self._folder)
        except OSError:
            os.close(fd)
            path.unlink(missing_ok=True)
            raise
        self._allocated += size
        return _WalFile(path, fd, size)

    def _read_file(self, seq: int) -> WalReader | None:
        with self._lock:
            found = [segment for segment in self._used if segment.first_seq <= seq]
            return WalReader(found[-1].fd, found[-1].generation) if found else None

    # -- for the thread that commits -----------------------------------------------------------------------

    def release(self, last_seq: int) -> None:
        """Everything up to message `last_seq` is committed: let its segments be used again."""
        with self._lock:
            # A segment ends where the next one begins; the last one is being written. A gap that is noted
            # before the next one's first message may be committed with that only; the message behind a gap in
            # the numbers may be in the next one.
            while (
                len(self._used) > 1
                and self._used[1].first_seq <= last_seq + (not self._used[0].has_gaps)
                and self._used[0].needed_until <= last_seq
            ):
                self._free.append(self._used.pop(0))
            full = sum(used.size for used in self._used) > self._max_bytes
            became_free, self._full = self._full and not full, self._full and full
        if became_free:
            self._on_full(False)

    def sync(self) -> None:
        """Make durable what was written. Raises OSError."""
        with self._lock:
            segments = [segment for segment in (*self._used, *self._free) if segment.unsynced]
            for segment in segments:
                segment.unsynced = False
            if self._used:
                self._used[-1].unsynced = True  # Is being written.
                if self._used[-1] not in segments:
                    segments.append(self._used[-1])
        for segment in segments:
            getattr(os, "fdatasync", os.fsync)(segment.fd)

    def write_end(self) -> None:
        """Record that all that is wanted is committed: nothing is to be recovered. Raises OSError."""
        (self._folder / FINISHED).touch()

    def close(self, delete: bool) -> None:
        """Close the files; with `delete`, because everything is committed, remove them. Never raises."""
        self.writer.close()
        with self._lock:
            segments, self._used, self._free = [*self._used, *self._free], [], []
        for segment in segments:
            with suppress(OSError):
                os.close(segment.fd)
        if delete:
            remove_wal(self._folder)


def _allocate(fd: int, size: int) -> None:
    """Reserve the space, so that a later write cannot meet a full disk."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, 0, size)
        return
    zeros = bytes(1 << 20)
    for offset in range(0, size, len(zeros)):
        _write_at(fd, zeros[: size - offset], offset)


def _write_at(fd: int, data: bytes, offset: int) -> None:
    os.lseek(fd, offset, os.SEEK_SET)
    write_all(fd, data)


# -- reading what a killed capture left ---------------------------------------------------------------------


class StoredWalFile(msgspec.Struct, frozen=True):
    """A segment file as it was found."""

    path: Path
    generation: int
    first_seq: int
    info: WalInfo

    def records(self, on_damage: Callable[[], None] | None = None) -> Iterator[WalReader]:
        """Yield a reader that stands at a record, for each; take or skip it.

        `on_damage` is called if the last record is not what was written. Raises OSError.
        """
        fd = os.open(self.path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        try:
            reader = WalReader(fd, self.generation)
            while reader.more():
                yield reader
            if reader.damaged and on_damage is not None:
                on_damage()
        finally:
            os.close(fd)


def wal_folders(out: Path) -> list[Path]:
    """Journals, one per stream, that a data set holds."""
    folder = out / JOURNAL
    return sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def stored_wal_files(folder: Path) -> list[StoredWalFile]:
    """Return a journal's segments in the order in which they were written; none of a finished one.

    Raises:
        OSError: a file cannot be read.
    """
    segments: list[StoredWalFile] = []
    if (folder / FINISHED).exists():
        return segments
    for path in folder.glob("segment-*.rlj"):
        with path.open("rb") as file:
            header = _decode_header(file.read(SEGMENT_HEADER_SIZE))
        if header is not None:
            info = header.info
            if header.type_file is not None:
                info = msgspec.structs.replace(info, type=_read_type(folder / header.type_file))
            segments.append(StoredWalFile(path, header.generation, header.first_seq, info))
    return sorted(segments, key=lambda segment: (segment.info.segments, segment.info.run, segment.generation))


def _read_type(path: Path) -> str:
    """Name of a type; the empty text, which stands for a type without one, if it is not what was written."""
    with suppress(FileNotFoundError):
        name = path.read_bytes()
        if path.name == TYPE_FILE.format(xxh3_64_hexdigest(name)):
            return name.decode()
    return ""


def wal_end(out: Path, stream: str) -> int:
    """Return the sequence number behind the last message in a stream's journal, 0 without one."""
    end = 0
    folder = out / JOURNAL / stream_key(stream)
    try:
        for segment in stored_wal_files(folder):
            for reader in segment.records():
                if not reader.is_note:
                    end = max(end, reader.last_seq + 1)
                reader.skip()
    except OSError as error:
        raise explain(error, folder, "cannot read the journal in") from error
    return end


def remove_wal(folder: Path) -> None:
    """Delete a journal, everything in which is committed. Never raises; what stays is harmless."""
    with suppress(OSError):
        for path in folder.glob("segment-*.rlj"):
            path.unlink()
        for path in (folder / FINISHED, *folder.glob(TYPE_FILE.format("*"))):
            path.unlink(missing_ok=True)
        folder.rmdir()
        folder.parent.rmdir()  # Fails if there are other journals.
