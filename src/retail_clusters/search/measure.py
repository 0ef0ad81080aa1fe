"""A fit measured on every part of the records, by the labels of the model that will score."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from pyspark.ml import PipelineModel

from retail_clusters import schema
from retail_clusters.clustering import kmeans, metrics
from retail_clusters.clustering.blocks import Block, Floats, InMemory, Labels
from retail_clusters.clustering.evaluation import Evaluation
from retail_clusters.clustering.metrics import Quality
from retail_clusters.features import model
from retail_clusters.search.context import AFTER_TRAIN, TrainingContext


@dataclass(frozen=True, eq=False)
class Measured:
    """A fitted clustering on every part of the records, by the labels that its registered model gives.

    Attributes:
        evaluation: with the validation metrics of those labels.
        train_labels: the cluster of each training row.
        near_tie_lines: records that the registered model puts into another cluster than that of the
            nearest centre, as Spark expands squares; the metrics are those of the model's labels.
    """

    evaluation: Evaluation
    test: Quality
    holdout: Quality
    train_labels: Labels
    near_tie_lines: int

    @property
    def metrics(self) -> Mapping[str, float]:
        """Return the metrics of a registered model, under their names in MLflow."""
        test, found = self.test, self.evaluation
        return {
            **found.metrics,
            "test_silhouette": test.silhouette,
            "test_macro_silhouette": test.macro_silhouette,
            "holdout_silhouette": self.holdout.silhouette,
            "validation_test_gap": found.validation.silhouette - test.silhouette,
            "near_tie_lines": float(self.near_tie_lines),
        }


def measure(context: TrainingContext, found: Evaluation) -> Measured:
    """Measure a fit on the later records, by the labels of the model that will score."""
    nearest = {part: kmeans.labels(context.in_memory(part), found.centres) for part in context.weighted}
    given = _model_labels(context, found.centres) if context.whole else nearest
    differing = {name: given[name] != nearest[name] for name in given}
    lines = sum(context.weighted[name].weights[differing[name]].sum() for name in schema.SPLITS)

    def on(part: str) -> Quality:
        if not differing[part].any():
            return metrics.measure(context.rows[part], found.centres)
        return quality_as_labelled(context.in_memory(part), given[part], found.centres)

    validation = on(schema.VALIDATION) if differing[schema.VALIDATION].any() else found.validation
    return Measured(
        evaluation=replace(found, validation=validation),
        test=on(schema.TEST),
        holdout=on(AFTER_TRAIN),
        train_labels=given[schema.TRAIN],
        near_tie_lines=int(lines),
    )


def _model_labels(context: TrainingContext, centres: Floats) -> dict[str, Labels]:
    """Let the stages that will be registered label every row, in one Spark job."""
    names = list(context.weighted)
    stages = [*context.space.stages.stages, model.kmeans_model(centres, spark=context.spark)]
    keys = pa.concat_tables([context.weighted[name].keys for name in names])
    frame = context.spark.createDataFrame(keys)
    scored = PipelineModel(stages).transform(frame).select(schema.PREDICTION).toArrow()
    ends = np.cumsum([len(context.weighted[name]) for name in names])[:-1]
    labels = np.asarray(scored[schema.PREDICTION], dtype=np.intp)
    return dict(zip(names, np.split(labels, ends), strict=True))


def quality_as_labelled(rows: InMemory[Block], labels: Labels, centres: Floats) -> Quality:
    """Measure rows with n labels, whose clusters have k x d centres."""
    ends = np.cumsum([len(block) for block in rows.blocks])[:-1]
    pieces = zip(rows.blocks, np.split(labels, ends), strict=True)
    assigned = InMemory(tuple(kmeans.assign_as(block, piece, centres) for block, piece in pieces))
    return metrics.measure_assigned(assigned, centres)
