"""Annotations that choose a column where a Python type has several.

msgspec decodes each as the type inside the annotation; only the column is another one.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, TypeAlias

from msgspec import Meta

__all__ = [
    "CategoryStr",
    "DateTimeNanos",
    "DecimalText",
    "EpochMicros",
    "EpochMillis",
    "EpochNanos",
    "EpochSeconds",
    "Float32",
    "FloatText",
    "Int8",
    "Int16",
    "Int32",
    "Int64",
    "IntText",
    "UInt8",
    "UInt16",
    "UInt32",
    "UInt64",
    "UUIDStr",
]

UUIDStr: TypeAlias = Annotated[str, Meta(extra={"rlfast": "uuid"})]
"""A UUID as text, with its hyphens (RFC 9562 section 4) or without. In columns it is a 16-byte UUID; a value
that is none makes the event a dead letter."""

CategoryStr: TypeAlias = Annotated[str, Meta(extra={"rlfast": "category"})]
"""Text of few distinct values, which becomes a dictionary-encoded column."""

Int8: TypeAlias = Annotated[int, Meta(ge=-(2**7), le=2**7 - 1, extra={"rlfast": "int8"})]
"""An integer of 8 bits. This one and its like: msgspec refuses values that are out of range."""
Int16: TypeAlias = Annotated[int, Meta(ge=-(2**15), le=2**15 - 1, extra={"rlfast": "int16"})]
Int32: TypeAlias = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1, extra={"rlfast": "int32"})]
Int64: TypeAlias = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1, extra={"rlfast": "int64"})]
UInt8: TypeAlias = Annotated[int, Meta(ge=0, le=2**8 - 1, extra={"rlfast": "uint8"})]
UInt16: TypeAlias = Annotated[int, Meta(ge=0, le=2**16 - 1, extra={"rlfast": "uint16"})]
UInt32: TypeAlias = Annotated[int, Meta(ge=0, le=2**32 - 1, extra={"rlfast": "uint32"})]
# msgspec takes no bound over 2^63 - 1; the column holds values up to 2^64 - 1, and no others.
UInt64: TypeAlias = Annotated[int, Meta(ge=0, extra={"rlfast": "uint64"})]
"""An integer from 0 to 2^64 - 1."""

Float32: TypeAlias = Annotated[float, Meta(extra={"rlfast": "float32"})]
"""A number, rounded in its column to the nearest of 32 bits (IEEE 754 binary32)."""

FloatText: TypeAlias = Annotated[str, Meta(extra={"rlfast": "float_text"})]
"""A number that JSON holds as text, as in ``"0.0010"``; in columns a float64."""

IntText: TypeAlias = Annotated[str, Meta(extra={"rlfast": "int_text"})]
"""An integer that JSON holds as text, as in ``"42"``; in columns an int64."""

EpochSeconds: TypeAlias = Annotated[int | float | str, Meta(extra={"rlfast": "epoch_s"})]
"""Seconds since 1970-01-01 UTC, as an integer, a number or text of digits; in columns a timestamp in UTC.

This one and its like: what is finer than the unit is cut off, towards the past.
"""
EpochMillis: TypeAlias = Annotated[int | float | str, Meta(extra={"rlfast": "epoch_ms"})]
EpochMicros: TypeAlias = Annotated[int | float | str, Meta(extra={"rlfast": "epoch_us"})]
EpochNanos: TypeAlias = Annotated[int | float | str, Meta(extra={"rlfast": "epoch_ns"})]


def DecimalText(precision: int, scale: int) -> Any:  # noqa: N802 (stands where a type stands)
    """A Decimal of at most `precision` digits, `scale` of them behind the point.

    ``price: DecimalText(18, 8)``. JSON holds it as text or as a number. In columns it is a decimal128, or
    from 39 digits on a decimal256; a value with more digits, before or behind the point, makes the event a
    dead letter. Nothing is rounded.

    Raises:
        ValueError: `precision` is not from 1 to 76, or `scale` not from 0 to `precision`.
    """
    if not 1 <= precision <= 76 or not 0 <= scale <= precision:
        raise ValueError(
            f"a decimal has 1 to 76 digits, of which 0 to all are behind the point, not {precision}, {scale}"
        )
    return Annotated[Decimal, Meta(extra={"rlfast": ("decimal", precision, scale)})]


DateTimeNanos: TypeAlias = Annotated[datetime, Meta(extra={"rlfast": "nanos"})]
"""A datetime whose column keeps nanoseconds, from 1678 to 2261. A Python datetime has microseconds."""
