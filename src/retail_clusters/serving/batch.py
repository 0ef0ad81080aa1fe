"""One batch of files, scored by one model: written, counted on both sides, compared."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from pyspark.sql import DataFrame, Observation, SparkSession
from pyspark.sql import functions as F

from retail_clusters import schema
from retail_clusters.clustering import agreement
from retail_clusters.data import csv_files, invoices, unreadable_files
from retail_clusters.errors import RetailClustersError
from retail_clusters.features import binned
from retail_clusters.features.baseline import DRIFT_BASELINE, Baseline
from retail_clusters.features.binned import Counts
from retail_clusters.features.interface import open_model
from retail_clusters.features.model import check_model, refuse_unseen_days, score_lines
from retail_clusters.infra.locations import literal
from retail_clusters.infra.plans import Template, empty
from retail_clusters.registry.models import ModelRegistry, OpenedVersion
from retail_clusters.serving.staged import StagedBatch
from retail_clusters.settings import Columns

_LINES, _BAD = "lines", "bad"


@dataclass(frozen=True)
class ServedModel:
    """A version that has been tried: its queries, built once, and its training lines in shares."""

    opened: OpenedVersion
    baseline: Baseline | None
    parsed: Template
    scored: Template

    @property
    def version(self) -> str:
        """Return the version's number."""
        return self.opened.version


@dataclass(frozen=True)
class Accounts:
    """Lines of a batch: counted as they came in, and as they went out."""

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


def serve(spark: SparkSession, registry: ModelRegistry, *, version: str, columns: Columns) -> ServedModel:
    """Load a version, check it on the smoke batch, and build its queries.

    Raises:
        RegistryError: it cannot be loaded, or does not work.
    """
    opened = open_model(registry, version=version)
    check_model(spark, opened.model, version=version)
    model = opened.model

    def parse(text: DataFrame) -> DataFrame:
        lines = csv_files.lines_of(text, columns=columns)
        return refuse_unseen_days(invoices.parse(lines, columns=columns), model=model)

    parsed = Template(empty(spark, csv_files.TEXT), parse)
    scored = Template(parsed.result, lambda lines: score_lines(_good(lines), model=model, version=version))
    text = opened.metadata.get(DRIFT_BASELINE)
    baseline = Baseline.from_json(text) if text else None
    return ServedModel(opened=opened, baseline=baseline, parsed=parsed, scored=scored)


def write_batch(
    spark: SparkSession, staged: StagedBatch, files: Sequence[str], *, model: ServedModel, columns: Columns
) -> Accounts:
    """Write the scored and the quarantined lines of some files, and count them on both sides.

    Spark counts what comes in before it is split, and each part as it is written.
    """
    broken = {file: why for file in files if (why := unreadable_files.problem(file, columns))}
    good = [file for file in files if file not in broken]
    text = csv_files.read_text(spark, good) if good else None
    accounts = _write_lines(staged, text, model=model) if text else Accounts(0, 0, 0)
    whole = staged.write_whole_files(_rows(broken, columns))
    return Accounts(accounts.rows_in + whole, accounts.rows_scored, accounts.rows_quarantined + whole)


def count_batch(staged: StagedBatch, *, model: ServedModel) -> Counts | None:
    """Sort the scored lines of a batch into the bins of the model's baseline; None when it has none."""
    if model.baseline is None:
        return None
    total = binned.empty_counts(model.baseline)
    for table in staged.read_scored(binned.WATCHED):
        total += binned.count(table, against=model.baseline)
    return total


def compare(spark: SparkSession, staged: StagedBatch, *, challenger: ServedModel) -> Agreement | None:
    """Score the scored lines of a batch by a challenger, too; None when there are none."""
    if staged.scored_folder is None:
        return None
    mine, other = "champion", schema.PREDICTION
    lines = spark.read.parquet(literal(staged.scored_folder)).withColumnRenamed(schema.PREDICTION, mine)
    pairs = challenger.opened.model.transform(lines).groupBy(mine, other).count().toArrow()
    if not pairs.num_rows:
        return None
    one, two = (np.asarray(pairs[name], dtype=np.int64) for name in (mine, other))
    table = agreement.contingency(one, two, np.asarray(pairs["count"], dtype=np.float64))
    return Agreement(agreement.matched_share(table), agreement.adjusted_rand_index(table))


def _good(parsed: DataFrame) -> DataFrame:
    return parsed.where(F.col(schema.REASON).isNull()).select(*schema.COLUMNS, schema.SOURCE_FILE)


def _rows(broken: dict[str, str], columns: Columns) -> Iterator[dict[str, str | None]]:
    for file, reason in broken.items():
        yield from unreadable_files.quarantine_rows(file, reason=reason, columns=columns)


def _write_lines(staged: StagedBatch, text: DataFrame, *, model: ServedModel) -> Accounts:
    """Score in one pass; a second one reads the quarantined lines, if there are any."""
    came, scored, quarantined = Observation(), Observation(), Observation()
    count = F.count(F.lit(1)).alias(_LINES)
    bad = F.count_if(F.col(schema.REASON).isNotNull()).alias(_BAD)
    parsed = model.parsed.over(text)
    staged.write_scored(model.scored.over(parsed.observe(came, count, bad)).observe(scored, count))
    if came.get[_BAD]:
        staged.write_quarantine(invoices.quarantined(parsed).observe(quarantined, count))
    return Accounts(
        rows_in=int(came.get[_LINES]),
        rows_scored=int(scored.get[_LINES]),
        rows_quarantined=int(quarantined.get[_LINES]) if came.get[_BAD] else 0,
    )
