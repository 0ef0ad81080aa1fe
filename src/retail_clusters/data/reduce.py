"""From invoice lines to weighted rows, and the digest of what was read, in one pass."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pyspark.ml.feature import SQLTransformer
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from retail_clusters import schema
from retail_clusters.settings import Columns, Split

#: Part of the key of every prepared table; raise it when this module makes other rows of the same lines.
#: 2: prices of 100 billion or more are quarantined. 3: rows have `days`.
PREPARATION_VERSION: Final = 3

#: What a model knows of a line that no column holds, as SQL over its `{date}`: in its first stage as here.
DERIVED: Final[Mapping[str, str]] = {
    schema.DAY_OF_WEEK: (
        f"element_at(array({', '.join(map(repr, schema.WEEKDAYS))}), weekday({{date}}) + 1)"
    ),
}

#: How a line is seen by a model, as SQL: missing numbers are 0.
FILLED: Final = (
    "SELECT * EXCEPT (Quantity, UnitPrice, CustomerID), coalesce(Quantity, 0) AS Quantity, "
    "coalesce(UnitPrice, 0D) AS UnitPrice, coalesce(CustomerID, 0D) AS CustomerID"
)

ROWS_PER_PARTITION: Final = 1_000_000

_USUAL: Final = Columns()
_HASHES: Final = ("_low_1", "_high_1", "_low_2", "_high_2")
_GOOD: Final = "_good"
_CANCELS: Final = "_cancels"
_WIDE: Final = "decimal(38,0)"
_LOW_BITS: Final = 0xFFFFFFFF


def derived(date: str) -> list[str]:
    """Return the columns of `DERIVED` as SQL, from an expression that is a line's date."""
    return [f"{sql.format(date=date)} AS {name}" for name, sql in DERIVED.items()]


#: The whole statement over `__THIS__`.
FILL_STATEMENT: Final = f"{', '.join([FILLED, *derived(schema.INVOICE_DATE)])} FROM __THIS__"


@dataclass(frozen=True)
class Contents:
    """What reduced rows hold: the digest of the lines (32 hex digits), rows and lines by split."""

    digest: str
    rows: Mapping[str, int]
    lines: Mapping[str, int]


def reduce_lines(parsed: DataFrame, *, split: Split) -> DataFrame:
    """Reduce parsed lines to one row for each split and distinct key.

    Returns `split`, the columns of a weighted row, `days` (of training rows), and four partial sums for
    `summarize`.
    Quarantined lines are a split of their own, with nulls. One pass over the lines, a shuffle of the rows of
    each day, and one of the rows.
    """
    once = parsed.select(F.inline(F.array(F.struct(*_facts()))))
    filled = fill(once.withColumn(schema.SPLIT, _split(split)))
    keys = [F.when(F.col(_GOOD), F.col(name)).alias(name) for name in schema.ROW_KEY]
    day = F.unix_date(F.to_date(schema.INVOICE_DATE)).alias(schema.DAY)
    sums = (schema.CANCELLATIONS, *_HASHES)
    of_days = (
        filled.select(schema.SPLIT, *keys, _CANCELS, day, *_hash_parts())
        .groupBy(schema.SPLIT, *schema.ROW_KEY, schema.DAY)
        .agg(
            F.count(F.lit(1)).alias(schema.LINES),
            F.count_if(_CANCELS).alias(schema.CANCELLATIONS),
            *(F.sum(name).alias(name) for name in _HASHES),
        )
    )
    of_training = F.when(F.col(schema.SPLIT) == schema.TRAIN, F.struct(schema.DAY, schema.LINES))
    days = F.sort_array(F.collect_list(of_training))
    return of_days.groupBy(schema.SPLIT, *schema.ROW_KEY).agg(
        F.sum(schema.LINES).alias(schema.WEIGHT),
        *(F.sum(name).alias(name) for name in sums),
        days.alias(schema.DAYS),
    )


def summarize(reduced: DataFrame, *, columns: Columns = _USUAL) -> Contents:
    """Count reduced rows and the lines behind them, and hash those lines as a multiset of texts.

    The digest changes with any byte of any line, quarantined ones included, with how often a line comes, and
    with a form of the date that is not the usual one, as it changes what a line says. It does not change
    with the order of lines, their files, packing and line ends, nor with headers and blank lines, which are
    no invoice lines. Two 64-bit hashes of each line are added up in halves: by row in 64 bits, which hold
    those of two billion lines, over rows as decimals.
    """
    sums = (F.sum(F.col(name).cast(_WIDE)) for name in (schema.WEIGHT, *_HASHES))
    splits = [
        (row[0], *map(int, row[1:]))
        for row in reduced.groupBy(schema.SPLIT).agg(F.count(F.lit(1)), *sums).collect()
    ]
    totals = tuple(sum(values) for values in zip(*(row[2:] for row in splits), strict=True))
    content = totals if columns.date_format == _USUAL.date_format else (totals, columns.date_format)
    return Contents(
        digest=hashlib.sha256(repr(content).encode()).hexdigest()[:32],
        rows={split: rows for split, rows, *_ in splits},
        lines={split: lines for split, _, lines, *_ in splits},
    )


def weighted_rows(reduced: DataFrame, splits: Sequence[str]) -> DataFrame:
    """Merge the reduced rows of some splits into weighted rows."""
    return (
        reduced.where(F.col(schema.SPLIT).isin(*splits))
        .groupBy(*schema.ROW_KEY)
        .agg(
            F.sum(schema.WEIGHT).alias(schema.WEIGHT),
            F.sum(schema.CANCELLATIONS).alias(schema.CANCELLATIONS),
            F.sort_array(F.flatten(F.collect_list(schema.DAYS))).alias(schema.DAYS),
        )
    )


def fill(lines: DataFrame) -> DataFrame:
    """Fill missing numbers with 0 and derive the others, as the registered model does with raw lines."""
    return SQLTransformer(statement=FILL_STATEMENT).transform(lines)


def canonical(rows: DataFrame, *, count: int, rows_per_partition: int = ROWS_PER_PARTITION) -> DataFrame:
    """Lay out `count` weighted rows in partitions that follow from the rows alone, sorted by value.

    A row's partition is the hash of its values, so neither cores nor file layout matter; the sums of
    floating-point numbers over a partition then always run in the same order.
    """
    partitions = max(1, math.ceil(count / rows_per_partition))
    return rows.repartition(partitions, *schema.ROW_KEY).sortWithinPartitions(*schema.ROW_KEY)


def _split(split: Split) -> Column:
    when = F.col(schema.INVOICE_DATE)
    return (
        F.when(~F.col(_GOOD), schema.QUARANTINE)
        .when(when < F.lit(split.train_until), schema.TRAIN)
        .when(when < F.lit(split.validate_until), schema.VALIDATION)
        .otherwise(schema.TEST)
    )


def _facts() -> list[Column]:
    """What the reduction needs of a line. Through `inline` Spark works each of it out once.

    Plain columns would be folded into every expression that uses them, at twice the time.
    """
    return [
        *(
            F.col(name)
            for name in (schema.QUANTITY, schema.INVOICE_DATE, schema.UNIT_PRICE, schema.CUSTOMER_ID)
        ),
        F.col(schema.REASON).isNull().alias(_GOOD),
        F.col(schema.INVOICE_NO).startswith("C").alias(_CANCELS),
        F.xxhash64(schema.LINE).alias("_hash_1"),
        F.xxhash64(F.lit("second"), schema.LINE).alias("_hash_2"),
    ]


def _hash_parts() -> list[Column]:
    parts = [
        part
        for name in ("_hash_1", "_hash_2")
        for part in (F.col(name).bitwiseAND(F.lit(_LOW_BITS)), F.shiftrightunsigned(name, 32))
    ]
    return [part.alias(name) for part, name in zip(parts, _HASHES, strict=True)]
