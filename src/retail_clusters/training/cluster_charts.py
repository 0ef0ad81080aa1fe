"""A clustering as figures: how large the clusters are, where they lie, how well they hold, whether they return."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from retail_clusters import schema
from retail_clusters.infra import plots
from retail_clusters.training.blocks import Floats, Labels
from retail_clusters.training.rows import WeightedRows
from retail_clusters.training.stability import Stability
from retail_clusters.training.stability_report import StabilityReport

#: Clusters that a figure shows one by one; the others together, if at all.
_SHOWN: Final = 20
_COLOURED: Final = len(plots.SERIES)
#: Distinct rows in the page that can be zoomed into.
_POINTS: Final = 6_000


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
        bars, [f"{plots.percent(s)}, {n:,}" for s, n in zip(shares, lines, strict=True)], padding=4, fontsize=10
    )
    axes.invert_yaxis()
    axes.margins(x=0.2, y=0.01)
    axes.set_xlabel("share of the training lines, and lines")
    axes.xaxis.set_major_formatter(plots.PERCENT)
    plots.grid(axes, along="x")
    return figure


def price_quantity_chart(picture: Picture) -> Figure:
    """Draw price against quantity, both on a signed log scale, coloured by cluster, with centres named."""
    names = picture.names(_COLOURED)
    figure, (axes,) = plots.figure(
        "Price against quantity, by cluster",
        note=f"A dot is what lines of one price, quantity and weekday share; the {len(names)} largest clusters "
        "are coloured",
        size=(9, 7.5),
    )
    others = ~np.isin(picture.labels, list(names))
    _dots(axes, picture, others, colour=plots.PALE, label="other clusters" if others.any() else "")
    for (cluster, name), colour in zip(names.items(), plots.SERIES, strict=False):
        _dots(axes, picture, picture.labels == cluster, colour=colour, label=name)
    _centres(axes, picture)
    axes.set_xscale("symlog", linthresh=1)
    axes.set_yscale("symlog", linthresh=1)
    axes.set_xlabel("quantity (pieces; below 0: returned)")
    axes.set_ylabel("price of a piece (currency of UnitPrice)")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(plots.THOUSANDS)
    axes.grid(color="#EEEEEE")
    plots.legend(axes, columns=2, below=True)
    return figure


def _dots(axes: Axes, picture: Picture, chosen: NDArray[np.bool_], *, colour: str, label: str) -> None:
    weights = picture.rows.weights[chosen]
    axes.scatter(
        picture.rows.quantities[chosen],
        picture.rows.prices[chosen],
        s=6 + 3 * np.log2(np.maximum(weights, 1)),
        color=colour,
        alpha=0.5,
        linewidths=0,
        label=label or None,
    )


def _centres(axes: Axes, picture: Picture) -> None:
    """Mark the mean of the lines of the largest clusters, with its number."""
    means = cluster_means(picture.rows, picture.labels)
    for cluster in picture.profile["cluster"].head(_SHOWN):
        price, quantity = means.loc[cluster, ["price", "quantity"]]
        axes.annotate(
            str(cluster),
            (quantity, price),
            ha="center",
            va="center",
            fontsize=9,
            fontweight="bold",
            bbox={"boxstyle": "round,pad=0.2", "fc": "white", "ec": plots.BLACK, "lw": 0.8, "alpha": 0.9},
        )


def cluster_means(rows: WeightedRows, labels: Labels) -> pd.DataFrame:
    """Return the mean price and quantity of each cluster's lines, and their shares by weekday.

    Indexed by cluster; columns `price`, `quantity` and the weekdays. Where nothing is scaled, these are the centres.
    """
    clusters, position = np.unique(labels, return_inverse=True)
    count, weights = len(clusters), rows.weights
    lines = np.bincount(position, weights, count)
    columns = {
        "price": np.bincount(position, weights * rows.prices, count) / lines,
        "quantity": np.bincount(position, weights * rows.quantities, count) / lines,
    }
    for day, name in enumerate(schema.WEEKDAYS):
        columns[name] = np.bincount(position, weights * (rows.weekdays == day), count) / lines
    return pd.DataFrame(columns, index=clusters)


def centres_chart(picture: Picture) -> Figure:
    """Draw the centres of the largest clusters as a heat map: mean price and quantity, shares by weekday."""
    names = picture.names(_SHOWN)
    means = cluster_means(picture.rows, picture.labels).loc[list(names)]
    days = [name for name in schema.WEEKDAYS if means[name].any()]
    figure, (left, right) = plots.figure(
        "Centres of the largest clusters" if len(picture.profile) > _SHOWN else "Centres of the clusters",
        note="Means over the training lines, and shares of them by weekday",
        size=(9, 1.9 + 0.31 * len(names)),
        panels=(2, len(days)),
    )
    numbers = means[["price", "quantity"]].to_numpy()
    signed = np.sign(numbers) * np.log1p(np.abs(numbers))
    bound = np.abs(signed).max(axis=0)
    _heat(
        left,
        signed / np.where(bound > 0, bound, 1),
        [[f"{price:,.2f}", f"{quantity:,.1f}"] for price, quantity in numbers],
        colours=(plots.DIVERGING, Normalize(-1, 1)),
    )
    left.set_xticks([0, 1], ["price", "quantity"])
    left.set_yticks(range(len(names)), list(names.values()))
    shares = means[days].to_numpy()
    texts = [[f"{100 * share:.0f} %" for share in row] for row in shares]
    _heat(right, shares, texts, colours=(plots.SEQUENTIAL, Normalize(0, max(0.5, shares.max()))))
    right.set_xticks(range(len(days)), [day[:3] for day in days])
    right.set_yticks([])
    return figure


def _heat(
    axes: Axes, values: Floats, texts: list[list[str]], *, colours: tuple[str, Normalize]
) -> None:
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


def silhouettes_chart(
    labels: Labels, silhouettes: Floats, weights: Floats, *, names: Mapping[int, str], mean: float
) -> Figure:
    """Draw how the silhouettes of the validation lines of each cluster spread, the largest clusters on top.

    A thick bar holds half of the lines, a thin one nine in ten, the dot is the median.
    """
    shown = [cluster for cluster in names if (labels == cluster).any()][:_SHOWN]
    figure, (axes,) = plots.figure(
        "Silhouettes of the validation lines, by cluster",
        note="Thick: half of a cluster's lines; thin: nine in ten; dot: the median",
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
    axes.axvline(mean, color=plots.VERMILION, linestyle="--", linewidth=1.2, label=f"mean of all lines {mean:.3f}")
    axes.axvline(0, color=plots.GREY, linewidth=0.8)
    axes.set_yticks(range(len(shown)), [names[cluster] for cluster in shown])
    axes.invert_yaxis()
    axes.set_xlim(right=1.02)
    axes.set_xlabel("silhouette of a line: 1 far from other clusters, 0 between two, below 0 nearer to another")
    plots.grid(axes, along="x")
    axes.legend(frameon=False, fontsize=10, loc="lower left")
    return figure


def stability_chart(report: StabilityReport) -> Figure:
    """Draw how well the clusters come back, beside those of shuffled columns: Jaccard over the share of lines."""
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
    plots.legend(axes)
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


def clusters_page(picture: Picture) -> str:
    """Draw price against quantity as a page to zoom into; each cluster can be switched off."""
    figure = go.Figure()
    names = picture.names(len(picture.profile))
    step = -(-len(picture.rows) // _POINTS)
    keep = np.arange(len(picture.rows)) % step == 0
    for place, (cluster, name) in enumerate(names.items()):
        chosen = keep & (picture.labels == cluster)
        figure.add_trace(
            go.Scattergl(
                x=_signed_log(picture.rows.quantities[chosen]),
                y=_signed_log(picture.rows.prices[chosen]),
                customdata=np.stack(
                    [getattr(picture.rows, name)[chosen] for name in ("quantities", "prices", "weights")], axis=1
                ),
                hovertemplate="quantity %{customdata[0]:,}<br>price %{customdata[1]:,.2f}<br>%{customdata[2]:,} lines",
                mode="markers",
                name=name,
                marker={"size": 5, "color": plots.SERIES[place] if place < _COLOURED else plots.GREY},
                visible=True if place < _SHOWN else "legendonly",
            )
        )
    figure.update_layout(
        title="Price against quantity, by cluster: zoom in; a click on a name hides it",
        template="plotly_white",
        height=720,
        xaxis={"title": "quantity (pieces)", **_signed_log_ticks(picture.rows.quantities)},
        yaxis={"title": "price of a piece", **_signed_log_ticks(picture.rows.prices)},
    )
    return plots.to_page("Clusters", [figure])


def _signed_log(values: Floats) -> Floats:
    logs: Floats = np.sign(values) * np.log10(1 + np.abs(values))
    return logs


def _signed_log_ticks(values: Floats) -> dict[str, object]:
    """Return ticks at powers of ten for values drawn as `_signed_log` gives them."""
    top = int(np.ceil(np.log10(1 + np.abs(values).max())))
    ticks = np.array([*(-(10.0**power) for power in range(top, -1, -1)), 0, *(10.0**p for p in range(top + 1))])
    ticks = ticks[(ticks >= min(values.min(), 0) * 10) & (ticks <= max(values.max(), 0) * 10)]
    return {"tickvals": _signed_log(ticks), "ticktext": [plots.thousands(tick) for tick in ticks]}
