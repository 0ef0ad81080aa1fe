"""Purchases as figures, and as a table of text that is redrawn in place on a terminal."""

import sys
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Final, TextIO

from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

from retail_clusters.report import plots

_NO_CUSTOMER: Final = "null"


def customer_name(customer: float | None) -> str:
    """Write a CustomerID as the notebook shows it."""
    return _NO_CUSTOMER if customer is None else f"{customer:.1f}"


def table(rows: Sequence[tuple[float | None, date, Decimal, int, int]]) -> str:
    """Lay out customer-days as text: customer, day, total to the cent, lines, cancellations."""
    head = ("CustomerID", "day", "total_cost", "lines", "cancellations")
    cells = [
        (customer_name(customer), f"{day:%Y-%m-%d}", f"{total:,.2f}", f"{lines:,}", f"{cancelled:,}")
        for customer, day, total, lines, cancelled in rows
    ]
    widths = [max(map(len, column)) for column in zip(head, *cells, strict=True)]
    text = [
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in (head, *cells)
    ]
    return "\n".join([text[0], "  ".join("-" * width for width in widths), *text[1:]])


class Screen:
    """Shows one text over another in place on a terminal; elsewhere only its first line, as a log.

    `interval` is how many seconds to leave between two.
    """

    def __init__(self, out: TextIO | None = None) -> None:
        """Show on `out`, standard output if not given."""
        self._out = out or sys.stdout
        self._in_place = self._out.isatty()
        self.interval: Final = 1 if self._in_place else 5
        self._drawn = 0

    def draw(self, headline: str, body: str) -> None:
        """Show a headline and the text under it."""
        if not self._in_place:
            print(headline, file=self._out, flush=True)
            return
        text = f"{headline}\n{body}"
        back = f"\x1b[{self._drawn}F\x1b[J" if self._drawn else ""
        print(f"{back}{text}", file=self._out, flush=True)
        self._drawn = text.count("\n") + 1

    def clear(self) -> None:
        """Take the text away again, so that what follows stands in its place."""
        if self._drawn:
            print(f"\x1b[{self._drawn}F\x1b[J", end="", file=self._out, flush=True)
            self._drawn = 0


def customers_chart(customers: Sequence[tuple[float | None, Decimal, int]]) -> Figure:
    """Draw a bar for each customer's spend over all days, the largest on top.

    Lines without a customer add up to far more than any one customer: they are told, not drawn.
    """
    named = [
        (f"{customer:.0f}", float(total), days) for customer, total, days in customers if customer is not None
    ]
    unnamed = [
        f"Without CustomerID, not drawn: {t:,.0f} on {_days(d)}"
        for customer, t, d in customers
        if customer is None
    ]
    figure, (axes,) = plots.figure(
        "Customers by spend over all days", note="".join(unnamed), size=(9, 0.36 * len(named) + 1.8)
    )
    bars = axes.barh([name for name, _, _ in named], [total for _, total, _ in named], color=plots.BLUE)
    labels = [f"{total:,.0f} on {_days(days)}" for _, total, days in named]
    axes.bar_label(bars, labels, padding=4, fontsize=9)
    axes.invert_yaxis()
    axes.margins(x=0.25, y=0.02)
    axes.set_xlabel("sum of UnitPrice × Quantity (its currency)")
    axes.set_ylabel("CustomerID")
    axes.xaxis.set_major_formatter(plots.THOUSANDS)
    plots.grid(axes, along="x")
    return figure


def days_chart(days: Sequence[tuple[date, Decimal]]) -> Figure:
    """Draw the spend of each day, and the mean of those that the week up to it traded on."""
    figure, (axes,) = plots.figure("Spend per day", note="Days in UTC; only those that traded", size=(9, 4.8))
    spent = {day.toordinal(): float(total) for day, total in days}
    axes.bar(list(spent), list(spent.values()), width=0.9, color=plots.BLUE, alpha=0.45, label="a day")
    weeks = [[spent[at] for at in range(last - 6, last + 1) if at in spent] for last in spent]
    means = [sum(week) / len(week) for week in weeks]
    axes.plot(list(spent), means, color=plots.ORANGE, linewidth=1.8, label="mean of the week up to it")
    months = [at for at in range(min(spent), max(spent) + 1) if date.fromordinal(at).day == 1]
    if len(months) > 2:
        axes.xaxis.set_major_locator(FixedLocator(months))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda at, _: f"{date.fromordinal(int(at)):%b\n%Y}"))
    else:
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda at, _: f"{date.fromordinal(int(at)):%d %b\n%Y}"))
    axes.yaxis.set_major_formatter(plots.THOUSANDS)
    axes.axhline(0, color=plots.GREY, linewidth=0.8)
    axes.margins(x=0.01)
    axes.set_ylabel("sum of UnitPrice × Quantity (its currency)")
    axes.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 1), ncols=2)
    plots.grid(axes)
    return figure


def _days(count: int) -> str:
    return f"{count:,} day{'' if count == 1 else 's'}"
