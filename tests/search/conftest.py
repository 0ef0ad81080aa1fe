"""Training contexts that several files of this room read, made once."""

import pytest
from pyspark.sql import SparkSession

from retail_clusters.search.context import TrainingContext
from tests.conftest import SAMPLE
from tests.examples import UNSCALED, context_of_files


@pytest.fixture(scope="session")
def sample(spark: SparkSession) -> TrainingContext:
    """The bundled sample, with its numbers as they are."""
    return context_of_files(spark, SAMPLE, experiment=UNSCALED)
