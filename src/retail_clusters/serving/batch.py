"""One batch of files, scored by one model: written, counted on both sides, compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pyspark.sql import DataFrame, Observation, SparkSession
from pyspark.sql import functions as F

from retail_clusters import schema
from retail_clusters.clustering import stability
from retail_clusters.data import csv_files, invoices, listing
from retail_clusters.data.csv_files import Layout
from retail_clusters.errors import InputError, RetailClustersError
from retail_clusters.features import drift
from retail_clusters.features.drift import DRIFT_BASELINE, Baseline, Counts
from retail_clusters.features.interface import DISTANCE, MARGIN, ScoringVersion, check_model, open_model
from retail_clusters.infra.locations import for_display, literal
from retail_clusters.input_settings import Input
from retail_clusters.question import Unit
from retail_clusters.registry.models import ModelRegistry
from retail_clusters.registry.names import ClusterNames, read_names
from retail_clusters.serving.attempt import Attempt
from retail_clusters.serving.commits import LINES, QUARANTINE, SCORED

_LINES, _BAD = "lines", "bad"


@dataclass(frozen=True)
class ServedModel:
    """A version that has been tried, its training records in shares (None of an early release), and its names."""

    opened: ScoringVersion
    baseline: Baseline | None
    names: ClusterNames

    @property
    def version(self) -> str:
        """Return the version's number."""
        return self.opened.version

    @property
    def unit(self) -> Unit | None:
        """Return what it gives a cluster each; None of lines."""
        return self.opened.question.unit if self.opened.question else None

    @property
    def keys(self) -> Sequence[str]:
        """Name the columns that a unit is known by; none of lines."""
        return self.unit.by if self.unit else ()

    @property
    def gives(self) -> str:
        """Say what it gives a cluster."""
        return f"groups lines by {', '.join(self.keys)}" if self.unit else "scores lines"

    @property
    def kind(self) -> str:
        """Name the folder that its batches go to."""
        return LINES if self.unit else SCORED


@dataclass(frozen=True)
class Accounts:
    """Lines of a batch: counted as they came in, and as they were written.

    Of a unit, lines that can be used count as scored; which are, depends on the date.
    """

    rows_in: int
    rows_scored: int
    rows_excluded: int
    rows_quarantined: int

    @property
    def balance(self) -> bool:
        """Tell whether each line has one place."""
        return self.rows_in == self.rows_scored + self.rows_excluded + self.rows_quarantined


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
    check_model(spark, opened)
    text = opened.metadata.get(DRIFT_BASELINE) if opened.question else None
    return ServedModel(opened, Baseline.from_json(text) if text else None, read_names(registry, version))


def write_batch(
    spark: SparkSession,
    attempt: Attempt,
    files: Sequence[str],
    *,
    model: ServedModel,
    how: Input,
    distance: bool = False,
    first: bool = False,
) -> Batch:
    """Write the scored and the quarantined lines of some files, and count them on both sides.

    With `distance`, scored lines tell how far they are from their cluster's centre.

    Spark counts what comes in before it is split; what was written is counted by the files' footers. The
    first batch has a file of quarantined lines even if there are none, so that their folder can be read.

    Raises:
        RetailClustersError: a line was lost or doubled.
    """
    layouts, broken = csv_files.examine(spark, files, how)
    if distance:
        _check_free(layouts)
    came = _write_lines(spark, attempt, layouts, model, how=how, distance=distance) if layouts else 0
    rows = (
        row
        for file, reason in broken.items()
        for row in csv_files.quarantine_rows(file, reason=reason, how=how)
    )
    whole, blank = attempt.write_whole_files(rows) if broken or first else (0, 0)
    written, left_out = attempt.count(model.kind), attempt.count_nulls(SCORED, schema.PREDICTION)
    accounts = Accounts(came + whole, written - left_out, left_out, attempt.count(QUARANTINE) - blank)
    if not accounts.balance:
        raise RetailClustersError(
            f"rows in must be rows scored + excluded + quarantined, but a batch took {accounts.rows_in:,} and wrote "
            f"{written:,} + {accounts.rows_quarantined:,}: start again if a file changed"
        )
    extra = dict.fromkeys(name for layout in layouts.values() for name in layout.extra)
    return Batch(accounts, list(broken), tuple(extra))


def count_batch(spark: SparkSession, attempt: Attempt, *, model: ServedModel) -> Counts | None:
    """Sort the scored lines of a batch into the bins of the model's baseline; None when it has none."""
    question, baseline = model.opened.question, model.baseline
    if question is None or baseline is None or model.unit:
        return None
    counted = []
    if attempt.count(SCORED):
        placed = drift.place_scored(_read_scored(spark, attempt), question, against=baseline)
        counted = drift.count(placed, against=baseline)
    return sum(counted, drift.empty_counts(baseline))


def compare(spark: SparkSession, attempt: Attempt, *, challenger: ServedModel) -> dict[str, float]:
    """Score the scored lines of a batch by a challenger, too: how far both put the same lines together.

    Lines that one of the two leaves out do not count.
    """
    mine, other = "_champion", schema.PREDICTION
    if not attempt.count(SCORED):
        return {}
    lines = _read_scored(spark, attempt).drop(schema.MODEL_VERSION).withColumnRenamed(other, mine)
    scored = challenger.opened.score(lines).select(mine, other).dropna()
    pairs = scored.groupBy(mine, other).count().toArrow()
    one, two = (np.asarray(pairs[name], dtype=np.int64) for name in (mine, other))
    table = stability.contingency(one, two, np.asarray(pairs["count"], dtype=np.float64))
    return {
        "shadow/matched_share": stability.matched_share(table),
        "shadow/adjusted_rand_index": stability.adjusted_rand_index(table),
    }


def _read_scored(spark: SparkSession, attempt: Attempt) -> DataFrame:
    return spark.read.parquet(literal(attempt.folder(SCORED)))


def _check_free(layouts: Mapping[str, Layout]) -> None:
    """Refuse columns that have the names of what is added to lines."""
    for file, layout in layouts.items():
        if taken := [name for name in layout.extra if name.lower() in {DISTANCE, MARGIN}]:
            raise InputError(
                f"scoring.distance adds the columns {DISTANCE} and {MARGIN}, but {for_display(file)} has {taken[0]}: "
                "score without scoring.distance, or rename the column"
            )


def _write_lines(
    spark: SparkSession,
    attempt: Attempt,
    layouts: Mapping[str, Layout],
    model: ServedModel,
    *,
    how: Input,
    distance: bool,
) -> int:
    """Score in one pass; a second one reads the quarantined lines, if there are any. Count what came in."""
    came = Observation()
    lines, seen = invoices.read(spark, layouts, how=how)
    parsed = model.opened.refuse(lines)
    bad = F.col(schema.REASON).isNotNull()
    counted = parsed.observe(came, F.count(F.lit(1)).alias(_LINES), F.count_if(bad).alias(_BAD))
    good = counted.where(~bad).drop(schema.LINE, schema.REASON)
    attempt.write(good if model.unit else model.opened.score(good, distance=distance), model.kind)
    listing.check_read(list(layouts), invoices.files_seen(seen))
    if came.get[_BAD]:
        attempt.write(invoices.quarantined(parsed), QUARANTINE)
    return int(came.get[_LINES])
