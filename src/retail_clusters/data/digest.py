"""What lines say, as one digest, and how many there are of each day."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from retail_clusters import schema

#: Stands before a digest, and says what it is of. 1, which stood before none: the bytes of lines. 2: what they say.
DIGEST_VERSION: Final = "2"

_HASHES: Final = ("_hash_1", "_hash_2")
_LOW_BITS: Final = 0xFFFFFFFF


@dataclass(frozen=True)
class Contents:
    """What lines hold: their digest (`2:` and 32 hex digits), and the good ones of each day (UTC, ISO)."""

    digest: str
    days: Mapping[str, int]
    quarantined: int


def same_lines(one: str, other: str) -> bool | None:
    """Tell whether two digests are of the same lines; None where releases made them that hash other things."""
    versions = {digest.rpartition(":")[0] for digest in (one, other)}
    return one == other if len(versions) == 1 else None


def summarize(parsed: DataFrame) -> Contents:
    """Count parsed lines by day, and hash them as a multiset of what they say.

    The digest changes with any of the eight values of a line, with any sign of a quarantined line, and with how
    often a line comes. It does not change with the order of lines, their files and packing, nor with how a value
    is written (between quotes, in another encoding, form of the date or order of columns); headers, blank lines
    and other columns are no part of it. Two 64-bit hashes of each line are added up in halves: in 64 bits, which
    hold those of two billion lines a day, and over days in Python.
    """
    day = F.when(F.col(schema.REASON).isNull(), F.to_date(schema.INVOICE_DATE)).alias(schema.DAY)
    halves = [
        half
        for name in _HASHES
        for half in (F.col(name).bitwiseAND(F.lit(_LOW_BITS)), F.shiftrightunsigned(name, 32))
    ]
    by_day = parsed.select(day, *_hashes()).groupBy(schema.DAY)
    counted = by_day.agg(F.count(F.lit(1)), *map(F.sum, halves)).collect()
    totals = tuple(sum(values) for values in zip(*(row[1:] for row in counted), strict=True))
    lines = {day: lines for day, lines, *_ in counted}
    quarantined = lines.pop(None, 0)
    return Contents(
        digest=f"{DIGEST_VERSION}:{hashlib.sha256(repr(totals).encode()).hexdigest()[:32]}",
        days={day.isoformat(): lines[day] for day in sorted(lines)},
        quarantined=quarantined,
    )


def _hashes() -> list[Column]:
    # A null leaves a hash as it is: without its flag a value could change places with the null beside it.
    said = [part for name in schema.COLUMNS for part in (F.col(name), F.col(name).isNull())]
    return [
        F.when(F.col(schema.REASON).isNull(), F.xxhash64(F.lit(number), *said))
        .otherwise(F.xxhash64(F.lit(number), schema.LINE))
        .alias(name)
        for number, name in enumerate(_HASHES, 1)
    ]
