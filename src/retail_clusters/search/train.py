"""One KMeans at a given K and seed, measured, logged and registered."""

import click
from pyspark.sql import SparkSession

from retail_clusters.clustering import guardrails
from retail_clusters.registry import tracking
from retail_clusters.search import publish
from retail_clusters.search.context import check_clusters, training_context
from retail_clusters.search.prepared import ensure_prepared
from retail_clusters.search.publish import Published
from retail_clusters.settings import Experiment


def train(spark: SparkSession, *, data: str, experiment: Experiment) -> Published:
    """Run as `train`."""
    prepared = ensure_prepared(spark, data=data, experiment=experiment)
    with tracking.run("train", name=f"train K={experiment.k} seed {experiment.seed}"):
        tracking.log_settings({"data": data} | experiment.flat())
        context = training_context(prepared, experiment=experiment)
        check_clusters(context, k=experiment.k)
        published = publish.publish(context, context.fit(k=experiment.k, seed=experiment.seed))
        tracking.describe(publish.training_description(published))
    click.echo("train: done")
    publish.summarize(published)
    validation = published.measured.evaluation.validation
    bounds = experiment.guardrails
    for gate in guardrails.share_and_clusters(
        validation,
        max_share=bounds.max_cluster_share,
        min_clusters=bounds.min_clusters,
        section="guardrails",
    ):
        if not gate.passed:
            click.secho(f"  not usable   {gate}: promote will refuse this version", fg="yellow")
    return published
