"""The migration matrix of a promotion as a figure."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

from retail_clusters.infra import plots

_ANNOTATED: Final = 16


def migration_chart(
    lines: NDArray[np.int64], *, old: Sequence[int], new: Sequence[int], title: str
) -> Figure:
    """Draw lines by old cluster (rows) and new cluster (columns), darker for more, on a log scale."""
    figure, (axes,) = plots.figure("Where the lines go", note=title, size=(9, 8))
    image = axes.imshow(
        np.ma.masked_equal(lines, 0),
        cmap=plots.SEQUENTIAL,
        norm=LogNorm(1, max(2, lines.max())),
        aspect="auto",
    )
    axes.set_xlabel("cluster in the new champion")
    axes.set_ylabel("cluster in the champion before")
    small = 10 if max(lines.shape) <= 2 * _ANNOTATED else 7
    axes.set_xticks(range(len(new)), [str(number) for number in new], fontsize=small)
    axes.set_yticks(range(len(old)), [str(number) for number in old], fontsize=small)
    axes.spines[:].set_visible(True)
    if max(lines.shape) <= _ANNOTATED:
        for row, column in zip(*np.nonzero(lines), strict=True):
            colour = "white" if lines[row, column] > lines.max() ** 0.6 else plots.BLACK
            axes.text(
                column, row, f"{lines[row, column]:,}", ha="center", va="center", fontsize=9, color=colour
            )
    figure.colorbar(image, label="test lines", format=plots.THOUSANDS)
    return figure
