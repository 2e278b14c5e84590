"""What msgspec decodes for a column, and how the column's value is made of it.

It is the obvious reference of the compiled parsers: whatever these take, they make the same of it. Each
function takes what msgspec made of the JSON, and returns what a `ColumnBuilder` appends: an int, a float, a
text, or bytes. It raises ValueError for what has no place in the column; None stands for null. `column` is a
`rlfast.schema._columns.Column`.
"""

from __future__ import annotations

import re
import struct
from datetime import date, datetime, time, timedelta
from decimal import Context, Decimal, InvalidOperation
from typing import Any

import msgspec

_EPOCH = datetime(1970, 1, 1)
_MICRO = timedelta(microseconds=1)
_FRACTION = re.compile(r"\.(\d+)")
_INTEGER = re.compile(r"[+-]?[0-9]+")
_NUMBER = re.compile(
    r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?|[+-]?(inf|infinity|nan)", re.IGNORECASE
)
# Of those that count in more than microseconds: readers of files have all times in microseconds of 64 bits.
_LAST_TIME = {"EPOCH_SECONDS": (2**63 - 1) // 1_000_000, "EPOCH_MILLIS": (2**63 - 1) // 1000}
_EXACT = Context(prec=100_000, Emax=999_999, Emin=-999_999)


def json_text(value: msgspec.Raw | str, column: Any) -> bytes | None:
    text = value.encode() if isinstance(value, str) else bytes(value)
    if text == b"null" and column.nullable:
        return None
    # msgspec does not look into what it keeps raw.
    text.decode()
    return text


def float32(value: float, column: Any) -> float:
    if value in (float("inf"), float("-inf")) or value != value:
        return value
    struct.pack("<f", value)  # OverflowError: over the largest that there is.
    return value


def number_of_text(value: str, column: Any) -> float:
    if _NUMBER.fullmatch(value) is None:
        raise ValueError(f"not a number: {value[:64]!r}")
    return float(value)


def integer_of_text(value: str, column: Any) -> int:
    if _INTEGER.fullmatch(value) is None or len(value) > 40:
        raise ValueError(f"not an integer: {value[:64]!r}")
    return int(value)


def _text_or_number(value: msgspec.Raw, column: Any) -> str | None:
    """The number that JSON holds, or the text."""
    text = bytes(value)
    if text == b"null" and column.nullable:
        return None
    return msgspec.json.decode(text, type=str) if text[:1] == b'"' else text.decode()


def decimal_text(value: msgspec.Raw, column: Any) -> str | None:
    text = _text_or_number(value, column)
    if text is not None:
        _decimal(text)
    return text


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ValueError(f"not a decimal: {text[:64]!r}") from None


def decimal_bytes(value: msgspec.Raw, column: Any) -> bytes | None:
    text = _text_or_number(value, column)
    if text is None:
        return None
    number = _decimal(text)
    if not number.is_finite() or abs(number.adjusted()) > 1000:
        if number != 0:
            raise ValueError(f"{text[:64]} is no decimal({column.precision}, {column.scale})")
        number = Decimal(0)
    scaled = number.scaleb(column.scale, _EXACT)
    integer = int(scaled)
    if integer != scaled or abs(integer) >= 10**column.precision:
        raise ValueError(
            f"{text[:64]} has digits that decimal({column.precision}, {column.scale}) would lose"
        )
    return integer.to_bytes(column.kind.width, "little", signed=True)


def micros(value: datetime, column: Any) -> int:
    """Microseconds since 1970; what has no time zone is read as UTC."""
    offset = value.utcoffset() or timedelta(0)
    return (value.replace(tzinfo=None) - _EPOCH) // _MICRO - offset // _MICRO


def naive_micros(value: datetime, column: Any) -> int:
    return (value - _EPOCH) // _MICRO


def nanos(value: str, column: Any) -> int:
    """Nanoseconds since 1970, of the text, because a datetime has no more than microseconds."""
    whole = msgspec.convert(_FRACTION.sub("", value, count=1), datetime)
    msgspec.convert(value, datetime)
    fraction = _FRACTION.search(value)
    digits = fraction.group(1) if fraction is not None else ""
    rounded = int(digits[9:10] >= "5") if len(digits) > 9 else 0
    return micros(whole, column) * 1000 + int(digits[:9].ljust(9, "0")) + rounded


def days(value: date, column: Any) -> int:
    return value.toordinal() - 719163


def micros_of_day(value: time, column: Any) -> int:
    """Microseconds since midnight, in UTC if the time has an offset."""
    of_day = ((value.hour * 60 + value.minute) * 60 + value.second) * 1_000_000 + value.microsecond
    offset = value.utcoffset() or timedelta(0)
    return (of_day - offset // _MICRO) % 86_400_000_000


def duration(value: timedelta, column: Any) -> int:
    return value // _MICRO


def epoch(value: msgspec.Raw, column: Any) -> int | None:
    """An integer, a number or text of digits, without what is finer than the unit."""
    text = _text_or_number(value, column)
    if text is None:
        return None
    if _NUMBER.fullmatch(text) is None:
        raise ValueError(f"not a time: {text[:64]!r}")
    number = _decimal(text)
    if not number.is_finite() or number.adjusted() > 40:
        raise ValueError(f"not a time: {text[:64]!r}")
    whole = (
        int(number.to_integral_value("ROUND_FLOOR", _EXACT))
        if number.adjusted() >= -1
        else (-1 if number < 0 else 0)
    )
    if abs(whole) > _LAST_TIME.get(column.kind.name, abs(whole)):
        raise ValueError(f"not a time: {text[:64]!r} is of no year that readers know; is it in other units?")
    return whole
