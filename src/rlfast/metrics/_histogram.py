"""Nanoseconds in an HdrHistogram, recorded a whole array at a time."""

from __future__ import annotations

from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from rlfast.errors import MissingExtraError

try:
    from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]
except ModuleNotFoundError as error:
    raise MissingExtraError("hdrhistogram", "bench") from error

__all__ = ["LARGEST", "PERCENTILES", "Histogram"]

LARGEST = 3600 * 1_000_000_000
"""One hour, the most that a histogram holds; what is longer counts as that."""

PERCENTILES = (50.0, 90.0, 99.0, 99.9)

_DIGITS = 3
# HdrHistogram keeps three digits as 11 bits, so rounding to them first changes nothing.
_STEP_BITS = 11


@final
class Histogram:
    """Distribution of durations from 1 ns to 1 h, with three significant digits.

    HdrHistogram's own ``record_value`` takes some microseconds per value; here equal values are recorded
    together, so a million cost some tens of milliseconds.
    """

    def __init__(self) -> None:
        self._hdr: Any = HdrHistogram(1, LARGEST, _DIGITS)
        self._largest = 0
        self._sum = 0

    def record(self, values: NDArray[np.int64]) -> None:
        """Record durations in nanoseconds; less than 1 counts as 1."""
        if len(values) == 0:
            return
        clipped = np.clip(values, 1, LARGEST)
        self._largest = max(self._largest, int(clipped.max()))
        self._sum += int(clipped.sum())
        shift = np.maximum(np.frexp(clipped.astype(np.float64))[1] - _STEP_BITS, 0)
        for value, count in zip(*np.unique(clipped >> shift << shift, return_counts=True), strict=True):
            self._hdr.record_value(int(value), int(count))

    def merge(self, other: Histogram) -> None:
        """Add everything that the other one has recorded."""
        self._hdr.add(other._hdr)
        self._largest = max(self._largest, other._largest)
        self._sum += other._sum

    def __len__(self) -> int:
        return int(self._hdr.get_total_count())

    def percentile(self, percent: float) -> int:
        """Nanoseconds that so many percent do not exceed."""
        return min(int(self._hdr.get_value_at_percentile(percent)), self._largest)

    def summary(self) -> dict[str, Any]:
        """Count, mean, percentiles and largest, in nanoseconds, and HdrHistogram's own text form of it all.

        The text, base64, is what every implementation of HdrHistogram reads, to merge or to plot it.
        """
        count = len(self)
        if count == 0:
            return {"count": 0}
        points = {f"p{percent:g}": self.percentile(percent) for percent in PERCENTILES}
        return {
            "count": count,
            "mean": round(self._sum / count),
            **points,
            "max": self._largest,
            "hdr": self._hdr.encode().decode(),
        }

    def counts(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Recorded values, ascending, and how often each occurs."""
        found = [
            (item.value_iterated_to, item.count_at_value_iterated_to)
            for item in self._hdr.get_recorded_iterator()
        ]
        table = np.array(found, dtype=np.int64).reshape(-1, 2)
        return table[:, 0], table[:, 1]

    def curve(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Percentiles and the nanoseconds at each, one point per recorded value, for a plot."""
        values, counts = self.counts()
        return np.cumsum(counts) / max(1, len(self)) * 100, values

    @classmethod
    def from_text(cls, text: str) -> Histogram:
        """Histogram of the ``hdr`` text of a `summary`."""
        found = cls()
        found._hdr.decode_and_add(text)
        values, counts = found.counts()
        found._largest = int(values[-1]) if len(values) else 0
        found._sum = int((values * counts).sum())
        return found
