"""What rlfast writes into the footer of each Parquet file, beside its columns, and reads back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from rlfast._core import __version__
from rlfast.schema._names import OwnNames

__all__ = ["Footer", "read_footer", "span_metadata", "table_metadata"]

_STREAM = "rlfast.stream"
_FIRST_SEQ = "rlfast.first_seq"
_LAST_SEQ = "rlfast.last_seq"
_VERSION = "rlfast.version"
_TYPE = "rlfast.type"
_NAMES = "rlfast.names"


class Footer(NamedTuple):
    """Where the rows of a file come from, and which columns are rlfast's own."""

    stream: str
    """Name of the stream."""
    first_seq: int
    last_seq: int
    """Span of sequence numbers of the segment, inclusive."""
    type: str | None
    """The event type in full; None in a file without events, and in those of rlfast's first format."""
    names: OwnNames


def span_metadata(stream: str, first_seq: int, last_seq: int) -> dict[str, str]:
    """Return what all files of a segment have in common."""
    return {
        _STREAM: stream,
        _FIRST_SEQ: str(first_seq),
        _LAST_SEQ: str(last_seq),
        _VERSION: __version__,
    }


def table_metadata(type_: str, names: OwnNames) -> dict[Any, Any]:
    """Return what all files of an event type have in common, for the metadata of their Arrow schema."""
    return {_TYPE: type_, _NAMES: msgspec.json.encode(names).decode()}


def read_footer(metadata: Mapping[bytes, bytes] | None) -> Footer:
    """Read what `span_metadata` and `table_metadata` made, from a Parquet file's metadata.

    Raises:
        ValueError: rlfast did not write the file.
    """
    found = {key.decode("utf-8", "replace"): value for key, value in (metadata or {}).items()}
    try:
        type_ = found.get(_TYPE)
        return Footer(
            found[_STREAM].decode(),
            int(found[_FIRST_SEQ]),
            int(found[_LAST_SEQ]),
            type_.decode() if type_ is not None else None,
            msgspec.json.decode(found.get(_NAMES, b"{}"), type=OwnNames),
        )
    except (KeyError, ValueError) as error:
        raise ValueError("has no rlfast metadata: not written by rlfast") from error
