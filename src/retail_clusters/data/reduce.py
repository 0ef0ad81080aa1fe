"""From invoice lines to weighted rows, and the digest of what was read, in one pass."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from retail_clusters import schema
from retail_clusters.settings import Split

#: Part of the key of every prepared table; raise it when this package makes other rows of the same files.
#: 2: prices of 100 billion or more are quarantined. 3: rows have `days`. 4: lines by docs/lines.md.
PREPARATION_VERSION: Final = 4
#: Stands before a digest, and says what it is of. 1, which stood before none: the bytes of lines. 2: what they say.
DIGEST_VERSION: Final = "2"

#: What a model knows of a line that no column holds, as SQL over its `{date}`: in its first stage as here.
DERIVED: Final[Mapping[str, str]] = {
    schema.DAY_OF_WEEK: (
        f"element_at(array({', '.join(map(repr, schema.WEEKDAYS))}), weekday({{date}}) + 1)"
    ),
}

ROWS_PER_PARTITION: Final = 1_000_000

_HASHES: Final = ("_low_1", "_high_1", "_low_2", "_high_2")
_GOOD: Final = "_good"
_CANCELS: Final = "_cancels"
_WIDE: Final = "decimal(38,0)"
_LOW_BITS: Final = 0xFFFFFFFF


def derived(date: str) -> list[str]:
    """Return the columns of `DERIVED` as SQL, from an expression that is a line's date."""
    return [f"{sql.format(date=date)} AS {name}" for name, sql in DERIVED.items()]


def same_lines(one: str, other: str) -> bool | None:
    """Tell whether two digests are of the same lines; None where releases made them that hash other things."""
    versions = {digest.rpartition(":")[0] for digest in (one, other)}
    return one == other if len(versions) == 1 else None


@dataclass(frozen=True)
class Contents:
    """What reduced rows hold: the digest of the lines (`2:` and 32 hex digits), rows and lines by split."""

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


def summarize(reduced: DataFrame) -> Contents:
    """Count reduced rows and the lines behind them, and hash those lines as a multiset of what they say.

    The digest changes with any of the eight values of a line, with any sign of a quarantined line, and with how
    often a line comes. It does not change with the order of lines, their files and packing, nor with how a value
    is written (between quotes, in another encoding, form of the date or order of columns); headers, blank lines
    and other columns are no part of it. Two 64-bit hashes of each line are added up in halves: by row in 64
    bits, which hold those of two billion lines, over rows as decimals.
    """
    sums = (F.sum(F.col(name).cast(_WIDE)) for name in (schema.WEIGHT, *_HASHES))
    splits = [
        (row[0], *map(int, row[1:]))
        for row in reduced.groupBy(schema.SPLIT).agg(F.count(F.lit(1)), *sums).collect()
    ]
    totals = tuple(sum(values) for values in zip(*(row[2:] for row in splits), strict=True))
    return Contents(
        digest=f"{DIGEST_VERSION}:{hashlib.sha256(repr(totals).encode()).hexdigest()[:32]}",
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
    return lines.selectExpr(
        f"* EXCEPT ({schema.QUANTITY}, {schema.UNIT_PRICE})",
        f"coalesce({schema.QUANTITY}, 0) AS {schema.QUANTITY}",
        f"coalesce({schema.UNIT_PRICE}, 0D) AS {schema.UNIT_PRICE}",
        *derived(schema.INVOICE_DATE),
    )


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
    good = F.col(schema.REASON).isNull()
    # A null leaves a hash as it is: without its flag a value could change places with the null beside it.
    said = [part for name in schema.COLUMNS for part in (F.col(name), F.col(name).isNull())]
    hashes = [
        F.when(good, F.xxhash64(F.lit(number), *said)).otherwise(F.xxhash64(F.lit(number), schema.LINE))
        for number in (1, 2)
    ]
    return [
        *(F.col(name) for name in (schema.QUANTITY, schema.INVOICE_DATE, schema.UNIT_PRICE)),
        good.alias(_GOOD),
        F.col(schema.INVOICE_NO).startswith("C").alias(_CANCELS),
        hashes[0].alias("_hash_1"),
        hashes[1].alias("_hash_2"),
    ]


def _hash_parts() -> list[Column]:
    parts = [
        part
        for name in ("_hash_1", "_hash_2")
        for part in (F.col(name).bitwiseAND(F.lit(_LOW_BITS)), F.shiftrightunsigned(name, 32))
    ]
    return [part.alias(name) for part, name in zip(parts, _HASHES, strict=True)]
