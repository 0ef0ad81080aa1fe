"""What a scorer watched, as a figure."""

from collections.abc import Mapping
from typing import Final

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from retail_clusters.report import plots

_PREFIX: Final = "drift/"
#: Below it a population stability index is usually called no change.
_NO_CHANGE: Final = 0.1


def drift_chart(points: Mapping[int, Mapping[str, float]], *, warning: float) -> Figure | None:
    """Draw the PSI of each watched thing over the batches, with its bounds; None without any.

    The bounds are those of no change, and of a warning.
    """
    names = sorted({name for metrics in points.values() for name in metrics if name.startswith(_PREFIX)})
    if not names:
        return None
    figure, (axes,) = plots.figure(
        "Drift from the training lines",
        note="Population stability index of the latest lines, for each thing that is watched",
    )
    axes.axhspan(0, min(_NO_CHANGE, warning), color=plots.GREEN, alpha=0.1)
    axes.axhline(
        warning, color=plots.VERMILION, linestyle="--", linewidth=1.4, label=f"no warning below {warning:g}"
    )
    for name, colour, marker in zip(names, plots.SERIES, plots.MARKERS, strict=False):
        line = {batch: metrics[name] for batch, metrics in points.items() if name in metrics}
        label = name.removeprefix(_PREFIX)
        axes.plot(
            list(line),
            list(line.values()),
            marker=marker,
            markersize=5,
            linewidth=1.4,
            color=colour,
            label=label,
        )
    axes.set(xlabel="batch", ylabel="PSI (green: no change)", ylim=(0, None))
    axes.set_xlim(min(points) - 0.5, max(points) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    plots.grid(axes)
    plots.legend(axes, columns=5, below=True)
    return figure
