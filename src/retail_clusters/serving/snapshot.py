"""Segments as of a date: one row a unit, made of the good lines of an output and of a version, nothing else."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from pyspark.ml import PipelineModel
from pyspark.ml.feature import SQLTransformer
from pyspark.sql import DataFrame, Observation, SparkSession
from pyspark.sql import functions as F

from retail_clusters import schema
from retail_clusters.features import records, sql
from retail_clusters.features.interface import ScoringVersion, parts_of
from retail_clusters.infra import storage
from retail_clusters.infra.locations import for_display, join, to_uri
from retail_clusters.serving.attempt import COMMITTER
from retail_clusters.serving.reader import read_lines, read_quarantine
from retail_clusters.wording import pluralize

SEGMENTS: Final = "segments"
SEGMENT: Final = "segment"
_LINES: Final = "_lines"
_ALL, _LACKING, _USED = "all", "lacking", "used"


@dataclass(frozen=True)
class Snapshot:
    """What one folder of segments holds, and what became of each line; `later` ones are after its date."""

    place: str
    as_of: date
    noun: str
    units: int
    units_lacking: int
    used: int
    left_out: int
    quarantined: int
    later: int

    def __str__(self) -> str:
        """Say it in a sentence."""
        lines = self.used + self.left_out + self.quarantined
        lacking = f"; {pluralize(self.units_lacking, self.noun)} lack a feature" if self.units_lacking else ""
        later = (
            f"; {pluralize(self.later, 'line')} of later days, taken for wrong dates" if self.later else ""
        )
        return (
            f"{pluralize(self.units, self.noun)} as of {self.as_of} in {for_display(self.place)}: "
            f"{pluralize(lines, 'line')} = {self.used:,} used + {self.left_out:,} left out + "
            f"{self.quarantined:,} quarantined{lacking}{later}"
        )


def write_snapshot(
    spark: SparkSession, version: ScoringVersion, *, output: str, as_of: date | None = None
) -> Snapshot | None:
    """Write the segments as of a date, by default the day after that of the last line; None without a line.

    The folder of a date takes the place of an earlier one when it is whole.
    """
    lines = read_lines(spark, output)
    day = F.to_date(schema.INVOICE_DATE).cast("string")
    days: dict[str, int] = dict(lines.groupBy(day).count().collect())
    if not days:
        return None
    end = as_of or records.last_day(days) + timedelta(days=1)
    folder = join(output, SEGMENTS)
    storage.make_folder(folder)
    storage.remove_drafts(folder)
    seen, place = Observation(), join(folder, f"as_of={end}")
    with storage.staged_folder(place) as staged:
        found = segments(lines, version, as_of=end, seen=seen)
        found.write.options(**COMMITTER).mode("append").parquet(to_uri(staged))
    counted = seen.get
    return Snapshot(
        place=place,
        as_of=end,
        noun=parts_of(version).space.question.noun,
        units=counted[_ALL] - counted[_LACKING],
        units_lacking=counted[_LACKING],
        used=counted[_USED] or 0,
        left_out=sum(days.values()) - (counted[_USED] or 0),
        quarantined=read_quarantine(spark, output).where(F.col(schema.LINE).isNotNull()).count(),
        later=sum(count for day, count in days.items() if day >= str(end)),
    )


def segments(lines: DataFrame, version: ScoringVersion, *, as_of: date, seen: Observation) -> DataFrame:
    """Return key, `segment`, `model_version` and the unscaled features of each unit, ordered by its key.

    A unit that lacks a feature has none. The model's own stages follow its records, which features go along with.
    """
    question = parts_of(version).space.question
    keys = sql.keys_of(question)
    passed = {sql.LINE: f"struct({', '.join(keys)}, count(*) AS {_LINES})"}
    made = SQLTransformer(statement=sql.records(question, as_of=as_of, passed=passed)).transform(lines)
    whole = made.withColumn(sql.LINE, F.struct(f"{sql.LINE}.*", *question.features))
    labelled = PipelineModel(version.pipeline.stages[1:]).transform(whole)
    lacking = F.col(schema.PREDICTION).isNull()
    counted = labelled.observe(
        seen,
        F.count(F.lit(1)).alias(_ALL),
        F.count_if(lacking).alias(_LACKING),
        F.sum(F.when(~lacking, F.col(_LINES))).alias(_USED),
    )
    number = F.col(schema.PREDICTION).cast("int").alias(SEGMENT)
    of_version = F.lit(int(version.version)).alias(schema.MODEL_VERSION)
    chosen = counted.where(~lacking).select(*keys, number, of_version, *question.features)
    return chosen.repartition(1).sortWithinPartitions(*keys)
