"""One KMeans at a given K and seed, measured, logged and registered."""

import click
from pyspark.sql import SparkSession

from retail_clusters.data.prepare import ensure_prepared
from retail_clusters.infra import tracking
from retail_clusters.settings import Experiment
from retail_clusters.training import clustering, context, guardrails
from retail_clusters.training.context import Published


def train(spark: SparkSession, *, data: str, experiment: Experiment) -> Published:
    """Run as `train`."""
    prepared = ensure_prepared(spark, data=data, experiment=experiment)
    with tracking.run("train"):
        tracking.log_settings({"data": data} | experiment.flat())
        bench = context.training_context(prepared, experiment=experiment)
        clustering.check_clusters(bench.training, k=experiment.k)
        fitted = context.fit(bench, k=experiment.k, seed=experiment.seed)
        published = context.publish(bench, fitted)
        bench.release()
    click.echo("train: done")
    context.summarize(published)
    for gate in guardrails.guardrails(fitted.validation, settings=experiment.guardrails):
        if not gate.passed:
            click.secho(f"  not usable   {gate}: promote will refuse this version", fg="yellow")
    return published
