"""Lines made records, by part of the data, as cells that add up."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import reduce
from typing import Final

import numpy as np
from pyspark.ml.feature import SQLTransformer
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.types import BooleanType, NumericType

from retail_clusters import schema
from retail_clusters.features import sql
from retail_clusters.features.rows import CELL, COUNT, DAY_GROUPS, RECORDS, SPLIT, SUM
from retail_clusters.question import Question, Unit
from retail_clusters.settings import Split

_SHARES: Final = 1_000_000
#: What is summed of a description, exactly.
_EXACT: Final = "decimal(38,6)"
#: A day with less than this share of a usual day's lines is no day of its own, such as a wrong date.
_HARDLY_ANY: Final = 0.1
#: A wrong date is so many days after all others.
MONTH: Final = 31


@dataclass(frozen=True)
class Windows:
    """Where the parts of the data begin and end; `last_day` is the last day with lines."""

    split: Split
    last_day: date

    @property
    def end(self) -> date:
        """Return the end of the data, exclusive."""
        return self.last_day + timedelta(days=1)


def cells(lines: DataFrame, question: Question, windows: Windows) -> DataFrame:
    """Return how many records have the same values, in each part of the data and each group of records.

    A group is the day of a line, or a hash of a unit's key: what is drawn anew for resampling. Columns: `_split`,
    `_cell`, `_left_out`, the features, the texts that describe them, `_records`, and of each number that
    describes them `_sum_NAME` and `_count_NAME`.
    """
    made = reduce(DataFrame.unionByName, _parts(lines, question, windows))
    numbers = [name for name in question.describe if _is_number(made, name)]
    texts = [name for name in question.describe if name not in numbers]
    sums = [
        column
        for name in numbers
        for column in (
            F.sum(F.col(name).try_cast(_EXACT)).cast("double").alias(f"{SUM}{name}"),
            F.count(name).alias(f"{COUNT}{name}"),
        )
    ]
    keys = (SPLIT, CELL, sql.LEFT_OUT, *question.features, *texts)
    return made.groupBy(*keys).agg(F.count(F.lit(1)).alias(RECORDS), *sums)


def left_out_lines(lines: DataFrame, question: Question, windows: Windows) -> Mapping[str, int]:
    """Count the lines of a unit's windows that each rule of `clean` leaves out."""
    ends = [windows.split.train_until, windows.end] if question.unit and question.unit.days else [None]
    counted: dict[str, int] = dict.fromkeys(question.clean, 0)
    for end in ends if question.clean else ():
        statement = sql.left_out_lines(question, as_of=end)
        for rule, found in SQLTransformer(statement=statement).transform(lines).collect():
            counted |= {rule: counted[rule] + found} if rule else {}
    return counted


def shared_with_training(lines: DataFrame, question: Question, windows: Windows) -> tuple[int, int] | None:
    """Count the keys, and the lines, that the test window shares with training; None where windows share none."""
    unit = question.unit
    if unit is None or unit.days is None:
        return None
    statement = sql.shared_with_training(
        question,
        train_until=windows.split.train_until,
        end=windows.end,
        held_out=_held_out(unit),
    )
    keys, shared = SQLTransformer(statement=statement).transform(lines).collect()[0]
    return keys, shared


def first_day(days: Mapping[str, int]) -> date:
    """Return the first day of data with lines by day (ISO), but for wrong dates in the past."""
    return date.fromordinal(_right_days(days)[0])


def last_day(days: Mapping[str, int]) -> date:
    """Return the last day of data with lines by day (ISO), but for wrong dates in the future.

    A wrong date has hardly any lines, and is more than a month before or after every usual day.
    """
    return date.fromordinal(_right_days(days)[-1])


def _right_days(days: Mapping[str, int]) -> list[int]:
    counted = {date.fromisoformat(day).toordinal(): lines for day, lines in days.items()}
    usual = usual_days(counted)
    return sorted(day for day in counted if usual[0] - MONTH <= day <= usual[-1] + MONTH)


def usual_days(days: Mapping[int, int]) -> list[int]:
    """List the days, but those that hardly any line has, in order; a usual day is that of the median line."""
    sizes = np.sort(list(days.values()))
    usual = sizes[np.searchsorted(sizes.cumsum(), sizes.sum() / 2)] if len(sizes) else 0
    return sorted(day for day, lines in days.items() if lines >= usual * _HARDLY_ANY)


def _is_number(frame: DataFrame, name: str) -> bool:
    return isinstance(frame.schema[name].dataType, NumericType | BooleanType)


def _parts(lines: DataFrame, question: Question, windows: Windows) -> list[DataFrame]:
    """Return the records of the parts of the data, each with `_split` and `_cell`."""
    unit, split = question.unit, windows.split
    if unit is None:
        passed = {SPLIT: _part_of("day", split), CELL: "unix_date(day)"}
        return [_records(lines, question, passed)]
    of_key = {CELL: f"CAST(pmod(xxhash64('group', {', '.join(unit.by)}), {DAY_GROUPS}) AS INT)"}
    if unit.days is None:
        whole = {SPLIT: _part_of("min(day)", split)} | of_key
        return [_records(_of_first_part(lines, unit, split=split), question, whole)]
    training = {SPLIT: f"CASE WHEN {_held_out(unit)} THEN '{schema.VALIDATION}' ELSE '{schema.TRAIN}' END"}
    later = {SPLIT: f"'{schema.TEST}'"}
    return [
        _records(lines, question, training | of_key, as_of=split.train_until),
        _records(lines, question, later | of_key, as_of=windows.end),
    ]


def _held_out(unit: Unit) -> str:
    """Return the condition of the keys that never train."""
    return f"pmod(xxhash64('holdout', {', '.join(unit.by)}), {_SHARES}) < {round(unit.holdout * _SHARES)}"


def _records(
    lines: DataFrame, question: Question, passed: Mapping[str, str], *, as_of: date | None = None
) -> DataFrame:
    statement = sql.records(question, as_of=as_of, passed=passed, described=True)
    return SQLTransformer(statement=statement).transform(lines)


def _part_of(day: str, split: Split) -> str:
    return (
        f"CASE WHEN {day} < DATE'{split.train_until}' THEN '{schema.TRAIN}' "
        f"WHEN {day} < DATE'{split.validate_until}' THEN '{schema.VALIDATION}' ELSE '{schema.TEST}' END"
    )


def _of_first_part(lines: DataFrame, unit: Unit, *, split: Split) -> DataFrame:
    """Keep the lines of each key that fall into the part of its first line: no later line counts."""
    later: Column = sum(
        (F.col(schema.INVOICE_DATE) >= F.lit(end)).cast("int")
        for end in (split.train_until, split.validate_until)
    )  # type: ignore[assignment]
    part = lines.withColumn("_part", later)
    first = F.min("_part").over(Window.partitionBy(*unit.by))
    return part.withColumn("_first", first).where(F.col("_part") == F.col("_first")).select(*lines.columns)
