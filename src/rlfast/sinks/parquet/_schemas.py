"""The columns of an event type's files: do they fit together, and what do all of them become as one?

Readers take the schema of one file for all: DuckDB reads 2.5 as 2 where the first file has integers, and
drops a column that the first file does not have. So a change is told before it is made, and can be mended
after.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, get_args

import msgspec

from rlfast.decode._assembler import BatchAssembler
from rlfast.decode._batch import EventTable
from rlfast.errors import CaptureError
from rlfast.schema._decoding import Decoding
from rlfast.schema._names import TYPE_KEYS, OwnNames, distinct_names, own_names
from rlfast.sinks.parquet._arrow import pa, pq
from rlfast.sinks.parquet._column_types import as_text, as_written, has_uuids
from rlfast.sinks.parquet._dataset import DatasetFolder
from rlfast.sinks.parquet._file import schema_fingerprint
from rlfast.sinks.parquet._layout import DEAD_LETTERS, type_folder
from rlfast.sinks.parquet._manifest import Manifest
from rlfast.sinks.parquet._nested import column_type, plain_text, type_name
from rlfast.sinks.parquet._options import ParquetOptions, Timestamps, UUIDFormat
from rlfast.sinks.parquet._rows import STREAM_COLUMN, RowMaker

__all__ = [
    "UnifiedSchema",
    "UnlikeColumnsError",
    "check_columns",
    "check_lossless",
    "column_changes",
    "convert",
    "unify",
    "unlike_files",
]

ROLES = ("seq", "epoch", "received_at", "stream", "item", "extra")
EXTRA = ("own", "extra")

_log = logging.getLogger("rlfast.capture")


class UnlikeColumnsError(ValueError):
    """Columns that cannot become one without a loss; the text says which."""


Key: TypeAlias = tuple[str, str]
"""What a column is, whatever it is called: ``own`` and its role, or ``field`` and its name."""


class UnifiedSchema(NamedTuple):
    """What several schemas become as one."""

    schema: pa.Schema
    names: OwnNames
    keys: list[Key]
    """Of each column."""


def column_keys(schema: pa.Schema, names: OwnNames) -> list[Key]:
    """Return what each column of a file is, whose own columns have these names."""
    roles = {getattr(names, role): role for role in ROLES}
    return [("own", roles[name]) if name in roles else ("field", name) for name in schema.names]


def check_columns(dataset: DatasetFolder, decoding: Decoding, options: ParquetOptions) -> None:
    """Look at the columns of a capture's files before it begins.

    Warns in the log of columns that are not called as in JSON, and of rlfast's own that step aside.

    Raises:
        CaptureError: the folder holds files of a type with other columns, and `options` do not allow that.
        OSError: a file cannot be read.
    """
    tables = BatchAssembler(decoding, other=True).empty_tables()
    wanted = file_schemas(tables, options)
    for name, table in tables.items():
        columns = [column for i, column in enumerate(wanted[name].names) if i != STREAM_COLUMN]
        pairs = zip(table.column_names, columns, strict=True)
        renamed = [f"{field} is {column}" for field, column in pairs if field != column]
        if renamed:
            _log.warning("fields of %s have other names as columns: %s", name, ", ".join(renamed))
    own = {new for table in tables.values() for new in msgspec.structs.astuple(table.own_names) if new}
    stepped = sorted(own - {"item", *msgspec.structs.astuple(OwnNames())})
    if stepped:
        _log.warning("fields of the type have names of rlfast's, which are %s here", ", ".join(stepped))
    if options.schema_change == "allow":
        return
    out, manifest = dataset.path, dataset.manifest
    unlike = unlike_files(out, manifest, wanted)
    if not unlike:
        return
    remedy = "allow it (--schema-change allow) and run rlfast compact --unify later"
    for uuid, timestamps in product(get_args(UUIDFormat), get_args(Timestamps)):
        form = replace(options, uuid=uuid, timestamps=timestamps)
        if not unlike_files(out, manifest, file_schemas(tables, form)):
            remedy = f"write what is there (--uuid {uuid} --timestamps {timestamps}), or {remedy}"
    raise CaptureError(
        "; ".join(f"{name or DEAD_LETTERS}: {', '.join(changes)}" for name, changes in unlike.items())
        + f": the files in {out} have other columns than this capture would write, and readers take "
        f"those of one file for all; choose another folder, or {remedy}"
    )


def file_schemas(
    tables: Mapping[str | None, EventTable], options: ParquetOptions
) -> dict[str | None, pa.Schema]:
    """Return the schema of the files of each event type, and for None of the dead letters."""
    maker = RowMaker("")
    rows = {name: pa.Table.from_batches([maker.convert(name, table)]) for name, table in tables.items()}
    return {name: as_written(table, options).schema for name, table in rows.items()}


def column_changes(old: pa.Schema, new: pa.Schema) -> list[str]:
    """Say how the columns of `new` differ from those of `old`, but for their order and for nulls."""
    before, after = _types(old), _types(new)
    changes = [
        f"{name} is {before[name]} there and {type_} now" if name in before else f"{name} is new"
        for name, type_ in after.items()
        if before.get(name) != type_
    ]
    return changes + [f"{name} is gone" for name in before if name not in after]


def _types(schema: pa.Schema) -> dict[str, str]:
    return {field.name: column_type(field) for field in schema}


def unlike_files(
    out: Path, manifest: Manifest, wanted: Mapping[str | None, pa.Schema]
) -> dict[str | None, list[str]]:
    """Compare the columns that files are to have with those that a data set holds.

    Args:
        out: folder of the data set.
        manifest: of it.
        wanted: by event type; None stands for the dead letters.

    Returns:
        By event type, if no file has the columns that are wanted: how they differ from the newest file's.

    Raises:
        OSError: a file cannot be read.
    """
    stored: dict[str, dict[str, str]] = {}
    for path, file in manifest.files.items():
        paths = stored.setdefault(path.partition("/")[0], {})
        paths.pop(file.schema, None)  # The newest is to be the last one.
        paths[file.schema] = path
    unlike: dict[str | None, list[str]] = {}
    for type_, schema in wanted.items():
        folders = [DEAD_LETTERS] if type_ is None else [type_folder(type_, key) for key in TYPE_KEYS]
        found = {fingerprint: path for name in folders for fingerprint, path in stored.get(name, {}).items()}
        if not found or schema_fingerprint(schema) in found:
            continue
        changes = [column_changes(pq.read_schema(out / path), schema) for path in found.values()]
        if all(changes):
            unlike[type_] = changes[-1]
    return unlike


# -- one schema out of several -----------------------------------------------------------------------------


def unify(files: Iterable[tuple[pa.Schema, OwnNames]]) -> UnifiedSchema:
    """Return the schema that all files, the newest last, can be converted to without a loss.

    Columns that some files do not have are null there; integers become int64, or uint64 where the newest file
    has that, or float64 beside floats (`convert` refuses an integer that has no place there); times get the
    finest unit; UUIDs beside text become text.

    Raises:
        UnlikeColumnsError: a column has types that do not go together.
    """
    every = list(files)
    found: dict[Key, list[pa.Field[Any]]] = {}
    for schema, names in reversed(every):
        for key, field in zip(column_keys(schema, names), schema, strict=True):
            found.setdefault(key, []).append(field)
    keys = sorted(found, key=lambda key: (key[0] == "field", False) if key != EXTRA else (True, True))
    in_json = [name for kind, name in keys if kind == "field"]
    names = own_names(in_json, splits=("own", "item") in found)
    wanted = [getattr(names, name) if kind == "own" else name for kind, name in keys]
    fields = []
    for key, name in zip(keys, distinct_names(wanted), strict=True):
        kinds = found[key]
        nullable = any(field.nullable for field in kinds) or len(kinds) < len(every)
        types = [field.type for field in kinds]
        # Our own JSON, which is plain text in early files.
        is_json = pa.json_() in types and len(set(map(column_type, kinds))) == 1
        fields.append(pa.field(name, pa.json_() if is_json else _common(name, types), nullable))
    return UnifiedSchema(pa.schema(fields), names, keys)


def _common(name: str, types: list[Any]) -> Any:
    """The type that all of them, the newest first, become."""
    first = types[0]
    if all(kind == first for kind in types):
        return first
    plain = [plain_text(kind) for kind in types]
    first = plain[0]
    if all(type_name(kind) == type_name(first) for kind in plain):
        return first
    if all(map(pa.types.is_integer, plain)):
        unsigned = first == pa.uint64() or all(map(pa.types.is_unsigned_integer, plain))
        return pa.uint64() if unsigned and pa.uint64() in plain else pa.int64()
    elif all(pa.types.is_integer(kind) or pa.types.is_floating(kind) for kind in plain):
        return pa.float64()
    elif all(map(pa.types.is_timestamp, plain)):
        if len({kind.tz for kind in plain}) == 1:
            return max(plain, key=lambda kind: ["s", "ms", "us", "ns"].index(kind.unit))
    elif all(kind in (pa.utf8(), pa.uuid()) for kind in plain):
        return pa.utf8()
    elif all(map(pa.types.is_list, plain)):
        items = [kind.value_field for kind in plain]
        nullable = any(item.nullable for item in items)
        return pa.list_(pa.field("item", _common(name, [item.type for item in items]), nullable))
    elif all(map(pa.types.is_map, plain)):
        values = [kind.item_field for kind in plain]
        nullable = any(value.nullable for value in values)
        return pa.map_(pa.utf8(), pa.field("value", _common(name, [v.type for v in values]), nullable))
    elif all(map(pa.types.is_struct, plain)):
        return _common_struct(name, plain)
    texts = " and ".join(dict.fromkeys(map(type_name, plain)))
    raise UnlikeColumnsError(f"column {name} is {texts}")


def _common_struct(name: str, types: list[Any]) -> Any:
    """Every field that one of the structs has; null where the others do not have it."""
    found: dict[str, list[pa.Field[Any]]] = {}
    for kind in types:
        for field in kind:
            found.setdefault(field.name, []).append(field)
    return pa.struct(
        [
            pa.field(
                field_name,
                _common(f"{name}.{field_name}", [field.type for field in fields]),
                any(field.nullable for field in fields) or len(fields) < len(types),
            )
            for field_name, fields in found.items()
        ]
    )


def convert(batch: pa.RecordBatch, names: OwnNames, target: UnifiedSchema) -> pa.RecordBatch:
    """Return rows of a file, whose own columns have these names, as rows of the unified schema.

    Raises:
        UnlikeColumnsError: a value has no place in its new column.
    """
    places = {key: i for i, key in enumerate(column_keys(batch.schema, names))}
    columns = []
    for key, field in zip(target.keys, target.schema, strict=True):
        place = places.get(key)
        if place is None:
            columns.append(pa.nulls(batch.num_rows, field.type))
            continue
        column: Any = batch.column(place)
        if column.type != field.type:
            if has_uuids(column.type):
                column = as_text(column)
            column = _cast(column, field)
        columns.append(column)
    return pa.RecordBatch.from_arrays(columns, schema=target.schema)


def check_lossless(path: Path, names: OwnNames, target: UnifiedSchema) -> None:
    """Read the columns of a file whose values decide whether `convert` can take them.

    Raises:
        UnlikeColumnsError: a value has no place in its new column.
    """
    with pq.ParquetFile(path) as file:
        schema = file.schema_arrow
        wanted = dict(zip(target.keys, target.schema, strict=True))
        for key, field in zip(column_keys(schema, names), schema, strict=True):
            kind = wanted[key].type
            if kind != field.type and not has_uuids(field.type):
                for batch in file.iter_batches(columns=[field.name]):
                    _cast(batch.column(0), wanted[key])


def _cast(column: Any, field: pa.Field[Any]) -> Any:
    if isinstance(field.type, pa.JsonType) and column.type == field.type.storage_type:
        return pa.ExtensionArray.from_storage(field.type, column)
    try:
        return column.cast(field.type)
    except pa.ArrowInvalid as error:
        raise UnlikeColumnsError(f"column {field.name}: {error}") from None
