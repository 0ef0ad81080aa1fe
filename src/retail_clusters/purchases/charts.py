"""Purchases as charts, and as a table of text."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Final

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

from retail_clusters import schema
from retail_clusters.purchases.spend import DAY, LINES, TOTAL_COST
from retail_clusters.report import plots
from retail_clusters.wording import pluralize

_HEADER: Final = (schema.CUSTOMER_ID, DAY, TOTAL_COST, LINES, schema.CANCELLATIONS)
_SPEND: Final = "sum of UnitPrice × Quantity (its currency)"


def customer_name(customer: object) -> str:
    """Write a CustomerID as the notebook shows it.

    >>> customer_name("17850"), customer_name(None)
    ('17850', 'null')
    """
    return "null" if customer is None else str(customer)


def cells(rows: Sequence[Sequence[object]]) -> pd.DataFrame:
    """Return customer-days as text: customer, day, total to the cent, lines, cancellations."""
    written = [
        (customer_name(customer), f"{day}", f"{total:,.2f}", f"{lines:,}", f"{cancelled:,}")
        for customer, day, total, lines, cancelled in rows
    ]
    return pd.DataFrame(written, columns=list(_HEADER))


def table(frame: pd.DataFrame) -> str:
    """Lay out a frame for the terminal."""
    return frame.to_string(index=False) if len(frame) else "(no rows)"


def customers_chart(customers: Sequence[tuple[object, Decimal, int]]) -> Figure:
    """Draw a bar for each customer's spend over all days, the largest on top.

    Lines without a customer add up to far more than any one customer: they are told, not drawn.
    """
    named = [(name, float(total), days) for name, total, days in customers if name is not None]
    note = "".join(
        f"Without CustomerID, not drawn: {total:,.0f} on {pluralize(days, 'day')}"
        for name, total, days in customers
        if name is None
    )
    figure, (axes,) = plots.figure(
        "Customers by spend over all days", note=note, size=(9, 0.36 * len(named) + 1.8)
    )
    names = [customer_name(name) for name, _, _ in named]
    bars = axes.barh(names, [total for _, total, _ in named], color=plots.BLUE)
    labels = [f"{total:,.0f} on {pluralize(days, 'day')}" for _, total, days in named]
    axes.bar_label(bars, labels, padding=4, fontsize=9)
    axes.invert_yaxis()
    axes.margins(x=0.25, y=0.02)
    axes.set_xlabel(_SPEND)
    axes.set_ylabel(schema.CUSTOMER_ID)
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
    by_month = len(months) > 2
    form = "%b\n%Y" if by_month else "%d %b\n%Y"
    axes.xaxis.set_major_locator(FixedLocator(months) if by_month else MaxNLocator(6, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda at, _: f"{date.fromordinal(int(at)):{form}}"))
    axes.yaxis.set_major_formatter(plots.THOUSANDS)
    axes.axhline(0, color=plots.GREY, linewidth=0.8)
    axes.margins(x=0.01)
    axes.set_ylabel(_SPEND)
    plots.legend(axes, columns=2)
    plots.grid(axes)
    return figure
