"""How well a clustering holds, as figures: silhouettes by cluster, and whether the clusters come back."""

from collections.abc import Mapping
from typing import Final

import numpy as np
from matplotlib.figure import Figure

from retail_clusters.clustering.blocks import Floats, Labels
from retail_clusters.clustering.stability import Stability
from retail_clusters.report import plots
from retail_clusters.report.stability_report import StabilityReport

_SHOWN: Final = 20


def silhouettes_chart(
    labels: Labels, silhouettes: Floats, weights: Floats, *, names: Mapping[int, str], mean: float
) -> Figure:
    """Draw how the silhouettes of the validation lines of each cluster spread, the largest clusters on top.

    A thick bar holds half of the lines, a thin one nine in ten, the dot is the median.
    """
    shown = [cluster for cluster in names if (labels == cluster).any()][:_SHOWN]
    figure, (axes,) = plots.figure(
        "Silhouettes of the validation lines, by cluster",
        note="Thick: half of a cluster's lines; thin: nine in ten; dot: the median. 1 is well apart from "
        "other clusters,\n0 between two, below 0 nearer to another one",
        size=(9, 1.9 + 0.3 * len(shown)),
    )
    for place, cluster in enumerate(shown):
        chosen = labels == cluster
        low, lower, middle, upper, high = np.quantile(
            silhouettes[chosen],
            [0.05, 0.25, 0.5, 0.75, 0.95],
            weights=weights[chosen],
            method="inverted_cdf",
        )
        axes.plot([low, high], [place, place], color=plots.BLUE, linewidth=1.5)
        axes.plot([lower, upper], [place, place], color=plots.BLUE, linewidth=7, solid_capstyle="butt")
        axes.plot([middle], [place], "o", color="white", markeredgecolor=plots.BLACK, markersize=6)
    axes.axvline(
        mean, color=plots.VERMILION, linestyle="--", linewidth=1.2, label=f"mean of all lines {mean:.3f}"
    )
    axes.axvline(0, color=plots.GREY, linewidth=0.8)
    axes.set_yticks(range(len(shown)), [names[cluster] for cluster in shown])
    axes.invert_yaxis()
    axes.set_xlim(right=1.02)
    axes.set_xlabel("silhouette of a line")
    plots.grid(axes, along="x")
    plots.legend(axes, above=True)
    return figure


def stability_chart(report: StabilityReport) -> Figure:
    """Draw how well the clusters come back, beside those of shuffled columns."""
    figure, (axes,) = plots.figure(
        "Do the clusters come back when days are drawn anew?",
        note=_in_two_lines(report.sentence),
        size=(9, 5.6),
    )
    for stability, name, colour, dash in (
        (report.real, "these clusters", plots.BLUE, "-"),
        (report.null, "clusters of shuffled columns", plots.ORANGE, "--"),
    ):
        shares, jaccards = _jaccard_curve(stability)
        axes.step(shares, jaccards, where="pre", color=colour, linestyle=dash, linewidth=2.2, label=name)
    bar = report.real.stable_jaccard
    axes.axhline(bar, color=plots.GREY, linestyle=":", linewidth=1.4, label=f"comes back: {bar:g} or more")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.03)
    axes.xaxis.set_major_formatter(plots.PERCENT)
    axes.set_xlabel("share of the training lines, from the clusters that come back best")
    axes.set_ylabel("mean Jaccard with the best match")
    plots.grid(axes)
    axes.legend(frameon=False, fontsize=10, loc="lower left")
    return figure


def _jaccard_curve(stability: Stability) -> tuple[Floats, Floats]:
    """Return the share of lines in clusters with at least so high a Jaccard, from 0 on, and that Jaccard."""
    jaccards, sizes = (np.array(column, dtype=np.float64) for column in (stability.jaccards, stability.sizes))
    order = np.argsort(-jaccards, kind="stable")
    shares = np.concatenate([[0.0], np.cumsum(sizes[order]) / sizes.sum()])
    return shares, np.concatenate([jaccards[order[:1]], jaccards[order]])


def _in_two_lines(sentence: str) -> str:
    facts, colon, verdict = sentence.rpartition(": ")
    return f"{facts}{colon.rstrip()}\n{verdict}"
