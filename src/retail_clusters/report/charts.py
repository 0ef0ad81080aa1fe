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
from retail_clusters.question import Question
from retail_clusters.report import plots
from retail_clusters.report.profile import number_form, standing, typical_standing, value_shares
from retail_clusters.report.stability_report import StabilityReport, drawn_anew
from retail_clusters.wording import percent, plural

#: Where a run keeps its charts, in the order in which a report shows them; of an earlier release, another one.
CLUSTER_CHARTS: Final = tuple(
    f"charts/{name}.png"
    for name in ("sizes", "price_quantity", "pairs", "centres", "silhouettes", "stability")
)
SWEEP_CHARTS: Final = ("charts/choice_of_k.png",)

#: Clusters that a chart shows one by one, and in colours of their own; values of a category.
_SHOWN, _COLOURED, _VALUES = 20, len(plots.SERIES), 8
#: Dots of a cluster, evenly over its rows.
_DOTS: Final = 5_000
#: Steps by which rows of one value stand apart, across and up: those of Roberts' sequence, which fill a square.
_STEPS: Final = {"x": 0.7548777, "y": 0.5698403}
#: How far beyond the usable trials an axis reaches, as a part of their own range.
_MARGIN: Final = 0.12


def names(profile: pd.DataFrame) -> dict[int, str]:
    """Return what each cluster of a profile is called in a chart, in its order: its number, name and share."""
    clusters = zip(profile["cluster"], profile["name"], profile["share"], strict=True)
    return {int(cluster): f"{cluster}  {name} ({percent(share)})" for cluster, name, share in clusters}


def pairs_chart(rows: WeightedRows, labels: Labels, profile: pd.DataFrame, question: Question) -> Figure:
    """Draw the number that separates clusters most against each of the next two, coloured by cluster.

    Where there are fewer numbers, categories stand in for them, and the clusters themselves for a second feature.
    """
    pairs = _pairs(rows, labels, question)
    figure, panels = plots.figure(
        "The features that separate the clusters most",
        note=f"A dot stands for all {plural(question.noun)} that have the same features.\n"
        "Colours: the largest clusters",
        size=(4 + 5 * len(pairs), 7.5),
        panels=[1] * len(pairs),
    )
    sizes, coloured = 6 + 3 * np.log2(np.maximum(rows.weights, 1)), names(profile.head(_COLOURED))
    others = ~np.isin(labels, list(coloured))
    groups = [(others, plots.PALE, "o", "other clusters")] if others.any() else []
    for (cluster, name), colour, marker in zip(coloured.items(), plots.SERIES, plots.MARKERS, strict=False):
        groups.append((labels == cluster, colour, marker, name))
    for axes, pair in zip(panels, pairs, strict=True):
        x = _place(axes, "x", pair[0], rows, labels, question)
        y = _place(axes, "y", pair[1], rows, labels, question)
        for members, colour, marker, label in groups:
            drawn = np.flatnonzero(members)[:: 1 + members.sum() // _DOTS]
            axes.scatter(
                x[drawn], y[drawn], s=sizes[drawn],
                color=colour, marker=marker, alpha=0.5, linewidths=0, label=label,
            )  # fmt: skip
        axes.grid(color="#EEEEEE")
    plots.legend(panels[0], columns=2, below=True)
    return figure


def _pairs(rows: WeightedRows, labels: Labels, question: Question) -> list[tuple[str, str]]:
    """Return what is drawn across and up: numbers, those first whose ranks differ most by cluster; categories."""
    _, of_rows = np.unique(labels, return_inverse=True)
    records, apart = np.bincount(of_rows, rows.weights), {}
    for name in question.numbers:
        stands = standing(rows.numbers(name), rows.weights) - 0.5
        means = np.bincount(of_rows, rows.weights * stands) / records
        whole = np.average(stands**2, weights=rows.weights) or 1
        apart[name] = np.average(means**2, weights=records) / whole
    first, *others = [*sorted(apart, key=apart.__getitem__, reverse=True), *question.categories]
    return [(first, other) for other in others[:2] or [""]]


def _place(
    axes: Axes, along: str, name: str, rows: WeightedRows, labels: Labels, question: Question
) -> Floats:
    """Give an axis, x or y, to a feature, or else to the clusters, and return where each row stands on it."""
    axis = axes.xaxis if along == "x" else axes.yaxis
    axis.set_label_text(name.replace("_", " ") or "cluster")
    if name in question.numbers:
        if "log" in question.features[name].scale:
            getattr(axes, f"set_{along}scale")("symlog", linthresh=1, linscale=0.4)
        axis.set_major_formatter(plots.THOUSANDS)
        return rows.numbers(name)
    values = pd.Categorical(rows.texts(name), _values(rows, name)) if name else pd.Categorical(labels)
    shown = len(values.categories)
    axis.set_ticks(range(shown + 1), [*map(str, values.categories), "others"])
    axis.set_tick_params(rotation=40 if along == "x" else 0)
    room = 0.7 * ((np.arange(len(rows)) * _STEPS[along]) % 1 - 0.5)
    return np.asarray(np.where(values.codes < 0, shown, values.codes) + room)


def centres_chart(rows: WeightedRows, labels: Labels, profile: pd.DataFrame, question: Question) -> Figure:
    """Draw the largest clusters as a heat map: the median of each number, and shares of the values of categories."""
    shown, nouns = names(profile.head(_SHOWN)), plural(question.noun)
    maps = {f"share of {nouns} by {name}": _shares(rows, labels, name) for name in question.categories}
    if question.numbers:
        maps = {"median": typical_standing(rows, labels, question)} | maps
    widths = [len(values.columns) for values in maps.values()]
    figure, panels = plots.figure(
        "Centres of the largest clusters" if len(profile) > _SHOWN else "Centres of the clusters",
        note=f"Medians and shares of the training {nouns} of each cluster.\n"
        f"Medians: orange is high among all {nouns}, purple low",
        size=(max(9, 4 + 0.7 * sum(widths)), 2.6 + 0.31 * len(shown)),
        panels=widths,
    )
    for axes, (what, values) in zip(panels, maps.items(), strict=True):
        cells = values.loc[list(shown)].to_numpy(float)
        texts = np.vectorize("{:z.0%}".format)(cells)
        if what == "median":
            medians = profile.head(_SHOWN)[[f"{name}_median" for name in values]]
            texts = medians.apply(lambda column: column.map(number_form(column.to_numpy(float)))).to_numpy()
        _heat(axes, cells, texts, is_share=what != "median")
        axes.set_xticks(range(len(values.columns)), [*map(str, values)], rotation=40, ha="right")
        axes.set_xlabel(what.replace("_", " "))
        axes.set_yticks(range(len(shown)), list(shown.values()) if axes is panels[0] else [""] * len(shown))
    return figure


def _shares(rows: WeightedRows, labels: Labels, name: str) -> pd.DataFrame:
    """Return the share of each cluster's records that has each of the most frequent values, and the others'."""
    shares = value_shares(rows.table[name], rows.weights, labels).unstack(fill_value=0)
    shown = shares[_values(rows, name)]
    others = len(shown.columns) < len(shares.columns)
    return shown.assign(others=1 - shown.sum(axis=1)) if others else shown


def _values(rows: WeightedRows, name: str) -> list[str]:
    """Return the most frequent values of a category, weekdays and whole numbers in their own order."""
    shares = value_shares(rows.table[name], rows.weights, np.zeros(len(rows), dtype=np.intp))
    days = {day: f"{at}" for at, day in enumerate(schema.WEEKDAYS)}
    most = shares.droplevel("cluster").nlargest(_VALUES).index
    return sorted(most, key=lambda value: days.get(value, value.zfill(9) if value.isdigit() else value))


def _heat(axes: Axes, cells: Floats, texts: NDArray[np.object_], *, is_share: bool) -> None:
    """Draw shares from none to the largest, or places among all records from the lowest to the highest."""
    norm = Normalize(0, max(0.5, cells.max()) if is_share else 1)
    image = axes.imshow(cells, plots.SEQUENTIAL if is_share else plots.DIVERGING, norm, aspect="auto")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    for (row, column), cell in np.ndenumerate(cells):
        red, green, blue, _ = image.cmap(norm(cell))
        dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
        axes.text(
            column, row, str(texts[row, column]),
            ha="center", va="center", fontsize=9, color="white" if dark else plots.BLACK,
        )  # fmt: skip


def silhouettes_chart(
    labels: Labels, silhouettes: Floats, weights: Floats, *, names: Mapping[int, str], mean: float, noun: str
) -> Figure:
    """Draw how the silhouettes of the validation records of each cluster spread, the largest clusters on top.

    A thick bar holds half of the records, a thin one nine in ten, the dot is the median.
    """
    shown = [cluster for cluster in names if (labels == cluster).any()][:_SHOWN]
    figure, (axes,) = plots.figure(
        f"Silhouettes of the validation {plural(noun)}, by cluster",
        note=f"Thick: half of a cluster's {plural(noun)}; thin: nine in ten; dot: the median; dashed: the mean of "
        f"all, {mean:.3f}.\n1 is well apart from other clusters, 0 between two, below 0 nearer to another one",
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
    axes.set_xlabel(f"silhouette of a {noun}")
    plots.grid(axes, along="x")
    return figure


def stability_chart(report: StabilityReport) -> Figure:
    """Draw how stable the clusters are, beside those of permuted data."""
    measured, _, verdict = report.sentence.rpartition(": ")
    figure, (axes,) = plots.figure(
        f"Are the clusters stable when {drawn_anew(report.noun)} are drawn anew?",
        note=f"{measured}:\n{verdict}",
        size=(9, 5.6),
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
    axes.set_xlabel(f"share of the training {plural(report.noun)}, the most stable clusters first")
    axes.set_ylabel("mean Jaccard with the best match")
    plots.grid(axes)
    plots.legend(axes)
    return figure


def _jaccard_curve(stability: Stability) -> tuple[Floats, Floats]:
    """Return the share of records in clusters with at least so high a Jaccard, from 0 on, and that Jaccard."""
    jaccards, sizes = (np.array(column, dtype=np.float64) for column in (stability.jaccards, stability.sizes))
    order = np.argsort(-jaccards, kind="stable")
    shares = np.concatenate([[0.0], np.cumsum(sizes[order]) / sizes.sum()])
    return shares, np.concatenate([jaccards[order[:1]], jaccards[order]])


def choice_chart(
    trials: pd.DataFrame, *, chosen: tuple[int, int] | None, guardrail: float, noun: str
) -> Figure:
    """Draw the silhouette of every trial against K, with the chosen (K, seed) marked.

    The axis is that of the usable trials: the others stand at its edge where they lie beyond.
    """
    usable, others = trials[trials["usable"]], trials[~trials["usable"]]
    figure, (axes,) = plots.figure(
        "The choice of K",
        note=f"A dot for each of {len(trials)} trials. {len(others)} are not usable, such as those whose largest "
        f"cluster\nholds more than {percent(guardrail)}; where they lie beyond the others they stand at the edge",
        size=(9, 6),
    )
    column = "validation_silhouette"
    low, high = (usable if len(usable) else others)[column].agg(["min", "max"])
    margin = (high - low or 0.1) * _MARGIN
    axes.set_ylim(low - margin, high + margin)
    axes.scatter(
        others["k"], others[column].clip(*axes.get_ylim()), s=22, clip_on=False,
        facecolors="none", edgecolors=plots.GREY, linewidths=0.9, label="not usable",
    )  # fmt: skip
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
    axes.set_xlabel("K (clusters asked for)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylabel(f"silhouette (mean of the validation {plural(noun)})")
    plots.grid(axes)
    plots.legend(axes, columns=4, below=True)
    return figure
