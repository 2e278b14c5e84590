from __future__ import annotations

from typing import Any

import pytest

from rlfast.errors import ConfigError
from rlfast.simulator import SimulatorOptions


@pytest.mark.parametrize(
    "wrong",
    [
        {"host": ""},
        {"port": -1},
        {"port": 65_536},
        {"events": -1},
        {"rate": 0.0},
        {"rate": -5.0},
        {"rate": float("nan")},
        {"rate": float("inf")},
        {"pool": 0},
        {"pool": 1 << 30},
        {"require_token": ""},
        {"require_token": "with space"},
        {"require_token": "line\r\nbreak"},
        {"require_token": "semi;colon"},
        {"require_token": "ümlaut"},
        {"close_timeout": 0.0},
        {"close_timeout": float("inf")},
    ],
)
def test_impossible_values_are_refused(wrong: dict[str, Any]) -> None:
    (name,) = wrong
    with pytest.raises(ConfigError, match=name):
        SimulatorOptions(**wrong)


def test_defaults_are_valid_and_frozen() -> None:
    options = SimulatorOptions()
    with pytest.raises(AttributeError):
        options.port = 1  # type: ignore[misc]


def test_the_token_shows_neither_in_reprs_nor_in_errors() -> None:
    assert "s3cret" not in repr(SimulatorOptions(require_token="s3cret"))
    with pytest.raises(ConfigError) as caught:
        SimulatorOptions(require_token="s3cret value")
    assert "s3cret" not in str(caught.value)
