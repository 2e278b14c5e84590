from __future__ import annotations

import math
from typing import Any

import pytest

from rlfast import ConfigError
from rlfast.capture import CaptureOptions, RotationPolicy
from rlfast.sinks import ParquetOptions

PARQUET = ParquetOptions.__dataclass_fields__


@pytest.mark.parametrize(
    ("nbytes", "rows", "age", "due"),
    [
        (0, 0, 0.0, False),
        (99, 9, 4.9, False),
        (100, 1, 0.0, True),
        (1, 10, 0.0, True),
        (1, 1, 5.0, True),
        (10**12, 10**12, 1e9, True),
    ],
)
def test_the_first_bound_that_is_reached_counts(nbytes: int, rows: int, age: float, due: bool) -> None:
    assert RotationPolicy(max_bytes=100, max_rows=10, interval=5.0).due(nbytes, rows, age) is due


@pytest.mark.parametrize(
    "arguments",
    [
        {"max_bytes": 0},
        {"max_bytes": 1.5},
        {"max_rows": -1},
        {"max_rows": True},
        {"interval": 0},
        {"interval": math.inf},
        {"interval": math.nan},
        {"interval": "60"},
    ],
)
def test_a_policy_that_cannot_work_is_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=rf"RotationPolicy\.{next(iter(arguments))} must be"):
        RotationPolicy(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"compression": "gzip"}, "compression must be one of zstd, lz4, none, not 'gzip'"),
        ({"timestamps": "ms"}, "timestamps must be one of us, ns"),
        ({"uuid": "hex"}, "uuid must be one of text, binary"),
        ({"compression_level": 23}, "compression_level must be int from 1 to 22, not 23"),
        ({"compression": "lz4", "compression_level": 1}, "compression_level has a meaning for zstd only"),
        ({"max_events": 0}, "max_events must be"),
        ({"duration": -1.0}, "duration must be"),
        ({"batch_rows": 0}, "batch_rows must be"),
        ({"batch_wait": math.nan}, "batch_wait must be"),
        ({"progress_interval": 0.0}, "progress_interval must be"),
    ],
)
def test_options_that_cannot_work_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        (ParquetOptions if next(iter(arguments)) in PARQUET else CaptureOptions)(**arguments)
