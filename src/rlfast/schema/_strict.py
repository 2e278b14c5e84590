"""Decoders that forbid unknown fields, so that batch mode can keep what a struct type leaves out."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, get_args

import msgspec

from rlfast.schema._plan import ColumnPlan, compile_plan
from rlfast.schema._tags import tagging

__all__ = ["StrictDecoders", "strict_decoders"]


@dataclass(frozen=True)
class StrictDecoders:
    """What is the same for all connections with a type. It takes some milliseconds to make.

    Attributes:
        variants: of each table's struct, a subclass that forbids unknown fields.
        strict: decodes to these, `lenient` to the type itself.
        known_names: of each struct, what its JSON may hold.
    """

    plan: ColumnPlan
    tag_field: str | None
    tags: frozenset[object]
    variants: tuple[type, ...]
    strict: msgspec.json.Decoder[Any]
    lenient: msgspec.json.Decoder[Any]
    known_names: dict[type, frozenset[str]]


def strict_decoders(type_: Any) -> StrictDecoders:
    try:
        hash(type_)
    except TypeError:  # metadata of an Annotated may be anything
        return _make(type_)
    # Unions of the same types are equal in any order, but their tables are in the order of each.
    return _kept(type_, get_args(type_))


@functools.lru_cache(maxsize=64)
def _kept(type_: Any, members: tuple[Any, ...]) -> StrictDecoders:
    return _make(type_)


def _make(type_: Any) -> StrictDecoders:
    plan = compile_plan(type_)
    tag_field, tags = tagging(type_)
    variants = []
    known_names = {}
    for table in plan.tables:
        config = table.struct.__struct_config__  # type: ignore[attr-defined]
        variant = msgspec.defstruct(
            table.struct.__name__,
            [],
            bases=(table.struct,),
            tag=config.tag,
            tag_field=config.tag_field,
            forbid_unknown_fields=True,
        )
        variants.append(variant)
        known_names[table.struct] = frozenset({f.column for f in table.fields} | {config.tag_field})
    union: Any = variants[0]
    for variant in variants[1:]:
        union = union | variant
    return StrictDecoders(
        plan,
        tag_field,
        tags,
        tuple(variants),
        msgspec.json.Decoder(union),
        msgspec.json.Decoder(type_),
        known_names,
    )
