import numpy as np
import pytest

from retail_clusters import schema
from retail_clusters.errors import InputError
from retail_clusters.search.context import AFTER_TRAIN, check_clusters
from retail_clusters.settings import Experiment
from tests import examples

MADE = [(1.0 + n, n, "Monday", 1 + n, 0) for n in range(6)]


@pytest.fixture(scope="module")
def context(spark):
    later = [(1.0, 0, "Monday", 10, 0), (99.0, 1, "Sunday", 2, 1)]
    return examples.context(spark, train=MADE, validation=MADE[:2], test=later, experiment=Experiment())


def test_holdout_is_all_lines_from_the_train_cut_on(context):
    assert context.weighted[AFTER_TRAIN].prices.tolist() == [1, 2, 99]
    assert context.weighted[AFTER_TRAIN].weights.tolist() == [11, 2, 2]


def test_every_part_has_a_vector_a_row_and_its_weights(context):
    for name, weighted in context.weighted.items():
        (block,) = context.rows[name].blocks
        assert block.values[:, 0].tolist() == weighted.prices.tolist()
        assert block.weights.tolist() == weighted.weights.tolist()
    assert np.array_equal(context.sample.values, context.rows[schema.TRAIN].blocks[0].values)


@pytest.mark.parametrize("k", [1, 7])
def test_k_that_the_rows_cannot_fill_is_refused(context, k):
    check_clusters(context, k=6)
    with pytest.raises(
        InputError, match=f"k must be from 2 to the number of distinct training rows, 6, but got {k}"
    ):
        check_clusters(context, k=k)


def test_candidates_evaluated_as_tasks_are_those_of_this_process(context):
    evaluator = context.evaluator()
    batch = [(5, (4, 1)), (2, (3, 0)), (3, (3, 1))]
    trials = evaluator.start(batch).result()
    assert [(each.number, (each.k, each.seed)) for each in trials] == batch
    for each in trials:
        here = context.fit(k=each.k, seed=each.seed)
        assert each.evaluation.centres.tobytes() == here.centres.tobytes()
        assert each.evaluation.metrics == here.metrics
    (one, other) = evaluator.agreements([trials[:1], trials[1:]])
    assert np.isnan(one)
    assert -1 <= other <= 1
    evaluator.release()
