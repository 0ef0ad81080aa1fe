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
from retail_clusters.clustering import evaluation, guardrails
from retail_clusters.clustering.blocks import Block, InMemory, Rows, block, in_memory, split
from retail_clusters.clustering.evaluation import Evaluation, Problem
from retail_clusters.clustering.metrics import Quality
from retail_clusters.data.prepare import Prepared
from retail_clusters.errors import InputError
from retail_clusters.features import stages
from retail_clusters.features.rows import WeightedRows, merge, partitions, weighted_rows
from retail_clusters.registry.models import check_model_folder
from retail_clusters.search import spark_solver
from retail_clusters.settings import Experiment

#: All lines from the train cut on: the notebook's test lines.
AFTER_TRAIN: Final = "holdout"
PARTS: Final = (schema.TRAIN, schema.VALIDATION, schema.TEST, AFTER_TRAIN)

#: Rows that seeding, feature fitting and descriptions look at where the rows stay in Spark.
_SAMPLE_ROWS: Final = 250_000


@dataclass(frozen=True, eq=False)
class TrainingContext:
    """The rows of an experiment, and the feature stages fitted on its training lines.

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
    pipeline: PipelineModel
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
        vectors = stages.vectors([weighted], pipeline=self.pipeline, spark=self.spark)[0]
        return in_memory(vectors, weighted.weights)

    def fit(self, *, k: int, seed: int) -> Evaluation:
        """Fit (K, seed) with the experiment's solver on training lines; measure it on validation lines."""
        if self.experiment.training.solver == "exact":
            return evaluation.evaluate(self.problem, k=k, seed=seed)
        lines = spark_solver.expanded_lines(
            self.weighted[schema.TRAIN], pipeline=self.pipeline, spark=self.spark
        )
        fitted = spark_solver.fit(lines, self.rows[schema.TRAIN], k=k, seed=seed)
        return evaluation.measured(self.problem, fitted, seed=seed)


def training_context(prepared: Prepared, *, experiment: Experiment) -> TrainingContext:
    """Fit the feature stages and hold the rows ready, in memory where `training.in_memory_rows` allows it."""
    check_model_folder(prepared.reduced.sparkSession)
    if sum(prepared.table.rows.values()) <= experiment.training.in_memory_rows:
        return _in_memory(prepared, experiment)
    return _in_spark(prepared, experiment)


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


def _in_memory(prepared: Prepared, experiment: Experiment) -> TrainingContext:
    spark, weighted = prepared.reduced.sparkSession, load_parts(prepared)
    pipeline = stages.fit_features(weighted[schema.TRAIN], features=experiment.features, spark=spark)
    made = stages.vectors([weighted[part] for part in PARTS], pipeline=pipeline, spark=spark)
    blocks = {part: block(vectors, weighted[part].weights) for part, vectors in zip(PARTS, made, strict=True)}
    rows = {part: split(each) for part, each in blocks.items()}
    return TrainingContext(spark, experiment, prepared, pipeline, weighted, rows, sample=blocks[schema.TRAIN])


def _in_spark(prepared: Prepared, experiment: Experiment) -> TrainingContext:
    spark = prepared.reduced.sparkSession
    splits = {part: (part,) for part in schema.SPLITS} | {AFTER_TRAIN: (schema.VALIDATION, schema.TEST)}
    frames = {part: prepared.rows(*splits[part]) for part in PARTS}
    weighted = {part: _sample(frames[part], rows=prepared.count(*splits[part])) for part in PARTS}
    train = weighted[schema.TRAIN]
    pipeline = stages.fit_features(train, features=experiment.features, spark=spark)
    stored = {
        part: stages.with_values(frame, pipeline).persist(StorageLevel.MEMORY_AND_DISK)
        for part, frame in frames.items()
    }
    rows = {part: partitions(frame) for part, frame in stored.items()}
    sample = block(stages.vectors([train], pipeline=pipeline, spark=spark)[0], train.weights)
    return TrainingContext(spark, experiment, prepared, pipeline, weighted, rows, sample)


def _sample(frame: DataFrame, *, rows: int) -> WeightedRows:
    """Take about `_SAMPLE_ROWS` of the rows by the hash of their key: the same ones on any cluster."""
    every = -(-rows // _SAMPLE_ROWS)
    chosen = F.pmod(F.xxhash64(F.lit("sample"), *schema.ROW_KEY), F.lit(every)) == 0
    return weighted_rows(frame.where(chosen).toArrow())
