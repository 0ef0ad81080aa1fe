"""One batch of files, scored by one model: written, counted, compared."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pyspark.sql import DataFrame, Observation, SparkSession
from pyspark.sql import functions as F

from retail_clusters import schema
from retail_clusters.data import csv_files, invoices, unreadable_files
from retail_clusters.errors import RetailClustersError
from retail_clusters.infra.logged_model import OpenedVersion
from retail_clusters.infra.registry import ModelRegistry
from retail_clusters.serving import drift
from retail_clusters.serving.drift import Counts
from retail_clusters.serving.output import Draft
from retail_clusters.training import agreement
from retail_clusters.training.baseline import DRIFT_BASELINE, Baseline
from retail_clusters.training.model import check_model, open_model, refuse_unseen_days, score_lines


@dataclass(frozen=True)
class ServedModel:
    """A checked version, and the shares of its training lines where they travel with it."""

    opened: OpenedVersion
    baseline: Baseline | None

    @property
    def version(self) -> str:
        """Return the version's number."""
        return self.opened.version


@dataclass(frozen=True)
class Accounts:
    """Lines of a batch: counted as they came in, and as they stand in the output."""

    rows_in: int
    rows_scored: int
    rows_quarantined: int

    def check(self, batch_id: int) -> None:
        """Refuse a batch that lost or doubled a line."""
        if self.rows_in != self.rows_scored + self.rows_quarantined:
            raise RetailClustersError(
                f"rows in must be rows scored + quarantined, but batch {batch_id} took {self.rows_in:,} and "
                f"wrote {self.rows_scored:,} + {self.rows_quarantined:,}: start again if a file changed"
            )


@dataclass(frozen=True)
class Agreement:
    """How far champion and challenger put the same lines together."""

    matched_share: float
    adjusted_rand_index: float


def serve(spark: SparkSession, registry: ModelRegistry, *, version: str) -> ServedModel:
    """Load a version and check it on the smoke batch.

    Raises:
        RegistryError: it cannot be loaded, or does not work.
    """
    opened = open_model(registry, version=version)
    check_model(spark, opened.model, version=version)
    text = opened.metadata.get(DRIFT_BASELINE)
    return ServedModel(opened=opened, baseline=Baseline.from_json(text) if text else None)


def write_batch(spark: SparkSession, draft: Draft, files: Sequence[Path], *, model: ServedModel) -> Accounts:
    """Write the scored and the quarantined lines of some files, and count them on both sides.

    What comes in is counted before it is split, what goes out in the written files.
    """
    broken = {str(file): problem for file in files if (problem := unreadable_files.problem(str(file)))}
    good = [str(file) for file in files if str(file) not in broken]
    rows_in = _write_lines(draft, _parsed(spark, good, model=model), model=model)
    rows = (
        row
        for file, reason in broken.items()
        for row in unreadable_files.quarantine_rows(file, reason=reason)
    )
    rows_in += draft.write_unreadable_files(rows)
    return Accounts(
        rows_in=rows_in, rows_scored=draft.count_scored(), rows_quarantined=draft.count_quarantined()
    )


def count_batch(draft: Draft, *, model: ServedModel) -> Counts | None:
    """Sort the scored lines of a batch into the bins of the model's baseline; None when it has none."""
    if model.baseline is None:
        return None
    total = drift.empty_counts(model.baseline)
    for table in draft.read_scored(drift.WATCHED):
        total += drift.count(table, against=model.baseline)
    return total


def compare(spark: SparkSession, draft: Draft, *, challenger: ServedModel) -> Agreement | None:
    """Score the scored lines of a batch by a challenger, too; None when there are none."""
    mine, other = "champion", schema.PREDICTION
    lines = spark.read.parquet(draft.scored_folder).withColumnRenamed(schema.PREDICTION, mine)
    pairs = challenger.opened.model.transform(lines).groupBy(mine, other).count().toArrow()
    if not pairs.num_rows:
        return None
    one, two = (np.asarray(pairs[name], dtype=np.int64) for name in (mine, other))
    table = agreement.contingency(one, two, np.asarray(pairs["count"], dtype=np.float64))
    return Agreement(agreement.matched_share(table), agreement.adjusted_rand_index(table))


def _parsed(spark: SparkSession, files: Sequence[str], *, model: ServedModel) -> DataFrame:
    lines = csv_files.read_lines(spark, files)
    return refuse_unseen_days(invoices.parse(lines), model=model.opened.model)


def _write_lines(draft: Draft, parsed: DataFrame, *, model: ServedModel) -> int:
    """Score in one pass; a second one reads the quarantined lines, if there are any."""
    seen = Observation()
    counted = parsed.observe(
        seen, F.count(F.lit(1)).alias("lines"), F.count_if(F.col(schema.REASON).isNotNull()).alias("bad")
    )
    draft.write_scored(score_lines(invoices.good(counted), model=model.opened.model, version=model.version))
    if seen.get["bad"]:
        draft.write_quarantine(invoices.quarantined(parsed))
    return int(seen.get["lines"])
