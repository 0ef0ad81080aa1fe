"""Everything that fits need, made once: rows as arrays, or in Spark where they outgrow memory."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow.compute as pc
from pyspark import StorageLevel
from pyspark.ml import PipelineModel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from retail_clusters import schema
from retail_clusters.clustering import evaluation
from retail_clusters.clustering.blocks import Block, Rows, block, in_memory
from retail_clusters.clustering.evaluation import Evaluation, Problem
from retail_clusters.data.prepare import Prepared
from retail_clusters.errors import InputError
from retail_clusters.features import stages
from retail_clusters.features.rows import WeightedRows, merge, partitions, weighted_rows
from retail_clusters.registry.models import check_model_folder
from retail_clusters.search import spark_solver
from retail_clusters.search.trials import Evaluator
from retail_clusters.settings import Experiment

#: All lines from the train cut on: the notebook's test lines.
AFTER_TRAIN: Final = "holdout"
PARTS: Final = (schema.TRAIN, schema.VALIDATION, schema.TEST, AFTER_TRAIN)

#: Rows that seeding, feature fitting and descriptions look at where the rows stay in Spark.
_SAMPLE_ROWS: Final = 250_000


@dataclass(frozen=True, eq=False)
class TrainingContext:
    """The rows of an experiment, and the feature stages fitted on its training lines.

    Attributes:
        weighted: the weighted rows of each part, in memory; a sample of them where the rows stay in Spark.
        rows: all rows of each part as vectors.
        sample: the vectors of the training rows in `weighted`.
        whole: whether `weighted` holds every row.
    """

    spark: SparkSession
    experiment: Experiment
    prepared: Prepared
    pipeline: PipelineModel
    weighted: Mapping[str, WeightedRows]
    rows: Mapping[str, Rows[Block]]
    sample: Block
    whole: bool

    @property
    def problem(self) -> Problem:
        """Return what a candidate is fitted and measured on."""
        return Problem(
            train=self.rows[schema.TRAIN],
            sample=self.sample,
            validation=self.rows[schema.VALIDATION],
            lloyd=self.experiment.lloyd,
        )

    def fit(self, *, k: int, seed: int) -> Evaluation:
        """Fit (K, seed) with the experiment's solver on training lines; measure it on validation lines."""
        return self._fit_one(self.problem, k=k, seed=seed)

    def evaluator(self) -> Evaluator:
        """Send the rows to where candidates are evaluated."""
        in_tasks = self.whole and self.experiment.training.solver == "exact"
        return Evaluator(
            problem=self.problem,
            settings=self.experiment.guardrails,
            spark=self.spark,
            sent=self.spark.sparkContext.broadcast(self.problem) if in_tasks else None,
            fitter=self._fit_one,
        )

    def _fit_one(self, problem: Problem, *, k: int, seed: int) -> Evaluation:
        if self.experiment.training.solver == "exact":
            return evaluation.evaluate(problem, k=k, seed=seed)
        lines = spark_solver.expanded_lines(
            self.weighted[schema.TRAIN], pipeline=self.pipeline, spark=self.spark
        )
        fitted = spark_solver.fit(lines, problem.train, k=k, seed=seed)
        return evaluation.measured(problem, fitted, seed=seed)


def training_context(prepared: Prepared, *, experiment: Experiment) -> TrainingContext:
    """Fit the feature stages and hold the rows ready, in memory where `training.in_memory_rows` allows it."""
    spark = prepared.reduced.sparkSession
    check_model_folder(spark)
    if sum(prepared.table.rows.values()) <= experiment.training.in_memory_rows:
        return _in_memory(spark, prepared, experiment)
    return _in_spark(spark, prepared, experiment)


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


def _in_memory(spark: SparkSession, prepared: Prepared, experiment: Experiment) -> TrainingContext:
    weighted = load_parts(prepared)
    pipeline = stages.fit_features(weighted[schema.TRAIN], features=experiment.features, spark=spark)
    vectors = stages.vectors(list(weighted.values()), pipeline=pipeline, spark=spark)
    rows = {
        name: in_memory(values, weighted[name].weights)
        for name, values in zip(weighted, vectors, strict=True)
    }
    return TrainingContext(
        spark=spark,
        experiment=experiment,
        prepared=prepared,
        pipeline=pipeline,
        weighted=weighted,
        rows=rows,
        sample=block(vectors[0], weighted[schema.TRAIN].weights),
        whole=True,
    )


def load_parts(prepared: Prepared) -> dict[str, WeightedRows]:
    """Read the weighted rows of all parts, in one job."""
    table = prepared.reduced.toArrow()
    parts = {
        name: table.filter(pc.equal(table[schema.SPLIT], name)).drop_columns(schema.SPLIT)
        for name in schema.SPLITS
    }
    del table  # as large as its parts, and each of these is about to be copied
    splits = {name: weighted_rows(parts.pop(name)) for name in schema.SPLITS}
    return splits | {AFTER_TRAIN: merge(splits[schema.VALIDATION], splits[schema.TEST])}


def _in_spark(spark: SparkSession, prepared: Prepared, experiment: Experiment) -> TrainingContext:
    frames = {name: prepared.rows(*_splits_of(name)) for name in PARTS}
    weighted = {
        name: _sample(frame, rows=prepared.count(*_splits_of(name))) for name, frame in frames.items()
    }
    train = weighted[schema.TRAIN]
    pipeline = stages.fit_features(train, features=experiment.features, spark=spark)
    stored = {
        name: stages.with_values(frame, pipeline).persist(StorageLevel.MEMORY_AND_DISK)
        for name, frame in frames.items()
    }
    return TrainingContext(
        spark=spark,
        experiment=experiment,
        prepared=prepared,
        pipeline=pipeline,
        weighted=weighted,
        rows={name: partitions(frame) for name, frame in stored.items()},
        sample=block(stages.vectors([train], pipeline=pipeline, spark=spark)[0], train.weights),
        whole=False,
    )


def _splits_of(part: str) -> tuple[str, ...]:
    return (schema.VALIDATION, schema.TEST) if part == AFTER_TRAIN else (part,)


def _sample(frame: DataFrame, *, rows: int) -> WeightedRows:
    """Take about `_SAMPLE_ROWS` of the rows by the hash of their key: the same ones on any cluster."""
    every = -(-rows // _SAMPLE_ROWS)
    chosen = F.pmod(F.xxhash64(F.lit("sample"), *schema.ROW_KEY), F.lit(every)) == 0
    return weighted_rows(frame.where(chosen).toArrow())
