"""From invoice lines to weighted rows, and the digest of what was read, in one pass."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from retail_clusters import schema
from retail_clusters.core.features import fill_stage
from retail_clusters.settings import Split

#: Part of the key of every prepared table; raise it when this module makes other rows of the same lines.
PREPARATION_VERSION: Final = 1

_HASHES: Final = ("_low_1", "_high_1", "_low_2", "_high_2")
_GOOD: Final = "_good"
_CANCELS: Final = "_cancels"
_LOW_BITS: Final = 0xFFFFFFFF


@dataclass(frozen=True)
class Contents:
    """What reduced rows hold: the digest of the lines (32 hex digits), rows and lines by split."""

    digest: str
    rows: Mapping[str, int]
    lines: Mapping[str, int]


def reduce_lines(parsed: DataFrame, *, split: Split) -> DataFrame:
    """Reduce parsed lines to one row for each split and distinct (price, quantity, weekday).

    Gives `split`, the columns of a weighted row, and four partial sums for `summarize`. Quarantined
    lines are a split of their own, with nulls. One pass over the lines, at most one shuffle of the rows.
    """
    once = parsed.select(F.inline(F.array(F.struct(*_facts()))))
    filled = fill_stage().transform(once.withColumn(schema.SPLIT, _split(split)))
    keys = [F.when(F.col(_GOOD), F.col(name)).alias(name) for name in _ROW_KEY]
    return (
        filled.select(schema.SPLIT, *keys, _CANCELS, *_hash_parts())
        .groupBy(schema.SPLIT, *_ROW_KEY)
        .agg(
            F.count(F.lit(1)).alias(schema.WEIGHT),
            F.count_if(_CANCELS).alias(schema.CANCELLATIONS),
            *(F.sum(name).alias(name) for name in _HASHES),
        )
    )


def summarize(reduced: DataFrame) -> Contents:
    """Count reduced rows and the lines behind them, and hash those lines as a multiset of texts.

    Neither the order of lines nor their distribution over files changes the digest, any other byte does.
    Two 64-bit hashes of each line are added up in halves, which cannot overflow below two billion lines.
    """
    sums = (F.sum(name) for name in (schema.WEIGHT, *_HASHES))
    splits = reduced.groupBy(schema.SPLIT).agg(F.count(F.lit(1)), *sums).collect()
    totals = tuple(sum(values) for values in zip(*(row[2:] for row in splits), strict=True))
    return Contents(
        digest=hashlib.sha256(repr(totals).encode()).hexdigest()[:32],
        rows={split: rows for split, rows, *_ in splits},
        lines={split: lines for split, _, lines, *_ in splits},
    )


def weighted_rows(reduced: DataFrame, splits: Sequence[str]) -> DataFrame:
    """Merge the reduced rows of some splits into weighted rows."""
    return (
        reduced.where(F.col(schema.SPLIT).isin(*splits))
        .groupBy(*_ROW_KEY)
        .agg(
            F.sum(schema.WEIGHT).alias(schema.WEIGHT),
            F.sum(schema.CANCELLATIONS).alias(schema.CANCELLATIONS),
        )
    )


_ROW_KEY: Final = (schema.UNIT_PRICE, schema.QUANTITY, schema.DAY_OF_WEEK)


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
