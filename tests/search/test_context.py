"""The rows that a training holds, and fits on them: here, as tasks, by Spark's own KMeans."""

import numpy as np
import pytest
from pyspark.ml.clustering import KMeans

from retail_clusters import schema
from retail_clusters.clustering import kmeans
from retail_clusters.errors import InputError
from retail_clusters.question import Feature
from retail_clusters.search import spark_solver
from retail_clusters.search.context import AFTER_TRAIN, check_clusters
from retail_clusters.search.trials import evaluator
from retail_clusters.settings import Experiment, Training
from tests import examples

ROWS = [(1.0 + n, n, "Monday", 1 + n) for n in range(6)]


@pytest.fixture(scope="module")
def context(spark):
    later = [(1.0, 0, "Monday", 10), (99.0, 1, "Sunday", 2)]
    return examples.context(spark, train=ROWS, validation=ROWS[:2], test=later, experiment=examples.UNSCALED)


def test_holdout_is_all_lines_from_the_train_cut_on(context):
    assert context.weighted[AFTER_TRAIN].numbers("price").tolist() == [1, 2, 99]
    assert context.weighted[AFTER_TRAIN].weights.tolist() == [11, 2, 2]


def test_every_part_has_a_vector_a_row_and_its_weights(context):
    for name, weighted in context.weighted.items():
        (block,) = context.in_memory(name).blocks
        assert block.values[:, 0].tolist() == weighted.numbers("price").tolist()
        assert block.weights.tolist() == weighted.weights.tolist()
    assert np.array_equal(context.sample.values, context.rows[schema.TRAIN].blocks[0].values)


@pytest.mark.parametrize("k", [1, 7])
def test_k_that_the_rows_cannot_fill_is_refused(context, k):
    check_clusters(context, k=6)
    told = f"k must be from 2 to the number of distinct training rows, 6, but got {k}"
    with pytest.raises(InputError, match=told):
        check_clusters(context, k=k)


def test_candidates_evaluated_as_tasks_are_those_of_this_process(context):
    batch = [(5, (4, 1)), (2, (3, 0)), (3, (3, 1))]
    with evaluator(context) as evaluating:
        trials = evaluating.start(batch).result()
        other, one = evaluating.agreements(trials)  # K=3, twice, and K=4
    assert [(each.number, (each.k, each.seed)) for each in trials] == batch
    for each in trials:
        here = context.fit(k=each.k, seed=each.seed)
        assert each.evaluation.centres.tobytes() == here.centres.tobytes()
        assert each.evaluation.metrics == here.metrics
    assert np.isnan(one)
    assert -1 <= other <= 1


def test_notebook_s_kmeans_is_fitted_on_one_row_a_line_and_measured_by_the_same_code(spark):
    rows = [(price, n, "Monday", 1 + n % 3) for price in (1.0, 2.5, 90.0) for n in (1, 2, 40, 41)]
    chosen = Experiment(features=examples.lines(), training=Training(solver="spark"))
    context = examples.context(spark, train=rows, validation=rows, test=rows, experiment=chosen)
    found = context.fit(k=4, seed=1)

    train = context.weighted[schema.TRAIN]
    lines = spark_solver.expanded(train, space=context.space, spark=spark)
    expected = KMeans(k=4, seed=1, featuresCol=schema.FEATURES).fit(lines)
    assert lines.count() == found.validation.lines == sum(row[3] for row in rows)
    assert found.centres.tolist() == np.array(expected.clusterCenters()).tolist()
    assert found.iterations == expected.summary.numIter
    assert found.train_cost == kmeans.cost(context.rows[schema.TRAIN], found.centres)
    with evaluator(context) as evaluating:
        (again,) = evaluating.start([(3, (4, 1))]).result()
    assert again.evaluation.centres.tolist() == found.centres.tolist()


def test_arithmetic_that_ends_a_job_says_what_to_write(spark):
    features = examples.lines() | {"each": Feature(sql="UnitPrice / Quantity")}
    with pytest.raises(
        InputError, match=r"features\.\w+ must be computable for every line, but .*: write try_divide"
    ):
        examples.context(
            spark, train=ROWS, validation=ROWS, test=ROWS, experiment=Experiment(features=features)
        )


def test_number_that_is_missing_leaves_records_out_by_name(spark):
    features = examples.lines() | {"each": Feature(sql="try_divide(UnitPrice, Quantity)")}
    context = examples.context(
        spark, train=ROWS, validation=ROWS, test=ROWS, experiment=Experiment(features=features)
    )
    assert context.counted.records == {"train": 20, "validation": 20, "test": 20}
    assert context.counted.in_words("line") == "3 lines without each"
