"""Small files merged into larger ones: ``rlfast compact``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, TypeAlias

import msgspec

from rlfast.errors import CaptureError, check_bool, check_callable, check_int
from rlfast.sinks._files import explain
from rlfast.sinks.parquet._arrow import pa, pq
from rlfast.sinks.parquet._column_types import options_of
from rlfast.sinks.parquet._dataset import DatasetFolder
from rlfast.sinks.parquet._file import schema_fingerprint
from rlfast.sinks.parquet._footer import Footer, read_footer, table_metadata
from rlfast.sinks.parquet._layout import DEAD_LETTERS, GAPS, is_type_folder, type_folder, type_of_folder
from rlfast.sinks.parquet._manifest import ManifestFile
from rlfast.sinks.parquet._options import DEFAULT_COMPRESSION, TARGET_BYTES, Compression, ParquetOptions
from rlfast.sinks.parquet._rewrite import Rewrite
from rlfast.sinks.parquet._schemas import UnifiedSchema, UnlikeColumnsError, check_lossless, convert
from rlfast.sinks.parquet._schemas import unify as unify_schemas

__all__ = ["Compaction", "CompactionReport"]


class CompactionReport(msgspec.Struct, frozen=True):
    """What compaction did.

    Attributes:
        merged: files that were merged, or got another schema.
        written: files that took their place.
        bytes_before, bytes_after: their sizes.
        left: type and reason, for each type whose files could not get one schema without a loss.
    """

    merged: int
    written: int
    bytes_before: int
    bytes_after: int
    left: tuple[tuple[str, str], ...] = ()


Targets: TypeAlias = Mapping[str | None, UnifiedSchema]
"""By event type: the schema that its files are to have."""


class _Part(NamedTuple):
    file: ManifestFile
    folder: str
    """Of the type."""
    partition: tuple[str, ...]
    """Values of the folders below it."""
    footer: Footer
    schema: pa.Schema

    @property
    def place(self) -> str:
        """The folder that it is in."""
        return self.file.path.rpartition("/")[0]

    @property
    def type(self) -> str | None:
        """The event type; None: dead letters."""
        if not is_type_folder(self.folder):
            return None
        return type_of_folder(self.folder) if self.footer.type is None else self.footer.type


class _Merge(NamedTuple):
    """Files that are to become one."""

    parts: list[_Part]
    place: str
    """The folder that it is to be in."""
    target: UnifiedSchema | None
    """Its schema; None: that of the parts, which have the same."""


@dataclass(frozen=True)
class Compaction:
    """A merge of files that follow each other; see `Dataset.compact`.

    Raises:
        ConfigError: an argument cannot work.
    """

    target_bytes: int = TARGET_BYTES
    compression: Compression = DEFAULT_COMPRESSION
    unify: bool = False
    progress: Callable[[int, int], None] | None = None

    def __post_init__(self) -> None:
        """Check types and ranges."""
        check_int("target_bytes", self.target_bytes, 1)
        check_bool("unify", self.unify)
        check_callable("progress", self.progress, optional=True)
        ParquetOptions(compression=self.compression)

    def run(self, dataset: DatasetFolder) -> CompactionReport:
        """Merge; each merge is one commit.

        Raises:
            CaptureError: a file cannot be read or written.
        """
        options = ParquetOptions(compression=self.compression)
        out = dataset.path
        merged = written = before = after = 0
        left: list[tuple[str, str]] = []
        try:
            targets = _targets(out, _parts(dataset), left) if self.unify else {}
            merges = list(_merges(_parts(dataset), targets, self.target_bytes))
            total = sum(len(merge.parts) for merge in merges)
            for merge in merges:
                types = options_of([out / merge.parts[-1].file.path], merge.target and merge.target.schema)
                size = _merge(dataset, merge, replace(options, **types))
                merged += len(merge.parts)
                written += 1
                before += sum(part.file.bytes for part in merge.parts)
                after += size
                if self.progress is not None:
                    self.progress(merged, total)
            dataset.remove_empty_folders()
        except (OSError, pa.ArrowException) as error:
            if isinstance(error, OSError):
                raise explain(error, out, "cannot compact") from error
            raise CaptureError(f"cannot compact {out}: {error}") from error
        return CompactionReport(merged, written, before, after, tuple(left))


def _parts(dataset: DatasetFolder) -> list[_Part]:
    """Every file of events and dead letters, in the order of the commits."""
    parts = []
    out = dataset.path
    for path, file in dataset.manifest.files.items():
        folder, *below, _ = path.split("/")
        if folder != GAPS:
            stored = pq.read_metadata(out / path)
            values = tuple(name.partition("=")[2] for name in below)
            parts.append(
                _Part(file, folder, values, read_footer(stored.metadata), stored.schema.to_arrow_schema())
            )
    return parts


def _targets(out: Path, parts: list[_Part], left: list[tuple[str, str]]) -> Targets:
    """By type: the one schema of its files; those that cannot have one are put on the list."""
    types: dict[str | None, list[_Part]] = defaultdict(list)
    for part in parts:
        types[part.type].append(part)
    targets: dict[str | None, UnifiedSchema] = {}
    for name, found in types.items():
        try:
            target = unify_schemas((part.schema, part.footer.names) for part in found)
            for part in found:
                check_lossless(out / part.file.path, part.footer.names, target)
            targets[name] = target
        except UnlikeColumnsError as error:
            left.append((name or DEAD_LETTERS, str(error)))
    return targets


def _merges(parts: list[_Part], targets: Targets, target_bytes: int) -> Iterator[_Merge]:
    """Yield what is to be merged."""
    tables: dict[tuple[str, str, str], list[_Part]] = defaultdict(list)
    for part in parts:
        target = targets.get(part.type)
        schema = part.file.schema if target is None else schema_fingerprint(target.schema)
        tables[_place(part, target), part.footer.stream, schema].append(part)
    for (place, _, schema), found in tables.items():
        unlike = [part for part in found if part.place != place or part.file.schema != schema]
        target = targets[found[0].type] if unlike else None
        group: list[_Part] = []
        size = 0
        for part in sorted(found, key=lambda part: part.footer.first_seq):
            if group and size + part.file.bytes > target_bytes:
                if len(group) > 1 or group[0] in unlike:
                    yield _Merge(group, place, target)
                group, size = [], 0
            group.append(part)
            size += part.file.bytes
        if len(group) > 1 or group[0] in unlike:
            yield _Merge(group, place, target)


def _place(part: _Part, target: UnifiedSchema | None) -> str:
    if target is None or part.type is None:
        return part.place
    names = target.names
    keys = (names.date, names.hour)
    below = [f"{key}={value}" for key, value in zip(keys, part.partition, strict=False)]
    return "/".join([type_folder(part.type, names.type), *below])


def _merge(dataset: DatasetFolder, merge: _Merge, options: ParquetOptions) -> int:
    parts, target = merge.parts, merge.target
    out = dataset.path
    if target is None and any(part.schema != parts[0].schema for part in parts):
        # Text, and the same as a dictionary: one schema to readers, but not to Arrow.
        target = unify_schemas((part.schema, part.footer.names) for part in parts)
    rewrite = Rewrite(dataset, parts[0].footer.stream, "compaction", options)
    try:
        file = rewrite.write(
            merge.place,
            (batch for part in parts for batch in _batches(out, part, target)),
            parts[0].footer.first_seq,
            max(part.footer.last_seq for part in parts),
        )
        schema = parts[0].file.schema if target is None else schema_fingerprint(target.schema)
        if file.rows != sum(part.file.rows for part in parts) or file.schema != schema:
            raise CaptureError(f"{file.final} would not hold what {parts[0].file.path} and others do")
    except BaseException:
        rewrite.discard()
        raise
    is_dead = file.final.parent.name == DEAD_LETTERS
    rewrite.commit((part.file.path for part in parts), dead_letters=file.rows if is_dead else 0)
    return file.written_bytes


def _batches(out: Path, part: _Part, target: UnifiedSchema | None) -> Iterator[pa.RecordBatch]:
    names = part.footer.names if target is None else target.names
    metadata = table_metadata(part.type, names) if part.type is not None else None
    with pq.ParquetFile(out / part.file.path) as file:
        for batch in file.iter_batches(batch_size=65_536):
            rows = batch if target is None else convert(batch, part.footer.names, target)
            yield rows.replace_schema_metadata(metadata)
