"""The training lines day by day, in the bins of a model's baseline: what bounds its drift."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace

import numpy as np
import pyarrow as pa
from pyspark.ml import PipelineModel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from retail_clusters import schema
from retail_clusters.data import csv_files, invoices
from retail_clusters.training import drift
from retail_clusters.training.baseline import Baseline
from retail_clusters.training.context import TrainingContext
from retail_clusters.training.drift import Counts


def calibrated(baseline: Baseline, *, context: TrainingContext, pipeline: PipelineModel) -> Baseline:
    """Add how far a stream of the training days, scored by `pipeline`, would be from all of them."""
    days = count_days(training_lines(context), pipeline=pipeline, against=baseline)
    return replace(baseline, usual=drift.usual(days, against=baseline))


def training_lines(context: TrainingContext) -> DataFrame:
    """Read the good training lines once more: the prepared rows do not know the days, which have no bound."""
    files = csv_files.find_files(context.prepared.table.data)
    columns, until = context.experiment.columns, context.experiment.split.train_until
    parsed = invoices.parse(csv_files.read_lines(context.spark, files, columns=columns), columns=columns)
    return invoices.good(parsed).where(F.col(schema.INVOICE_DATE) < F.lit(until))


def count_days(lines: DataFrame, *, pipeline: PipelineModel, against: Baseline) -> list[Counts]:
    """Let a model score good lines, and count those of each day, in order."""
    scored = pipeline.transform(lines).select(*drift.WATCHED)
    parts = scored.mapInArrow(_CountDays(against), "counts string").toArrow()
    found: dict[tuple[int, ...], Counts] = {}
    for text in parts["counts"].to_pylist():
        counts = Counts.from_json(json.loads(text))
        found[counts.days] = found[counts.days] + counts if counts.days in found else counts
    return [found[day] for day in sorted(found)]


@dataclass(frozen=True)
class _CountDays:
    """What a task does: count the lines of each day."""

    baseline: Baseline

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            table = pa.Table.from_batches([batch])
            days = drift.days_of(table)
            texts = [
                json.dumps(asdict(drift.count(table.filter(pa.array(days == day)), against=self.baseline)))
                for day in np.unique(days)
            ]
            yield pa.RecordBatch.from_pydict({"counts": pa.array(texts, pa.string())})
