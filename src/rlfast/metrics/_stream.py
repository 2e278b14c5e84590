"""What is measured of a stream, from its batches."""

from __future__ import annotations

from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from rlfast.decode._batch import EventBatch, EventTable
from rlfast.metrics._histogram import LARGEST, Histogram
from rlfast.metrics._timestamps import UNKNOWN, find_column, from_json, to_nanoseconds

__all__ = ["StreamMeasure"]

JSON_COLUMN = "json"
_SECOND = 1_000_000_000


@final
class StreamMeasure:
    """Adds up the batches of one stream.

    Attributes:
        events: messages so far; dead_letters: those of them that could not be decoded.
        inter_arrival: time between messages that follow each other. Those of one socket read arrive together.
        latency: from an event's own time to the socket read that brought it. It holds the difference of the
            two clocks.
        early: events whose time is later than their arrival, which says that the clocks differ.
        late: events whose time is more than an hour ago, which says that it is not a time of sending.
        untimed: events without a time, or with one that cannot be read.
    """

    def __init__(self, timestamp: str | None = None, uses_timestamps: bool = True) -> None:
        self.events = 0
        self.dead_letters = 0
        self.payload_bytes = 0
        self.reads = 0
        self.inter_arrival = Histogram()
        self.latency = Histogram()
        self.early = 0
        self.late = 0
        self.untimed = 0
        self._timestamp = timestamp
        self._uses_timestamps = uses_timestamps
        self._first = self._last = 0
        self._per_second: dict[int, int] = {}

    def add(self, batch: EventBatch) -> None:
        """Measure the batch."""
        arrived = np.concatenate(
            [_arrivals(table) for table in (*batch.values(), batch.dead_letters) if len(table)]
        )
        arrived.sort()
        self._add_arrivals(arrived)
        self.events += batch.num_rows
        self.dead_letters += len(batch.dead_letters)
        self.payload_bytes += batch.payload_bytes
        if self._uses_timestamps:
            for table in batch.values():
                self._add_latencies(table)

    def _add_arrivals(self, arrived: NDArray[np.int64]) -> None:
        if self.events == 0:
            self._first = int(arrived[0])
        else:
            arrived = np.concatenate([[self._last], arrived])
        between = np.diff(arrived)
        self.reads += int(np.count_nonzero(between)) + (self.events == 0)
        self.inter_arrival.record(between)
        counted = arrived if self.events == 0 else arrived[1:]
        seconds, counts = np.unique((counted - self._first) // _SECOND, return_counts=True)
        for second, count in zip(seconds.tolist(), counts.tolist(), strict=True):
            self._per_second[second] = self._per_second.get(second, 0) + count
        self._last = int(arrived[-1])

    def _add_latencies(self, table: EventTable) -> None:
        if JSON_COLUMN in table and len(table.column_names) == 4:
            sent = from_json(table[JSON_COLUMN].tolist(), self._timestamp)
        else:
            column = find_column(table.column_names, self._timestamp)
            if column is None:
                self.untimed += len(table)
                return
            sent = to_nanoseconds(table[column].tolist())
        known = sent != UNKNOWN
        self.untimed += int(np.count_nonzero(~known))
        latencies = _arrivals(table)[known] - sent[known]
        early, late = latencies < 0, latencies > LARGEST
        self.early += int(np.count_nonzero(early))
        self.late += int(np.count_nonzero(late))
        self.latency.record(latencies[~early & ~late])

    @property
    def seconds(self) -> float:
        """From the first arrival to the last."""
        return (self._last - self._first) / _SECOND

    def rates(self) -> dict[str, float]:
        """Events per second: the mean, and the slowest, median and busiest of the whole seconds."""
        whole = [self._per_second.get(second, 0) for second in range(int(self.seconds))]
        found = {"mean": self.events / self.seconds if self.seconds else 0.0}
        if whole:
            found |= {"min": min(whole), "median": float(np.median(whole)), "max": max(whole)}
        return found

    def as_dict(self) -> dict[str, Any]:
        """Everything, for JSON; times in nanoseconds."""
        return {
            "events": self.events,
            "dead_letters": self.dead_letters,
            "payload_bytes": self.payload_bytes,
            "reads": self.reads,
            "seconds": self.seconds,
            "events_per_second": self.rates(),
            "inter_arrival_ns": self.inter_arrival.summary(),
            "latency_ns": {
                **self.latency.summary(),
                "early": self.early,
                "late": self.late,
                "untimed": self.untimed,
            },
        }


def _arrivals(table: EventTable) -> NDArray[np.int64]:
    return np.asarray(table[table.own_names.received_at]).astype(np.int64)
