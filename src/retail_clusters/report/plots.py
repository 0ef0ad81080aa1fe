"""One style for every chart: colours that all eyes tell apart, a title, and a note on what to see."""

import io
from collections.abc import Mapping, Sequence
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter
from matplotlib.transforms import offset_copy

#: Okabe and Ito, "Color Universal Design", 2008: told apart with any kind of colour blindness.
BLUE: Final = "#0072B2"
ORANGE: Final = "#E69F00"
GREEN: Final = "#009E73"
VERMILION: Final = "#D55E00"
PURPLE: Final = "#CC79A7"
SKY: Final = "#56B4E9"
YELLOW: Final = "#C9B400"
BLACK: Final = "#222222"
GREY: Final = "#8A8A8A"
PALE: Final = "#CFCFCF"

#: For things that need telling apart, the most important first, and a mark for each.
SERIES: Final = (BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, YELLOW, BLACK)
MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X", "*")

#: From little to much, and from below zero to above it.
SEQUENTIAL: Final = "Blues"
DIVERGING: Final = "PuOr_r"

_STYLE: Final[dict[Any, Any]] = {
    "font.size": 11,
    "axes.labelsize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.axisbelow": True,
    "grid.color": "#E4E4E4",
    "xtick.color": "#444444",
    "ytick.color": "#444444",
}


def figure(
    title: str,
    *,
    note: str = "",
    size: tuple[float, float] = (9, 5),
    panels: Sequence[float] = (1,),
) -> tuple[Figure, list[Axes]]:
    """Return a figure with panels of some widths side by side; size in inches of 100 pixels.

    `title` is what the chart shows, `note`, smaller below it, what to see in it.
    """
    with mpl.rc_context(_STYLE):
        made = Figure(figsize=size, dpi=100, layout="constrained")
        axes = made.subplots(1, len(panels), squeeze=False, width_ratios=panels).ravel()
    lines = note.count("\n") + 1 if note else 0
    made.suptitle(title + "\n" * lines, x=0.01, ha="left", fontsize=13, fontweight="bold")
    below = offset_copy(made.transFigure, made, y=-26, units="points")
    made.text(0.01, 1, note, va="top", fontsize=10.5, color="#555555", linespacing=1.3, transform=below)
    return made, list(axes)


def grid(axes: Axes, *, along: str = "y") -> None:
    """Draw faint lines that help to read one axis, x or y."""
    axes.grid(visible=True, axis="x" if along == "x" else "y", color="#E4E4E4")


def legend(axes: Axes, *, columns: int = 1, below: bool = False) -> None:
    """Say what the colours and marks of a panel stand for, in it or below the figure."""
    on: Any = axes.get_figure() if below else axes
    handles, labels = axes.get_legend_handles_labels()
    place = "outside lower left" if below else "best"
    drawn = on.legend(handles, labels, frameon=False, fontsize=10, ncols=columns, loc=place)
    for mark in drawn.legend_handles:
        if mark is not None:
            mark.set_alpha(1)
        if isinstance(mark, PathCollection):
            mark.set_sizes([36])


def thousands(value: float, _: int | None = None) -> str:
    """Write a number short.

    >>> thousands(12_000), thousands(2_500_000), thousands(0.5)
    ('12k', '2.5M', '0.5')
    """
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


PERCENT: Final = PercentFormatter(1)
THOUSANDS: Final = FuncFormatter(thousands)


def to_pngs(figures: Mapping[str, Figure]) -> dict[str, bytes]:
    """Return figures as the bytes of PNGs, under the same names."""
    pngs = {}
    for name, drawn in figures.items():
        buffer = io.BytesIO()
        drawn.savefig(buffer, format="png")
        pngs[name] = buffer.getvalue()
    return pngs
