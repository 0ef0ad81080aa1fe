"""Segments as of a date: one row a unit, made of the good lines of an output and of a version, nothing else."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from pyspark.ml.feature import SQLTransformer
from pyspark.sql import Column, DataFrame, Observation, SparkSession
from pyspark.sql import functions as F

from retail_clusters import schema
from retail_clusters.features import drift, records, sql
from retail_clusters.features.interface import DISTANCE, MARGIN, ScoringVersion, parts_of
from retail_clusters.infra import storage
from retail_clusters.infra.locations import for_display, join, literal, name, to_uri
from retail_clusters.question import Unit
from retail_clusters.registry.names import ClusterNames
from retail_clusters.serving.attempt import COMMITTER
from retail_clusters.serving.batch import ServedModel
from retail_clusters.serving.reader import read_lines, read_quarantine
from retail_clusters.wording import pluralize

SEGMENTS: Final = "segments"
SEGMENT: Final = "segment"
NAME: Final = "name"
AS_OF: Final = "as_of"
_LINES: Final = "_lines"
_ALL, _LACKING, _USED = "all", "lacking", "used"


@dataclass(frozen=True)
class Snapshot:
    """What one folder of segments holds, and what became of each line; `later` ones are after its date.

    Attributes:
        sizes: units by the number of their segment.
        drift: PSI of the segments and of each feature, against the records that trained the version.
    """

    place: str
    as_of: date
    noun: str
    version: str
    sizes: Mapping[int, int]
    names: ClusterNames
    drift: Mapping[str, float]
    units_lacking: int
    used: int
    left_out: int
    quarantined: int
    later: int

    @property
    def units(self) -> int:
        """Count the units that have a segment."""
        return sum(self.sizes.values())

    @property
    def metrics(self) -> dict[str, float]:
        """Return the metrics of a score run, one step a date."""
        sizes = {f"segments/{number}": float(units) for number, units in self.sizes.items()}
        moved = {f"drift/{thing}": psi for thing, psi in self.drift.items()}
        largest = {"drift_psi": max(moved.values())} if moved else {}
        return {"units": float(self.units), "model_version": float(self.version)} | sizes | moved | largest

    def __str__(self) -> str:
        """Say it in a sentence."""
        lines = self.used + self.left_out + self.quarantined
        lacking = f"; {pluralize(self.units_lacking, self.noun)} lack a feature" if self.units_lacking else ""
        later = f"; {pluralize(self.later, 'line')} of later days" if self.later else ""
        return (
            f"{pluralize(self.units, self.noun)} as of {self.as_of} in {for_display(self.place)}: "
            f"{pluralize(lines, 'line')} = {self.used:,} used + {self.left_out:,} left out + "
            f"{self.quarantined:,} quarantined{lacking}{later}"
        )


def write_snapshot(
    spark: SparkSession, model: ServedModel, *, output: str, as_of: date, names: ClusterNames
) -> Snapshot:
    """Write the segments as of a date. The folder of a date takes the place of an earlier one when it is whole."""
    lines, version = read_lines(spark, output), model.opened
    day = F.to_date(schema.INVOICE_DATE)
    total, later = lines.agg(F.count(F.lit(1)), F.count_if(day >= F.lit(as_of))).collect()[0]
    folder = join(output, SEGMENTS)
    storage.make_folder(folder)
    storage.remove_drafts(folder)
    seen, place = Observation(), dated_folder(output, SEGMENTS, as_of)
    with storage.staged_folder(place) as staged:
        found = segments(lines, version, as_of=as_of, names=names, seen=seen)
        found.write.options(**COMMITTER).mode("append").parquet(to_uri(staged))
    counted, written = seen.get, read_snapshot(spark, output, as_of)
    sizes = {row[SEGMENT]: row["count"] for row in written.groupBy(SEGMENT).count().collect()}
    moved = drift.of_units(written, against=model.baseline, segment=SEGMENT) if model.baseline else {}
    return Snapshot(
        place=place,
        as_of=as_of,
        noun=parts_of(version).space.question.noun,
        version=version.version,
        sizes=dict.fromkeys(sorted(parts_of(version).numbers), 0) | sizes,
        names=names,
        drift=moved if sizes else {},
        units_lacking=counted[_LACKING],
        used=counted[_USED] or 0,
        left_out=total - (counted[_USED] or 0),
        quarantined=read_quarantine(spark, output).where(F.col(schema.LINE).isNotNull()).count(),
        later=later,
    )


def segments(
    lines: DataFrame, version: ScoringVersion, *, as_of: date, names: ClusterNames, seen: Observation
) -> DataFrame:
    """Return a row for each unit, ordered by its key; one that lacks a feature has none.

    Columns: the key, `segment` (the number), `name`, `model_version`, `distance`, `margin` and the features,
    unscaled.
    """
    question = parts_of(version).space.question
    lacking = F.col(SEGMENT).isNull()
    counted = labelled(lines, version, as_of=as_of).observe(
        seen,
        F.count(F.lit(1)).alias(_ALL),
        F.count_if(lacking).alias(_LACKING),
        F.sum(F.when(~lacking, F.col(_LINES))).alias(_USED),
    )
    keys = sql.keys_of(question)
    chosen = counted.where(~lacking).select(
        *keys,
        SEGMENT,
        _named(names, parts_of(version).numbers).alias(NAME),
        F.lit(int(version.version)).alias(schema.MODEL_VERSION),
        DISTANCE,
        MARGIN,
        *question.features,
    )
    return chosen.repartition(1).sortWithinPartitions(*keys)


def labelled(lines: DataFrame, version: ScoringVersion, *, as_of: date) -> DataFrame:
    """Return key, `segment`, `distance`, `margin`, `_values` and the features of each unit of the lines before a date.

    The model's own stages follow its records, which features go along with. A unit that lacks a feature has no
    segment.
    """
    question = parts_of(version).space.question
    passed = {sql.LINE: f"struct({', '.join(sql.keys_of(question))}, count(*) AS {_LINES})"}
    statement = sql.records(question, as_of=as_of, passed=passed)
    before = lines.where(F.to_date(schema.INVOICE_DATE) < F.lit(as_of))
    made = SQLTransformer(statement=statement).transform(before)
    whole = made.withColumn(sql.LINE, F.struct(f"{sql.LINE}.*", *question.features))
    found = version.label(whole)
    return found.withColumn(SEGMENT, F.col(schema.PREDICTION).cast("int")).drop(schema.PREDICTION)


def read_snapshot(spark: SparkSession, output: str, as_of: date) -> DataFrame:
    """Return the segments as of a date."""
    return spark.read.parquet(literal(dated_folder(output, SEGMENTS, as_of)))


def dated_folder(output: str, kind: str, as_of: date) -> str:
    """Name the folder of the segments, or the moves, as of a date."""
    return join(output, kind, f"{AS_OF}={as_of}")


def dated_folders(output: str, kind: str) -> list[date]:
    """List the dates that an output has segments, or moves, as of, in order."""
    folder = join(output, kind)
    folders = storage.list_folders(folder) if storage.is_folder(folder) else []
    texts = [name(each).removeprefix(f"{AS_OF}=") for each in folders]
    return sorted(date.fromisoformat(text) for text in texts if re.fullmatch(r"\d{4}-\d\d-\d\d", text))


def affected(snapshots: Sequence[date], days: Mapping[str, int], *, unit: Unit) -> list[date]:
    """List the snapshots whose window has some of the days."""
    lengths = timedelta(days=unit.days) if unit.days else timedelta.max
    of_lines = [date.fromisoformat(day) for day in days]
    return [end for end in snapshots if any(day < end and end - day <= lengths for day in of_lines)]


def regular_dates(days: Mapping[str, int], *, unit: Unit, every: int) -> list[date]:
    """List the dates so many days apart whose whole window has lines, from the first such window on."""
    begins = records.first_day(days) + timedelta(days=unit.days or every)
    ends = records.last_day(days) + timedelta(days=1)
    return [begins + timedelta(days=at) for at in range(0, (ends - begins).days + 1, every)]


def due_dates(
    days: Mapping[str, int], *, unit: Unit, written: Sequence[date], every: int | None
) -> list[date]:
    """List the dates of snapshots that are due: a day is complete when a line of a later day was read.

    After the first snapshot, every complete day has one, or those `every` so many days apart.
    """
    last = records.last_day(days)
    ends = [date.fromisoformat(day) + timedelta(days=1) for day in sorted(days)]
    complete = [end for end in ends if end <= last]
    if every:
        complete = [end for end in regular_dates(days, unit=unit, every=every) if end <= last]
    return [end for end in complete if end > written[-1]] if written else complete[-1:]


def _named(names: ClusterNames, numbers: Sequence[int]) -> Column:
    """Return the name of each segment."""
    pairs = [F.lit(each) for number in numbers for each in (number, names.name(number))]
    return F.create_map(*pairs)[F.col(SEGMENT)]
