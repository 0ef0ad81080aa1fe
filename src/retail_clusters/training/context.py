"""What training, the sweep and verification share: frames made once, a fit measured, a model published."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import click
from pyspark.ml import PipelineModel
from pyspark.sql import DataFrame

from retail_clusters import schema
from retail_clusters.data.prepare import Prepared
from retail_clusters.infra import tracking
from retail_clusters.infra.registry import ModelRegistry
from retail_clusters.settings import Experiment
from retail_clusters.training import clustering, features, guardrails, profile, quality
from retail_clusters.training.baseline import DRIFT_BASELINE, measure_baseline
from retail_clusters.training.clustering import Clustering, TrainingSet
from retail_clusters.training.model import INTERFACE
from retail_clusters.training.quality import EvaluationRows, Quality


@dataclass(frozen=True)
class TrainingContext:
    """Everything that a fit needs, made once for many of them."""

    experiment: Experiment
    prepared: Prepared
    pipeline: PipelineModel
    training: TrainingSet
    evaluation: EvaluationRows

    def rows(self, *splits: str) -> DataFrame:
        """Return the weighted feature rows of some splits."""
        return features.with_features(self.prepared.rows(*splits), self.pipeline)

    def release(self) -> None:
        """Let go of the cached rows."""
        self.training.release()
        self.evaluation.validation.unpersist()


@dataclass(frozen=True)
class Fitted:
    """A clustering with its quality on validation lines and its cost on training lines."""

    clustering: Clustering
    validation: Quality
    train_cost: float

    @property
    def metrics(self) -> dict[str, float]:
        """Return the metrics of a train run, and of each trial."""
        return {
            "validation_silhouette": self.validation.silhouette,
            "train_cost": self.train_cost,
            "iterations": self.clustering.iterations,
            "largest_cluster_share": self.validation.largest_cluster_share,
            "effective_clusters": self.validation.effective_clusters,
            "clusters": self.validation.clusters,
        }


@dataclass(frozen=True)
class Published:
    """A registered model and how it measured."""

    model: str
    version: str
    fitted: Fitted
    test: Quality
    holdout: Quality


def training_context(prepared: Prepared, *, experiment: Experiment) -> TrainingContext:
    """Fit the feature pipeline and hold training and validation rows ready."""
    train = prepared.rows(schema.TRAIN)
    pipeline = features.fit_features(train, features=experiment.features)
    training = clustering.training_set(features.with_features(train, pipeline))
    validation = features.with_features(prepared.rows(schema.VALIDATION), pipeline).cache()
    return TrainingContext(
        experiment=experiment,
        prepared=prepared,
        pipeline=pipeline,
        training=training,
        evaluation=quality.evaluation_rows(validation=validation, train=training.rows),
    )


def fit(bench: TrainingContext, *, k: int, seed: int) -> Fitted:
    """Fit KMeans on the training lines and measure it on the validation lines."""
    fitted = clustering.fit(bench.training, k=k, seed=seed, settings=bench.experiment.lloyd)
    validation, train_cost = quality.evaluate(bench.evaluation, clustering=fitted)
    return Fitted(clustering=fitted, validation=validation, train_cost=train_cost)


def publish(bench: TrainingContext, fitted: Fitted) -> Published:
    """Measure a fit on the later lines, log everything on the open run, and register the model."""
    test = quality.measure(bench.rows(schema.TEST), clustering=fitted.clustering)
    holdout = quality.measure(bench.rows(schema.VALIDATION, schema.TEST), clustering=fitted.clustering)
    tracking.log_metrics(
        fitted.metrics | {"test_silhouette": test.silhouette, "holdout_silhouette": holdout.silhouette}
    )
    table = profile.profile(fitted.clustering.assign(bench.training.rows))
    tracking.log_table(table, "profile")
    tracking.log_table(clustering.centres_table(fitted.clustering.centres), "centres")
    tags = run_tags(bench, fitted)
    tracking.set_tags(tags)
    tracking.log_input(
        data=bench.prepared.table.data, digest=bench.prepared.table.data_digest, context="training"
    )
    model = features.scoring_pipeline(bench.pipeline, fitted.clustering.model)
    baseline = measure_baseline(fitted.clustering.assign(bench.training.rows))
    version = ModelRegistry(bench.experiment.model).register(
        model, interface=INTERFACE, tags=tags, metadata={DRIFT_BASELINE: baseline.to_json()}
    )
    tracking.set_tags({"model_version": version})
    tracking.describe(f"## Clusters of the training lines\n\n{profile.to_markdown(table)}")
    return Published(model=bench.experiment.model, version=version, fitted=fitted, test=test, holdout=holdout)


def run_tags(bench: TrainingContext, fitted: Fitted) -> Mapping[str, str]:
    """Return the tags that identify a training: its data, its model, and whether it is usable."""
    usable = guardrails.is_usable(fitted.validation, settings=bench.experiment.guardrails)
    return {
        "data_digest": bench.prepared.table.data_digest,
        "model_digest": fitted.clustering.digest,
        "labels_digest": clustering.labels_digest(fitted.clustering.assign(bench.training.rows)),
        "prepare_run_id": bench.prepared.table.run_id,
        "prepared_lines": json.dumps(dict(bench.prepared.table.lines)),
        "usable": str(usable).lower(),
    }


def summarize(published: Published) -> None:
    """Print what a person wants to know of a registered model."""
    fitted = published.fitted
    sizes = sorted(fitted.validation.sizes, reverse=True)
    shares = ", ".join(f"{size / sum(sizes):.1%}" for size in sizes[:5])
    more = f" and {len(sizes) - 5} smaller" if len(sizes) > 5 else ""
    click.echo(
        f"  model        version {published.version} of {published.model}, "
        f"K={fitted.clustering.k}, seed {fitted.clustering.seed}\n"
        f"  silhouette   validation {fitted.validation.silhouette:.4f}, "
        f"test {published.test.silhouette:.4f}, holdout {published.holdout.silhouette:.4f}\n"
        f"  clusters     {shares}{more} of the validation lines\n"
        f"  digest       {fitted.clustering.digest}"
    )
