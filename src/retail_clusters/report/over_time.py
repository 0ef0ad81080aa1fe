"""Segments over time: how large each was on which date, and who went where between the last two."""

from datetime import date
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from retail_clusters.infra import markdown
from retail_clusters.report import plots
from retail_clusters.wording import plural

#: Files of a score run: units by segment and date, and by segment before and after.
SIZES: Final = "segments/sizes.csv"
MATRIX: Final = "segments/moves.csv"
SIZES_CHART: Final = "charts/segments.png"
MATRIX_CHART: Final = "charts/moves.png"
#: The tag of a score run: the version that it wrote segments with last.
SEGMENTS_OF: Final = "segments_of_version"
CHARTS: Final = (SIZES_CHART, MATRIX_CHART)
#: Lines that are farthest from the centre of their cluster, and the tag of the version that scored them.
FARTHEST: Final = "farthest.csv"
FARTHEST_OF: Final = "farthest_of_version"
#: Dates in a description.
_DATES: Final = 12


def sizes_table(sizes: pd.DataFrame) -> pd.DataFrame:
    """Return units by date (rows) and segment (columns, number and name), of `as_of`, `segment`, `name`, `units`.

    A segment has the name of the last date.
    """
    names = sizes.sort_values("as_of").groupby("segment")["name"].last()
    table = sizes.groupby(["as_of", "segment"])["units"].sum().unstack(fill_value=0)
    return table.rename(columns=lambda number: f"{number} {names[number]}")


def to_markdown(
    sizes: pd.DataFrame, matrix: pd.DataFrame | None, *, between: tuple[date, date] | None, noun: str
) -> str:
    """Write the sizes of the latest dates, and who went where between two of them, as Markdown."""
    table = sizes_table(sizes).tail(_DATES)
    rows = [
        [str(day), *(f"{units:,}" for units in row)]
        for day, row in zip(table.index, table.to_numpy(), strict=True)
    ]
    written = f"## {plural(noun).capitalize()} by segment\n\n" + markdown.table(["as of", *table], rows)
    if matrix is None or between is None:
        return written
    moved = [
        [str(name), *(f"{units:,}" for units in row)]
        for name, row in zip(matrix.index, matrix.to_numpy(), strict=True)
    ]
    head = f"## Who went where, from {between[0]} (rows) to {between[1]} (columns)"
    return f"{written}\n\n{head}\n\n" + markdown.table(["", *map(str, matrix)], moved)


def sizes_chart(sizes: pd.DataFrame, *, noun: str) -> Figure:
    """Draw how many units each segment had on each date."""
    table = sizes_table(sizes)
    figure, (axes,) = plots.figure(
        f"{plural(noun).capitalize()} by segment",
        note="A mark for each date that segments were written as of",
        size=(9, 5.4),
    )
    for place, name in enumerate(table):
        colour, mark = plots.SERIES[place % len(plots.SERIES)], plots.MARKERS[place % len(plots.MARKERS)]
        axes.plot(pd.to_datetime(table.index), table[name], color=colour, marker=mark, label=str(name))
    axes.set_ylim(bottom=0)
    axes.set_ylabel(plural(noun))
    axes.yaxis.set_major_formatter(plots.THOUSANDS)
    axes.tick_params(axis="x", rotation=30)
    plots.grid(axes)
    plots.legend(axes, columns=2, below=True)
    return figure


def moves_chart(matrix: pd.DataFrame, told: str, *, noun: str) -> Figure:
    """Draw units by segment before (rows) and after (columns), darker for more, on a log scale."""
    counts = matrix.to_numpy(dtype=np.float64)
    size = (4.5 + 0.9 * counts.shape[1], 2.4 + 0.5 * counts.shape[0])
    figure, (axes,) = plots.figure(f"Where the {plural(noun)} went", note=told, size=size)
    colours = LogNorm(0.25, max(2.0, counts.max()))
    axes.imshow(np.ma.masked_equal(counts, 0), cmap=plots.SEQUENTIAL, norm=colours, aspect="auto")
    axes.set_xticks(range(counts.shape[1]), [str(name).partition(" ")[0] for name in matrix])
    axes.set_yticks(range(counts.shape[0]), list(map(str, matrix.index)))
    axes.set_xlabel("segment after")
    axes.set_ylabel("segment before")
    for row, column in zip(*np.nonzero(counts), strict=True):
        count = counts[row, column]
        colour = "white" if count > counts.max() ** 0.6 else plots.BLACK
        axes.text(column, row, f"{count:,.0f}", ha="center", va="center", fontsize=9, color=colour)
    return figure
