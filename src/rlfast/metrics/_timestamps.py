"""When an event says that it was sent, in nanoseconds since 1970-01-01 UTC."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

__all__ = ["NAMES", "UNKNOWN", "find_column", "from_json", "to_nanoseconds"]

NAMES = ("timestamp", "ts", "time", "sent_at", "created_at", "event_time", "E", "T")
"""Fields that are taken for a timestamp if none is named, best first; the last two are those of exchanges."""

UNKNOWN = np.int64(np.iinfo(np.int64).min)
"""In the place of a time that is absent or cannot be read."""

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
_MICROSECOND = datetime.timedelta(microseconds=1)
# Below these a number counts seconds, milliseconds, microseconds since 1970: each until the year 5138.
_UNITS = ((1e11, 1e9), (1e14, 1e6), (1e17, 1e3))


def to_nanoseconds(values: Sequence[Any]) -> NDArray[np.int64]:
    """Read ISO 8601 texts, and numbers of seconds, milli-, micro- or nanoseconds since 1970.

    The unit of a number is told by its size. A text without an offset is UTC.
    """
    return np.fromiter(map(_one, values), dtype=np.int64, count=len(values))


def _one(value: Any) -> int:
    if isinstance(value, str):
        try:
            moment = msgspec.convert(value, datetime.datetime)
        except msgspec.ValidationError:
            try:
                value = int(value) if value.isdecimal() else float(value)
            except ValueError:
                return int(UNKNOWN)
        else:
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=datetime.timezone.utc)
            return (moment - _EPOCH) // _MICROSECOND * 1000
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        return int(UNKNOWN)
    if not 0 < value < 2**63:
        return int(UNKNOWN)
    for bound, factor in _UNITS:
        if value < bound:
            return int(value * int(factor)) if isinstance(value, int) else round(float(value) * factor)
    return int(value)


def find_column(names: Sequence[str], wanted: str | None) -> str | None:
    """Which column of a table holds the time: the one that is wanted, or the first of `NAMES`."""
    candidates = NAMES if wanted is None else (wanted,)
    return next((name for name in candidates if name in names), None)


def from_json(texts: Sequence[str], wanted: str | None) -> NDArray[np.int64]:
    """The times of events that are JSON texts: of the field that is wanted, or of the first of `NAMES`."""
    names = NAMES if wanted is None else (wanted,)
    fields = [(f"at{i}", Any, msgspec.field(default=None, name=name)) for i, name in enumerate(names)]
    decode = msgspec.json.Decoder(msgspec.defstruct("Stamp", fields)).decode
    found: list[Any] = []
    for text in texts:
        try:
            stamp = decode(text)
        except msgspec.DecodeError:
            found.append(None)
            continue
        found.append(
            next((value for i in range(len(names)) if (value := getattr(stamp, f"at{i}")) is not None), None)
        )
    return to_nanoseconds(found)
