"""Spend per customer and day: one definition for lines at rest and lines that arrive."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pyspark.sql import DataFrame, Observation, Row
from pyspark.sql import functions as F
from pyspark.sql.types import DecimalType

from retail_clusters import schema
from retail_clusters.data import invoices

WINDOW: Final = "window"
TOTAL_COST: Final = "total_cost"
LINES: Final = "lines"
DAY: Final = "day"
SIDE: Final = "side"
QUARANTINED: Final = "quarantined"
COLUMNS: Final = (schema.CUSTOMER_ID, WINDOW, TOTAL_COST, LINES, schema.CANCELLATIONS)

#: A price to a millionth, as every good line has one below `invoices.PRICE_LIMIT`. Times a quantity it has at
#: most 28 digits, and a sum of those 38: it cannot overflow below ten billion lines a customer-day.
PRICE: Final = DecimalType(17, 6)
TOTAL: Final = DecimalType(38, 6)

_KEYS: Final = (schema.CUSTOMER_ID, WINDOW)
_NET: Final = "_net"


@dataclass(frozen=True)
class Parity:
    """How far two results of the same lines agree: customer-days compared, and the rows that differ."""

    customer_days: int
    differing: int
    examples: Sequence[Row]


def spend(lines: DataFrame) -> DataFrame:
    """Sum UnitPrice * Quantity per customer and UTC day, exactly; count lines and cancellations.

    Takes good lines, static or streaming. A missing customer is a customer of its own; a line
    without price or quantity counts as a line and costs nothing. Prices are rounded to a millionth.
    """
    cost = F.col(schema.UNIT_PRICE).cast(PRICE) * F.col(schema.QUANTITY)
    nothing = F.lit(0).cast(TOTAL)
    return lines.groupBy(schema.CUSTOMER_ID, F.window(schema.INVOICE_DATE, "1 day")).agg(
        F.coalesce(F.sum(cost), nothing).alias(TOTAL_COST),
        F.count(F.lit(1)).alias(LINES),
        F.count_if(F.col(schema.INVOICE_NO).startswith("C")).alias(schema.CANCELLATIONS),
    )


def summed(parsed: DataFrame) -> tuple[DataFrame, Observation]:
    """Return the spend of parsed lines, and what counts them while it is computed.

    The observation gives `lines` and, of these, `quarantined`; it needs at least one file of lines.
    """
    observed = Observation()
    bad = F.count_if(F.col(schema.REASON).isNotNull()).alias(QUARANTINED)
    counted = parsed.observe(observed, F.count(F.lit(1)).alias(LINES), bad)
    return spend(invoices.good(counted)), observed


def largest(result: DataFrame, top: int) -> list[Row]:
    """Return the customer-days of the largest totals, largest first."""
    order = [F.desc(TOTAL_COST), F.asc_nulls_first(schema.CUSTOMER_ID), F.asc(WINDOW)]
    return result.orderBy(*order).limit(top).collect()


def per_day(result: DataFrame) -> list[Row]:
    """Return the spend of each day, in order: `day`, total_cost, and the lines behind it."""
    day = F.to_date(F.col(WINDOW)["start"]).alias(DAY)
    sums = [F.sum(TOTAL_COST).cast(TOTAL).alias(TOTAL_COST), F.sum(LINES).alias(LINES)]
    return result.groupBy(day).agg(*sums).orderBy(DAY).collect()


def parity(stream: DataFrame, batch: DataFrame, *, examples: int = 10) -> Parity:
    """Compare two results row by row, every column exactly.

    A customer-day that only one side has, or twice, differs too.
    """
    signed = stream.select(*COLUMNS, F.lit(1).alias(_NET)).union(batch.select(*COLUMNS, F.lit(-1)))
    netted = signed.groupBy(*COLUMNS).agg(F.sum(_NET).alias(_NET)).cache()
    try:
        per_key = netted.groupBy(*_KEYS).agg(F.max(F.abs(_NET)).alias(_NET))
        counted = per_key.agg(F.count(F.lit(1)), F.count_if(F.col(_NET) > 0)).collect()[0]
        side = F.when(F.col(_NET) > 0, "stream").otherwise("batch").alias(SIDE)
        found = netted.where(F.col(_NET) != 0).select(side, *COLUMNS)
        shown = found.orderBy(*_KEYS, SIDE).limit(examples).collect() if counted[1] else []
        return Parity(customer_days=counted[0], differing=counted[1], examples=shown)
    finally:
        netted.unpersist()
