"""Distributions as PNG; matplotlib comes with the extra ``rlfast[bench]``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rlfast.errors import MissingExtraError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from rlfast.metrics._histogram import Histogram

__all__ = ["check_plotting", "percentile_curves", "save"]

_TICKS = (0.0, 90.0, 99.0, 99.9, 99.99, 99.999)


def check_plotting() -> None:
    """Raise MissingExtraError if matplotlib is not installed: before there is anything to lose."""
    try:
        import matplotlib  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtraError("matplotlib", "bench") from error


def percentile_curves(panels: Mapping[str, Mapping[str, Histogram]], title: str) -> Figure:
    """One panel for each group of histograms: time against percentile, both on logarithmic scales."""
    check_plotting()
    # Not pyplot, which keeps figures alive and picks a window system.
    from matplotlib.figure import Figure

    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(6.4 * columns, 4.8 * rows), layout="constrained")
    figure.suptitle(title)
    lines = {}
    for index, (name, histograms) in enumerate(panels.items(), 1):
        axes = figure.add_subplot(rows, columns, index)
        for label, histogram in histograms.items():
            percents, values = histogram.curve()
            # The last point would be at infinity; it is the largest value, one event in all.
            beyond = 1 / (1 - (percents.clip(max=100 * (1 - 0.5 / max(2, len(histogram)))) / 100))
            lines[label] = axes.plot(beyond, values / 1e3, label=label, drawstyle="steps-pre")[0]
        axes.set(xscale="log", yscale="log", xlabel="percentile", ylabel="µs", title=name)
        axes.set_xticks([1 / (1 - tick / 100) for tick in _TICKS], [f"{tick:g} %" for tick in _TICKS])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    if len(lines) > 1:
        # Beside the curves, which fill their panels, and once for all of them.
        figure.legend(handles=list(lines.values()), loc="outside lower center", ncols=2 * columns)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write the figure as PNG."""
    figure.savefig(path, format="png", dpi=110)
