"""Training contexts that several files of this room read, made once."""

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from retail_clusters.settings import Experiment, Features
from retail_clusters.training.context import TrainingContext
from tests.conftest import SAMPLE
from tests.examples import context_of_files


@pytest.fixture(scope="session")
def sample(spark: SparkSession) -> TrainingContext:
    """The bundled sample, in the features of the default experiment."""
    return context_of_files(spark, SAMPLE, experiment=Experiment())


@pytest.fixture(scope="session")
def real(spark: SparkSession, real_data: Path) -> TrainingContext:
    """The real data set, in the features of the notebook."""
    return context_of_files(spark, real_data, experiment=Experiment(features=Features(unseen_days="error")))
