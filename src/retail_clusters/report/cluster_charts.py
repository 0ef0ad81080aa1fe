"""A clustering as figures: how large the clusters are, and where they lie."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from retail_clusters import schema
from retail_clusters.clustering.blocks import Floats, Labels
from retail_clusters.features.rows import WeightedRows
from retail_clusters.report import plots
from retail_clusters.report.profile import FACTS

#: Clusters that a figure shows one by one; the others together, if at all.
_SHOWN: Final = 20
_COLOURED: Final = len(plots.SERIES)
#: How far apart two numbers must be in quantity or price, in powers of ten.
_APART: Final = (0.3, 0.2)

#: What is written below a fact in the heat map.
_UNITS: Final = {"price": "\nper piece", "quantity": "\npieces"}


@dataclass(frozen=True, eq=False)
class Picture:
    """A clustering of rows, to be drawn; `profile` has a row a cluster, the largest first."""

    rows: WeightedRows
    labels: Labels
    profile: pd.DataFrame

    def names(self, clusters: int) -> Mapping[int, str]:
        """Return number and name of the largest clusters, in that order."""
        top = self.profile.head(clusters)
        return {
            int(cluster): f"{cluster}  {name}"
            for cluster, name in zip(top["cluster"], top["name"], strict=True)
        }


def sizes_chart(profile: pd.DataFrame) -> Figure:
    """Draw the share of the training lines in each cluster, the largest on top, the smallest together."""
    top, rest = profile.head(_SHOWN), profile.iloc[_SHOWN:]
    names = [f"{cluster}  {name}" for cluster, name in zip(top["cluster"], top["name"], strict=True)]
    shares, lines = top["share"].to_list(), top["lines"].to_list()
    if len(rest):
        names.append(f"{len(rest)} smaller clusters")
        shares.append(rest["share"].sum())
        lines.append(rest["lines"].sum())
    figure, (axes,) = plots.figure(
        "Cluster sizes",
        note=f"{profile['lines'].sum():,} training lines in {len(profile)} clusters",
        size=(9, 1.6 + 0.3 * len(names)),
    )
    colours = [plots.BLUE] * len(top) + [plots.PALE] * (len(names) - len(top))
    bars = axes.barh(names, shares, color=colours)
    axes.bar_label(
        bars,
        [f"{plots.percent(share)} · {count:,}" for share, count in zip(shares, lines, strict=True)],
        padding=4,
        fontsize=10,
    )
    axes.invert_yaxis()
    axes.margins(x=0.25, y=0.01)
    axes.set_xlabel("share of the training lines · lines")
    axes.xaxis.set_major_formatter(plots.PERCENT)
    plots.grid(axes, along="x")
    return figure


def price_quantity_chart(picture: Picture) -> Figure:
    """Draw price against quantity, both on a signed log scale, coloured by cluster, with centres named."""
    names = picture.names(_COLOURED)
    figure, (axes,) = plots.figure(
        "Price against quantity, by cluster",
        note=f"A dot stands for all lines of one {schema.ROW_KEY_IN_WORDS}. "
        f"Colours: the {len(names)} largest clusters. Numbers: centres",
        size=(9, 7.5),
    )
    others = ~np.isin(picture.labels, list(names))
    _dots(axes, picture, others, look=(plots.PALE, "o"), label="other clusters" if others.any() else "")
    looks = zip(plots.SERIES, plots.MARKERS, strict=True)
    for (cluster, name), look in zip(names.items(), looks, strict=False):
        _dots(axes, picture, picture.labels == cluster, look=look, label=name)
    _centres(axes, picture)
    axes.set_xscale("symlog", linthresh=1, linscale=0.4)
    axes.set_yscale("symlog", linthresh=1, linscale=0.4)
    axes.set_xlabel("quantity (pieces; below 0: returned)")
    axes.set_ylabel("price of a piece (currency of UnitPrice)")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(plots.THOUSANDS)
    axes.grid(color="#EEEEEE")
    plots.legend(axes, columns=2, below=True)
    return figure


def _dots(
    axes: Axes, picture: Picture, chosen: NDArray[np.bool_], *, look: tuple[str, str], label: str
) -> None:
    """Draw some rows in a colour and with a mark."""
    weights = picture.rows.weights[chosen]
    axes.scatter(
        picture.rows.quantities[chosen],
        picture.rows.prices[chosen],
        s=6 + 3 * np.log2(np.maximum(weights, 1)),
        color=look[0],
        marker=look[1],
        alpha=0.5,
        linewidths=0,
        label=label or None,
    )


def _centres(axes: Axes, picture: Picture) -> None:
    """Mark the means of the largest clusters with their numbers, unless one would hide another."""
    means = cluster_means(picture.rows, picture.labels)
    taken: list[Floats] = []
    for cluster in picture.profile["cluster"].head(_SHOWN):
        price, quantity = means.loc[cluster, ["price", "quantity"]]
        place = _signed_log(np.array([quantity, price])) / _APART
        if any(np.abs(place - other).max() < 1 for other in taken):
            continue
        taken.append(place)
        axes.annotate(
            str(cluster),
            (quantity, price),
            ha="center",
            va="center",
            fontsize=8,
            fontweight="bold",
            bbox={"boxstyle": "round,pad=0.15", "fc": "white", "ec": plots.BLACK, "lw": 0.8, "alpha": 0.9},
        )


def _signed_log(values: Floats) -> Floats:
    logs: Floats = np.sign(values) * np.log10(1 + np.abs(values))
    return logs


def cluster_means(rows: WeightedRows, labels: Labels) -> pd.DataFrame:
    """Return the mean of each fact of each cluster's lines, and their shares by weekday.

    Indexed by cluster; columns as in `FACTS` and the weekdays: the centres, where nothing is scaled.
    """
    clusters, position = np.unique(labels, return_inverse=True)
    count, weights = len(clusters), rows.weights
    lines = np.bincount(position, weights, count)
    columns = {
        name: np.bincount(position, weights * rows.numbers(column), count) / lines
        for name, (column, _) in FACTS.items()
    }
    for day, name in enumerate(schema.WEEKDAYS):
        columns[name] = np.bincount(position, weights * (rows.weekdays == day), count) / lines
    return pd.DataFrame(columns, index=clusters)


def centres_chart(picture: Picture) -> Figure:
    """Draw the centres of the largest clusters as a heat map: the mean of each fact, shares by weekday."""
    names = picture.names(_SHOWN)
    means = cluster_means(picture.rows, picture.labels).loc[list(names)]
    days = [name for name in schema.WEEKDAYS if means[name].any()]
    figure, (left, right) = plots.figure(
        "Centres of the largest clusters" if len(picture.profile) > _SHOWN else "Centres of the clusters",
        note="Means over the training lines of each cluster, and how these lines are spread over the week",
        size=(9, 1.9 + 0.31 * len(names)),
        panels=(len(FACTS), len(days)),
    )
    numbers = means[list(FACTS)].to_numpy()
    digits = [max(shown, 1) for _, shown in FACTS.values()]
    signed = np.sign(numbers) * np.log1p(np.abs(numbers))
    bound = np.abs(signed).max(axis=0)
    _heat(
        left,
        signed / np.where(bound > 0, bound, 1),
        [[f"{mean:,.{shown}f}" for mean, shown in zip(row, digits, strict=True)] for row in numbers],
        colours=(plots.DIVERGING, Normalize(-1, 1)),
    )
    left.set_xticks(range(len(FACTS)), [f"{name}{_UNITS.get(name, '')}" for name in FACTS])
    left.set_yticks(range(len(names)), list(names.values()))
    shares = means[days].to_numpy()
    texts = [[f"{100 * share:.0f} %" for share in row] for row in shares]
    _heat(right, shares, texts, colours=(plots.SEQUENTIAL, Normalize(0, max(0.5, shares.max()))))
    right.set_xticks(range(len(days)), [day[:3] for day in days])
    right.set_xlabel("share of a cluster's lines by weekday")
    right.set_yticks([])
    return figure


def _heat(axes: Axes, values: Floats, texts: list[list[str]], *, colours: tuple[str, Normalize]) -> None:
    image = axes.imshow(values, cmap=colours[0], norm=colours[1], aspect="auto")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    for row, column in np.ndindex(values.shape):
        red, green, blue, _ = image.cmap(image.norm(values[row, column]))
        dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
        axes.text(
            column, row, texts[row][column],
            ha="center", va="center", fontsize=9, color="white" if dark else plots.BLACK,
        )  # fmt: skip
