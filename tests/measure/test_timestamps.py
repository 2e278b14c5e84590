from __future__ import annotations

import pytest

from rlfast.metrics._timestamps import UNKNOWN, find_column, from_json, to_nanoseconds

MOMENT = 1_790_000_000_123_456_000


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-09-21T14:13:20.123456Z", MOMENT),
        ("2026-09-21T16:13:20.123456+02:00", MOMENT),
        ("2026-09-21T14:13:20.123456", MOMENT),
        (MOMENT, MOMENT),
        (MOMENT // 1000, MOMENT),
        (1_790_000_000_123, 1_790_000_000_123_000_000),
        (1_790_000_000, 1_790_000_000_000_000_000),
        (1_790_000_000.5, 1_790_000_000_500_000_000),
        ("1790000000123", 1_790_000_000_123_000_000),
        ("yesterday", UNKNOWN),
        ("nan", UNKNOWN),
        (float("inf"), UNKNOWN),
        (-1, UNKNOWN),
        (0, UNKNOWN),
        (True, UNKNOWN),
        (None, UNKNOWN),
        (["2026"], UNKNOWN),
    ],
)
def test_times_are_read_in_every_usual_form(value: object, expected: int) -> None:
    assert to_nanoseconds([value]).tolist() == [expected]


def test_the_best_known_name_is_taken_unless_one_is_wanted() -> None:
    assert find_column(["seq", "T", "ts"], None) == "ts"
    assert find_column(["seq", "T", "ts"], "T") == "T"
    assert find_column(["seq"], None) is None
    assert find_column(["ts"], "sent") is None


def test_times_in_json_text() -> None:
    texts = ['{"ts":1790000000,"x":[1]}', '{"T":1790000001}', "[1]", '{"ts":null}', '{"ts":"?"}']
    assert from_json(texts, None).tolist() == [
        1_790_000_000_000_000_000,
        1_790_000_001_000_000_000,
        *[UNKNOWN] * 3,
    ]
    assert from_json(texts[:2], "T").tolist() == [UNKNOWN, 1_790_000_001_000_000_000]
