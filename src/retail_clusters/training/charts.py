"""Records as matplotlib figures."""

from typing import Final

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

_BLUE: Final = "#1f6f9f"
_GREY: Final = "#8a8a8a"


def sweep_chart(trials: pd.DataFrame, *, column: str, title: str, bound: float | None = None) -> Figure:
    """Draw a column of the trials against K, a dot for each seed, hollow where the trial is unusable."""
    figure, axes = _axes(title, "K (clusters asked for)")
    usable = trials[trials["usable"]]
    others = trials[~trials["usable"]]
    axes.scatter(others["k"], others[column], s=36, facecolors="none", edgecolors=_GREY, label="unusable")
    axes.scatter(usable["k"], usable[column], s=36, color=_BLUE, label="usable")
    if bound is not None:
        axes.axhline(bound, color=_GREY, linestyle="--", linewidth=1, label=f"guardrail {bound:g}")
    axes.set_ylabel(column.replace("_", " "))
    axes.legend(frameon=False)
    return figure


def cost_chart(trials: pd.DataFrame) -> Figure:
    """Draw the training cost against K on a logarithmic axis."""
    figure = sweep_chart(trials, column="train_cost", title="Training cost (WSSSE) against K")
    figure.axes[0].set_yscale("log")
    return figure


def stability_chart(stability: pd.DataFrame) -> Figure:
    """Draw, for each K, the range and median of the silhouette over seeds, and how far the seeds agree."""
    figure, axes = _axes("What the seed does: silhouette range, and agreement of the clusterings", "K")
    low = stability["silhouette_median"] - stability["silhouette_min"]
    high = stability["silhouette_max"] - stability["silhouette_median"]
    axes.errorbar(
        stability["k"].to_list(),
        stability["silhouette_median"].to_list(),
        yerr=[low.to_list(), high.to_list()],
        fmt="o",
        color=_BLUE,
        capsize=3,
        label="silhouette: min, median, max",
    )
    agreement = stability.dropna(subset=["agreement"])
    axes.plot(agreement["k"], agreement["agreement"], "D", color="#c46210", label="agreement of seeds (ARI)")
    axes.set_ylim(top=1.02)
    axes.legend(frameon=False)
    return figure


def _axes(title: str, x_label: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(9, 5))
    axes = figure.subplots(gridspec_kw={"left": 0.09, "right": 0.98, "top": 0.92, "bottom": 0.11})
    axes.set_title(title, loc="left")
    axes.set_xlabel(x_label)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.3)
    return figure, axes
