"""What columns are to hold of values that msgspec decodes, and what readers give, as values that compare."""

from __future__ import annotations

import datetime
import enum
import json
import math
import struct
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from rlfast.schema import kinds
from rlfast.schema.kinds import KINDS, Kind

START = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
MICRO = datetime.timedelta(microseconds=1)


def micros(value: Any) -> int:
    """Of a point in time, as Python, numpy or pandas has it; without a zone it is in UTC."""
    if isinstance(value, pd.Timestamp):
        value = value.tz_localize(None).to_datetime64()
    if isinstance(value, np.datetime64):
        return int(value.astype("datetime64[us]").astype("int64"))
    return int(((value if value.tzinfo else value.replace(tzinfo=START.tzinfo)) - START) // MICRO)


def micros_of_day(value: datetime.time | str) -> int:
    time = datetime.time.fromisoformat(value) if isinstance(value, str) else value
    return micros(datetime.datetime.combine(datetime.date(1970, 1, 2), time)) % 86_400_000_000


def duration(value: Any) -> int:
    """In microseconds, as which those have it that know no durations."""
    if isinstance(value, pd.Timedelta):
        value = value.to_timedelta64()
    if isinstance(value, np.timedelta64):
        return int(value.astype("timedelta64[us]").astype("int64"))
    return int(value // MICRO) if isinstance(value, datetime.timedelta) else int(value)


def epoch(parts: int) -> Callable[[Any], int]:
    """Microseconds of a number of so many parts of a second, the finer ones cut off twice."""
    return lambda value: math.floor(Decimal(value)) * 1_000_000 // parts


def single(value: float) -> str:
    return float(struct.unpack("<f", struct.pack("<f", value))[0]).hex()


def text(value: str | enum.Enum) -> str:
    return str(value.value) if isinstance(value, enum.Enum) else value


def plain_json(value: Any) -> str:
    return json.dumps(msgspec.to_builtins(value, str_keys=True), sort_keys=True)


INTEGERS = {kind for kind in KINDS if kind.name.startswith(("INT", "UINT"))}
TIMES_OF = {
    kinds.EPOCH_SECONDS: 1,
    kinds.EPOCH_MILLIS: 1_000,
    kinds.EPOCH_MICROS: 1_000_000,
    kinds.EPOCH_NANOS: 1_000_000_000,
}

DECODED: dict[Kind, Callable[[Any], Any]] = {
    **dict.fromkeys(INTEGERS, int),
    kinds.FLOAT64: lambda value: float(value).hex(),
    kinds.FLOAT_TEXT: lambda value: float(value).hex(),
    kinds.FLOAT32: single,
    kinds.BOOL: bool,
    kinds.UTF8: text,
    kinds.CATEGORY: text,
    kinds.UUID: lambda value: str(uuid.UUID(str(value))),
    kinds.DECIMAL_TEXT: Decimal,
    kinds.DECIMAL128: Decimal,
    kinds.DECIMAL256: Decimal,
    kinds.BASE64: bytes,
    kinds.JSON: plain_json,
    kinds.DATE: datetime.date.toordinal,
    kinds.TIME: micros_of_day,
    kinds.DURATION: duration,
    **dict.fromkeys((kinds.DATETIME, kinds.DATETIME_NANOS, kinds.NAIVE_DATETIME), micros),
    **{kind: epoch(parts) for kind, parts in TIMES_OF.items()},
}
"""What a column is to hold of a value that msgspec has decoded."""

READ: dict[Kind, Callable[[Any], Any]] = {
    **DECODED,
    kinds.JSON: lambda value: plain_json(json.loads(value)),
    **dict.fromkeys(TIMES_OF, micros),
}
"""The same of a value that a reader gives."""
