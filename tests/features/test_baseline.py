import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from retail_clusters.features.baseline import Baseline, bins, measure_baseline

from tests import examples

LINES = st.lists(
    st.tuples(
        st.integers(0, 9), st.integers(-3, 5), st.sampled_from(["Monday", "Sunday"]), st.integers(1, 9)
    ),
    min_size=1,
    max_size=20,
    unique_by=lambda row: row[:3],
)


@given(LINES)
def test_shares_are_those_of_the_expanded_lines(rows):
    weighted = examples.weighted(*((price / 4, *others, 0) for price, *others in rows))
    labels = np.arange(len(weighted)) % 3
    found = measure_baseline(weighted, labels, clusters=5)
    counts = weighted.weights.astype(int)
    prices, days, clusters = (
        np.repeat(column, counts) for column in (weighted.prices, weighted.weekdays, labels)
    )
    lines = len(prices)
    assert found.clusters == pytest.approx(np.bincount(clusters, minlength=5) / lines)
    assert found.weekday == pytest.approx(np.bincount(days, minlength=7) / lines)
    assert set(found.price_edges) <= set(prices)
    edges = [-np.inf, *found.price_edges, np.inf]
    expected = [np.mean((low < prices) & (prices <= high)) for low, high in itertools.pairwise(edges)]
    assert found.price == pytest.approx(expected)
    assert sum(found.quantity) == pytest.approx(1)


def test_edges_are_twentieths_of_the_lines():
    rows = examples.weighted(*((float(n), 1, "Monday", 1, 0) for n in range(1, 201)))
    found = measure_baseline(rows, np.zeros(200, dtype=int), clusters=1)
    assert found.price_edges == tuple(range(10, 200, 10))


def test_a_value_that_a_twentieth_of_the_lines_share_has_a_bin_of_its_own():
    rows = examples.weighted(*((float(n), n, "Monday", 30 if n == 50 else 1, 0) for n in range(1, 101)))
    found = measure_baseline(rows, np.zeros(100, dtype=int), clusters=1)
    for edges, shares in ((found.price_edges, found.price), (found.quantity_edges, found.quantity)):
        at = edges.index(50)
        assert edges[at - 1] == 49
        assert shares[at] == pytest.approx(30 / 129)


def test_lines_of_one_value_are_one_bin():
    found = measure_baseline(examples.weighted((2.5, 1, "Monday", 9, 0)), np.zeros(1, dtype=int), clusters=1)
    assert sum(share > 0 for share in found.price) == 1


def test_value_on_an_edge_falls_into_the_bin_below_it():
    assert bins(np.array([0.5, 1.0, 1.5, 2.0, 9.0]), (1.0, 2.0)).tolist() == [0, 0, 1, 1, 2]


def test_cluster_without_a_training_line_has_a_share_of_nothing_under_its_new_number():
    """Defect 11: the highest cluster without a line made a promotion fail."""
    rows = examples.weighted((1.0, 1, "Monday", 3, 0), (2.0, 1, "Monday", 1, 0))
    found = measure_baseline(rows, np.array([1, 0]), clusters=3)
    assert found.clusters == (0.25, 0.75, 0.0)
    assert found.renumbered({0: 4, 1: 0, 2: 2}).clusters == (0.75, 0.0, 0.0, 0.0, 0.25)


def test_baseline_comes_back_from_its_text_to_the_bit():
    rows = examples.weighted((1 / 3, 1, "Monday", 3, 0), (0.1 + 0.2, 7, "Sunday", 4, 0))
    found = measure_baseline(rows, np.array([0, 1]), clusters=2)
    assert Baseline.from_json(found.to_json()) == found
