"""What a scorer watched, as a figure."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure


def drift_chart(batches: Sequence[int], drift: Mapping[str, Sequence[float]], *, warning: float) -> Figure:
    """Draw the PSI of each watched thing over the batches, with the line that warns."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for name, values in drift.items():
        axes.plot(batches, values, marker="o", markersize=3, linewidth=1, label=name)
    axes.axhline(warning, color="#8a8a8a", linestyle="--", linewidth=1, label=f"warning {warning:g}")
    axes.set(title="Drift from the training lines", xlabel="batch", ylabel="PSI", ylim=(0, None))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return figure
