"""The charts of a clustering and of a sweep, drawn by matplotlib for the MLflow UI and the report."""

from collections.abc import Mapping
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from retail_clusters import schema
from retail_clusters.clustering.blocks import Floats, Labels
from retail_clusters.clustering.stability import Stability
from retail_clusters.features.rows import WeightedRows
from retail_clusters.report import plots
from retail_clusters.report.profile import NUMBERS, PRICE, QUANTITY
from retail_clusters.report.stability_report import StabilityReport
from retail_clusters.wording import percent

#: Where a run keeps its charts, in the order in which a report shows them.
CLUSTER_CHARTS: Final = tuple(
    f"charts/{name}.png" for name in ("sizes", "price_quantity", "centres", "silhouettes", "stability")
)
SWEEP_CHARTS: Final = tuple(f"charts/{name}.png" for name in ("choice_of_k", "seed_agreement"))

#: Clusters that a chart shows one by one, and in colours of their own.
_SHOWN: Final = 20
_COLOURED: Final = len(plots.SERIES)
#: How far apart, across and up, two centres must be to be marked both, in powers of ten.
_APART: Final = (0.3, 0.2)
#: How far beyond the usable trials an axis reaches, as a part of their own range.
_MARGIN: Final = 0.12


def names(profile: pd.DataFrame) -> dict[int, str]:
    """Return what each cluster of a profile is called in a chart, in its order: its number and its name."""
    return {
        int(cluster): f"{cluster}  {name}"
        for cluster, name in zip(profile["cluster"], profile["name"], strict=True)
    }


def sizes_chart(profile: pd.DataFrame) -> Figure:
    """Draw the share of the training lines in each cluster, the largest on top, the smallest together."""
    top, rest = profile.head(_SHOWN), profile.iloc[_SHOWN:]
    called = list(names(top).values())
    shares, lines = top["share"].to_list(), top["lines"].to_list()
    if len(rest):
        called.append(f"{len(rest)} smaller clusters")
        shares.append(rest["share"].sum())
        lines.append(rest["lines"].sum())
    figure, (axes,) = plots.figure(
        "Cluster sizes",
        note=f"{profile['lines'].sum():,} training lines in {len(profile)} clusters",
        size=(9, 1.6 + 0.3 * len(called)),
    )
    colours = [plots.BLUE] * len(top) + [plots.PALE] * (len(called) - len(top))
    bars = axes.barh(called, shares, color=colours)
    texts = [f"{percent(share)} · {count:,}" for share, count in zip(shares, lines, strict=True)]
    axes.bar_label(bars, texts, padding=4, fontsize=10)
    axes.invert_yaxis()
    axes.margins(x=0.25, y=0.01)
    axes.set_xlabel("share of the training lines · lines")
    axes.xaxis.set_major_formatter(plots.PERCENT)
    plots.grid(axes, along="x")
    return figure


def price_quantity_chart(rows: WeightedRows, labels: Labels, profile: pd.DataFrame) -> Figure:
    """Draw price against quantity, both on a signed log scale, coloured by cluster, with centres marked."""
    coloured = names(profile.head(_COLOURED))
    figure, (axes,) = plots.figure(
        "Price against quantity, by cluster",
        note=f"A dot stands for all lines of one {schema.ROW_KEY_IN_WORDS}. "
        f"Colours: the {len(coloured)} largest clusters. Numbers: centres",
        size=(9, 7.5),
    )
    sizes = 6 + 3 * np.log2(np.maximum(rows.weights, 1))

    def dots(chosen: NDArray[np.bool_], colour: str, marker: str, label: str | None) -> None:
        axes.scatter(
            rows.quantities[chosen], rows.prices[chosen], s=sizes[chosen],
            color=colour, marker=marker, alpha=0.5, linewidths=0, label=label,
        )  # fmt: skip

    others = ~np.isin(labels, list(coloured))
    dots(others, plots.PALE, "o", "other clusters" if others.any() else None)
    for (cluster, name), colour, marker in zip(coloured.items(), plots.SERIES, plots.MARKERS, strict=False):
        dots(labels == cluster, colour, marker, name)
    _mark_centres(axes, cluster_means(rows, labels).loc[profile["cluster"].head(_SHOWN)])
    axes.set_xscale("symlog", linthresh=1, linscale=0.4)
    axes.set_yscale("symlog", linthresh=1, linscale=0.4)
    axes.set_xlabel(f"{QUANTITY.name} ({QUANTITY.unit})")
    axes.set_ylabel(f"{PRICE.name} ({PRICE.unit})")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(plots.THOUSANDS)
    axes.grid(color="#EEEEEE")
    plots.legend(axes, columns=2, below=True)
    return figure


def _mark_centres(axes: Axes, means: pd.DataFrame) -> None:
    """Mark the means of clusters with their numbers, unless one would hide another."""
    taken: list[Floats] = []
    for cluster, centre in zip(means.index, means[[QUANTITY.name, PRICE.name]].to_numpy(), strict=True):
        place = _signed_log(centre) / _APART
        if any(np.abs(place - other).max() < 1 for other in taken):
            continue
        taken.append(place)
        axes.annotate(
            str(cluster), tuple(centre), ha="center", va="center", fontsize=8, fontweight="bold",
            bbox={"boxstyle": "round,pad=0.15", "fc": "white", "ec": plots.BLACK, "lw": 0.8, "alpha": 0.9},
        )  # fmt: skip


def cluster_means(rows: WeightedRows, labels: Labels) -> pd.DataFrame:
    """Return the mean of each of `NUMBERS` over each cluster's lines, and their shares by weekday.

    Indexed by cluster: the centres, where nothing is scaled.
    """
    clusters, position = np.unique(labels, return_inverse=True)
    numbers = {number.name: rows.numbers(number.column) for number in NUMBERS}
    days = {name: rows.weekdays == day for day, name in enumerate(schema.WEEKDAYS)}
    lines = np.bincount(position, rows.weights)
    means = {
        name: np.bincount(position, rows.weights * values) / lines
        for name, values in (numbers | days).items()
    }
    return pd.DataFrame(means, index=clusters)


def centres_chart(rows: WeightedRows, labels: Labels, profile: pd.DataFrame) -> Figure:
    """Draw the largest clusters as a heat map: the mean of each number, and shares of lines by weekday."""
    shown = names(profile.head(_SHOWN))
    means = cluster_means(rows, labels).loc[list(shown)]
    days = [name for name in schema.WEEKDAYS if means[name].any()]
    figure, (left, right) = plots.figure(
        "Centres of the largest clusters" if len(profile) > _SHOWN else "Centres of the clusters",
        note="Means over the training lines of each cluster, and how these lines are spread over the week",
        size=(9, 1.9 + 0.31 * len(shown)),
        panels=(len(NUMBERS), len(days)),
    )
    numbers = means[[number.name for number in NUMBERS]].to_numpy()
    texts = [
        [f"{mean:,.{max(number.digits, 1)}f}" for mean, number in zip(row, NUMBERS, strict=True)]
        for row in numbers
    ]
    logs = _signed_log(numbers)
    bound = np.abs(logs).max(axis=0)
    _heat(left, logs / np.where(bound > 0, bound, 1), texts, cmap=plots.DIVERGING, norm=Normalize(-1, 1))
    left.set_xticks(range(len(NUMBERS)), [f"{number.name}\n{number.unit}" for number in NUMBERS])
    left.set_yticks(range(len(shown)), list(shown.values()))
    shares = means[days].to_numpy()
    most = Normalize(0, max(0.5, shares.max()))
    _heat(
        right, shares, [[f"{share:.0%}" for share in row] for row in shares], cmap=plots.SEQUENTIAL, norm=most
    )
    right.set_xticks(range(len(days)), [day[:3] for day in days])
    right.set_xlabel("share of a cluster's lines by weekday")
    right.set_yticks([])
    return figure


def _heat(axes: Axes, values: Floats, texts: list[list[str]], *, cmap: str, norm: Normalize) -> None:
    image = axes.imshow(values, cmap=cmap, norm=norm, aspect="auto")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    for row, column in np.ndindex(values.shape):
        red, green, blue, _ = image.cmap(norm(values[row, column]))
        dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
        axes.text(
            column, row, texts[row][column],
            ha="center", va="center", fontsize=9, color="white" if dark else plots.BLACK,
        )  # fmt: skip


def silhouettes_chart(
    labels: Labels, silhouettes: Floats, weights: Floats, *, names: Mapping[int, str], mean: float
) -> Figure:
    """Draw how the silhouettes of the validation lines of each cluster spread, the largest clusters on top.

    A thick bar holds half of the lines, a thin one nine in ten, the dot is the median.
    """
    shown = [cluster for cluster in names if (labels == cluster).any()][:_SHOWN]
    figure, (axes,) = plots.figure(
        "Silhouettes of the validation lines, by cluster",
        note="Thick: half of a cluster's lines; thin: nine in ten; dot: the median; dashed: the mean of all "
        f"lines, {mean:.3f}.\n1 is well apart from other clusters, 0 between two, below 0 nearer to another one",
        size=(9, 1.9 + 0.3 * len(shown)),
    )
    for place, cluster in enumerate(shown):
        chosen = labels == cluster
        low, lower, middle, upper, high = np.quantile(
            silhouettes[chosen], [0.05, 0.25, 0.5, 0.75, 0.95],
            weights=weights[chosen], method="inverted_cdf",
        )  # fmt: skip
        axes.plot([low, high], [place, place], color=plots.BLUE, linewidth=1.5)
        axes.plot([lower, upper], [place, place], color=plots.BLUE, linewidth=7, solid_capstyle="butt")
        axes.plot([middle], [place], "o", color="white", markeredgecolor=plots.BLACK, markersize=6)
    axes.axvline(mean, color=plots.VERMILION, linestyle="--", linewidth=1.2)
    axes.axvline(0, color=plots.GREY, linewidth=0.8)
    axes.set_yticks(range(len(shown)), [names[cluster] for cluster in shown])
    axes.invert_yaxis()
    axes.set_xlim(right=1.02)
    axes.set_xlabel("silhouette of a line")
    plots.grid(axes, along="x")
    return figure


def stability_chart(report: StabilityReport) -> Figure:
    """Draw how stable the clusters are, beside those of permuted data."""
    measured, _, verdict = report.sentence.rpartition(": ")
    figure, (axes,) = plots.figure(
        "Are the clusters stable when days are drawn anew?", note=f"{measured}:\n{verdict}", size=(9, 5.6)
    )
    for stability, name, colour, dash in (
        (report.real, "these clusters", plots.BLUE, "-"),
        (report.permuted, "clusters of permuted data", plots.ORANGE, "--"),
    ):
        shares, jaccards = _jaccard_curve(stability)
        axes.step(shares, jaccards, where="pre", color=colour, linestyle=dash, linewidth=2.2, label=name)
    bar = report.real.stable_jaccard
    axes.axhline(bar, color=plots.GREY, linestyle=":", linewidth=1.4, label=f"stable: {bar:g} or more")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.03)
    axes.xaxis.set_major_formatter(plots.PERCENT)
    axes.set_xlabel("share of the training lines, the most stable clusters first")
    axes.set_ylabel("mean Jaccard with the best match")
    plots.grid(axes)
    plots.legend(axes)
    return figure


def _jaccard_curve(stability: Stability) -> tuple[Floats, Floats]:
    """Return the share of lines in clusters with at least so high a Jaccard, from 0 on, and that Jaccard."""
    jaccards, sizes = (np.array(column, dtype=np.float64) for column in (stability.jaccards, stability.sizes))
    order = np.argsort(-jaccards, kind="stable")
    shares = np.concatenate([[0.0], np.cumsum(sizes[order]) / sizes.sum()])
    return shares, np.concatenate([jaccards[order[:1]], jaccards[order]])


def choice_chart(trials: pd.DataFrame, *, chosen: tuple[int, int] | None, guardrail: float) -> Figure:
    """Draw silhouette and largest cluster of every trial against K, with the chosen (K, seed) marked.

    The axis of silhouettes is that of the usable trials: the others stand at its edge where they lie beyond.
    """
    unusable = int((~trials["usable"]).sum())
    figure, (upper, lower) = plots.figure(
        "The choice of K",
        note=f"A dot for each of {len(trials)} trials, {unusable} of them not usable; triangles: beyond the axis",
        size=(9, 7.5),
        panels=(3, 2),
        stacked=True,
    )
    _against_k(upper, trials, "validation_silhouette", chosen=chosen, bounds=silhouette_range(trials))
    upper.set_ylabel("silhouette\n(mean of the validation lines)")
    _against_k(lower, trials, "largest_cluster_share", chosen=chosen, bounds=(0, 1.03))
    lower.axhspan(guardrail, 1.03, color=plots.VERMILION, alpha=0.06)
    lower.axhline(guardrail, color=plots.VERMILION, linestyle="--", linewidth=1.4)
    lower.text(
        0.01, guardrail + 0.01, f"guardrail {percent(guardrail)}: above it no trial is usable",
        color=plots.VERMILION, transform=lower.get_yaxis_transform(), va="bottom", fontsize=10,
    )  # fmt: skip
    lower.set_ylabel("largest cluster\n(share of the validation lines)")
    lower.yaxis.set_major_formatter(plots.PERCENT)
    lower.set_xlabel("K (clusters asked for)")
    lower.xaxis.set_major_locator(MaxNLocator(integer=True))
    plots.legend(lower, columns=4, below=True)
    return figure


def _against_k(
    axes: Axes,
    trials: pd.DataFrame,
    column: str,
    *,
    chosen: tuple[int, int] | None,
    bounds: tuple[float, float],
) -> None:
    """Draw a metric of every trial against K; what is beyond the bounds stands at the edge."""
    usable, others = trials[trials["usable"]], trials[~trials["usable"]]
    low, high = bounds
    axes.scatter(
        others["k"], others[column].where(others[column].between(low, high)), s=22,
        facecolors="none", edgecolors=plots.GREY, linewidths=0.9, label="not usable",
    )  # fmt: skip
    for beyond, edge, mark in ((others[column] > high, high, "^"), (others[column] < low, low, "v")):
        if not beyond.any():
            continue
        at = others[beyond]["k"]
        axes.plot(
            at, [edge] * len(at), mark, markersize=5, markerfacecolor="none", color=plots.GREY, clip_on=False
        )
    axes.scatter(
        usable["k"], usable[column], s=22, color=plots.BLUE, alpha=0.75, linewidths=0, label="usable"
    )
    medians = usable.groupby("k")[column].median()
    axes.plot(medians.index, medians, color=plots.BLUE, linewidth=1.4, label="median of the usable seeds")
    if chosen:
        found = trials[(trials["k"] == chosen[0]) & (trials["seed"] == chosen[1])]
        axes.plot(
            found["k"], found[column], "*", markersize=17, color=plots.ORANGE, markeredgecolor=plots.BLACK,
            label=f"chosen: K={chosen[0]} seed {chosen[1]}", zorder=5,
        )  # fmt: skip
    axes.set_ylim(low, high)
    plots.grid(axes)


def silhouette_range(trials: pd.DataFrame) -> tuple[float, float]:
    """Return the bounds of an axis of silhouettes: those of the usable trials; of all, where none is."""
    shown = trials[trials["usable"]] if trials["usable"].any() else trials
    low, high = shown["validation_silhouette"].min(), shown["validation_silhouette"].max()
    margin = (high - low or 0.1) * _MARGIN
    return float(low - margin), float(high + margin)


def seed_agreement_chart(seeds: pd.DataFrame) -> Figure:
    """Draw, for each K, how the silhouette spreads over seeds, and how far the seeds agree."""
    figure, (axes,) = plots.figure(
        "What the seed does", note="Bars: silhouette from the worst seed to the best; dots: the median"
    )
    axes.vlines(seeds["k"], seeds["silhouette_min"], seeds["silhouette_max"], color=plots.SKY, linewidth=3)
    axes.plot(seeds["k"], seeds["silhouette_median"], "o", color=plots.BLUE, markersize=5, label="silhouette")
    agreement = seeds.dropna(subset=["agreement"])
    axes.plot(
        agreement["k"], agreement["agreement"], "D", color=plots.VERMILION, markersize=5,
        label="agreement of the seeds: 1 the same clusters, 0 chance",
    )  # fmt: skip
    axes.set_xlabel("K (clusters asked for)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylabel("silhouette · adjusted Rand index")
    axes.set_ylim(top=1.03)
    plots.grid(axes)
    plots.legend(axes, columns=2, below=True)
    return figure


def _signed_log(values: Floats) -> Floats:
    logs: Floats = np.sign(values) * np.log10(1 + np.abs(values))
    return logs
