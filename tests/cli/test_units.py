from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlfast import ConfigError
from rlfast.cli._units import (
    format_bytes,
    format_seconds,
    parse_duration,
    parse_size,
    write_duration,
    write_size,
)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", 1),
        ("65536", 65536),
        ("128MB", 128_000_000),
        ("128mb", 128_000_000),
        ("128M", 128_000_000),
        ("128MiB", 128 << 20),
        ("1.5 GiB", 3 << 29),
        ("2kB", 2000),
        ("10 B", 10),
        ("1TB", 10**12),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "0", "0.4", "-1", "MB", "1 iB", "1ib", "1XB", "1e6", "12 34", "inf", "nan"]
)
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ConfigError, match="is not a size; write for example 500000, 128MB or 128MiB"):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90.0),
        ("0.25", 0.25),
        ("1.5s", 1.5),
        ("500ms", 0.5),
        ("5m", 300.0),
        ("1h30m", 5400.0),
        ("1h 30m 5s", 5405.0),
        ("7d", 604_800.0),
        ("2H", 7200.0),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "0", "0s", "-5s", "5x", "m", "1h30", "inf", "nan", "1e3", "9" * 400])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ConfigError, match="is not a time; write for example 90, 30s, 5m or 1h30m"):
        parse_duration(text)


@given(st.integers(1, 10**15))
def test_a_size_that_is_written_can_be_read(size: int) -> None:
    assert parse_size(str(size)) == size
    assert parse_size(format_bytes(size).replace(",", "")) == pytest.approx(size, rel=0.01)


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (65_249_000, "65.2 MB"), (2.5e12, "2.50 TB")],
)
def test_format_bytes(size: float, text: str) -> None:
    assert format_bytes(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (99.94, "99.9 s"), (187.9, "3:07"), (600, "10:00"), (93_787, "26:03:07")],
)
def test_format_seconds(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


@given(st.one_of(st.integers(1, 1 << 50), st.integers(1, 1 << 10).map(lambda n: n << 20)))
def test_a_size_is_written_as_it_is_read(size: int) -> None:
    assert parse_size(write_size(size)) == size


@pytest.mark.parametrize(("seconds", "text"), [(20.0, "20s"), (0.1, "100ms"), (90.5, "90.5s")])
def test_a_time_is_written_as_it_is_read(seconds: float, text: str) -> None:
    assert (write_duration(seconds), parse_duration(text)) == (text, seconds)


def test_round_sizes_are_short() -> None:
    assert [write_size(n) for n in (1500, 64 << 10, 128 << 20, 1 << 30)] == [
        "1500B",
        "64KiB",
        "128MiB",
        "1GiB",
    ]
