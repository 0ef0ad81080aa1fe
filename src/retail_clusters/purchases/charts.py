"""Purchases as a table of text."""

from collections.abc import Sequence
from typing import Final

import pandas as pd

from retail_clusters import schema
from retail_clusters.purchases.spend import DAY, LINES, TOTAL_COST

_HEADER: Final = (schema.CUSTOMER_ID, DAY, TOTAL_COST, LINES, schema.CANCELLATIONS)


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
