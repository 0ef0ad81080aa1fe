"""Training contexts that several files of this room read, made once."""

import pytest
from pyspark.sql import SparkSession

from retail_clusters.search.context import TrainingContext
from retail_clusters.settings import Experiment
from tests.conftest import SAMPLE
from tests.examples import context_of_files


@pytest.fixture(scope="session")
def sample(spark: SparkSession) -> TrainingContext:
    """The bundled sample, in the features of the default experiment."""
    return context_of_files(spark, SAMPLE, experiment=Experiment())
