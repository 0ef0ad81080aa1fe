import math

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from retail_clusters.clustering.blocks import in_memory
from retail_clusters.search import seed_agreement
from tests import examples

VALUES = np.array([[0.0], [1.0], [10.0], [11.0], [30.0]])
WEIGHTS = np.array([3.0, 1.0, 2.0, 1.0, 4.0])
LOW, HIGH, OTHER = np.array([[0.5], [20.0]]), np.array([[5.0], [30.0]]), np.array([[30.0], [0.5], [10.5]])


def test_agreement_is_the_mean_index_over_pairs_of_seeds_on_the_lines():
    rows = in_memory(VALUES, WEIGHTS, block_rows=2)
    counts = WEIGHTS.astype(int)
    labels = [np.repeat(np.abs(VALUES - centres.T).argmin(axis=1), counts) for centres in (LOW, HIGH, OTHER)]
    expected = np.mean(
        [adjusted_rand_score(labels[one], labels[other]) for one, other in ((0, 1), (0, 2), (1, 2))]
    )
    assert seed_agreement.agreement_of(rows, [LOW, HIGH, OTHER]) == pytest.approx(expected, abs=1e-9)


def test_clusters_in_another_order_agree_and_one_seed_alone_has_no_agreement():
    rows = in_memory(VALUES, WEIGHTS)
    assert seed_agreement.agreement_of(rows, [LOW, LOW[::-1]]) == pytest.approx(1)
    assert math.isnan(seed_agreement.agreement_of(rows, [LOW]))


def test_table_has_a_row_a_k_smallest_first():
    trials = [
        examples.trial(0, 9, 0, silhouette=0.6),
        examples.trial(1, 3, 1, silhouette=0.9, largest_share=0.95),
        examples.trial(2, 3, 0, silhouette=0.8),
        examples.trial(3, 3, 2, silhouette=0.1),
    ]
    groups = seed_agreement.by_k(trials)
    table = seed_agreement.table(groups, [0.5, float("nan")])
    assert table.drop(columns="agreement").to_numpy().tolist() == [
        [3, 3, 2, 0.8, 0.1, 0.9],
        [9, 1, 1, 0.6, 0.6, 0.6],
    ]
    assert table["agreement"].isna().tolist() == [False, True]
