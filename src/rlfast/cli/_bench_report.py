"""What a person sees of a measured stream: figures, and distributions as bars."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING

from rlfast.cli._display import make_console
from rlfast.cli._units import format_bytes, format_nanoseconds, format_seconds

if TYPE_CHECKING:
    from rich.console import Console

    from rlfast.metrics._histogram import Histogram
    from rlfast.metrics._stream import StreamMeasure

__all__ = ["print_measure"]

BAR = 50
"""Characters of the longest bar."""
STEPS = (1, 2, 5)
"""Where the buckets of a printed histogram begin, in each decade."""


def print_measure(measure: StreamMeasure, name: str) -> None:
    """Print the report to stdout."""
    console = make_console()

    def line(text: str = "") -> None:
        console.print(text, markup=False, soft_wrap=True)

    rates = measure.rates()
    line(
        f"{name}: {measure.events:,} events in {format_seconds(measure.seconds)}, "
        f"{rates['mean']:,.0f} events/s, {format_bytes(_per_second(measure))}/s, "
        f"{measure.payload_bytes / measure.events:,.0f} bytes per event"
    )
    if "max" in rates:
        line(
            f"second by second: {rates['min']:,.0f} to {rates['max']:,.0f} events/s, "
            f"median {rates['median']:,.0f}"
        )
    if measure.dead_letters:
        line(f"{measure.dead_letters:,} events do not fit the type, or are not JSON")
    line()
    line(f"between events, as they arrived in {measure.reads:,} socket reads")
    _print_histogram(console, measure.inter_arrival, together=True)
    line()
    if len(measure.latency):
        line("latency, from an event's own time to the socket read (with the difference of the two clocks)")
        _print_histogram(console, measure.latency)
    else:
        line("latency: no event holds a time at which it can have been sent")
    for count, text in (
        (measure.early, "have a time later than their arrival: the two clocks differ"),
        (measure.late, "have a time of more than an hour ago: it is not when they were sent"),
        (measure.untimed if len(measure.latency) else 0, "have no time that can be read"),
    ):
        if count:
            line(f"{count:,} events {text}")
    sys.stdout.flush()


def _per_second(measure: StreamMeasure) -> float:
    return measure.payload_bytes / measure.seconds if measure.seconds else 0.0


def _print_histogram(console: Console, histogram: Histogram, *, together: bool = False) -> None:
    if len(histogram) == 0:
        return
    found = histogram.summary()
    points = "  ".join(
        f"{name} {format_nanoseconds(found[name])}" for name in ("p50", "p90", "p99", "p99.9", "max")
    )
    console.print(f"  {points}", markup=False, soft_wrap=True)
    rows = _buckets(histogram)
    most = max(count for _, count in rows)
    for lower, count in rows:
        bar = "█" * math.ceil(BAR * count / most) if count else ""
        label = "together" if together and lower == 1 else f"≥ {format_nanoseconds(lower)}"
        share = count / len(histogram)
        console.print(f"  {label:>10} {share:7.2%} {bar}", markup=False, soft_wrap=True)


def _buckets(histogram: Histogram) -> list[tuple[int, int]]:
    """Lower bound and count of buckets that begin at 1, 2 and 5 of each decade, from first to last."""
    found: dict[int, int] = {}
    for value, count in zip(*histogram.counts(), strict=True):
        power = 10 ** int(math.log10(max(1, value)))
        lower = max(step * power for step in STEPS if step * power <= max(1, value))
        found[lower] = found.get(lower, 0) + int(count)
    # Nothing lies between messages of one read, which are 1 ns apart here, and the next read.
    out = [(1, found.pop(1))] if 1 in found else []
    bound = min(found, default=1)
    while found and bound <= max(found):
        out.append((bound, found.get(bound, 0)))
        bound = bound * 5 // 2 if str(bound)[0] == "2" else bound * 2
    return out
