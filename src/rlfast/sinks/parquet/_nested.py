"""Arrow types with others inside them: walked, compared, and converted leaf by leaf."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from rlfast.schema._names import distinct_names
from rlfast.sinks.parquet._arrow import pa, pc

__all__ = ["column_type", "distinct_type", "leaves", "plain_text", "retyped", "type_name", "with_leaves"]

_OUR_JSON = re.compile(r"_extra|rlfast_extra(_[0-9]+)?|json")
"""Columns of JSON that early files have as plain text. That of a field is another thing: it is no JSON."""

# Types and arrays are Any below: which attributes one has depends on its Arrow type, which is known at run
# time.


def _is_nested(kind: Any) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_map(kind) or pa.types.is_struct(kind))


def _fields(kind: Any) -> list[Any]:
    """What is inside: the item of a list, key and value of a map, the fields of a struct."""
    if pa.types.is_list(kind):
        return [kind.value_field]
    if pa.types.is_map(kind):
        return [kind.key_field, kind.item_field]
    return [kind.field(i) for i in range(kind.num_fields)]


def type_name(kind: Any) -> str:
    """The type as text, without what readers can do without: names of items, that a text is a dictionary."""
    if pa.types.is_dictionary(kind):
        return type_name(kind.value_type)
    if isinstance(kind, pa.JsonType):
        return "json"
    if not _is_nested(kind):
        return str(kind)
    inside = [f"{type_name(field.type)}{'' if field.nullable else ' not null'}" for field in _fields(kind)]
    if pa.types.is_struct(kind):
        inside = [f"{field.name}: {text}" for field, text in zip(_fields(kind), inside, strict=True)]
    head = "list" if pa.types.is_list(kind) else "map" if pa.types.is_map(kind) else "struct"
    return f"{head}<{', '.join(inside)}>"


def plain_text(kind: Any) -> Any:
    """The type with its dictionaries as what is in them, at every level."""
    if pa.types.is_dictionary(kind):
        return kind.value_type
    if pa.types.is_list(kind):
        return pa.list_(kind.value_field.with_type(plain_text(kind.value_type)))
    if pa.types.is_map(kind):
        return pa.map_(kind.key_field, kind.item_field.with_type(plain_text(kind.item_type)))
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(plain_text(field.type)) for field in _fields(kind)])
    return kind


def column_type(field: Any) -> str:
    """The type of a file's column as text, see `type_name`; of our own JSON as it is in early files."""
    if isinstance(field.type, pa.JsonType) and _OUR_JSON.fullmatch(field.name):
        return type_name(field.type.storage_type)
    return type_name(field.type)


def leaves(path: str, array: Any) -> Iterator[tuple[str, Any]]:
    """Yield Parquet's path of each column without others inside, and its values. `array` may be chunked."""
    kind = array.type
    if pa.types.is_list(kind):
        yield from leaves(f"{path}.list.element", pc.list_flatten(array))
    elif pa.types.is_map(kind):
        chunks: list[Any] = array.chunks if isinstance(array, pa.ChunkedArray) else [array]
        for name, parts, inside in (
            ("key", [chunk.keys for chunk in chunks], kind.key_type),
            ("value", [chunk.items for chunk in chunks], kind.item_type),
        ):
            yield from leaves(f"{path}.key_value.{name}", pa.chunked_array(parts, inside))
    elif pa.types.is_struct(kind):
        for i, field in enumerate(_fields(kind)):
            yield from leaves(f"{path}.{field.name}", pc.struct_field(array, [i]))
    else:
        yield path, array


def with_leaves(array: Any, convert: Callable[[Any], Any]) -> Any:
    """The array with `convert` applied to each one without others inside. Validity and offsets are shared."""
    kind = array.type
    if not _is_nested(kind):
        return convert(array)
    if pa.types.is_struct(kind):
        inside = [array.field(i) for i in range(kind.num_fields)]
        converted = [with_leaves(child, convert) for child in inside]
        if all(new is old for new, old in zip(converted, inside, strict=True)):
            return array
        fields = [field.with_type(child.type) for field, child in zip(_fields(kind), converted, strict=True)]
        # The children of a slice are sliced; so is its validity.
        mask = array.is_null() if array.null_count else None
        return pa.StructArray.from_arrays(converted, fields=fields, mask=mask)
    child = array.values
    if pa.types.is_map(kind):
        child = pa.StructArray.from_arrays([array.keys, array.items], fields=_fields(kind))
    new = with_leaves(child, convert)
    if new is child:
        return array
    target: Any
    if pa.types.is_map(kind):
        target = pa.map_(new.type.field(0), new.type.field(1))
    else:
        target = pa.list_(kind.value_field.with_type(new.type))
    return pa.Array.from_buffers(
        target, len(array), array.buffers()[:2], array.null_count, array.offset, [new]
    )


def distinct_type(kind: Any) -> Any:
    """The type with names in its structs as files have them: none is empty, and none differs in case only."""
    if pa.types.is_list(kind):
        return pa.list_(kind.value_field.with_type(distinct_type(kind.value_type)))
    if pa.types.is_map(kind):
        return pa.map_(kind.key_field, kind.item_field.with_type(distinct_type(kind.item_type)))
    if pa.types.is_struct(kind):
        fields = _fields(kind)
        names = distinct_names(field.name for field in fields)
        return pa.struct(
            [
                f.with_name(name).with_type(distinct_type(f.type))
                for f, name in zip(fields, names, strict=True)
            ]
        )
    return kind


def retyped(array: Any, kind: Any) -> Any:
    """The array with other names inside, and nothing else changed; its buffers are shared."""
    if array.type == kind and str(array.type) == str(kind):
        return array
    if pa.types.is_struct(kind):
        inside = [retyped(array.field(i), field.type) for i, field in enumerate(_fields(kind))]
        mask = array.is_null() if array.null_count else None
        return pa.StructArray.from_arrays(inside, fields=_fields(kind), mask=mask)
    if pa.types.is_map(kind):
        entries = [retyped(array.keys, kind.key_type), retyped(array.items, kind.item_type)]
        child = pa.StructArray.from_arrays(entries, fields=_fields(kind))
    elif pa.types.is_list(kind):
        child = retyped(array.values, kind.value_type)
    else:
        return array
    buffers = array.buffers()[:2]
    return pa.Array.from_buffers(kind, len(array), buffers, array.null_count, array.offset, [child])
