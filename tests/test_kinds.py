"""The kinds of columns: what is said of them in Python and what is said of them in C are the same."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from core.exporting import ExportedColumn
from core.oracle import SCALARS, scalar_column

import rlfast._core.columns
from rlfast._core.columns import ColumnBuilder
from rlfast.schema import kinds
from rlfast.schema.kinds import KINDS, Kind, Layout

CSRC = Path(rlfast._core.columns.__file__).parent / "csrc"
OF_DECODER = {"EVENT", "GENERAL", "TAG"}
"""Kinds of fields that no column has."""


def enum_of(header: str, name: str) -> dict[str, int]:
    """The members of an enum in C, without their prefix."""
    source = re.sub(r"/\*.*?\*/", "", (CSRC / header).read_text(), flags=re.DOTALL)
    found = re.search(rf"enum {name} {{(.*?)}}", source, re.DOTALL)
    assert found is not None
    members: dict[str, int] = {}
    following = 0
    for part in filter(None, map(str.strip, found.group(1).split(","))):
        member, _, value = map(str.strip, part.partition("="))
        code = int(value) if value else following
        members[member.removeprefix("RL_")] = code
        following = code + 1
    return members


def test_kinds_are_those_of_the_compiled_decoder() -> None:
    in_c = enum_of("kinds.h", "rl_kind")
    assert {kind.name: kind.code for kind in KINDS} == {n: c for n, c in in_c.items() if n not in OF_DECODER}
    assert in_c.keys() > OF_DECODER
    assert len(set(in_c.values())) == len(in_c)
    # They have a place in one byte, and those of the decoder are no columns'.
    assert max(in_c.values()) < 256
    assert min(in_c[name] for name in OF_DECODER) > max(kind.code for kind in KINDS)


def test_layouts_are_those_of_the_compiled_decoder() -> None:
    assert {layout.name: layout.value for layout in Layout} == enum_of("column.h", "rl_layout")


def test_kinds_are_in_the_order_of_their_codes_under_their_names() -> None:
    assert [kind.code for kind in KINDS] == list(range(len(KINDS)))
    for kind in KINDS:
        assert getattr(kinds, kind.name) is kind


BY_KIND = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)


@BY_KIND
def test_a_kind_is_consistent(kind: Kind) -> None:
    assert kind.python
    has_width = kind.layout in (Layout.FIXED_WIDTH, Layout.DICTIONARY)
    assert (kind.width != 0) == has_width
    if kind.numpy is not None:
        assert kind.layout is Layout.FIXED_WIDTH
        assert np.dtype(kind.numpy).itemsize == kind.width
    assert kind.convert is None or kind.storage is not None
    # All that is a value in JSON, and has no others inside, says what msgspec makes of it.
    inside = kind.layout in (Layout.OFFSETS, Layout.CHILDREN)
    assert (kind.storage is None) == (inside or kind.name in ("BINARY", "TIMESTAMP"))


@pytest.mark.parametrize("kind", SCALARS, ids=lambda kind: kind.name)
def test_the_format_is_that_of_the_arrow_type(kind: Kind) -> None:
    column = scalar_column(kind)
    data = ColumnBuilder(column).finish()
    field = pa.field(ExportedColumn(data))
    assert field.type == SCALARS[kind].type(column)
    extension = getattr(field.type, "extension_name", None)
    assert extension == kind.extension
    storage = field.type.storage_type if extension else field.type
    if kind.layout is Layout.FIXED_WIDTH:
        assert storage.bit_width == 8 * kind.width
