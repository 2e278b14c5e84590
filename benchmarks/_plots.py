"""PNG plots of results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rlfast.metrics._histogram import Histogram
from rlfast.metrics._plot import percentile_curves, save


def percentiles(panels: Mapping[str, Mapping[str, Histogram]], title: str, path: Path) -> None:
    save(percentile_curves(panels, title), path)


def lines(
    series: Mapping[str, Sequence[tuple[float, float]]], title: str, x: str, y: str, path: Path
) -> None:
    """Lines with points, on logarithmic scales."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.6, 4.8), layout="constrained")
    axes = figure.add_subplot()
    for label, points in series.items():
        axes.plot(*zip(*sorted(points), strict=True), marker="o", label=label)
    axes.set(xscale="log", yscale="log", xlabel=x, ylabel=y, title=title)
    axes.grid(alpha=0.3)
    figure.legend(fontsize="small", loc="outside right upper")
    save(figure, path)


def bars(rows: Sequence[tuple[str, float, float, float]], title: str, x: str, path: Path) -> None:
    """Horizontal bars on a logarithmic scale: label, median, lowest, highest."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.4, 0.9 + 0.3 * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    labels = [label for label, *_ in rows]
    medians = [median for _, median, _, _ in rows]
    spread = [[m - low for _, m, low, _ in rows], [high - m for _, m, _, high in rows]]
    colours = ["tab:blue" if label.startswith("rlfast") else "tab:grey" for label in labels]
    axes.barh(labels, medians, xerr=spread, color=colours, height=0.7, error_kw={"linewidth": 0.8})
    for index, median in enumerate(medians):
        axes.text(median * 1.12, index, f"{median:.3g}", va="center", fontsize="small")
    axes.invert_yaxis()
    axes.set(xscale="log", xlabel=x, title=title)
    axes.margins(x=0.12)
    axes.grid(axis="x", alpha=0.3)
    save(figure, path)
