"""Training contexts that several files of this room read, made once."""

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from retail_clusters.data import csv_files, invoices, weighted_rows
from retail_clusters.data.prepare import Prepared
from retail_clusters.data.prepared import PreparedTable
from retail_clusters.settings import Experiment, Split
from retail_clusters.training.context import TrainingContext, training_context
from tests.conftest import SAMPLE


def context_of_files(spark: SparkSession, folder: Path, *, experiment: Experiment) -> TrainingContext:
    """Prepare files in memory, without a cache or a run."""
    lines = csv_files.read_lines(spark, csv_files.find_files(str(folder)))
    reduced = weighted_rows.reduce_lines(invoices.parse(lines), split=Split()).cache()
    contents = weighted_rows.summarize(reduced)
    table = PreparedTable(
        folder="none",
        run_id="unknown",
        data=str(folder),
        data_digest=contents.digest,
        lines=contents.lines,
        rows=contents.rows,
        quarantined=0,
    )
    context = training_context(Prepared(table=table, reduced=reduced), experiment=experiment)
    reduced.unpersist()
    return context


@pytest.fixture(scope="session")
def sample(spark: SparkSession) -> TrainingContext:
    """The bundled sample, in the features of the default experiment."""
    return context_of_files(spark, SAMPLE, experiment=Experiment())


@pytest.fixture(scope="session")
def real(spark: SparkSession, real_data: Path) -> TrainingContext:
    """The real data set, in the features of the notebook."""
    from retail_clusters.settings import Features

    return context_of_files(spark, real_data, experiment=Experiment(features=Features(unseen_days="error")))
