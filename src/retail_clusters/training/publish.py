"""A fitted clustering made a registered version: measured on later lines, described, logged."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import click
import numpy as np
import pyarrow as pa
from pyspark.ml import PipelineModel

from retail_clusters import schema
from retail_clusters.infra import tracking
from retail_clusters.infra.registry import ModelRegistry
from retail_clusters.training import cluster_report, features, guardrails, kmeans, model, profile, quality
from retail_clusters.training.baseline import DRIFT_BASELINE, measure_baseline
from retail_clusters.training.blocks import Block, Floats, InMemory, Labels, Rows, in_memory
from retail_clusters.training.card import Card
from retail_clusters.training.cluster_report import Clustering
from retail_clusters.training.context import HOLDOUT, TrainingContext
from retail_clusters.training.evaluation import Evaluation, later_metrics
from retail_clusters.training.interface import INTERFACE
from retail_clusters.training.quality import Quality
from retail_clusters.training.stability_report import StabilityReport, compare_with_shuffled
from retail_clusters.wording import percent

#: Raised when the same data, K and seed give other bits than before: no difference that `verify` should find.
KERNEL: Final = "2"


@dataclass(frozen=True, eq=False)
class Measured:
    """A fitted clustering on every part of the lines, by the labels that its registered model gives.

    Attributes:
        evaluation: with the validation figures of those labels.
        train_labels: the cluster of each training row.
        near_tie_lines: lines that the registered model puts into another cluster than that of the
            nearest centre, as Spark expands squares; the figures are those of the model's labels.
    """

    evaluation: Evaluation
    test: Quality
    holdout: Quality
    train_labels: Labels
    near_tie_lines: int

    @property
    def metrics(self) -> Mapping[str, float]:
        """Return the figures of a registered model, under their names in MLflow."""
        later = later_metrics(test=self.test, holdout=self.holdout)
        gap = self.evaluation.validation.silhouette - self.test.silhouette
        return {
            **self.evaluation.metrics,
            **later,
            "validation_test_gap": gap,
            "near_tie_lines": float(self.near_tie_lines),
        }


@dataclass(frozen=True, eq=False)
class Published:
    """A registered version and how it measured."""

    version: str
    model: str
    measured: Measured
    clustering: Clustering

    @property
    def metrics(self) -> Mapping[str, float]:
        """Return the figures of the version, under their names in MLflow."""
        return {**self.measured.metrics, **self.clustering.stability.metrics}


def measure(context: TrainingContext, found: Evaluation) -> Measured:
    """Measure a fit on the later lines, by the labels of the model that will score."""
    nearest = {name: _nearest(context, name, found.centres) for name in context.weighted}
    given = _model_labels(context, found.centres) if context.whole else nearest
    differing = {name: given[name] != nearest[name] for name in given}
    lines = sum(context.weighted[name].weights[differing[name]].sum() for name in schema.SPLITS)

    def on(part: str) -> Quality:
        if not differing[part].any():
            return quality.measure(context.rows[part], found.centres)
        return _quality_as_labelled(context.rows[part], given[part], found.centres)

    validation = on(schema.VALIDATION) if differing[schema.VALIDATION].any() else found.validation
    return Measured(
        evaluation=replace(found, validation=validation),
        test=on(schema.TEST),
        holdout=on(HOLDOUT),
        train_labels=given[schema.TRAIN],
        near_tie_lines=int(lines),
    )


def publish(context: TrainingContext, found: Evaluation) -> Published:
    """Log everything about a fit on the open run, and register the model."""
    measured = measure(context, found)
    clustering = _clustering(context, measured)
    tags = run_tags(context, measured)
    tracking.log_metrics({**measured.metrics, **clustering.stability.metrics})
    tracking.log_table(model.centres_table(found.centres), "centres")
    cluster_report.log_clustering(context, clustering)
    tracking.set_tags(tags)
    cluster_report.log_inputs(context)
    pipeline = model.scoring_pipeline(context.pipeline, found.centres, spark=context.spark)
    baseline = measure_baseline(context.weighted[schema.TRAIN], measured.train_labels, clusters=found.k)
    registry = ModelRegistry(context.experiment.model)
    version = registry.register(
        pipeline, interface=INTERFACE, tags=tags, metadata={DRIFT_BASELINE: baseline.to_json()}
    )
    card = _card(context, measured, clustering, tags, version)
    registry.describe(version=version, markdown=card.to_description())
    tracking.set_tags({"model_version": version})
    return Published(
        version=version, model=context.experiment.model, measured=measured, clustering=clustering
    )


def published_before(context: TrainingContext, found: Evaluation) -> Published | None:
    """Return the newest version that holds this very model of this very data; None where there is none."""
    measured = measure(context, found)
    tags = run_tags(context, measured)
    same = {name: tags[name] for name in ("data_digest", "model_digest", "labels_digest")}
    version = ModelRegistry(context.experiment.model).find_version(tags=same)
    if version is None:
        return None
    click.echo(f"register: version {version} holds this model already")
    tracking.set_tags({"model_version": version})
    return Published(
        version=version,
        model=context.experiment.model,
        measured=measured,
        clustering=_clustering(context, measured),
    )


def _clustering(context: TrainingContext, measured: Measured) -> Clustering:
    return Clustering(
        found=measured.evaluation,
        labels=measured.train_labels,
        profile=profile.profile(context.weighted[schema.TRAIN], measured.train_labels),
        stability=measure_stability(context, measured.evaluation),
    )


def measure_stability(context: TrainingContext, found: Evaluation) -> StabilityReport:
    """Refit on training days drawn anew, and do the same on shuffled columns."""
    train = context.weighted[schema.TRAIN]
    values = context.sample.values
    return compare_with_shuffled(
        values,
        train.weights_by_group,
        found.centres,
        facts=features.facts(values.shape[1]),
        seed=found.seed,
        settings=context.experiment.stability,
        lloyd=context.experiment.lloyd,
    )


def _card(
    context: TrainingContext,
    measured: Measured,
    clustering: Clustering,
    tags: Mapping[str, str],
    version: str,
) -> Card:
    """Make the card that a version has until a promotion judges it."""
    run = tracking.active_run()
    return Card(
        model=context.experiment.model,
        version=version,
        renumbered_from=None,
        run_id=run.info.run_id,
        data=context.prepared.table.data,
        data_digest=tags["data_digest"],
        model_digest=tags["model_digest"],
        lines=context.prepared.table.lines,
        settings=tracking.settings_of(run),
        metrics={**measured.metrics, **clustering.stability.metrics},
        clusters=clustering.profile,
        gates=(),
    )


def run_tags(context: TrainingContext, measured: Measured) -> Mapping[str, str]:
    """Return the tags that identify a training: its data, its model, and whether it is usable."""
    found = measured.evaluation
    usable = guardrails.is_usable(found.validation, settings=context.experiment.guardrails)
    return {
        "data_digest": context.prepared.table.data_digest,
        "model_digest": model.centres_digest(found.centres),
        "labels_digest": model.labels_digest(measured.train_labels),
        "prepare_run_id": context.prepared.table.run_id,
        "prepared_lines": json.dumps(dict(context.prepared.table.lines)),
        "kernel": KERNEL,
        "usable": str(usable).lower(),
    }


def summarize(published: Published) -> None:
    """Print what a person wants to know of a registered model."""
    measured = published.measured
    found = measured.evaluation
    sizes = sorted(found.validation.sizes, reverse=True)
    shares = ", ".join(percent(size / sum(sizes)) for size in sizes[:5])
    more = f" and {len(sizes) - 5} smaller" if len(sizes) > 5 else ""
    click.echo(
        f"  model        version {published.version} of {published.model}, K={found.k}, seed {found.seed}\n"
        f"  silhouette   validation {found.validation.silhouette:.4f}, "
        f"test {measured.test.silhouette:.4f}, holdout {measured.holdout.silhouette:.4f}\n"
        f"  macro        validation {found.validation.macro_silhouette:.4f}, "
        f"test {measured.test.macro_silhouette:.4f} (each cluster counts alike)\n"
        f"  clusters     {shares}{more} of the validation lines\n"
        f"  come back    {published.clustering.stability.sentence}\n"
        f"  digest       {model.centres_digest(found.centres)}"
    )


def _nearest(context: TrainingContext, part: str, centres: Floats) -> Labels:
    rows = context.rows[part]
    if isinstance(rows, InMemory):
        return kmeans.labels(rows, centres)
    weighted = context.weighted[part]
    vectors = features.vectors([weighted], pipeline=context.pipeline, spark=context.spark)[0]
    return kmeans.labels(in_memory(vectors, weighted.weights), centres)


def _model_labels(context: TrainingContext, centres: Floats) -> dict[str, Labels]:
    """Let the stages that will be registered label every row, in one Spark job."""
    names = list(context.weighted)
    stages = PipelineModel([*context.pipeline.stages, model.kmeans_model(centres, spark=context.spark)])
    keys = pa.concat_tables([context.weighted[name].table.select(list(schema.ROW_KEY)) for name in names])
    scored = stages.transform(context.spark.createDataFrame(keys)).select(schema.PREDICTION).toArrow()
    ends = np.cumsum([len(context.weighted[name]) for name in names])[:-1]
    labels = np.asarray(scored[schema.PREDICTION], dtype=np.intp)
    return dict(zip(names, np.split(labels, ends), strict=True))


def _quality_as_labelled(rows: Rows[Block], labels: Labels, centres: Floats) -> Quality:
    if not isinstance(rows, InMemory):
        raise TypeError("labels are given for rows in memory alone")
    ends = np.cumsum([len(block) for block in rows.blocks])[:-1]
    pieces = zip(rows.blocks, np.split(labels, ends), strict=True)
    assigned = InMemory(tuple(kmeans.assign_as(block, piece, centres) for block, piece in pieces))
    return quality.measure_assigned(assigned, centres)
