"""The real data: the figures of the notebook, the silhouette of Spark, the labels of the registered model."""

from pathlib import Path

import pytest
from pyspark.ml.evaluation import ClusteringEvaluator
from pyspark.sql import SparkSession

from retail_clusters.features import model
from retail_clusters.search import spark_solver
from retail_clusters.search.context import TrainingContext
from retail_clusters.settings import Experiment, Features
from tests.examples import context_of_files
from tests.search.test_publish import assert_scores_as_measured

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def real(spark: SparkSession, real_data: Path) -> TrainingContext:
    return context_of_files(spark, real_data, experiment=Experiment(features=Features(unseen_days="error")))


def test_digest_rows_weekdays_and_vectors_are_those_of_the_notebook(spark, real: TrainingContext):
    assert real.prepared.table.data_digest == "eaa52dd8c1061c34986774f92961414b"
    assert {name: len(real.weighted[name]) for name in ("train", "validation")} == {
        "train": 13_576,
        "validation": 9_104,
    }
    assert real.pipeline.stages[0].labels == [
        *("Thursday", "Tuesday", "Monday", "Wednesday", "Friday", "Sunday")
    ]
    values = real.sample.values
    assert values.shape[1] == 7
    train = real.weighted["train"]
    assert not values[train.weekdays == 6, 2:].any()
    # The notebook's first vectors, all of a Monday: (7, [0, 1, 4], [2.95, 6, 1]) and so on.
    shown = {
        (price, quantity, 0, 0, 1, 0, 0)
        for price, quantity in [(2.95, 6), (2.1, 8), (5.95, 2), (1.65, 6), (0.42, 25)]
    }
    assert shown <= {tuple(row) for row in values.tolist()}


def test_silhouette_of_the_real_data_is_that_of_spark_s_evaluator_on_its_lines(spark, real):
    found = real.fit(k=20, seed=1)
    lines = spark_solver.expanded_lines(real.weighted["validation"], pipeline=real.pipeline, spark=spark)
    labelled = model.kmeans_model(found.centres, spark=spark).transform(lines)
    assert found.validation.lines == 125_028
    assert found.validation.silhouette == pytest.approx(ClusteringEvaluator().evaluate(labelled), abs=1e-9)


def test_registered_model_gives_every_row_of_the_real_data_the_label_that_was_measured(spark, real):
    assert assert_scores_as_measured(spark, real, k=46, seed=0) <= 10
