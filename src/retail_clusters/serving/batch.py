"""One batch of files, scored by one model: written, counted on both sides, compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pyspark.sql import Observation, SparkSession
from pyspark.sql import functions as F

from retail_clusters import schema
from retail_clusters.clustering import stability
from retail_clusters.data import csv_files, invoices, listing
from retail_clusters.data.csv_files import Layout
from retail_clusters.errors import RetailClustersError
from retail_clusters.features import drift
from retail_clusters.features.drift import DRIFT_BASELINE, Baseline, Counts
from retail_clusters.features.interface import open_model
from retail_clusters.features.model import check_model, refuse_unseen_days, score_lines
from retail_clusters.infra.locations import literal
from retail_clusters.input_settings import Input
from retail_clusters.registry.models import ModelRegistry, OpenedVersion
from retail_clusters.serving.attempt import Attempt
from retail_clusters.serving.commits import QUARANTINE, SCORED

_LINES, _BAD = "lines", "bad"


@dataclass(frozen=True)
class ServedModel:
    """A version that has been tried, and its training lines in shares."""

    opened: OpenedVersion
    baseline: Baseline | None

    @property
    def version(self) -> str:
        """Return the version's number."""
        return self.opened.version


@dataclass(frozen=True)
class Accounts:
    """Lines of a batch: counted as they came in, and as they were written."""

    rows_in: int
    rows_scored: int
    rows_quarantined: int


@dataclass(frozen=True)
class Batch:
    """What was written of some files: lines counted, files in quarantine, columns beside the eight."""

    accounts: Accounts
    broken: Sequence[str]
    extra: tuple[str, ...]


def serve(spark: SparkSession, registry: ModelRegistry, *, version: str) -> ServedModel:
    """Load a version, and check it on the smoke batch.

    Raises:
        RegistryError: it cannot be loaded, or does not work.
    """
    opened = open_model(registry, version=version)
    check_model(spark, opened.model, version=version)
    text = opened.metadata.get(DRIFT_BASELINE)
    return ServedModel(opened, Baseline.from_json(text) if text else None)


def write_batch(
    spark: SparkSession,
    attempt: Attempt,
    files: Sequence[str],
    *,
    model: ServedModel,
    how: Input,
    first: bool = False,
) -> Batch:
    """Write the scored and the quarantined lines of some files, and count them on both sides.

    Spark counts what comes in before it is split; what was written is counted by the files' footers. The
    first batch has a file of quarantined lines even if there are none, so that their folder can be read.

    Raises:
        RetailClustersError: a line was lost or doubled.
    """
    layouts, broken = csv_files.examine(spark, files, how)
    came = _write_lines(spark, attempt, layouts, model=model, how=how) if layouts else 0
    rows = (
        row
        for file, reason in broken.items()
        for row in csv_files.quarantine_rows(file, reason=reason, how=how)
    )
    whole, blank = attempt.write_whole_files(rows) if broken or first else (0, 0)
    accounts = Accounts(came + whole, attempt.count(SCORED), attempt.count(QUARANTINE) - blank)
    if accounts.rows_in != accounts.rows_scored + accounts.rows_quarantined:
        raise RetailClustersError(
            f"rows in must be rows scored + quarantined, but a batch took {accounts.rows_in:,} and wrote "
            f"{accounts.rows_scored:,} + {accounts.rows_quarantined:,}: start again if a file changed"
        )
    extra = dict.fromkeys(name for layout in layouts.values() for name in layout.extra)
    return Batch(accounts, list(broken), tuple(extra))


def count_batch(attempt: Attempt, *, model: ServedModel) -> Counts | None:
    """Sort the scored lines of a batch into the bins of the model's baseline; None when it has none."""
    if model.baseline is None:
        return None
    total = drift.empty_counts(model.baseline)
    for table in attempt.read_scored(drift.WATCHED):
        total += drift.count(table, against=model.baseline)
    return total


def compare(spark: SparkSession, attempt: Attempt, *, challenger: ServedModel) -> dict[str, float]:
    """Score the scored lines of a batch by a challenger, too: how far both put the same lines together."""
    mine, other = "champion", schema.PREDICTION
    if not attempt.count(SCORED):
        return {}
    lines = spark.read.parquet(literal(attempt.folder(SCORED))).withColumnRenamed(schema.PREDICTION, mine)
    pairs = challenger.opened.model.transform(lines).groupBy(mine, other).count().toArrow()
    one, two = (np.asarray(pairs[name], dtype=np.int64) for name in (mine, other))
    table = stability.contingency(one, two, np.asarray(pairs["count"], dtype=np.float64))
    return {
        "shadow/matched_share": stability.matched_share(table),
        "shadow/adjusted_rand_index": stability.adjusted_rand_index(table),
    }


def _write_lines(
    spark: SparkSession, attempt: Attempt, layouts: Mapping[str, Layout], *, model: ServedModel, how: Input
) -> int:
    """Score in one pass; a second one reads the quarantined lines, if there are any. Count what came in."""
    came = Observation()
    lines, seen = invoices.read(spark, layouts, how=how)
    parsed = refuse_unseen_days(lines, model=model.opened.model)
    bad = F.col(schema.REASON).isNotNull()
    counted = parsed.observe(came, F.count(F.lit(1)).alias(_LINES), F.count_if(bad).alias(_BAD))
    good = counted.where(~bad).drop(schema.LINE, schema.REASON)
    attempt.write(score_lines(good, model=model.opened.model, version=model.version), SCORED)
    listing.check_read(list(layouts), invoices.files_seen(seen))
    if came.get[_BAD]:
        attempt.write(invoices.quarantined(parsed), QUARANTINE)
    return int(came.get[_LINES])
