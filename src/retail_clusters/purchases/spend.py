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


@dataclass(frozen=True)
class Parity:
    """How many customer-days differ between two results of the same lines, and some of their rows."""

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


def by_day(result: DataFrame) -> DataFrame:
    """Write the day in place of the window, whose start Python would show in this machine's time zone."""
    day = F.to_date(F.col(WINDOW)["start"]).alias(DAY)
    return result.select(schema.CUSTOMER_ID, day, *COLUMNS[2:])


def largest(result: DataFrame, top: int) -> list[Row]:
    """Return the customer-days of the largest totals with their day, largest first."""
    order = [F.desc(TOTAL_COST), F.asc_nulls_first(schema.CUSTOMER_ID), F.asc(DAY)]
    return by_day(result).orderBy(*order).limit(top).collect()


def parity(stream: DataFrame, batch: DataFrame) -> Parity:
    """Compare two results row by row, every column exactly; a row that one side has twice differs, too."""
    one, other = stream.select(*COLUMNS), batch.select(*COLUMNS)
    only_stream = one.exceptAll(other).withColumn(SIDE, F.lit("stream"))
    differing = only_stream.union(other.exceptAll(one).withColumn(SIDE, F.lit("batch")))
    keys = [schema.CUSTOMER_ID, WINDOW]
    count = differing.select(*keys).distinct().count()
    return Parity(count, differing.orderBy(*keys, SIDE).limit(10).collect() if count else [])
