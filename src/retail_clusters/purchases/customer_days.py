"""Customer-days as Arrow tables, added up where a stream's batches meet until their day is closed.

They are few where lines are many: the public data set's half a million lines are 20,000 of them.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from retail_clusters import schema
from retail_clusters.purchases.spend import LINES, TOTAL, TOTAL_COST, WINDOW

START: Final = "start"
ONE_DAY: Final = timedelta(days=1)
EPOCH: Final = datetime.fromtimestamp(0, tz=UTC)

_INSTANT: Final = pa.timestamp("us", tz="UTC")
_KEYS: Final = (schema.CUSTOMER_ID, START)
_SUMS: Final = (TOTAL_COST, LINES, schema.CANCELLATIONS)
#: A customer-day with its window as the window's start.
SHAPE: Final = pa.schema(
    [
        (schema.CUSTOMER_ID, pa.float64()),
        (START, _INSTANT),
        (TOTAL_COST, pa.decimal128(TOTAL.precision, TOTAL.scale)),
        (LINES, pa.int64()),
        (schema.CANCELLATIONS, pa.int64()),
    ]
)


def flat(spend: DataFrame) -> DataFrame:
    """Return the customer-days that `spend.spend` made in the order of `SHAPE`; collect them as Arrow."""
    return spend.select(schema.CUSTOMER_ID, F.col(WINDOW)["start"].alias(START), *_SUMS)


def add_up(parts: Iterable[pa.Table]) -> pa.Table:
    """Add up customer-days of disjoint lines, in the order of their days and customers."""
    together = pa.concat_tables([SHAPE.empty_table(), *parts])
    summed = together.group_by(list(_KEYS), use_threads=False).aggregate([(name, "sum") for name in _SUMS])
    columns = [*(summed[name] for name in _KEYS), *(summed[f"{name}_sum"] for name in _SUMS)]
    ordered = pa.table(columns, names=SHAPE.names).cast(SHAPE)
    return ordered.sort_by([(START, "ascending"), (schema.CUSTOMER_ID, "ascending")])


def split(days: pa.Table, *, closed_before: datetime) -> tuple[pa.Table, pa.Table]:
    """Split customer-days into those whose day ends by an instant, and the others."""
    closed = pc.less_equal(days[START], pa.scalar(closed_before - ONE_DAY, _INSTANT))
    return days.filter(closed), days.filter(pc.invert(closed))


def last_closed(moment: datetime) -> datetime:
    """Return the end of the last day that has ended by a moment, in UTC."""
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def count_lines(days: pa.Table) -> int:
    """Count the lines behind customer-days."""
    return pc.sum(days[LINES]).as_py() or 0


def with_windows(days: pa.Table) -> pa.Table:
    """Return customer-days in the shape of `spend.spend`: the window as a struct of start and end."""
    ends = pc.add(days[START], pa.scalar(ONE_DAY, pa.duration("us")))
    window = pa.StructArray.from_arrays(
        [days[START].combine_chunks(), ends.combine_chunks()], names=["start", "end"]
    )
    return days.set_column(days.schema.get_field_index(START), WINDOW, window)
