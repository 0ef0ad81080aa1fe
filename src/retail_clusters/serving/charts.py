"""What a scorer watched, as a figure."""

from collections.abc import Mapping
from typing import Final

from matplotlib.figure import Figure

_PREFIX: Final = "drift_"


def drift_chart(points: Mapping[int, Mapping[str, float]], *, warning: float) -> Figure | None:
    """Draw the PSI of each watched thing over the batches, with the line that warns; None without any."""
    names = sorted({name for metrics in points.values() for name in metrics if name.startswith(_PREFIX)})
    names = [name for name in names if name != f"{_PREFIX}psi"]
    if not names:
        return None
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for name in names:
        line = {batch: metrics[name] for batch, metrics in points.items() if name in metrics}
        label = name.removeprefix(_PREFIX)
        axes.plot(list(line), list(line.values()), marker="o", markersize=3, linewidth=1, label=label)
    axes.axhline(warning, color="#8a8a8a", linestyle="--", linewidth=1, label=f"warning {warning:g}")
    axes.set(title="Drift from the training lines", xlabel="batch", ylabel="PSI", ylim=(0, None))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return figure
