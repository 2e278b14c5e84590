"""Files of a data set put in the place of others, as one change: for `compact` and `redrive`."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from rlfast._core import __version__
from rlfast.errors import CaptureError
from rlfast.sinks._files import stream_key
from rlfast.sinks.parquet._arrow import pa
from rlfast.sinks.parquet._dataset import DatasetFolder
from rlfast.sinks.parquet._file import MAX_ENCODING_BYTES, ParquetFile, encoding_threads
from rlfast.sinks.parquet._footer import span_metadata
from rlfast.sinks.parquet._manifest import ManifestEntry, ManifestFile
from rlfast.sinks.parquet._options import ParquetOptions
from rlfast.sinks.parquet._transaction import Change

__all__ = ["Rewrite"]


class Rewrite:
    """New files, until `commit` puts them in the place of old ones.

    Args:
        dataset: opened to be written.
        stream: name of the stream.
        kind: what the manifest will say.
        options: format of the files.
    """

    def __init__(
        self,
        dataset: DatasetFolder,
        stream: str,
        kind: Literal["compaction", "redrive"],
        options: ParquetOptions,
    ) -> None:
        self._dataset = dataset
        self._out = dataset.path
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
        with encoding_threads() as encoders:
            file = ParquetFile(self._out / folder / name, self._options, encoders)
            self._files.append((file, first_seq, last_seq))
            for batch in batches:
                file.add(batch, batch.nbytes)
                file.write_encoded()
                while file.encoding_bytes > MAX_ENCODING_BYTES:
                    file.write_encoded(wait=True)
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
            self._dataset.commit(Change(entry, temporary))
        except CaptureError:
            if not self._dataset.is_under_way:
                self.discard()
            raise

    def discard(self) -> None:
        """Remove the new files; never raises."""
        for file, _, _ in self._files:
            file.discard()

    def _relative(self, path: Path) -> str:
        return path.relative_to(self._out).as_posix()
