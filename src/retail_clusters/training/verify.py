"""Retrain a run from its own params and data, and compare, bit for bit."""

from collections.abc import Mapping
from typing import Final

import click
from pyspark.sql import SparkSession

from retail_clusters import schema
from retail_clusters.data.prepare import ensure_prepared
from retail_clusters.errors import DifferenceFoundError, InputError
from retail_clusters.infra import tracking
from retail_clusters.settings import Experiment
from retail_clusters.training import clustering, context, quality
from retail_clusters.training.context import Fitted, TrainingContext

Facts = Mapping[str, str | float]

_TAGS: Final = ("data_digest", "model_digest", "labels_digest")
_METRICS: Final = (
    "validation_silhouette",
    "test_silhouette",
    "holdout_silhouette",
    "train_cost",
    "iterations",
    "largest_cluster_share",
    "effective_clusters",
    "clusters",
)


def verify(spark: SparkSession, *, run_id: str) -> None:
    """Compare digests, centres, labels and figures of a training run with those of a retraining.

    Raises:
        InputError: there is no such run, or it trained no model.
        DifferenceFoundError: something differs; names each thing, as it was and as it is.
    """
    recorded = tracking.read_run(run_id)
    settings = tracking.settings_of(recorded)
    if not {"k", "seed", "data"} <= settings.keys():
        raise InputError(
            f"verify takes a run that trained a model, but run {run_id} has no params k, seed and data: "
            "choose a train, sweep or register run"
        )
    data = settings["data"]
    experiment = Experiment.from_flat(settings)
    bench = context.training_context(
        ensure_prepared(spark, data=data, experiment=experiment), experiment=experiment
    )
    fitted = context.fit(bench, k=experiment.k, seed=experiment.seed)
    was = _recorded_facts(run_id, recorded.data.tags, recorded.data.metrics)
    now = _facts(bench, fitted)
    bench.release()
    differing = [f"{name} was {was[name]}, is {now[name]}" for name in now if was[name] != now[name]]
    if differing:
        raise DifferenceFoundError(
            f"a retraining must give the bits of run {run_id}, but {'; '.join(differing)}"
        )
    click.echo(f"verify: run {run_id} repeats to the last bit: {', '.join(now)}")


def _recorded_facts(run_id: str, tags: Mapping[str, str], metrics: Mapping[str, float]) -> Facts:
    centres = tracking.read_table(run_id, "centres").drop(columns="cluster").to_numpy()
    return (
        {name: tags.get(name, "missing") for name in _TAGS}
        | {name: metrics.get(name, "missing") for name in _METRICS}
        | {"centres": clustering.centres_digest(centres)}
    )


def _facts(bench: TrainingContext, fitted: Fitted) -> Facts:
    holdout = (schema.VALIDATION, schema.TEST)
    metrics = fitted.metrics | {
        "test_silhouette": quality.measure(bench.rows(schema.TEST), clustering=fitted.clustering).silhouette,
        "holdout_silhouette": quality.measure(bench.rows(*holdout), clustering=fitted.clustering).silhouette,
    }
    tags = context.run_tags(bench, fitted)
    return (
        {name: tags[name] for name in _TAGS}
        | {name: float(metrics[name]) for name in _METRICS}
        | {"centres": fitted.clustering.digest}
    )
