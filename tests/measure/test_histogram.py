from __future__ import annotations

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given, settings
from hypothesis import strategies as st

from rlfast.metrics._histogram import LARGEST, PERCENTILES, Histogram

DURATIONS = st.lists(st.integers(1, LARGEST), min_size=1, max_size=200)


@settings(deadline=None, max_examples=20)
@given(DURATIONS)
def test_recording_an_array_is_recording_each_value(values: list[int]) -> None:
    ours = Histogram()
    ours.record(np.array(values, dtype=np.int64))
    theirs = HdrHistogram(1, LARGEST, 3)
    for value in values:
        theirs.record_value(value)
    assert len(ours) == len(values)
    for percent in PERCENTILES:
        assert ours.percentile(percent) == min(theirs.get_value_at_percentile(percent), max(values))
    assert ours.summary()["max"] == max(values)
    assert ours.summary()["mean"] == pytest.approx(sum(values) / len(values), abs=1)
    assert ours.counts()[1].sum() == len(values)


def test_values_out_of_range_are_kept_at_its_ends() -> None:
    histogram = Histogram()
    histogram.record(np.array([-5, 0, 2 * LARGEST]))
    assert (histogram.percentile(50), histogram.summary()["max"]) == (1, LARGEST)


def test_the_text_form_brings_everything_back() -> None:
    histogram = Histogram()
    histogram.record(np.arange(1, 100_000, 7))
    again = Histogram.from_text(histogram.summary()["hdr"])
    for percent in PERCENTILES:
        assert again.percentile(percent) == pytest.approx(histogram.percentile(percent), rel=1e-3)
    assert len(again) == len(histogram)


def test_an_empty_histogram_has_a_count_only() -> None:
    histogram = Histogram()
    histogram.record(np.array([], dtype=np.int64))
    assert histogram.summary() == {"count": 0}
    assert [len(part) for part in histogram.counts()] == [0, 0]


def test_the_curve_ends_at_everything() -> None:
    histogram = Histogram()
    histogram.record(np.array([10, 10, 20, 4000]))
    percents, values = histogram.curve()
    assert percents.tolist() == [50, 75, 100]
    assert values.tolist()[:2] == [10, 20]
