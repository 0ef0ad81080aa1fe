"""One KMeans at a given K and seed, registered; and a run that trained, trained again and compared bit for bit."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import click
from pyspark.sql import SparkSession

from retail_clusters.data.digest import same_lines
from retail_clusters.errors import DifferenceFoundError, InputError
from retail_clusters.features import model
from retail_clusters.registry import tracking
from retail_clusters.registry.models import ModelRegistry
from retail_clusters.search import publish
from retail_clusters.search.context import check_clusters, training_context
from retail_clusters.search.measure import measure
from retail_clusters.search.prepared import ensure_prepared
from retail_clusters.search.publish import Published
from retail_clusters.settings import Experiment

Metrics = Mapping[str, str | float]

_TAGS: Final = ("data_digest", "model_digest", "labels_digest")


def train(spark: SparkSession, *, data: str, experiment: Experiment) -> Published:
    """Run as `train`."""
    with tracking.run("train", name=f"train K={experiment.k} seed {experiment.seed}"):
        tracking.log_settings({"data": data} | experiment.flat())
        prepared = ensure_prepared(spark, data=data, experiment=experiment)
        context = training_context(prepared, experiment=experiment)
        check_clusters(context, k=experiment.k)
        published = publish.publish(context, context.fit(k=experiment.k, seed=experiment.seed))
        tracking.describe(publish.description(published))
    click.echo("train: done")
    publish.summarize(published)
    for name, excess in context.violations(published.measured.evaluation.validation).items():
        if excess > 0:
            click.secho(f"  not usable   {name} breaks its guardrail: promote will refuse it", fg="yellow")
    return published


@dataclass(frozen=True)
class Verified:
    """A run that repeats to the last bit: its digests and metrics."""

    run_id: str
    metrics: Metrics


def verify(
    spark: SparkSession, *, run_id: str | None = None, version: str | None = None, model_name: str = ""
) -> Verified:
    """Compare digests, centres, labels and metrics of a training run with those of a retraining.

    A metric that is newer than the run has nothing to be compared with, and is left out. Takes any run that
    trained (train, sweep, register), or a version of `model_name` for its run: the clusters are compared as
    they were trained, whatever their numbers.

    Raises:
        InputError: there is no such run, or it trained no model, or with another kernel than this one.
        DifferenceFoundError: something differs; names each thing, as it was and as it is.
    """
    run_id = run_id or ModelRegistry(model_name).training_run(version=str(version))
    recorded = tracking.read_run(run_id)
    settings = tracking.settings_of(recorded)
    _check_trained(run_id, settings, recorded.data.tags)
    experiment = Experiment.from_flat(settings)
    prepared = ensure_prepared(spark, data=settings["data"], experiment=experiment)
    context = training_context(prepared, experiment=experiment)
    measured = measure(context, context.fit(k=experiment.k, seed=experiment.seed))
    tags = publish.run_tags(context, measured)
    was = _recorded(run_id, recorded.data.tags, recorded.data.metrics)
    now: dict[str, str | float] = {name: tags[name] for name in _TAGS}
    now |= {name: value for name, value in measured.metrics.items() if name in was}
    now["centres"] = model.centres_digest(measured.evaluation.centres)
    if same_lines(str(was.get("data_digest", "")), tags["data_digest"]) is None:
        click.echo("verify: the run's data_digest is of an earlier release, and is not compared")
        del now["data_digest"]
    differing = [
        f"{name} was {was.get(name, 'missing')}, is {now[name]}" for name in now if was.get(name) != now[name]
    ]
    if differing:
        raise DifferenceFoundError(
            f"a retraining must give the bits of run {run_id}, but {'; '.join(differing)}"
        )
    click.echo(f"verify: run {run_id} repeats to the last bit: {', '.join(now)}")
    return Verified(run_id=run_id, metrics=now)


def _check_trained(run_id: str, params: Mapping[str, str], tags: Mapping[str, str]) -> None:
    if not {"k", "seed", "data"} <= params.keys():
        raise InputError(
            f"verify takes a run that trained a model, but run {run_id} has no params k, seed and data: "
            "choose a train, sweep or register run"
        )
    kernel = tags.get("kernel", "1")
    if kernel != publish.ALGORITHM_VERSION:
        raise InputError(
            f"verify retrains with kernel {publish.ALGORITHM_VERSION}, but run {run_id} was trained with kernel "
            f"{kernel}, which gives other bits; verify it with the version of the project that made it"
        )


def _recorded(run_id: str, tags: Mapping[str, str], metrics: Mapping[str, float]) -> Metrics:
    centres = tracking.read_table(run_id, "centres").drop(columns="cluster").to_numpy()
    return {**tags, **metrics, "centres": model.centres_digest(centres)}
