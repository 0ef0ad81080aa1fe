"""Everything that fits need, made once: rows as arrays, or in Spark where they outgrow memory."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark import StorageLevel
from pyspark.errors import ArithmeticException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from retail_clusters import schema
from retail_clusters.clustering import evaluation, guardrails
from retail_clusters.clustering.blocks import Block, InMemory, Rows, block, in_memory, split
from retail_clusters.clustering.evaluation import Evaluation, Problem
from retail_clusters.clustering.metrics import Quality
from retail_clusters.data.prepare import Prepared
from retail_clusters.errors import InputError
from retail_clusters.features import pipeline, records, sql
from retail_clusters.features.check import analyse, check_question
from retail_clusters.features.pipeline import FeatureSpace
from retail_clusters.features.records import Windows
from retail_clusters.features.rows import RECORDS, SPLIT, WeightedRows, merge, partitions, weighted_rows
from retail_clusters.infra.console import in_short
from retail_clusters.question import Question
from retail_clusters.registry.models import check_model_folder
from retail_clusters.search import spark_solver
from retail_clusters.settings import Experiment

#: All records from the train cut on: the notebook's test lines.
AFTER_TRAIN: Final = "holdout"
PARTS: Final = (schema.TRAIN, schema.VALIDATION, schema.TEST, AFTER_TRAIN)

#: Rows that seeding, feature fitting and descriptions look at where the rows stay in Spark.
_SAMPLE_ROWS: Final = 250_000
_ROWS_PER_PARTITION: Final = 1_000_000


@dataclass(frozen=True)
class Counted:
    """What a question makes of prepared lines: records and distinct rows by part, and what was left out.

    Attributes:
        left_out_lines: by rule of `clean`.
        left_out_records: by feature that they lack.
        shared: keys and lines that test shares with training; None where a record is in one part alone.
    """

    records: Mapping[str, int]
    rows: Mapping[str, int]
    left_out_lines: Mapping[str, int]
    left_out_records: Mapping[str, int]
    shared: tuple[int, int] | None = None

    def shared_in_words(self, noun: str) -> str:
        """Say what test shares with training; nothing where records are in one part alone."""
        return f"{self.shared[0]:,} {noun}s and {self.shared[1]:,} lines" if self.shared else ""

    @property
    def all_records(self) -> int:
        """Count the records of all parts."""
        return sum(self.records.values())

    def in_words(self, noun: str) -> str:
        """Say what was left out, and why; nothing where nothing was."""
        lines = [f"{count:,} lines by {name}" for name, count in self.left_out_lines.items() if count]
        lacking = [
            f"{count:,} {noun}s without {name}" for name, count in self.left_out_records.items() if count
        ]
        return ", ".join([*lines, *lacking])


@dataclass(frozen=True, eq=False)
class TrainingContext:
    """The rows of an experiment, and the feature space fitted on its training records.

    Fits and metrics are of `rows`: all of them, in memory, or in Spark beyond `training.in_memory_rows`. What
    needs rows in memory, such as seeding and descriptions, looks at `weighted` and `sample`: the same rows, or
    else a sample of them.

    Attributes:
        weighted: the rows of each part before scaling, in memory.
        rows: the vectors of each part.
        sample: the vectors of the training rows in `weighted`.
    """

    spark: SparkSession
    experiment: Experiment
    prepared: Prepared
    counted: Counted
    space: FeatureSpace
    weighted: Mapping[str, WeightedRows]
    rows: Mapping[str, Rows[Block]]
    sample: Block

    @property
    def whole(self) -> bool:
        """Tell whether all rows are in memory."""
        return all(isinstance(rows, InMemory) for rows in self.rows.values())

    @property
    def problem(self) -> Problem:
        """Return what a candidate is fitted and measured on."""
        lloyd = self.experiment.lloyd
        return Problem(
            train=self.rows[schema.TRAIN],
            sample=self.sample,
            validation=self.rows[schema.VALIDATION],
            max_iterations=lloyd.max_iterations,
            tolerance=lloyd.tolerance,
        )

    def violations(self, quality: Quality) -> dict[str, float]:
        """Say by how much a clustering breaks each guardrail of the experiment."""
        bounds = self.experiment.guardrails
        return guardrails.violations(
            quality, max_share=bounds.max_cluster_share, min_clusters=bounds.min_clusters
        )

    def in_memory(self, part: str) -> InMemory[Block]:
        """Return the vectors of the rows in `weighted`."""
        rows, weighted = self.rows[part], self.weighted[part]
        if isinstance(rows, InMemory):
            return rows
        vectors = pipeline.vectors([weighted], space=self.space, spark=self.spark)[0]
        return in_memory(vectors, weighted.weights)

    def fit(self, *, k: int, seed: int) -> Evaluation:
        """Fit (K, seed) with the experiment's solver on training records; measure it on validation records."""
        if self.experiment.training.solver == "exact":
            return evaluation.evaluate(self.problem, k=k, seed=seed)
        lines = spark_solver.expanded(self.weighted[schema.TRAIN], space=self.space, spark=self.spark)
        fitted = spark_solver.fit(lines, self.rows[schema.TRAIN], k=k, seed=seed)
        return evaluation.measured(self.problem, fitted, seed=seed)


def training_context(prepared: Prepared, *, experiment: Experiment) -> TrainingContext:
    """Make records of lines, fit the features, and hold the rows ready, in memory where they fit.

    Raises:
        InputError: the question cannot be asked, or a part of the split has no record.
    """
    spark, question = prepared.lines.sparkSession, experiment.question
    check_model_folder(spark)
    check_question(question)
    analyse(spark, question)
    windows = Windows(experiment.split, records.last_day(prepared.table.days))
    cells = records.cells(prepared.lines, question, windows).persist(StorageLevel.MEMORY_AND_DISK)
    try:
        lines = records.left_out_lines(prepared.lines, question, windows) if question.unit else None
        counted = _count(cells, question, lines=lines)
        shared = records.shared_with_training(prepared.lines, question, windows)
        counted = replace(counted, shared=shared)
    except ArithmeticException as failure:
        raise _naming_feature(prepared, question, windows, failure) from failure
    _check_parts(counted, experiment)
    if sum(counted.rows.values()) <= experiment.training.in_memory_rows:
        return _in_memory(prepared, experiment, counted, cells)
    return _in_spark(prepared, experiment, counted, cells)


def check_clusters(context: TrainingContext, *, k: int) -> None:
    """Refuse a K that the rows cannot fill.

    Raises:
        InputError: K is below 2 or above the number of distinct training vectors.
    """
    distinct = len(np.unique(context.sample.values, axis=0))
    if not 2 <= k <= distinct:
        raise InputError(
            f"k must be from 2 to the number of distinct training rows, {distinct}, but got {k}: "
            "choose a k within"
        )


def _count(cells: DataFrame, question: Question, *, lines: Mapping[str, int] | None) -> Counted:
    """Count records and distinct rows by part; `lines` of a unit are left out before they are records."""
    found = (
        cells.groupBy(SPLIT, sql.LEFT_OUT)
        .agg(F.sum(RECORDS).alias("records"), F.count_distinct(F.struct(*question.features)).alias("rows"))
        .collect()
    )
    kept = {row[SPLIT]: row for row in found if row[sql.LEFT_OUT] is None}
    left_out = dict.fromkeys([*question.clean, *question.features], 0)
    for row in found:
        if row[sql.LEFT_OUT] is not None:
            left_out[row[sql.LEFT_OUT]] += row["records"]
    return Counted(
        records={part: kept[part]["records"] if part in kept else 0 for part in schema.SPLITS},
        rows={part: kept[part]["rows"] if part in kept else 0 for part in schema.SPLITS},
        left_out_lines=lines or {name: left_out[name] for name in question.clean},
        left_out_records={name: left_out[name] for name in question.features},
    )


def _naming_feature(
    prepared: Prepared, question: Question, windows: Windows, failure: Exception
) -> InputError:
    """Say which feature's arithmetic ends the job, such as a division by zero."""
    place = "clean and describe"
    for name, feature in question.features.items():
        alone = question.model_copy(update={"features": {name: feature}, "describe": {}})
        try:
            records.cells(prepared.lines, alone, windows).count()
        except ArithmeticException:
            place = f"features.{name}"
            break
    return InputError(
        f"{place} must be computable for every line, but {in_short(failure)}: write try_divide(a, b) or try_cast, and "
        "fill for what is nothing then"
    )


def _check_parts(counted: Counted, experiment: Experiment) -> None:
    """Refuse a part without a record."""
    noun = experiment.question.noun
    if empty := [part for part, found in counted.records.items() if not found]:
        raise InputError(
            f"every part of the split needs {noun}s, but {' and '.join(empty)} got none (left out: "
            f"{counted.in_words(noun) or 'none'}): move split.train_until or split.validate_until, or look at clean"
        )


def _in_memory(
    prepared: Prepared, experiment: Experiment, counted: Counted, cells: DataFrame
) -> TrainingContext:
    spark, question = cells.sparkSession, experiment.question
    weighted = by_split(_kept(cells).toArrow(), question)
    cells.unpersist()
    pipeline.check_varies(weighted[schema.TRAIN], question)
    space = pipeline.fit_space(weighted[schema.TRAIN], question, spark=spark)
    made = pipeline.vectors([weighted[part] for part in PARTS], space=space, spark=spark)
    blocks = {part: block(vectors, weighted[part].weights) for part, vectors in zip(PARTS, made, strict=True)}
    rows = {part: split(each) for part, each in blocks.items()}
    return TrainingContext(
        spark, experiment, prepared, counted, space, weighted, rows, sample=blocks[schema.TRAIN]
    )


def _in_spark(
    prepared: Prepared, experiment: Experiment, counted: Counted, cells: DataFrame
) -> TrainingContext:
    spark, question = cells.sparkSession, experiment.question
    kept = _kept(cells)
    every = -(-max(counted.rows.values()) // _SAMPLE_ROWS)
    chosen = F.pmod(F.xxhash64(F.lit("sample"), *question.features), F.lit(every)) == 0
    weighted = by_split(kept.where(chosen).toArrow(), question)
    pipeline.check_varies(weighted[schema.TRAIN], question)
    space = pipeline.fit_space(weighted[schema.TRAIN], question, spark=spark)
    of_part = {part: (part,) for part in schema.SPLITS} | {AFTER_TRAIN: (schema.VALIDATION, schema.TEST)}
    rows = {}
    for part, splits in of_part.items():
        count = sum(counted.rows[name] for name in splits)
        frame = _canonical(kept.where(F.col(SPLIT).isin(*splits)), question, count=count)
        rows[part] = partitions(pipeline.with_values(frame, space).persist(StorageLevel.MEMORY_AND_DISK))
    train = weighted[schema.TRAIN]
    sample = block(pipeline.vectors([train], space=space, spark=spark)[0], train.weights)
    return TrainingContext(spark, experiment, prepared, counted, space, weighted, rows, sample)


def by_split(cells: pa.Table, question: Question) -> dict[str, WeightedRows]:
    """Part cells into the rows of train, validation, test, and of the last two together."""
    parts = {
        part: weighted_rows(
            cells.filter(pc.equal(cells[SPLIT], part)).drop_columns(SPLIT), list(question.features)
        )
        for part in schema.SPLITS
    }
    return parts | {AFTER_TRAIN: merge(parts[schema.VALIDATION], parts[schema.TEST])}


def _kept(cells: DataFrame) -> DataFrame:
    return cells.where(F.col(sql.LEFT_OUT).isNull()).drop(sql.LEFT_OUT)


def _canonical(cells: DataFrame, question: Question, *, count: int) -> DataFrame:
    """Add up cells to about `count` rows, in partitions that follow from the rows alone, sorted by value.

    A row's partition is the hash of its values, so neither cores nor file layout matter; the sums of
    floating-point numbers over a partition then always run in the same order.
    """
    names = list(question.features)
    rows = cells.groupBy(*names).agg(F.sum(RECORDS).alias(RECORDS))
    return rows.repartition(max(1, math.ceil(count / _ROWS_PER_PARTITION)), *names).sortWithinPartitions(
        *names
    )
