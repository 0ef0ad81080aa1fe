"""The migration matrix of a promotion as a figure."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

from retail_clusters.report import plots

#: Clusters beside one another whose lines can be written into their squares, and with large figures.
_ANNOTATED: Final = 32
_LARGE: Final = 16
#: Where the colours begin, so that one line does not look like none.
_PALEST: Final = 0.25


def migration_chart(
    lines: NDArray[np.int64], *, old: Sequence[int], new: Sequence[int], title: str
) -> Figure:
    """Draw lines by old cluster (rows) and new cluster (columns), darker for more, on a log scale.

    A cluster without a line is left out.
    """
    rows, columns = lines.sum(axis=1) > 0, lines.sum(axis=0) > 0
    note = title if rows.all() and columns.all() else f"{title}. Clusters without one are left out"
    shown = lines[rows][:, columns]
    figure, (axes,) = plots.figure("Where the lines go", note=note, size=(9, 8))
    image = axes.imshow(
        np.ma.masked_equal(shown, 0),
        cmap=plots.SEQUENTIAL,
        norm=LogNorm(_PALEST, max(2, shown.max())),
        aspect="auto",
    )
    axes.set_xlabel("cluster in the new champion")
    axes.set_ylabel("cluster in the champion before")
    small = 10 if max(shown.shape) <= _ANNOTATED else 7
    axes.set_xticks(range(int(columns.sum())), _numbers(new, columns), fontsize=small)
    axes.set_yticks(range(int(rows.sum())), _numbers(old, rows), fontsize=small)
    axes.spines[:].set_visible(True)
    if max(shown.shape) <= _ANNOTATED:
        _annotate(axes, shown)
    bar = figure.colorbar(image, label="test lines", format=plots.THOUSANDS)
    bar.ax.set_ylim(bottom=1)
    return figure


def _numbers(clusters: Sequence[int], kept: NDArray[np.bool_]) -> list[str]:
    return [str(number) for number, shown in zip(clusters, kept, strict=True) if shown]


def _annotate(axes: Axes, lines: NDArray[np.int64]) -> None:
    size = 9 if max(lines.shape) <= _LARGE else 7
    for row, column in zip(*np.nonzero(lines), strict=True):
        colour = "white" if lines[row, column] > lines.max() ** 0.6 else plots.BLACK
        axes.text(
            column, row, f"{lines[row, column]:,}", ha="center", va="center", fontsize=size, color=colour
        )
