"""One KMeans at a given K and seed, measured, logged and registered."""

import click
from pyspark.sql import SparkSession

from retail_clusters.core import clustering, gates
from retail_clusters.io import tracking
from retail_clusters.jobs import modelling
from retail_clusters.jobs.modelling import Published
from retail_clusters.jobs.prepare import ensure_prepared
from retail_clusters.settings import Experiment


def train(spark: SparkSession, *, data: str, experiment: Experiment) -> Published:
    """Run as `train`."""
    prepared = ensure_prepared(spark, data=data, experiment=experiment)
    with tracking.run("train"):
        tracking.log_settings({"data": data} | experiment.flat())
        bench = modelling.workbench(prepared, experiment=experiment)
        clustering.check_clusters(bench.training, k=experiment.k)
        fitted = modelling.fit(bench, k=experiment.k, seed=experiment.seed)
        published = modelling.publish(bench, fitted)
        bench.release()
    click.echo("train: done")
    modelling.summarize(published)
    for gate in gates.guardrails(fitted.validation, settings=experiment.guardrails):
        if not gate.passed:
            click.secho(f"  not usable   {gate}: promote will refuse this version", fg="yellow")
    return published
