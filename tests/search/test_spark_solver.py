"""The notebook's own KMeans; test_repeatable has its bits on one core and on two."""

import numpy as np
from pyspark.ml.clustering import KMeans

from retail_clusters import schema
from retail_clusters.clustering import kmeans
from retail_clusters.search import spark_solver
from retail_clusters.settings import Experiment, Training
from tests import examples

ROWS = [
    (price, quantity, "Monday", 1 + quantity % 3, 0)
    for price in (1.0, 2.5, 90.0)
    for quantity in (1, 2, 40, 41)
]


def test_notebook_s_kmeans_is_fitted_on_one_row_a_line_and_measured_by_the_same_code(spark):
    chosen = Experiment(training=Training(solver="spark"))
    context = examples.context(spark, train=ROWS, validation=ROWS, test=ROWS, experiment=chosen)
    found = context.fit(k=4, seed=1)

    lines = spark_solver.expanded_lines(
        context.weighted[schema.TRAIN], pipeline=context.pipeline, spark=spark
    )
    assert lines.count() == sum(row[3] for row in ROWS)
    expected = KMeans(k=4, seed=1, featuresCol=schema.FEATURES).fit(lines)
    assert found.centres.tolist() == np.array(expected.clusterCenters()).tolist()
    assert found.iterations == expected.summary.numIter
    assert found.train_cost == kmeans.cost(context.rows[schema.TRAIN], found.centres)
    assert sum(found.validation.sizes) == sum(row[3] for row in ROWS)
    again = context.evaluator().start([(3, (4, 1))]).result()
    assert again[0].evaluation.centres.tolist() == found.centres.tolist()
