"""What a scorer watched, as a figure."""

from collections.abc import Mapping, Sequence
from typing import Final

from matplotlib.figure import Figure

from retail_clusters.infra import plots

#: Below it a population stability index is usually called no change.
_NO_CHANGE: Final = 0.1


def drift_chart(batches: Sequence[int], drift: Mapping[str, Sequence[float]], *, warning: float) -> Figure:
    """Draw the PSI of each watched thing over the batches, with the bounds of no change and of a warning."""
    figure, (axes,) = plots.figure(
        "Drift from the training lines",
        note="Population stability index of the latest lines, for each thing that is watched",
    )
    axes.axhspan(0, min(_NO_CHANGE, warning), color=plots.GREEN, alpha=0.08)
    axes.axhline(
        warning, color=plots.VERMILION, linestyle="--", linewidth=1.4, label=f"warning above {warning:g}"
    )
    for (name, values), colour, marker in zip(drift.items(), plots.SERIES, plots.MARKERS, strict=False):
        axes.plot(batches, values, marker=marker, markersize=5, linewidth=1.4, color=colour, label=name)
    axes.set(xlabel="batch", ylabel="PSI (green: no change)", ylim=(0, None))
    plots.grid(axes)
    plots.legend(axes, columns=5, below=True)
    return figure
