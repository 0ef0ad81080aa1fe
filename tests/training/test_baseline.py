import itertools

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_clusters.training.baseline import Baseline, bins, measure_baseline, psi
from retail_clusters.training.rows import WeightedRows
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


def test_edges_are_the_deciles_of_the_lines():
    rows = examples.weighted(*((float(n), 1, "Monday", 1 if n <= 5 else 3, 0) for n in range(1, 11)))
    found = measure_baseline(rows, np.zeros(10, dtype=int), clusters=1)
    assert found.price_edges == (2, 4, 6, 7, 8, 9, 10)
    assert found.quantity_edges == (1,)
    assert found.quantity == (1, 0)


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


def test_usual_is_how_far_the_groups_of_days_are_from_all_of_them():
    rows = examples.weighted((1.0, 1, "Monday", 4, 0), (9.0, 1, "Friday", 4, 0))
    labels = np.array([0, 1])
    even = measure_baseline(with_groups(rows, [2, 2], [2, 2]), labels, clusters=2)
    assert even.usual == pytest.approx((0, 0, 0, 0))
    apart = measure_baseline(with_groups(rows, [4, 0], [0, 4]), labels, clusters=2)
    assert apart.usual == pytest.approx((psi((1, 1), (1, 0)),) * 2 + (0, psi((1, 1), (1, 0))))
    assert Baseline.from_json(apart.to_json()) == apart


def with_groups(rows: WeightedRows, *groups: list[int]) -> WeightedRows:
    """Return rows with the lines that each has in each of two groups of days."""
    days = pa.array(groups, pa.list_(pa.int64()))
    return WeightedRows(rows.table.append_column("day_weights", days))
