"""Files of a data set put in the place of others, as one change: for `compact` and `redrive`."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from rlfast._core import __version__
from rlfast.capture._arrow import pa
from rlfast.capture._file import ParquetFile
from rlfast.capture._files import stream_key
from rlfast.capture._footer import span_metadata
from rlfast.capture._manifest import ManifestEntry, ManifestFile
from rlfast.capture._options import CaptureOptions
from rlfast.capture._transaction import Change, commit, is_under_way
from rlfast.errors import CaptureError

__all__ = ["Rewrite"]


class Rewrite:
    """New files, until `commit` puts them in the place of old ones.

    Args:
        out: folder of the data set, whose lock the caller holds.
        stream: name of the stream.
        kind: what the manifest will say.
        options: format of the files.
    """

    def __init__(
        self, out: Path, stream: str, kind: Literal["compaction", "redrive"], options: CaptureOptions
    ) -> None:
        self._out = out
        self._stream = stream
        self._kind: Literal["compaction", "redrive"] = kind
        self._options = options
        self._token = secrets.token_hex(4)
        self._files: list[tuple[ParquetFile, int, int]] = []

    def write(
        self, folder: str, batches: Iterable[pa.RecordBatch], first_seq: int, last_seq: int
    ) -> ParquetFile:
        """Write one file, in `folder` below the data set. Raises OSError.

        Its name begins like that of a segment's file, and ends with what no other file has.
        """
        name = f"part-{stream_key(self._stream)}-{first_seq:020d}-{self._token}.parquet"
        file = ParquetFile(self._out / folder / name, self._options)
        self._files.append((file, first_seq, last_seq))
        for batch in batches:
            file.add(batch, batch.nbytes)
        file.close(span_metadata(self._stream, first_seq, last_seq))
        file.sync()
        return file

    def commit(self, removed: Iterable[str], *, dead_letters: int = 0) -> None:
        """Put the files in the place of `removed`, as one change.

        Raises:
            CaptureError: it cannot be made.
        """
        rows = sum(file.rows for file, _, _ in self._files)
        entry = ManifestEntry(
            stream=self._stream,
            first_seq=min((first for _, first, _ in self._files), default=0),
            last_seq=max((last for _, _, last in self._files), default=-1),
            events=rows - dead_letters,
            dead_letters=dead_letters,
            epochs=(0, 0),
            received_at=(0, 0),
            files=tuple(
                ManifestFile(
                    self._relative(file.final), file.rows, file.written_bytes, file.checksum, file.schema
                )
                for file, _, _ in self._files
            ),
            rlfast=__version__,
            id=secrets.token_hex(8),
            kind=self._kind,
            removed=tuple(removed),
        )
        temporary = tuple(
            self._relative(file.temporary) for file, _, _ in self._files if file.temporary is not None
        )
        try:
            commit(self._out, Change(entry, temporary))
        except CaptureError:
            if not is_under_way(self._out):
                self.discard()
            raise

    def discard(self) -> None:
        """Remove the new files; never raises."""
        for file, _, _ in self._files:
            file.discard()

    def _relative(self, path: Path) -> str:
        return path.relative_to(self._out).as_posix()
