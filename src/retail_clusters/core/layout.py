"""The canonical layout of weighted rows: the same on any number of cores, from files in any order."""

import math
from typing import Final

from pyspark.sql import DataFrame

from retail_clusters import schema

ROWS_PER_PARTITION: Final = 1_000_000


def canonical(rows: DataFrame, *, count: int, rows_per_partition: int = ROWS_PER_PARTITION) -> DataFrame:
    """Lay out `count` weighted rows in partitions that follow from the rows alone, sorted by value.

    A row's partition is the hash of its values, so neither cores nor file layout matter; the sums of
    floating-point numbers over a partition then always run in the same order.
    """
    key = [schema.UNIT_PRICE, schema.QUANTITY, schema.DAY_OF_WEEK]
    partitions = max(1, math.ceil(count / rows_per_partition))
    return rows.repartition(partitions, *key).sortWithinPartitions(*key)
