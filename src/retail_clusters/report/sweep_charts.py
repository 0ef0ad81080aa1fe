"""A sweep as figures: what each K and seed gave, what was usable, how far the seeds agree."""

from typing import Final

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from retail_clusters.report import plots

#: How far beyond the usable trials a figure reaches, as a part of their own range.
_MARGIN: Final = 0.12


def silhouette_chart(trials: pd.DataFrame, *, chosen: tuple[int, int] | None) -> Figure:
    """Draw the validation silhouette of every trial against K, with the chosen (K, seed) marked.

    The axis is that of the usable trials: the others stand at its edge where they lie beyond it.
    """
    figure, axes = _against_k(
        trials, "validation_silhouette", title="Validation silhouette against K", chosen=chosen
    )
    axes.set_ylabel("silhouette (mean of the validation lines)")
    return figure


def share_chart(trials: pd.DataFrame, *, chosen: tuple[int, int] | None, guardrail: float) -> Figure:
    """Draw the share of the largest cluster of every trial against K, with the guardrail."""
    figure, axes = _against_k(
        trials,
        "largest_cluster_share",
        title="Largest cluster against K",
        chosen=chosen,
        bounds=(0, 1.03),
    )
    axes.axhline(guardrail, color=plots.VERMILION, linestyle="--", linewidth=1.4)
    axes.axhspan(guardrail, 1.03, color=plots.VERMILION, alpha=0.06)
    axes.text(
        0.01, guardrail - 0.02, f"guardrail {plots.percent(guardrail)}: above it no trial is usable",
        color=plots.VERMILION, transform=axes.get_yaxis_transform(), va="top", fontsize=10,
    )  # fmt: skip
    axes.yaxis.set_major_formatter(plots.PERCENT)
    axes.set_ylabel("share of the validation lines")
    return figure


def cost_chart(trials: pd.DataFrame, *, chosen: tuple[int, int] | None) -> Figure:
    """Draw the training cost of every trial against K, on a log scale."""
    bounds = (trials["train_cost"].min() * 0.7, trials["train_cost"].max() * 1.4)
    figure, axes = _against_k(
        trials, "train_cost", title="Training cost against K: falls by itself", chosen=chosen, bounds=bounds
    )
    if bounds[0] > 0:
        axes.set_yscale("log")
    axes.set_ylabel("WSSSE (squared units of the features)")
    return figure


def seed_agreement_chart(seeds: pd.DataFrame) -> Figure:
    """Draw, for each K, how the silhouette spreads over seeds, and how far the seeds agree."""
    figure, (axes,) = plots.figure(
        "What the seed does",
        note="Bars: silhouette from the worst seed to the best; dots: the median",
    )
    axes.vlines(seeds["k"], seeds["silhouette_min"], seeds["silhouette_max"], color=plots.SKY, linewidth=3)
    axes.plot(seeds["k"], seeds["silhouette_median"], "o", color=plots.BLUE, markersize=5, label="silhouette")
    agreement = seeds.dropna(subset=["agreement"])
    axes.plot(
        agreement["k"], agreement["agreement"], "D", color=plots.VERMILION, markersize=5,
        label="agreement of the seeds: 1 the same clusters, 0 chance",
    )  # fmt: skip
    axes.set_xlabel("K (clusters asked for)")
    axes.set_ylabel("silhouette · adjusted Rand index")
    axes.set_ylim(top=1.03)
    plots.grid(axes)
    plots.legend(axes, columns=2, below=True)
    return figure


def _against_k(
    trials: pd.DataFrame,
    column: str,
    *,
    title: str,
    chosen: tuple[int, int] | None,
    bounds: tuple[float, float] | None = None,
) -> tuple[Figure, Axes]:
    usable, others = trials[trials["usable"]], trials[~trials["usable"]]
    low, high = bounds or _range(usable if len(usable) else trials, column)
    figure, (axes,) = plots.figure(
        title, note=f"A dot for each of {len(trials)} trials; {len(others)} are not usable", size=(9, 5)
    )
    inside = others[column].between(low, high)
    axes.scatter(
        others[inside]["k"], others[inside][column], s=22, facecolors="none", edgecolors=plots.GREY,
        linewidths=0.9, label="not usable",
    )  # fmt: skip
    for beyond, at, mark in ((others[column] > high, high, "^"), (others[column] < low, low, "v")):
        if beyond.any():
            where = others[beyond]["k"]
            axes.plot(
                where, [at] * len(where), mark, markersize=5, markerfacecolor="none", color=plots.GREY,
                label=f"not usable, {'above' if mark == '^' else 'below'} the axis", clip_on=False,
            )  # fmt: skip
    axes.scatter(
        usable["k"], usable[column], s=22, color=plots.BLUE, alpha=0.75, linewidths=0, label="usable"
    )
    medians = usable.groupby("k")[column].median()
    axes.plot(medians.index, medians, color=plots.BLUE, linewidth=1.4, label="median of the usable seeds")
    if chosen:
        _mark(axes, trials, column, chosen)
    axes.set_ylim(low, high)
    axes.set_xlabel("K (clusters asked for)")
    plots.grid(axes)
    plots.legend(axes, columns=3, below=True)
    return figure, axes


def _mark(axes: Axes, trials: pd.DataFrame, column: str, chosen: tuple[int, int]) -> None:
    k, seed = chosen
    found = trials[(trials["k"] == k) & (trials["seed"] == seed)]
    axes.plot(
        found["k"], found[column], "*", markersize=17, color=plots.ORANGE, markeredgecolor=plots.BLACK,
        label=f"chosen: K={k} seed {seed}", zorder=5,
    )  # fmt: skip


def _range(trials: pd.DataFrame, column: str) -> tuple[float, float]:
    low, high = trials[column].min(), trials[column].max()
    margin = (high - low or 0.1) * _MARGIN
    return float(low - margin), float(high + margin)
